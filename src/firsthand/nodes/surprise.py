"""The part of the policy node that watches for surprises, reports them, and may hold the robot."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from std_msgs.msg import Float32, String

from firsthand.errors import CheckpointError
from firsthand.nodes.diagnostics import OK, STALE, WARN, Status
from firsthand.nodes.qos import LATCHED, PUBLISH
from firsthand.policy.checkpoint import find_checkpoint
from firsthand.policy.session import Policy, Prediction
from firsthand.policy.surprise import Alarm, Surprise, SurpriseMonitor, load_usual

Array = NDArray[np.floating[Any]]

FOLLOWING = "active"  # the gate's state in which the robot moves


@dataclass(frozen=True)
class WatchSettings:
    """When a surprise is one, and what follows from it."""

    hold: bool
    persistence: float  # [s]
    release_after: float  # [s]


class SurpriseWatch:
    """Scores every frame that the policy acts on; publishes the score and decides whether to hold.

    out  ~/surprise   Float32, 1 is the level that usual frames do not reach
    in   gate_state   when the robot stops following, the scene may be changed by hand: predictions are forgotten
    """

    def __init__(self, node: Node, policy: Policy, checkpoint: str, settings: WatchSettings) -> None:
        """Start watching, if the checkpoint has a world model and somebody has measured what is usual for it.

        Raises:
            CheckpointError: The robot is to be held and there is nothing to compare with.
        """
        self._settings, self._logger = settings, node.get_logger()
        self._alarm = Alarm(settings.persistence, release_after=settings.release_after)
        self._held: Array | None = None  # the hand state that the robot is held at
        self._newest: Surprise | None = None
        self._alarms = 0
        self._forget = False
        self._monitor, self._missing = _open_monitor(policy, checkpoint)
        if settings.hold and self._monitor is None:
            raise CheckpointError(f"hold_on_surprise: {self._missing}")
        self._publisher = node.create_publisher(Float32, "~/surprise", PUBLISH)
        node.create_subscription(String, "gate_state", self._on_gate, LATCHED)

    def actions(self, stamp_ns: int, features: NDArray[np.float32], state: Array, prediction: Prediction) -> Array:
        """What to send (H, 54): the prediction's actions, or those that stay where the surprise was noticed."""
        if self._monitor is None or prediction.future_features is None:
            return prediction.actions
        if self._forget:
            self._clear()
        surprise = self._monitor.observe(stamp_ns, features, prediction.future_features)
        if surprise is not None:
            self._newest = surprise
            self._publisher.publish(Float32(data=surprise.score))
            self._decide(surprise, state)
        return prediction.actions if self._held is None else np.tile(self._held, (len(prediction.actions), 1))

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
        return Status(OK, f"as predicted, {newest.score:.2f} of the level", values)

    def _decide(self, surprise: Surprise, state: Array) -> None:
        before = self._alarm.raised
        raised = self._alarm.update(surprise.stamp_ns, surprise.score)
        if raised == before:
            return
        self._alarms += raised
        self._held = state.copy() if raised and self._settings.hold else None
        if raised:
            kind = "an event" if surprise.event >= surprise.unfamiliar else "an unfamiliar scene"
            self._logger.warning(f"surprised by {kind}, {surprise.score:.2f} of the level" + _and(self._held))
        else:
            self._logger.info("the world is as predicted again")

    def _on_gate(self, message: String) -> None:
        if message.data != FOLLOWING:
            self._forget = True  # acted on by the thread that acts

    def _clear(self) -> None:
        assert self._monitor is not None
        self._monitor.clear()
        self._alarm.clear()
        self._held, self._forget = None, False


def _open_monitor(policy: Policy, checkpoint: str) -> tuple[SurpriseMonitor | None, str]:
    """The monitor, or why there is none."""
    if not policy.manifest.has_world_model:
        return None, "the checkpoint has no world model"
    usual = load_usual(find_checkpoint(checkpoint), policy.manifest)
    if usual is None:
        return None, "nobody has measured what is usual for this checkpoint; `firsthand-lab calibrate` does"
    return SurpriseMonitor(policy.manifest, usual), ""


def _and(held: Array | None) -> str:
    return "; holding" if held is not None else ""
