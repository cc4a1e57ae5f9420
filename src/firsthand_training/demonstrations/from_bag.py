"""A bag becomes episodes: every camera pair a frame, everything else aligned to its capture stamp.

At a frame with stamp t

    observation.state, .joints   the newest with a header stamp not after t
    action                       the hand target in effect at t + 1 / fps: the chunks, handed over as at run time
    action.joints                the newest command not after t + 1 / fps

and each has an age limit. Where no hand states or chunks were recorded, they come from the joints through forward
kinematics. A frame without one of these is no frame; frames at the ends of a bag are trimmed, a hole inside is a gap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from firsthand.bags.contents import HandTrajectory, hand_trajectory, joint_positions
from firsthand.bags.read import Bag, RawMessage, open_bag
from firsthand.errors import BagError, EpisodeError
from firsthand.policy.hand_over import ChunkTimeline
from firsthand.robot.joints import JOINTS
from firsthand_training.demonstrations.bag_pictures import at_rate, camera_pairs, decode_pairs
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.write import EpisodeWriter, Frame

Array = NDArray[np.floating]
Stamps = NDArray[np.int64]
HandStates = Callable[[Array], Array]  # joints (26,) to the 54 numbers

SECOND = 1_000_000_000  # [ns]
MAX_CHUNK_DELAY = 2.0  # [s] from observation to recorded chunk
MAX_CLOCK_ERROR = 0.05  # [s]
HAND_STATES = "hand_state"
JOINT_STATES = "joint_states"
COMMANDS = ("motor_command", "joint_command")  # the first that was recorded; the motors' own is the truer one
CHUNKS = ("action_chunk", "teleop/target")


@dataclass(frozen=True)
class BagConversion:
    """How a bag is read."""

    task: str  # the instruction in words
    fps: int = 25
    max_skew: float = 0.005  # [s] between the pictures of a pair
    max_state_age: float = 0.05  # [s] of joints and hand state at a frame
    max_command_age: float = 0.1  # [s] of the joint command at the end of a frame
    action: Literal["auto", "chunks", "joints"] = "auto"  # where the hand target comes from; chunks if there are any
    gaps: Literal["refuse", "split"] = "refuse"
    min_frames: int = 25  # shorter pieces are left out when splitting
    preset: str = EpisodeSettings.preset  # x264's


@dataclass(frozen=True)
class Converted:
    """What became of a bag."""

    dataset: Path
    episodes: tuple[int, ...]  # their numbers in the dataset
    frames: int
    pairs: int  # camera pairs in the bag
    trimmed: int  # of those, left out at either end, at gaps, or for the rate

    def __str__(self) -> str:
        return f"{self.frames} of {self.pairs} camera pairs in episodes {list(self.episodes)} of {self.dataset}"


@dataclass(frozen=True)
class _Series:
    """Messages of one topic by header stamp; only those that a frame needs are decoded."""

    name: str
    stamps: Stamps  # (N,), rising
    messages: list[RawMessage]  # N
    read: Callable[[RawMessage], Array]  # one message to (D,)

    def before(self, times: Stamps, max_age: float) -> tuple[Array, NDArray[np.bool_]]:
        """The newest values not after each time, (M, D), and which of them are young enough."""
        index = np.searchsorted(self.stamps, times, side="right") - 1
        there = index >= 0
        needed, where = np.unique(np.maximum(index, 0), return_inverse=True)
        values = np.array([self.read(self.messages[i]) for i in needed])
        age = times - self.stamps[np.maximum(index, 0)]
        return values[where], there & (age <= max_age * SECOND)


@dataclass(frozen=True)
class _Frames:
    """Everything but the pictures, for each camera pair."""

    stamps: Stamps  # (N, 2), left and right
    breaks: NDArray[np.bool_]  # (N,), a frame before which the camera paused
    state: Array
    action: Array
    joints: Array
    action_joints: Array
    usable: NDArray[np.bool_]  # (N,)


def convert_bag(
    bag: Path | str, dataset: Path | str, settings: BagConversion, hand_states: HandStates | None = None
) -> Converted:
    """Append a bag to a dataset, as one episode or, split at its gaps, as several.

    Args:
        bag: Recorded by our recorder, or with topics of the same names and types.
        dataset: Where the episodes go; made if there is none.
        settings: Task, rate, limits.
        hand_states: Forward kinematics for bags without hand states or chunks; the H1-2's if not given.

    Raises:
        BagError: No bag, a damaged one, or one that lacks a topic.
        EpisodeError: There is a gap and `settings.gaps` refuses it, nothing is usable, or the dataset differs.
    """
    with open_bag(bag) as opened:
        pairs = camera_pairs(opened, settings.max_skew)
        kept, breaks = at_rate(pairs, settings.fps, opened.path)
        frames = _align(opened, kept, breaks, settings, hand_states or _forward_kinematics())
        pieces = _pieces(frames, settings, opened.path)
        numbers = _write(opened, frames, pieces, Path(dataset), settings)
    count = sum(len(piece) for piece in pieces)
    return Converted(Path(dataset), numbers, count, len(pairs), len(pairs) - count)


def _align(
    bag: Bag, pairs: Stamps, breaks: NDArray[np.bool_], settings: BagConversion, hand_states: HandStates
) -> _Frames:
    now = pairs[:, 0]
    then = now + round(SECOND / settings.fps)
    measured = _joints(bag, JOINT_STATES)
    commanded = _joints(bag, _recorded(bag, COMMANDS, "joint commands"))
    joints, fresh_joints = measured.before(now, settings.max_state_age)
    action_joints, fresh_command = commanded.before(then, settings.max_command_age)
    if _has(bag, HAND_STATES):
        state, fresh_state = _hand_states(bag).before(now, settings.max_state_age)
    else:
        state, fresh_state = np.array([hand_states(q) for q in joints]), fresh_joints
    action, covered = _actions(bag, then, action_joints, settings, hand_states)
    usable = fresh_joints & fresh_command & fresh_state & covered
    return _Frames(pairs, breaks, state, action, joints, action_joints, usable)


def _actions(
    bag: Bag, times: Stamps, action_joints: Array, settings: BagConversion, hand_states: HandStates
) -> tuple[Array, NDArray[np.bool_]]:
    """The hand target in effect at each time, (N, 54), and where there was one."""
    if settings.action == "joints" or (settings.action == "auto" and not any(_has(bag, name) for name in CHUNKS)):
        return np.array([hand_states(q) for q in action_joints]), np.ones(len(times), dtype=bool)
    return _chunk_targets(_chunks(bag, _recorded(bag, CHUNKS, "action chunks")), times)


def _chunk_targets(chunks: list[tuple[int, HandTrajectory]], times: Stamps) -> tuple[Array, NDArray[np.bool_]]:
    rate = _chunk_rate([chunk for _, chunk in chunks])
    timeline = ChunkTimeline(rate)
    targets, covered = np.zeros((len(times), 54)), np.zeros(len(times), dtype=bool)
    arrived = 0
    for i, time in enumerate(times.tolist()):
        while arrived < len(chunks) and chunks[arrived][0] <= time:
            arrival, chunk = chunks[arrived]
            timeline.add(chunk.stamp_ns, chunk.vectors, arrival)
            arrived += 1
        target = timeline.target(time)
        if target is not None:
            targets[i], covered[i] = target.vector, True
    return targets, covered


def _chunk_rate(chunks: list[HandTrajectory]) -> float:
    """Actions per second, the same in all chunks: the i-th is due (i + 1) / rate after the stamp."""
    rates = {round(len(chunk.times_ns) * SECOND / chunk.times_ns[-1], 3) for chunk in chunks if chunk.times_ns[-1] > 0}
    if len(rates) != 1:
        raise BagError(f"expected chunks of one rate, got {sorted(rates) or 'only targets without a time'}")
    return rates.pop()


def _chunks(bag: Bag, name: str) -> list[tuple[int, HandTrajectory]]:
    """Chunks with the time at which each arrived, in that order."""
    topic = bag.find_topic(name)
    chunks = [(message.stamp_ns, hand_trajectory(message.message)) for message in bag.messages([topic])]
    delay = float(np.median([arrival - chunk.stamp_ns for arrival, chunk in chunks])) / SECOND
    if not -MAX_CLOCK_ERROR <= delay <= MAX_CHUNK_DELAY:
        raise BagError(
            f"{bag.path}: chunks on {topic} were recorded {delay:.3f} s after their stamps; the recorder ran on "
            "another clock than the policy. Record with the same use_sim_time, or convert with action='joints'"
        )
    return chunks


def _joints(bag: Bag, name: str) -> _Series:
    return _series(bag, name, lambda raw: joint_positions(bag.decode(raw), JOINTS))


def _hand_states(bag: Bag) -> _Series:
    return _series(bag, HAND_STATES, lambda raw: hand_trajectory(bag.decode(raw)).vectors[0])


def _series(bag: Bag, name: str, read: Callable[[RawMessage], Array]) -> _Series:
    topic = bag.find_topic(name)
    messages = list(bag.raw_messages([topic]))
    if not messages:
        raise BagError(f"{bag.path} has no messages on {topic}")
    stamps = np.array([bag.header_stamp_ns(raw) or 0 for raw in messages], dtype=np.int64)
    stamps, order = np.unique(stamps, return_index=True)
    return _Series(topic, stamps, [messages[i] for i in order], read)


def _recorded(bag: Bag, names: tuple[str, ...], what: str) -> str:
    """The first of `names` that the bag has messages on."""
    for name in names:
        if _has(bag, name):
            return name
    raise BagError(f"{bag.path} has no {what}: none of {', '.join(names)} among {', '.join(sorted(bag.topics))}")


def _has(bag: Bag, name: str) -> bool:
    return any(info.count for topic, info in bag.topics.items() if topic.endswith("/" + name))


def _pieces(frames: _Frames, settings: BagConversion, path: Path) -> list[range]:
    """Stretches of frames without a gap: the ends trimmed, then one or, if splitting is allowed, several."""
    indices = np.flatnonzero(frames.usable)
    if len(indices) == 0:
        raise EpisodeError(f"{path}: no camera pair with joints, hand state and a command that are young enough")
    paused = np.diff(np.cumsum(frames.breaks)[indices]) > 0
    breaks = np.flatnonzero((np.diff(indices) > 1) | paused)
    if len(breaks) and settings.gaps == "refuse":
        last, following = frames.stamps[indices[breaks[0] : breaks[0] + 2], 0]
        begin = (last - frames.stamps[0, 0]) / SECOND
        raise EpisodeError(
            f"{path} has {len(breaks)} gaps, the first of {(following - last) / SECOND:.3f} s after {begin:.3f} s; "
            "see `firsthand report`, or allow gaps='split'"
        )
    runs = np.split(indices, breaks + 1)
    pieces = [range(int(run[0]), int(run[-1]) + 1) for run in runs if len(run) >= settings.min_frames]
    if not pieces:
        raise EpisodeError(
            f"{path}: the longest stretch without a gap has {max(len(run) for run in runs)} frames, "
            f"expected at least {settings.min_frames}"
        )
    return pieces


def _write(bag: Bag, frames: _Frames, pieces: list[range], dataset: Path, settings: BagConversion) -> tuple[int, ...]:
    pictures = decode_pairs(bag, frames.stamps[[i for piece in pieces for i in piece]])
    first = next(pictures)
    height, width = first.shape[1:3]
    pictures = chain([first], pictures)
    numbers = []
    episode_settings = EpisodeSettings(fps=settings.fps, height=height, width=width, preset=settings.preset)
    with EpisodeWriter(dataset, episode_settings) as writer:
        for piece in pieces:
            numbers.append(len(writer))
            writer.start(settings.task)
            for i in piece:
                writer.add(_frame(frames, i, next(pictures)))
            writer.save()
    return tuple(numbers)


def _frame(frames: _Frames, i: int, images: NDArray[np.uint8]) -> Frame:
    return Frame(
        stamp_ns=int(frames.stamps[i, 0]),
        state=frames.state[i],
        action=frames.action[i],
        joints=frames.joints[i],
        action_joints=frames.action_joints[i],
        images=images,
    )


def _forward_kinematics() -> HandStates:
    """The H1-2's, loaded when the first bag needs it."""
    model = None

    def hand_states(q: Array) -> Array:
        nonlocal model
        if model is None:
            from firsthand.robot.model import RobotModel  # brings Pinocchio; most bags have hand states

            model = RobotModel.load()
        return model.hand_state(q).to_vector()

    return hand_states
