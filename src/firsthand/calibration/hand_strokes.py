"""The fingers' ends out of a recording in which every finger was told to open and to close, and given time to.

What the fingers were told is `motor_command`, what they reported is `joint_states`, both as joint angles of hands that
go from 1 to 0; here they are turned back into the wire's scale. So no strokes file may have been in use while it was
recorded, which the body's diagnostics in the recording say.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.bags.contents import joint_positions
from firsthand.bags.read import Bag, open_bag
from firsthand.errors import BagError, CalibrationError
from firsthand.robot.hand_strokes import IN_USE, NOT_IN_USE, HandStrokes, finger_name
from firsthand.robot.joints import HANDS_SLICE, check_hand
from firsthand.robot.model import RobotModel

Array = NDArray[np.floating]

SECOND = 1_000_000_000  # [ns]
END = 0.02  # of the scale, from its ends, that a command counts as open or closed
SETTLE = 0.5  # [s] that a finger gets after it was told
REST = 0.02  # of the scale, that a finger at rest moves in ...
REST_FOR = 0.1  # [s] ... this time
AGREE = 0.05  # of the scale, that a finger's ends may differ from one time to the next
MIRRORED = 0.9  # correlation with the other hand's command that gives a swap away
OWN = 0.5  # ... while that with the own one is below this


@dataclass(frozen=True)
class StrokeFit:
    """What the fingers did."""

    strokes: HandStrokes
    spread: Array  # (12,), largest difference between times at the same end
    times: NDArray[np.intp]  # (12,), how often each was at its ends, the rarer of both

    def __str__(self) -> str:
        lines = [
            f"{finger_name(n):17} open {self.strokes.open[n]:.3f}  closed {self.strokes.closed[n]:.3f}  "
            f"+- {self.spread[n] / 2:.3f}  {self.times[n]} times"
            for n in range(12)
        ]
        return "\n".join(lines)


def fit_strokes(times: Array, told: Array, reported: Array, hand: str) -> StrokeFit:
    """Find the ends.

    Args:
        times: (N,), rising, [s].
        told: (N, 12) on the wire's scale, 1 open.
        reported: (N, 12), the same.
        hand: dfx or ftp.

    Raises:
        CalibrationError: A finger was never told to open or close for long enough, does not repeat itself, is stuck, or
            moves when the other hand is told to.
    """
    _check_sides(told, reported)
    ends, spread, counts = np.empty((12, 2)), np.zeros(12), np.zeros(12, np.intp)
    for finger in range(12):
        levels = [_plateaus(times, told[:, finger], reported[:, finger], end) for end in (1.0, 0.0)]
        for name, found in zip(("open", "closed"), levels, strict=True):
            if not found:
                raise CalibrationError(
                    f"{finger_name(finger)} was never told to be {name}, and then at rest, for {SETTLE + REST_FOR} s"
                )
        ends[finger] = [np.median(found) for found in levels]
        spread[finger] = max(float(np.ptp(found)) for found in levels)
        counts[finger] = min(map(len, levels))
        if spread[finger] > AGREE:
            raise CalibrationError(
                f"{finger_name(finger)} stops {spread[finger]:.2f} of its scale apart from one time to the next; does "
                "something hold it?"
            )
    return StrokeFit(HandStrokes(hand, ends[:, 0], ends[:, 1]), spread, counts)


def strokes_from_bag(path: Path, model: RobotModel) -> StrokeFit:
    """Fit a recording's fingers.

    Raises:
        BagError: No bag, or without motor_command and joint_states.
        CalibrationError: As `fit_strokes`; or a strokes file was in use.
        ModelError: It is of a robot with the other kind of hand.
    """
    with open_bag(path) as bag:
        _check_nothing_in_use(bag)
        told_at, told = _positions(bag, "motor_command", model)
        at, reported = _positions(bag, "joint_states", model)
    inside = (at >= told_at[0]) & (at <= told_at[-1])
    newest = np.clip(np.searchsorted(told_at, at, side="right") - 1, 0, len(told_at) - 1)
    lower, upper = model.lower[HANDS_SLICE], model.upper[HANDS_SLICE]

    def openness(q: Array) -> Array:
        return (upper - q[:, HANDS_SLICE]) / (upper - lower)

    seconds = (at - at[0]) / SECOND
    return fit_strokes(seconds[inside], openness(told[newest])[inside], openness(reported)[inside], model.hand)


def _positions(bag: Bag, topic: str, model: RobotModel) -> tuple[NDArray[np.int64], Array]:
    name, stamps, positions = bag.find_topic(topic), [], []
    for raw in bag.raw_messages([name]):
        message = bag.decode(raw)
        check_hand(model.joints, message.name)
        stamps.append(bag.header_stamp_ns(raw) or 0)
        positions.append(joint_positions(message, model.joints))
    if len(stamps) < 2:
        raise BagError(f"{bag.path}: expected messages on {name}, got {len(stamps)}")
    rising, order = np.unique(np.array(stamps, np.int64), return_index=True)
    return rising, np.array(positions)[order]


def _check_nothing_in_use(bag: Bag) -> None:
    """Refuse angles that are not on the wire's scale any more."""
    topics = [name for name in bag.topics if name.rpartition("/")[2] == "diagnostics"]
    for raw in bag.raw_messages(topics) if topics else ():
        for status in bag.decode(raw).status:
            used = [pair.value for pair in status.values if pair.key == IN_USE and pair.value != NOT_IN_USE]
            if used:
                raise CalibrationError(
                    f"{bag.path} was recorded with the strokes of {used[0]} in use, so it does not show the fingers' "
                    "own scale; record again with hand_strokes:=''"
                )


def _plateaus(times: Array, told: Array, reported: Array, end: float) -> list[float]:
    """What a finger reported at rest, at the end of every stretch in which it was told to be at one end."""
    there = np.abs(told - end) <= END
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(int)))
    found = []
    for begin, after in edges.reshape(-1, 2):
        stretch = slice(begin, after)
        last = times[stretch] > times[after - 1] - REST_FOR
        at_rest = reported[stretch][last]
        if times[after - 1] - times[begin] >= SETTLE + REST_FOR and np.ptp(at_rest) < REST:
            found.append(float(np.median(at_rest)))
    return found


def _check_sides(told: Array, reported: Array) -> None:
    """Refuse hands that do what the other is told."""
    if not (np.isfinite(told).all() and np.isfinite(reported).all()) or len(told) < 2:
        raise CalibrationError("expected finite commands and reports of the fingers")
    swapped = []
    for finger in range(12):
        other = (finger + 6) % 12
        if _correlation(told[:, other], reported[:, finger]) > MIRRORED > OWN > _correlation(
            told[:, finger], reported[:, finger]
        ):  # fmt: skip
            swapped.append(finger_name(finger))
    if swapped:
        raise CalibrationError(
            f"{', '.join(swapped)} moved when the other hand was told to: left and right hands are swapped"
        )


def _correlation(a: Array, b: Array) -> float:
    if np.ptp(a) < 0.1 or np.ptp(b) < 0.1:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
