"""Every hand in a picture: detectors propose, the landmark network judges."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from firsthand_training.labels.hand_networks.candidates import Candidate, HandDetector
from firsthand_training.labels.hand_networks.landmarks import Hand, LandmarkNetwork
from firsthand_training.labels.hand_networks.regions import Picture, inside, overlap

Array = NDArray[np.floating]

SAME_KEYPOINTS = 0.25  # mean distance of keypoints over the size of the hand, below which two hands are one
SAME_BOX = 0.6  # share of the smaller box that lies in the other one, above which two hands are one
SURE = 0.9  # presence at which no other direction is tried
_PALM = (0, 1, 5, 9, 13, 17)


@dataclass(frozen=True)
class Find:
    """A hand in a picture: its keypoints, or only a box around it."""

    hand: Hand | None
    candidate: Candidate | None = None

    @property
    def box(self) -> Array:
        """(4,), [px]."""
        if self.hand is not None:
            return self.hand.box
        assert self.candidate is not None
        return self.candidate.box

    @property
    def score(self) -> float:
        """0 to 1: the landmark network's, or else the detector's."""
        if self.hand is not None:
            return self.hand.presence
        assert self.candidate is not None
        return self.candidate.score


@dataclass(frozen=True)
class HandFinder:
    """Detectors, and who judges what they propose."""

    detectors: tuple[HandDetector, ...]
    landmarks: LandmarkNetwork
    presence: float  # of a hand, above which it is one
    still: float  # the same of one that was there in the frame before
    overlap: float  # of boxes of detectors, above which they are one

    def search(self, picture: Picture, known: list[Find]) -> list[Find]:
        """Hands in a picture besides those that are known already."""
        found: list[Find] = []
        for candidate in (each for detector in self.detectors for each in detector.detect(picture)):
            if any(self._covers(other, candidate) for other in [*known, *found]):
                continue
            hand = self._look(picture, candidate)
            find = Find(hand if hand.presence > self.presence else None, candidate)
            if (find.hand is None and not candidate.certain) or any(same(find, other) for other in [*known, *found]):
                continue
            found.append(find)
        return found

    def follow(self, picture: Picture, known: list[Find]) -> list[Find | None]:
        """Hands of the frame before in this one; None where one is lost or has slipped onto another."""
        hands = [None if find.hand is None else self.landmarks.look(picture, find.hand.region) for find in known]
        followed = [
            None if hand is None or hand.presence <= self.still else replace(find, hand=hand)
            for find, hand in zip(known, hands, strict=True)
        ]
        for index, find in enumerate(followed):
            for earlier in range(index):
                other = followed[earlier]
                if find is None or other is None or followed[index] is None or not same(find, other):
                    continue
                slipped = index if _moved(known[index], find) >= _moved(known[earlier], other) else earlier
                followed[slipped] = None
        return followed

    def _look(self, picture: Picture, candidate: Candidate) -> Hand:
        if candidate.region is not None:
            return self.landmarks.look_closer(picture, candidate.region)
        return self.landmarks.search(picture, candidate.box, SURE)

    def _covers(self, find: Find, candidate: Candidate) -> bool:
        """Whether a candidate is a hand that is known: the same hand, or its palm."""
        boxes = [find.box]
        if find.hand is not None and candidate.region is not None:
            palm = find.hand.keypoints[list(_PALM)]
            boxes = [np.concatenate([palm.min(axis=0), palm.max(axis=0)])]
        return bool(overlap(candidate.box, np.array(boxes)).max() > self.overlap)


def same(one: Find, other: Find) -> bool:
    """Whether two finds are the same hand."""
    if one.hand is not None and other.hand is not None:
        apart = np.linalg.norm(one.hand.keypoints - other.hand.keypoints, axis=1).mean()
        if apart < SAME_KEYPOINTS * max(_size(one.box), _size(other.box)):
            return True
    return inside(one.box, other.box) > SAME_BOX


def _moved(before: Find, after: Find) -> float:
    """How far a hand went, in its own size."""
    middles = [(box[:2] + box[2:]) / 2 for box in (before.box, after.box)]
    return float(np.linalg.norm(middles[1] - middles[0])) / _size(before.box)


def _size(box: Array) -> float:
    return max(float(max(box[2] - box[0], box[3] - box[1])), 1e-6)
