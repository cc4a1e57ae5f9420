"""A simulated scene on the wire: which one it is, how it stands, and how the trial goes.

`simulation/state` is a JointState of every joint of the scene whose frame_id names the scene, so that a message alone,
out of a bag or off the wire, is enough to render what happened.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from firsthand.errors import SimulationError
from firsthand.nodes.messages import ns_from_stamp, stamp_from_ns
from firsthand.simulation.scene_name import SceneName


@dataclass(frozen=True)
class SceneState:
    """How a scene stands."""

    stamp_ns: int
    scene: SceneName
    joints: dict[str, float]  # [m] and [rad], by name


@dataclass(frozen=True)
class TrialState:
    """How the trial goes."""

    success: bool
    progress: float  # 0 to 1
    timed_out: bool
    seconds: float  # since the trial began, in simulated time


def write_scene_state(state: SceneState) -> JointState:
    """A `simulation/state` message."""
    header = Header(stamp=stamp_from_ns(state.stamp_ns), frame_id=str(state.scene))
    return JointState(header=header, name=list(state.joints), position=list(state.joints.values()))


def read_scene_state(message: JointState) -> SceneState:
    """The scene state of a `simulation/state` message; whether it fits the scene, the scene itself says.

    Raises:
        SimulationError: It names no scene, or not as many joints as values.
    """
    scene = SceneName.parse(message.header.frame_id)
    if len(message.name) != len(message.position):
        raise SimulationError(f"expected one position a joint, got {len(message.position)} for {len(message.name)}")
    joints = dict(zip(message.name, message.position, strict=True))
    return SceneState(ns_from_stamp(message.header.stamp), scene, joints)


def write_trial_state(trial: TrialState, scene: SceneName, stamp_ns: int) -> DiagnosticArray:
    """A `simulation/status` message: one status whose values say it all."""
    values: Mapping[str, object] = {
        "task": scene.task,
        "variant": scene.variant,
        "seed": scene.seed,
        "success": trial.success,
        "progress": f"{trial.progress:.4f}",
        "timed out": trial.timed_out,
        "seconds": f"{trial.seconds:.3f}",
    }
    status = DiagnosticStatus(level=DiagnosticStatus.OK, name="simulation", message=_in_words(trial))
    status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticArray(header=Header(stamp=stamp_from_ns(stamp_ns)), status=[status])


def _in_words(trial: TrialState) -> str:
    if trial.success:
        return "success"
    return "time is up" if trial.timed_out else f"{trial.progress:.0%} of the way"
