"""The topics of a bag as series in time, and what an episode takes from them at each camera pair."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.bags.contents import hand_trajectory, joint_positions
from firsthand.bags.read import Bag, RawMessage
from firsthand.errors import BagError
from firsthand.robot.joints import hand_of, joint_names

Array = NDArray[np.floating]
Stamps = NDArray[np.int64]
Flags = NDArray[np.bool_]

SECOND = 1_000_000_000  # [ns]
HAND_STATES = "hand_state"
JOINT_STATES = "joint_states"
GATE = "gate_state"


@dataclass(frozen=True)
class BagFrames:
    """Everything but the pictures, for each camera pair."""

    stamps: Stamps  # (N, 2), left and right
    breaks: Flags  # (N,), a frame before which the camera paused
    state: Array  # (N, 54)
    action: Array  # (N, 54)
    joints: Array  # (N, 26), (N, 0) of a person
    action_joints: Array  # (N, 26), (N, 0) of a person
    quality: Array  # (N,), 0 to 1
    lacks: dict[str, Flags]  # by what is missing or too old: at which frames, (N,)
    robot_from_world: Array | None = None  # (N, 4, 4) of a person, whose F_R moves

    @property
    def usable(self) -> Flags:
        """Which frames lack nothing."""
        return ~np.any([*self.lacks.values(), np.zeros(len(self.stamps), dtype=bool)], axis=0)


@dataclass(frozen=True)
class Series:
    """Messages of one topic by header stamp; only those that a frame needs are decoded."""

    name: str
    stamps: Stamps  # (N,), rising
    messages: list[RawMessage]  # N
    read: Callable[[RawMessage], Array]  # one message to (D,)

    def before(self, times: Stamps, max_age: float) -> tuple[Array, Flags]:
        """The newest values not after each time, (M, D), and which of them are young enough."""
        index = np.searchsorted(self.stamps, times, side="right") - 1
        there = index >= 0
        needed, where = np.unique(np.maximum(index, 0), return_inverse=True)
        values = np.array([self.read(self.messages[i]) for i in needed])
        age = times - self.stamps[np.maximum(index, 0)]
        return values[where], there & (age <= max_age * SECOND)


def joint_series(bag: Bag, name: str) -> Series:
    """The 26 joints of a JointState topic, of a robot with either hand."""
    names = joint_names(recorded_hand(bag, name))
    return series(bag, name, lambda raw: joint_positions(bag.decode(raw), names))


def recorded_hand(bag: Bag, name: str) -> str:
    """Which hand's joints a JointState topic has; the DFX hand's where it has none."""
    first = next(bag.raw_messages([bag.find_topic(name)]), None)
    return (first and hand_of(bag.decode(first).name)) or "dfx"


def hand_series(bag: Bag, name: str) -> Series:
    """The 54 numbers of a topic of single hand states."""
    return series(bag, name, lambda raw: hand_trajectory(bag.decode(raw)).vectors[0])


def series(bag: Bag, name: str, read: Callable[[RawMessage], Array]) -> Series:
    """Messages in the order of their header stamps, the first of those that say the same.

    Raises:
        BagError: There is no such topic, or nothing on it.
    """
    topic = bag.find_topic(name)
    messages = list(bag.raw_messages([topic]))
    if not messages:
        raise BagError(f"{bag.path} has no messages on {topic}")
    stamps = np.array([bag.header_stamp_ns(raw) or 0 for raw in messages], dtype=np.int64)
    stamps, order = np.unique(stamps, return_index=True)
    return Series(topic, stamps, [messages[i] for i in order], read)


def recorded(bag: Bag, names: Sequence[str], what: str) -> str:
    """The first of `names` that the bag has messages on.

    Raises:
        BagError: It has none of them.
    """
    for name in names:
        if has(bag, name):
            return name
    raise BagError(f"{bag.path} has no {what}: none of {', '.join(names)} among {', '.join(sorted(bag.topics))}")


def has(bag: Bag, name: str) -> bool:
    """Whether there are messages on a topic."""
    return any(info.count for topic, info in bag.topics.items() if topic.endswith("/" + name))


def gate_was_active(bag: Bag, times: Stamps) -> Flags:
    """At which times the safety gate let commands through; at all, if it was not recorded."""
    if not has(bag, GATE):
        return np.ones(len(times), dtype=bool)
    changes = [(message.stamp_ns, message.message.data == "active") for message in bag.messages([bag.find_topic(GATE)])]
    begins, active = np.array([begin for begin, _ in changes]), np.array([state for _, state in changes])
    index = np.searchsorted(begins, times, side="right") - 1
    return np.asarray((index >= 0) & active[np.maximum(index, 0)])
