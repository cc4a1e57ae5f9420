"""What a simulated body shows of itself on the wire, beside its joints."""

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import JointState

from firsthand.errors import SimulationError
from firsthand.nodes.diagnostics import OK, Status
from firsthand.nodes.messages import SECOND
from firsthand.nodes.qos import PUBLISH
from firsthand.nodes.scene_messages import SceneState, TrialState, write_scene_state, write_trial_state
from firsthand.robot.bodies.interface import Body
from firsthand.simulation.scene_name import SceneName
from firsthand.simulation.simulated_body import SimulatedBody

STATUS_PERIOD_NS = SECOND // 5


class SimulationTopics:
    """Publishes the scene at the cameras' rate, and how the trial goes.

    Args:
        node: Publishes.
        body: Is shown.
        scene_rate: [Hz] of simulated time; instants are multiples of its period.
    """

    def __init__(self, node: Node, body: Body, scene_rate: float) -> None:
        if not isinstance(body, SimulatedBody):
            raise SimulationError(f"expected a simulated body, got {type(body).__name__}: it has no scene to show")
        self._body = body
        self._scene_period_ns = round(SECOND / scene_rate)
        self._scenes = node.create_publisher(JointState, "simulation/state", PUBLISH)
        self._trials = node.create_publisher(DiagnosticArray, "simulation/status", PUBLISH)
        self._last_ns = 0
        self._shown: JointState | None = None

    def publish(self, stamp_ns: int, trial_ns: int) -> None:
        """Publish what is due.

        Args:
            stamp_ns: Now.
            trial_ns: Since the trial began.
        """
        if stamp_ns // self._scene_period_ns != self._last_ns // self._scene_period_ns:
            self._shown = write_scene_state(SceneState(stamp_ns, self.scene, self._body.scene_state()))
            self._scenes.publish(self._shown)
        if stamp_ns // STATUS_PERIOD_NS != self._last_ns // STATUS_PERIOD_NS:
            self._trials.publish(write_trial_state(self._trial(trial_ns), self.scene, stamp_ns))
        self._last_ns = stamp_ns

    def repeat(self) -> None:
        """Publish the last scene state again, for a camera that missed it; one that did not takes no notice."""
        if self._shown is not None:
            self._scenes.publish(self._shown)

    @property
    def scene(self) -> SceneName:
        """The scene that the body is in."""
        scene = self._body.scene
        return SceneName(scene.task.name, scene.variant, scene.seed)

    def status(self) -> Status:
        """For diagnostics."""
        success, progress = self._body.success(), self._body.progress()
        return Status(OK, f"{self.scene}: {progress:.0%}", {"success": success, "progress": progress})

    def _trial(self, trial_ns: int) -> TrialState:
        body = self._body
        return TrialState(body.success(), body.progress(), body.timed_out(), trial_ns / SECOND)
