"""Which hands are left and which right: what the network says, over time, and that a person has one of each."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

SUREST = 0.98  # that one frame can be of a side
CHANGE = 6.0  # natural log of the odds against a hand that is followed becoming another
PAIR = 1.5  # the same against two hands of a picture having one side
CROSSED = 1.0  # the same against a left hand being right of the right one


@dataclass(frozen=True)
class Sighting:
    """One hand in one frame, before it has a side."""

    frame: int
    track: int  # the same for hands that were followed from frame to frame
    score: float
    box: Array  # (4,), [px]
    keypoints: Array  # (21, 2), [px], or NaN
    right: float  # 0 to 1, that it is a right hand, from this frame alone


def choose_sides(sightings: list[Sighting]) -> NDArray[np.int64]:
    """Sides (D,), 0 left, 1 right.

    Each track is explained as a whole, by the most probable run of sides, in which changes are rare. Then two hands
    that are alone in their pictures and are of one side are told apart, if the network is not too sure of either, by
    their order from left to right.
    """
    odds = np.array([_log_odds(each.right) for each in sightings])
    sides = np.zeros(len(sightings), np.int64)
    by_track: dict[int, list[int]] = defaultdict(list)
    for index, each in enumerate(sightings):
        by_track[each.track].append(index)
    for places in by_track.values():
        sides[places] = most_probable_sides(odds[places])
    for first, second in _runs_of_one_side(sightings, sides):
        _tell_apart(sightings, odds, sides, np.array(first), np.array(second))
    return sides


def most_probable_sides(log_odds: Array) -> NDArray[np.int64]:
    """The run of sides (N,) that explains log odds (N,) for the right one best; a change costs `CHANGE` (Viterbi)."""
    gains = np.stack([-log_odds / 2, log_odds / 2], axis=1)
    total, came_from = gains[0], np.zeros((len(gains), 2), np.int64)
    for step in range(1, len(gains)):
        changed = total[::-1] - CHANGE
        came_from[step] = np.where(changed > total, [1, 0], [0, 1])
        total = np.maximum(total, changed) + gains[step]
    sides = np.zeros(len(gains), np.int64)
    sides[-1] = int(total[1] > total[0])
    for step in range(len(gains) - 1, 0, -1):
        sides[step - 1] = came_from[step, sides[step]]
    return sides


def _runs_of_one_side(sightings: list[Sighting], sides: NDArray[np.int64]) -> list[tuple[list[int], list[int]]]:
    """Pairs of tracks that are alone in their pictures and of one side there: where they are in the list."""
    by_frame: dict[int, list[int]] = defaultdict(list)
    for index, each in enumerate(sightings):
        by_frame[each.frame].append(index)
    runs: dict[tuple[int, int, int], tuple[list[int], list[int]]] = {}
    for places in by_frame.values():
        if len(places) == 2 and sides[places[0]] == sides[places[1]]:
            first, second = sorted(places, key=lambda index: sightings[index].track)
            key = (sightings[first].track, sightings[second].track, int(sides[first]))
            run = runs.setdefault(key, ([], []))
            run[0].append(first)
            run[1].append(second)
    return list(runs.values())


def _tell_apart(
    sightings: list[Sighting],
    odds: Array,
    sides: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> None:
    """Give one of two hands the other side, in place, unless the network is sure that they are of one."""
    side = sides[first[0]]
    sureness = [float(np.mean(odds[run]) * (1 if side else -1)) for run in (first, second)]
    middles = [np.mean([sightings[i].box[[0, 2]].mean() for i in run]) for run in (first, second)]
    first_is_left = middles[0] < middles[1]
    # log odds for the first hand changing its side, and for the second one
    crossed = [first_is_left == (side == 0), first_is_left != (side == 0)]
    gains = [PAIR - sure + (-CROSSED if bad else CROSSED) for sure, bad in zip(sureness, crossed, strict=True)]
    if max(gains) > 0:
        sides[(first, second)[int(np.argmax(gains))]] = 1 - side


def _log_odds(right: float) -> float:
    bounded = float(np.clip(right, 1 - SUREST, SUREST))
    return float(np.log(bounded / (1 - bounded)))
