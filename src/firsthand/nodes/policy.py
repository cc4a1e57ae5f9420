"""policy: the newest features and the hand state measured with them in, a chunk of actions out.

in   features       Image 32FC384 (of DINOv2), 32FC3 (pixels)
     hand_state     the measured 54 numbers, kept for a second to find the one that belongs to the features
out  action_chunk   H targets, stamped with the observation that they come from
     ~/markers      the same, drawn
     ~/surprise     how far what arrives is from what was predicted (`nodes/surprise.py`)
     ~/attention    what the policy looked at, drawn (`nodes/attention.py`)
"""

import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from trajectory_msgs.msg import MultiDOFJointTrajectory
from visualization_msgs.msg import MarkerArray

from firsthand.errors import CheckpointError
from firsthand.inference import PROVIDERS, Runtime
from firsthand.nodes.attention import AttentionView
from firsthand.nodes.diagnostics import OK, Diagnostics, Status
from firsthand.nodes.image_messages import read_features
from firsthand.nodes.intake import Intake, Latencies, LatestWorker, StaleInput, check_age
from firsthand.nodes.markers import write_chunk_markers
from firsthand.nodes.messages import SECOND, StampedHandState, ns_from_stamp, read_hand_state, write_chunk
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import RunnableNode, run
from firsthand.nodes.qos import EVERY, LATEST, PUBLISH
from firsthand.nodes.surprise import SurpriseWatch, WatchSettings
from firsthand.policy.session import Policy
from firsthand.vision.encoders import SOURCES

HISTORY = 250  # hand states: a second at the highest rate


@dataclass(frozen=True)
class PolicySettings:
    """Parameters of the policy node."""

    checkpoint: str = setting("push", "A checkpoint folder, or the name of one that ships with the package.")
    period: float = setting(
        0.0, "Time between two chunks, [s]; 0 is as fast as features come.", minimum=0.0, maximum=10.0
    )
    max_features_age: float = setting(0.5, "Features older than this are not used, [s].", minimum=0.02, maximum=10.0)
    max_state_gap: float = setting(
        0.02, "How far in time the hand state may be from the features, [s].", minimum=0.001, maximum=1.0
    )
    threads: int = setting(1, "CPU threads of the network.", minimum=1, maximum=64)
    provider: str = setting("auto", "What runs the network; auto is CUDA where it is, else the CPU.", choices=PROVIDERS)
    cuda_graph: bool = setting(False, "With cuda or tensorrt: launch all kernels of a graph at once.")
    hold_on_surprise: bool = setting(False, "Stay in place while what is seen is not what was predicted.")
    surprise_persistence: float = setting(
        0.15, "How long a surprise has to last to be one, [s].", minimum=0.0, maximum=5.0
    )
    surprise_release: float = setting(
        1.0, "How long all has to be as predicted to go on, [s].", minimum=0.0, maximum=60.0
    )


