"""A bag becomes episodes: every camera pair a frame, everything else aligned to its capture stamp.

What a frame at stamp t takes from the other topics is in `bag_robot.py` and, of a person with a headset, in
`bag_person.py`. Each has an age limit, and nothing is made up in between: a frame without one of them is no frame;
frames at the ends of a bag are trimmed, a hole inside is a gap.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from firsthand.bags.read import Bag, open_bag
from firsthand.errors import EpisodeError
from firsthand.robot.joints import joint_names
from firsthand_training.demonstrations.bag_conversion import BagConversion
from firsthand_training.demonstrations.bag_person import HANDS, align_person
from firsthand_training.demonstrations.bag_pictures import at_rate, camera_pairs, decode_pairs
from firsthand_training.demonstrations.bag_robot import HandStates, align_robot, forward_kinematics
from firsthand_training.demonstrations.bag_series import JOINT_STATES, SECOND, BagFrames, has, recorded_hand
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.write import EpisodeWriter, Frame

Embodiment = Literal["robot", "human"]


@dataclass(frozen=True)
class Gap:
    """Where a recording was cut."""

    start_s: float  # after the first camera pair
    seconds: float
    why: str

    def __str__(self) -> str:
        return f"{self.seconds:.3f} s after {self.start_s:.3f} s ({self.why})"


@dataclass(frozen=True)
class Converted:
    """What became of a bag."""

    dataset: Path
    episodes: tuple[int, ...]  # their numbers in the dataset
    frames: int
    pairs: int  # camera pairs in the bag
    trimmed: int  # of those, left out at either end, at gaps, or for the rate
    embodiment: Embodiment = "robot"
    gaps: tuple[Gap, ...] = ()  # inside, where the recording was split

    def __str__(self) -> str:
        return f"{self.frames} of {self.pairs} camera pairs in episodes {list(self.episodes)} of {self.dataset}"


def convert_bag(
    bag: Path | str,
    dataset: Path | str,
    settings: BagConversion,
    hand_states: HandStates | None = None,
    there: Collection[int] = (),
) -> Converted:
    """Append a bag to a dataset, as one episode or, split at its gaps, as several.

    Args:
        bag: Recorded by our recorder, or with topics of the same names and types.
        dataset: Where the episodes go; made if there is none.
        settings: Task, rate, limits.
        hand_states: Forward kinematics for bags without hand states or chunks; the H1-2's if not given.
        there: First stamps of episodes that the dataset has already, [ns]: they are not written again.

    Raises:
        BagError: No bag, a damaged one, or one that lacks a topic.
        EpisodeError: There is a gap and `settings.gaps` refuses it, nothing is usable, or the dataset differs.
    """
    with open_bag(bag) as opened:
        embodiment, hand = _embodiment(opened), ""
        pairs = camera_pairs(opened, settings.max_skew)
        kept, breaks = at_rate(pairs, settings.fps, opened.path)
        if embodiment == "human":
            frames = align_person(opened, kept, breaks, settings)
        else:
            hand = recorded_hand(opened, JOINT_STATES)
            frames = align_robot(opened, kept, breaks, settings, hand_states or forward_kinematics(hand))
        pieces, gaps = _pieces(frames, settings, opened.path)
        new = [piece for piece in pieces if int(frames.stamps[piece[0], 0]) not in there]
        numbers = _write(opened, frames, new, Path(dataset), settings, _episodes_of(embodiment, hand)) if new else ()
    count = sum(len(piece) for piece in pieces)
    return Converted(Path(dataset), numbers, count, len(pairs), len(pairs) - count, embodiment, tuple(gaps))


def _embodiment(bag: Bag) -> Embodiment:
    """A person's where a headset was recorded and no robot."""
    return "human" if has(bag, HANDS) and not has(bag, JOINT_STATES) else "robot"


def _episodes_of(embodiment: Embodiment, hand: str) -> EpisodeSettings:
    """What a dataset of them has: a person has no columns of joints, a robot those of its hands."""
    if embodiment == "human":
        return EpisodeSettings(joint_names=(), robot_type="human", origin=True)
    return EpisodeSettings(joint_names=joint_names(hand))


def _pieces(frames: BagFrames, settings: BagConversion, path: Path) -> tuple[list[range], list[Gap]]:
    """Stretches of frames without a gap: the ends trimmed, then one or, if splitting is allowed, several."""
    usable = frames.usable
    indices = np.flatnonzero(usable)
    if len(indices) == 0:
        raise EpisodeError(
            f"{path}: no camera pair has all it needs, young enough; {_most_lacking(frames, slice(None))} most of all"
        )
    if settings.quality:  # nothing to learn before the first and after the last frame that counts
        counts = np.flatnonzero(usable & (frames.quality > 0))
        if len(counts) == 0:
            raise EpisodeError(f"{path}: the gate was never active, or the hands were never tracked")
        indices = indices[(indices >= counts[0]) & (indices <= counts[-1])]
    paused = np.diff(np.cumsum(frames.breaks)[indices]) > 0
    breaks = np.flatnonzero((np.diff(indices) > 1) | paused)
    gaps = [_gap(frames, indices[place], indices[place + 1]) for place in breaks]
    if gaps and settings.gaps == "refuse":
        raise EpisodeError(
            f"{path} has {len(gaps)} gaps, the first of {gaps[0]}; see `firsthand report`, or allow gaps='split'"
        )
    runs = np.split(indices, breaks + 1)
    pieces = [range(int(run[0]), int(run[-1]) + 1) for run in runs if len(run) >= settings.min_frames]
    if not pieces:
        raise EpisodeError(
            f"{path}: the longest stretch without a gap has {max(len(run) for run in runs)} frames, "
            f"expected at least {settings.min_frames}"
        )
    return pieces, gaps


def _gap(frames: BagFrames, last: int, following: int) -> Gap:
    times = frames.stamps[:, 0]
    why = f"no {_most_lacking(frames, slice(last + 1, following))}" if following - last > 1 else "no pictures"
    return Gap(float(times[last] - times[0]) / SECOND, float(times[following] - times[last]) / SECOND, why)


def _most_lacking(frames: BagFrames, where: slice) -> str:
    return max(frames.lacks, key=lambda name: int(frames.lacks[name][where].sum()))


def _write(
    bag: Bag,
    frames: BagFrames,
    pieces: list[range],
    dataset: Path,
    settings: BagConversion,
    episodes: EpisodeSettings,
) -> tuple[int, ...]:
    pictures = decode_pairs(bag, frames.stamps[[i for piece in pieces for i in piece]], settings.size)
    first = next(pictures)
    height, width = first.shape[1:3]
    pictures = chain([first], pictures)
    numbers = []
    episode_settings = replace(
        episodes, fps=settings.fps, height=height, width=width, preset=settings.preset, quality=settings.quality,
    )  # fmt: skip
    with EpisodeWriter(dataset, episode_settings) as writer:
        for piece in pieces:
            numbers.append(len(writer))
            writer.start(settings.task)
            for i in piece:
                writer.add(_frame(frames, i, next(pictures)))
            writer.save()
    return tuple(numbers)


def _frame(frames: BagFrames, i: int, images: NDArray[np.uint8]) -> Frame:
    moved = frames.robot_from_world
    return Frame(
        stamp_ns=int(frames.stamps[i, 0]),
        state=frames.state[i],
        action=frames.action[i],
        joints=frames.joints[i],
        action_joints=frames.action_joints[i],
        images=images,
        quality=float(frames.quality[i]),
        origin=None if moved is None else -moved[i, :3, 3],
    )
