"""MediaPipe's hand landmark network: a region of a picture to 21 keypoints, and whether a hand is there at all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.inference import DEFAULT, Runtime, Session, open_session
from firsthand_training.labels.hand_networks.prepare import LANDMARK_SIZE, landmark_graph
from firsthand_training.labels.hand_networks.regions import (
    Picture,
    Region,
    box_of_keypoints,
    region_of_box,
    region_of_keypoints,
)

Array = NDArray[np.floating]

TURNS = 8  # starting directions for a box of unknown direction


@dataclass(frozen=True)
class Hand:
    """One hand in one picture."""

    keypoints: Array  # (21, 2), [px]
    presence: float  # 0 to 1, that there is a hand
    right: float  # 0 to 1, that it is a right one
    depths: Array | None = None  # (21,), farther than the wrist, in pixels of the picture

    @property
    def box(self) -> Array:
        """(4,), [px], left, top, right, bottom; it may reach beyond the picture."""
        return box_of_keypoints(self.keypoints)

    @property
    def region(self) -> Region:
        """Where to look for it in the next frame."""
        return region_of_keypoints(self.keypoints)


@dataclass(frozen=True)
class LandmarkNetwork:
    """Regions to hands."""

    session: Session

    @classmethod
    def load(cls, runtime: Runtime = DEFAULT) -> "LandmarkNetwork":
        """Open it.

        Raises:
            ModelError: Its weights are not installed.
        """
        return cls(open_session(landmark_graph(), runtime))

    def look(self, picture: Picture, region: Region, mirrored: bool = False) -> Hand:
        """The hand in a region; `presence` says whether it is one.

        The network's number is high for right hands in pictures that are not mirrored; the labels that MediaPipe gives
        it are for selfies, and the other way round.

        Args:
            picture: The picture.
            region: Where.
            mirrored: Whether the network sees it in a mirror: what it says of a left hand there errs otherwise than
                what it says of the right one that it is. The answer is of the picture as it is.
        """
        crop = picture.cut(region, LANDMARK_SIZE)
        if mirrored:
            crop = np.ascontiguousarray(crop[:, ::-1])
        keypoints, presence, handedness = self.session.run(
            ["keypoints", "presence", "handedness"], {"pictures": crop[None]}
        )
        found, right = keypoints.reshape(21, 3).astype(np.float64), float(handedness.item())
        points, depths = found[:, :2] - 0.5, found[:, 2] - found[0, 2]  # its 0 is the edge of the first pixel
        if mirrored:
            points[:, 0], right = LANDMARK_SIZE - 1 - points[:, 0], 1 - right
        pixels = region.to_picture(points, LANDMARK_SIZE)
        return Hand(pixels, float(presence.item()), right, depths * region.side / LANDMARK_SIZE)

    def look_closer(self, picture: Picture, region: Region) -> Hand:
        """As `look`, then once more where the keypoints say the hand is; the surer of the two."""
        first = self.look(picture, region)
        second = self.look(picture, first.region)
        return second if second.presence >= first.presence else first

    def search(self, picture: Picture, box: Array, enough: float) -> Hand:
        """The hand in a box (4,) of unknown direction: the surest of several directions, looked at closer.

        Args:
            picture: The picture.
            box: Around a hand, [px].
            enough: Presence at which no other direction is tried.
        """
        start = region_of_box(box)
        best: Hand | None = None
        for turn in _halving(TURNS):
            hand = self.look(picture, start.turned(2 * np.pi * turn / TURNS))
            if best is None or hand.presence > best.presence:
                best = hand
            if best.presence > enough:
                break
        assert best is not None
        closer = self.look(picture, best.region)
        return closer if closer.presence >= best.presence else best


def _halving(count: int) -> list[int]:
    """0 to count - 1, such that the first ones are spread: 0, 4, 2, 6, 1, 5, 3, 7."""
    order = [0]
    step = count
    while step > 1:
        order += [start + step // 2 for start in order]
        step //= 2
    return order