class PolicyNode(RunnableNode):
    """Runs the policy on the newest features."""

    def __init__(self, **options: object) -> None:
        super().__init__("policy", **options)
        self._settings = read_parameters(self, PolicySettings)
        s = self._settings
        self._policy = Policy.load(s.checkpoint, Runtime(s.provider, s.threads, cuda_graph=s.cuda_graph))
        _check_encoder(self._policy)
        watching = WatchSettings(s.hold_on_surprise, s.period, s.surprise_persistence, s.surprise_release)
        self._surprise = SurpriseWatch(self, self._policy, s.checkpoint, watching)
        self._attention = AttentionView(self, self._policy.manifest)
        self._features, self._states = Intake(self, "features"), Intake(self, "hand_state")
        self._latency, self._inference = Latencies(), Latencies()
        self._history: deque[StampedHandState] = deque(maxlen=HISTORY)
        self._thinned = 0  # features left out because of the period
        self._acted_ns = 0  # stamp of the observation that the last chunk came from
        self._chunks = self.create_publisher(MultiDOFJointTrajectory, "action_chunk", PUBLISH)
        self._markers = self.create_publisher(MarkerArray, "~/markers", PUBLISH)
        self._worker = LatestWorker(self._act, self.fail, name="policy")
        self.create_subscription(MultiDOFJointTrajectory, "hand_state", self._on_hand_state, EVERY, raw=True)
        self.create_subscription(Image, "features", self._worker.offer, LATEST)
        diagnostics = Diagnostics(self)
        diagnostics.add("features", self._features.status)
        diagnostics.add("hand_state", self._states.status)
        diagnostics.add("policy", self._status)
        diagnostics.add("surprise", self._surprise.status)
        self.get_logger().info(_describe(self._policy))

    def shutdown(self) -> None:
        """Let the chunk in progress finish."""
        self._worker.stop()

    def _on_hand_state(self, message: bytes) -> None:
        with self._states.reading():
            self._history.append(read_hand_state(message))

    def _act(self, message: Image) -> None:
        stamp_ns = ns_from_stamp(message.header.stamp)
        if 0 <= stamp_ns - self._acted_ns < self._settings.period * SECOND:
            self._thinned += 1
            return
        with self._features.reading():
            check_age("features", stamp_ns, self._now_ns(), self._settings.max_features_age)
            features = read_features(message)
            state = self._state_at(stamp_ns)
            started = time.perf_counter()
            prediction = self._policy.act(features, state.vector)
            self._inference.add(time.perf_counter() - started)
            actions = self._surprise.actions(stamp_ns, features, state.vector, prediction)
            self._publish(actions, stamp_ns)
            self._attention.show(stamp_ns, prediction.selected)
            self._acted_ns = stamp_ns

    def _state_at(self, stamp_ns: int) -> StampedHandState:
        """The hand state measured nearest to a time."""
        states = tuple(self._history)  # one step of the interpreter: the executor appends meanwhile
        if not states:
            raise StaleInput("no hand_state yet; is the kinematics node running?")
        nearest = min(states, key=lambda state: abs(state.stamp_ns - stamp_ns))
        gap = abs(nearest.stamp_ns - stamp_ns) / SECOND
        if gap > self._settings.max_state_gap:
            limit = self._settings.max_state_gap
            raise StaleInput(f"the nearest hand_state is {gap:.3f} s from the features, more than {limit} s")
        return nearest

    def _publish(self, actions: NDArray[np.floating], stamp_ns: int) -> None:
        rate = self._policy.manifest.rate
        self._chunks.publish(write_chunk(actions, stamp_ns, rate))
        self._latency.add((self._now_ns() - stamp_ns) / SECOND)
        if self._markers.get_subscription_count():
            self._markers.publish(write_chunk_markers(actions, stamp_ns))

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _status(self) -> Status:
        chunks, skipped = self._latency.count, self._worker.skipped
        values = {**self._latency.values("picture to chunk"), **self._inference.values("inference")}
        return Status(
            OK,
            f"{chunks} chunks, {skipped} features skipped",
            {"chunks": chunks, "skipped": skipped, "left out by the period": self._thinned, **values},
        )


def _check_encoder(policy: Policy) -> None:
    """Refuse a checkpoint whose features the features node cannot make."""
    spec = policy.manifest.encoder
    if SOURCES.get(spec.name) != spec.source_sha256:
        known = ", ".join(f"{name} ({digest[:12]})" for name, digest in SOURCES.items())
        raise CheckpointError(
            f"the checkpoint was trained on features of {spec.name} ({spec.source_sha256[:12]}); "
            f"the features node makes those of {known}"
        )


def _describe(policy: Policy) -> str:
    m = policy.manifest
    return f"policy {m.task!r}: {m.horizon} actions at {m.rate:g} Hz from features {policy.feature_shape}"


def main() -> int:
    """Run the node."""
    return run(PolicyNode)
