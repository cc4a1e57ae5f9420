"""The part of the policy node that watches for surprises, reports them, and may hold the robot."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from std_msgs.msg import Float32, String

from firsthand.errors import CheckpointError
from firsthand.nodes.diagnostics import OK, STALE, WARN, Status
from firsthand.nodes.messages import SECOND
from firsthand.nodes.qos import LATCHED, PUBLISH
from firsthand.policy.checkpoint import find_checkpoint
from firsthand.policy.session import Policy, Prediction
from firsthand.policy.surprise import Alarm, Surprise, SurpriseMonitor, load_usual
from firsthand.robot.safety_gate import POWERED, GateState
from firsthand.space.hand_state import LEFT_FINGERTIPS, RIGHT_FINGERTIPS

Array = NDArray[np.floating[Any]]

ACTIVE = GateState.ACTIVE.value  # the state of the gate in which the robot does what the policy says
STILL = {state.value for state in GateState if state not in POWERED}
FRESH = 1.0  # [s], how long a score says something of now


@dataclass(frozen=True)
class WatchSettings:
    """When a surprise is one, and what follows from it."""

    hold: bool
    period: float  # [s], between two frames that are acted on; 0: every one
    persistence: float  # [s]
    release_after: float  # [s]


class SurpriseWatch:
    """Scores every frame that the policy acts on; publishes the score and decides whether to hold.

    out  ~/surprise   Float32, 1 is the level that usual frames do not reach
    in   gate_state   while the robot does not follow, nothing is compared: it does not do what was predicted, and the
                      scene may be changed by hand. Once it has stopped moving, an alarm is forgotten, too.
    """

    def __init__(self, node: Node, policy: Policy, checkpoint: str, settings: WatchSettings) -> None:
        """Start watching, if the checkpoint has a world model and somebody has measured what is usual for it.

        Raises:
            CheckpointError: The robot is to be held and there is nothing to compare with, or too seldom.
        """
        self._settings, self._logger, self._clock = settings, node.get_logger(), node.get_clock()
        self._alarm = Alarm(settings.persistence, release_after=settings.release_after)
        self._held: Array | None = None  # the hand state that the robot is held at
        self._newest: Surprise | None = None
        self._alarms = 0
        self._gate = ACTIVE  # a graph without a gate is watched all the time
        self._changed_ns = 0  # when the gate last changed: frames of before are of another time
        self._forget = self._rest = False
        self._monitor, self._missing = _open_monitor(policy, checkpoint)
        if settings.hold:
            self._check_holding(policy)
        self._publisher = node.create_publisher(Float32, "~/surprise", PUBLISH)
        node.create_subscription(String, "gate_state", self._on_gate, LATCHED)

    def actions(self, stamp_ns: int, features: NDArray[np.float32], state: Array, prediction: Prediction) -> Array:
        """What to send (H, 54): the prediction's actions, or those that stay where the surprise was noticed."""
        if self._monitor is None or prediction.future_features is None:
            return prediction.actions
        self._follow_gate()
        if self._gate != ACTIVE or stamp_ns < self._changed_ns:
            return self._held_or(prediction.actions)
        surprise = self._monitor.observe(stamp_ns, features, prediction.future_features)
        if surprise is not None:
            self._newest = surprise
            self._publisher.publish(Float32(data=surprise.score))
            self._decide(surprise, state, prediction.actions[0])
        return self._held_or(prediction.actions)

    def _held_or(self, actions: Array) -> Array:
        return actions if self._held is None else np.tile(self._held, (len(actions), 1))

    def status(self) -> Status:
        """How surprising the world is, for diagnostics."""
        if self._monitor is None:
            return Status(OK, f"not watching: {self._missing}")
        newest = self._newest
        if newest is None:
            return Status(STALE, "no frame to compare yet")
        values = {"event": newest.event, "unfamiliar": newest.unfamiliar, "alarms": self._alarms}
        if self._alarm.raised:
            return Status(WARN, "the world is not what was predicted" + _and(self._held), values)
        age = (self._clock.now().nanoseconds - newest.stamp_ns) / SECOND
        if age > FRESH:
            return Status(STALE, f"no frame that could be compared for {age:.1f} s", values)
        return Status(OK, f"as predicted, {newest.score:.2f} of the level", values)

    def _decide(self, surprise: Surprise, state: Array, target: Array) -> None:
        before = self._alarm.raised
        raised = self._alarm.update(surprise.stamp_ns, surprise.score)
        if raised == before:
            return
        self._alarms += raised
        self._held = _in_place(state, target) if raised and self._settings.hold else None
        if raised:
            kind = "an event" if surprise.event >= surprise.unfamiliar else "an unfamiliar scene"
            self._logger.warning(f"surprised by {kind}, {surprise.score:.2f} of the level" + _and(self._held))
        else:
            self._logger.info("the world is as predicted again")

    def _on_gate(self, message: String) -> None:
        """Take note; the thread that acts draws the consequences."""
        self._gate, self._changed_ns = message.data, self._clock.now().nanoseconds
        self._forget = True
        self._rest |= message.data in STILL

    def _follow_gate(self) -> None:
        """A gate that holds for a moment ends no alarm: what was surprising is still there."""
        assert self._monitor is not None
        if self._forget:
            self._forget, self._newest = False, None
            self._monitor.clear()
        if self._rest:
            self._rest, self._held = False, None
            self._alarm.clear()

    def _check_holding(self, policy: Policy) -> None:
        """Refuse to promise a hold that would never come.

        Raises:
            CheckpointError: There is nothing to compare with, or frames are acted on too seldom to compare them.
        """
        if self._monitor is None:
            raise CheckpointError(f"hold_on_surprise: {self._missing}")
        longest = policy.manifest.stride / policy.manifest.rate
        if self._settings.period > longest:
            raise CheckpointError(
                f"hold_on_surprise: the checkpoint predicts every {longest:g} s, so a period of "
                f"{self._settings.period:g} s leaves too few frames to compare; expected at most {longest:g} s"
            )


def _in_place(state: Array, target: Array) -> Array:
    """Head and wrists as measured, fingers as commanded: a hand that holds something squeezes further than it gets."""
    held = state.copy()
    for fingertips in (LEFT_FINGERTIPS, RIGHT_FINGERTIPS):
        held[fingertips] = target[fingertips]
    return held


def _open_monitor(policy: Policy, checkpoint: str) -> tuple[SurpriseMonitor | None, str]:
    """The monitor, or why there is none."""
    if not policy.manifest.has_world_model:
        return None, "the checkpoint has no world model"
    try:
        usual = load_usual(find_checkpoint(checkpoint), policy.manifest)
    except CheckpointError as error:
        return None, str(error)
    if usual is None:
        return None, "nobody has measured what is usual for this checkpoint; `firsthand-lab calibrate` does"
    return SurpriseMonitor(policy.manifest, usual), ""


def _and(held: Array | None) -> str:
    return "; holding" if held is not None else ""
