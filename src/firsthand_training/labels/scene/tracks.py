"""Corners followed through a clip: what SIFT finds in pictures, optical flow finds in a film at a tenth of the cost.

Each corner is led from frame to frame, and at every keyframe compared with how it looked where it was first seen, so
that errors do not add up.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand_training.labels.scene.camera import Array, Integers
from firsthand_training.labels.scene.flow import WINDOW, follow

Gray = NDArray[np.uint8]
Mask = NDArray[np.bool_]

APART = 0.012  # of the picture's longer side, between corners
QUALITY = 0.004  # of the best corner's, at least
LOST = 3.0  # [px], between where a corner was led to and where it looks as at first
ASTRAY = 0.3  # [px], of a corner that is led there and back
REFILL = 0.85  # of the corners that there were when the last ones began: with fewer left, new ones begin
UNLIKE = 12.0  # grey levels, mean difference from how it looked


class Sighting(NamedTuple):
    """The corners that a frame shows."""

    frame: int
    corners: Integers  # (K,), a number for each, the same in every frame
    pixels: Array  # (K, 2)


@dataclass
class _Alive:
    """Corners that are followed."""

    corners: Integers  # (K,)
    birth: Integers  # (K,), number of the keyframe that showed each first
    start: Array  # (K, 2), [px], where it was there
    now: Array  # (K, 2), [px]

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Forget the others."""
        self.corners, self.birth = self.corners[kept], self.birth[kept]
        self.start, self.now = self.start[kept], self.now[kept]

    def add(self, first: int, frame: int, fresh: Array) -> None:
        """Begin to follow corners (F, 2) of a frame, counted from `first`."""
        self.corners = np.concatenate([self.corners, first + np.arange(len(fresh))])
        self.birth = np.concatenate([self.birth, np.full(len(fresh), frame)])
        self.start, self.now = np.concatenate([self.start, fresh]), np.concatenate([self.now, fresh])


def track_corners(frames: Iterable[tuple[int, Gray, Mask]], keyframes: set[int], corners: int = 800) -> list[Sighting]:
    """Follow corners through a clip.

    Args:
        frames: In order: number, grey picture (H, W), and where hands hide the scene (H, W).
        keyframes: Numbers of the frames in which corners are compared with how they looked, and new ones begin.
        corners: How many are looked for in a picture.

    Returns:
        What each frame from the first keyframe on shows, in order. Between keyframes corners are where flow led them.
    """
    sightings: list[Sighting] = []
    alive = _Alive(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros((0, 2)))
    births: dict[int, Gray] = {}
    before: Gray | None = None
    count = most = 0
    for number, gray, hidden in frames:
        if before is not None and len(alive.now):
            kept, now = follow(before, gray, alive.now)
            alive.keep(kept)
            alive.now = now
        if number in keyframes:
            _compare(alive, births, gray)
        alive.keep(~_at(hidden, alive.now))
        if number in keyframes and len(alive.corners) <= REFILL * most:
            fresh = _new_corners(gray, hidden, alive.now, corners)
            alive.add(count, number, fresh)
            count, most = count + len(fresh), len(alive.corners)
            if len(fresh):
                births[number] = gray
        if sightings or number in keyframes:
            sightings.append(Sighting(number, alive.corners, alive.now))
        before = gray
    return sightings


def _compare(alive: _Alive, births: dict[int, Gray], gray: Gray) -> None:
    """Put corners where they look as they did at first; drop those that do not, and pictures that none is left of."""
    kept = np.zeros(len(alive.corners), dtype=bool)
    for birth in list(births):
        of = np.flatnonzero(alive.birth == birth)
        if not len(of):
            del births[birth]
            continue
        start, guess = (pixels[of].astype(np.float32)[:, None] for pixels in (alive.start, alive.now))
        end, found, unlike = _led(births[birth], gray, start, guess.copy())
        # Back again from a pixel aside: what slides along an edge does not come back to where it began.
        back, returned, _ = _led(gray, births[birth], end, start + np.float32(1.0))
        good = found[:, 0].astype(bool) & returned[:, 0].astype(bool) & (unlike[:, 0] < UNLIKE)
        good &= np.linalg.norm(end - guess, axis=2)[:, 0] < LOST
        good &= np.linalg.norm(back - start, axis=2)[:, 0] < ASTRAY
        kept[of], alive.now[of] = good, end[:, 0]
    alive.keep(kept)


def _led(before: Gray, after: Gray, pixels: Array, guess: Array) -> tuple[Array, Array, Array]:
    """Optical flow from near where it ends."""
    flags = cv2.OPTFLOW_USE_INITIAL_FLOW
    return cv2.calcOpticalFlowPyrLK(before, after, pixels, guess, winSize=WINDOW, maxLevel=0, flags=flags)


def _new_corners(gray: Gray, hidden: Mask, taken: Array, corners: int) -> Array:
    """Corners (K, 2) away from those that are followed already."""
    apart = APART * max(gray.shape)
    free = np.where(hidden, 0, 255).astype(np.uint8)
    for x, y in taken.round().astype(int).tolist():
        cv2.circle(free, (x, y), round(apart), 0, -1)
    wanted = corners - len(taken)
    if wanted <= 0:
        return np.zeros((0, 2))
    found = cv2.goodFeaturesToTrack(gray, wanted, QUALITY, apart, mask=free)
    if found is None:
        return np.zeros((0, 2))
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 0.03)
    return cv2.cornerSubPix(gray, found, (3, 3), (-1, -1), criteria)[:, 0].astype(float)


def _at(mask: Mask, pixels: Array) -> NDArray[np.bool_]:
    where = np.clip(pixels.round().astype(int), 0, np.array(mask.shape[::-1]) - 1)
    return mask[where[:, 1], where[:, 0]]
