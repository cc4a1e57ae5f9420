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
UNLIKE = 12.0  # grey levels, mean difference from how it looked


class Sighting(NamedTuple):
    """The corners that a frame shows."""

    frame: int
    corners: Integers  # (K,), a number for each, the same in every frame
    pixels: Array  # (K, 2)


@dataclass
class _Born:
    """Corners first seen in one keyframe, and where those that are left are now."""

    gray: Gray
    corners: Integers
    start: Array
    now: Array

    def keep(self, kept: NDArray[np.bool_]) -> None:
        self.corners, self.start, self.now = self.corners[kept], self.start[kept], self.now[kept]


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
    alive: list[_Born] = []
    before: Gray | None = None
    count = 0
    for number, gray, hidden in frames:
        for born in alive:
            kept, now = follow(before if before is not None else gray, gray, born.now)
            born.keep(kept)
            born.now = now
            if number in keyframes:
                _compare(born, gray)
            born.keep(~_at(hidden, born.now))
        if number in keyframes:
            fresh = _new_corners(gray, hidden, [born.now for born in alive], corners)
            alive = [born for born in alive if len(born.corners)]
            alive.append(_Born(gray, count + np.arange(len(fresh)), fresh, fresh.copy()))
            count += len(fresh)
        if alive:
            seen, places = (np.concatenate([getattr(born, name) for born in alive]) for name in ("corners", "now"))
            sightings.append(Sighting(number, seen, places))
        before = gray
    return sightings


def _compare(born: _Born, gray: Gray) -> None:
    """Put corners where they look as they did at first; drop those that do not."""
    if not len(born.now):
        return
    start, guess = (pixels.astype(np.float32)[:, None] for pixels in (born.start, born.now))
    end, found, unlike = _led(born.gray, gray, start, guess.copy())
    # Back again from a pixel aside: what slides along an edge does not come back to where it began.
    back, returned, _ = _led(gray, born.gray, end, start + np.float32(1.0))
    kept = found[:, 0].astype(bool) & returned[:, 0].astype(bool) & (unlike[:, 0] < UNLIKE)
    kept &= np.linalg.norm(end - guess, axis=2)[:, 0] < LOST
    kept &= np.linalg.norm(back - start, axis=2)[:, 0] < ASTRAY
    born.now = end[:, 0].astype(float)
    born.keep(kept)


def _led(before: Gray, after: Gray, pixels: Array, guess: Array) -> tuple[Array, Array, Array]:
    """Optical flow from near where it ends."""
    flags = cv2.OPTFLOW_USE_INITIAL_FLOW
    return cv2.calcOpticalFlowPyrLK(before, after, pixels, guess, winSize=WINDOW, maxLevel=1, flags=flags)


def _new_corners(gray: Gray, hidden: Mask, taken: list[Array], corners: int) -> Array:
    """Corners (K, 2) away from those that are followed already."""
    apart = APART * max(gray.shape)
    free = np.where(hidden, 0, 255).astype(np.uint8)
    old = np.concatenate([np.zeros((0, 2)), *taken])
    for x, y in old.round().astype(int).tolist():
        cv2.circle(free, (x, y), round(apart), 0, -1)
    wanted = corners - len(old)
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
