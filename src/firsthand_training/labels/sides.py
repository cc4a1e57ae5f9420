"""Which hands are left and which right: what the network says, where they are, and that a person has one of each.

The landmark network tells sides well where a hand is plain to see, and guesses where it holds something. In
first-person video the picture tells more: a right hand comes from the right and points up and to the left. All of it
is counted as the natural log of the odds for a right hand.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

TRUST = ((0.7, 0.0), (0.9, 0.5), (0.97, 2.0), (1.0, 3.0))
"""Presence of a hand, and how far the network's log odds for its side are believed then."""
DIRECTION, PLACE = 2.0, 2.0  # log odds of a hand that points to the left; of one at the right border of the picture
CHANGE = 60.0  # against a hand that is followed becoming another one; frames next to each other say much the same
PAIR, PAIR_IN_FIRST_PERSON = 1.5, 3.5  # against two hands of a picture having one side
CROSSED = 2.0  # against a left hand being right of the right one, in first-person video


@dataclass(frozen=True)
class Sighting:
    """One hand in one frame, before it has a side."""

    frame: int
    track: int  # the same for hands that were followed from frame to frame
    score: float
    box: Array  # (4,), [px]
    keypoints: Array  # (21, 2), [px], or NaN
    right: float  # 0 to 1, that it is a right hand, from this frame alone
    told: bool = False  # by a detector that knows sides, whose word is taken


def choose_sides(sightings: list[Sighting], width: int, first_person: bool) -> NDArray[np.int64]:
    """Sides (D,), 0 left, 1 right.

    Each track is explained as a whole, by the most probable run of sides, in which changes are rare. Then two hands
    that are alone in their pictures and are of one side are told apart, unless too much speaks against it.

    Args:
        sightings: Of one video.
        width: Of its pictures, [px].
        first_person: Whether the hands are those of who wears the camera.
    """
    odds = np.array([side_odds(each, width, first_person) for each in sightings])
    sides = np.zeros(len(sightings), np.int64)
    by_track: dict[int, list[int]] = defaultdict(list)
    for index, each in sorted(enumerate(sightings), key=lambda pair: pair[1].frame):
        by_track[each.track].append(index)
    for places in by_track.values():
        sides[places] = most_probable_sides(odds[places])
    for first, second in _runs_of_one_side(sightings, sides):
        _tell_apart(sightings, odds, sides, np.array(first), np.array(second), first_person)
    return sides


def side_odds(sighting: Sighting, width: int, first_person: bool) -> float:
    """Log odds that a hand is a right one, from its frame alone."""
    bounded = float(np.clip(sighting.right, 1e-6, 1 - 1e-6))
    said = float(np.log(bounded / (1 - bounded)))
    if sighting.told:
        return said
    presences, beliefs = zip(*TRUST, strict=True)
    belief = float(np.interp(sighting.score, presences, beliefs))
    odds = float(np.clip(said, -belief, belief))
    if not first_person:
        return odds
    across = 2 * float(sighting.box[[0, 2]].mean()) / width - 1
    return odds + PLACE * float(np.clip(across, -1, 1)) - DIRECTION * _pointing(sighting.keypoints)


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
    first_person: bool,
) -> None:
    """Give one of two hands the other side, in place, unless the network is sure that they are of one."""
    side = sides[first[0]]
    sureness = [float(np.mean(odds[run]) * (1 if side else -1)) for run in (first, second)]
    middles = [np.mean([sightings[i].box[[0, 2]].mean() for i in run]) for run in (first, second)]
    first_is_left = middles[0] < middles[1]
    # what speaks for the first hand changing its side, and for the second one
    pair, crossed = (PAIR_IN_FIRST_PERSON, CROSSED) if first_person else (PAIR, 0.0)
    orders = [first_is_left != (side == 0), first_is_left == (side == 0)]
    gains = [pair - sure + (crossed if good else -crossed) for sure, good in zip(sureness, orders, strict=True)]
    if max(gains) > 0:
        sides[(first, second)[int(np.argmax(gains))]] = 1 - side


def _pointing(keypoints: Array) -> float:
    """How far a hand points to the right, -1 to 1; 0 if that is not known."""
    along = keypoints[9] - keypoints[0]
    length = float(np.linalg.norm(along))
    return float(along[0]) / length if np.isfinite(length) and length > 0 else 0.0
