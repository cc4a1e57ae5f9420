"""Whether two pictures are what they claim: a rectified pair, the left eye's first.

On a board: rows match, what is printed comes out at its size. On any scene: the left eye sees everything further right.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.calibration.board import Board
from firsthand.errors import CalibrationError
from firsthand.vision.intrinsics import Intrinsics

Array = NDArray[np.floating]
Picture = NDArray[np.uint8]

GOOD_ROWS = 1.0  # [px] between the eyes, root mean square
GOOD_SCALE = 0.02  # of the board's squares
FEATURES = 800  # of one picture
RATIO = 0.75  # a match that is not clearly better than the next is left out
BAND = 0.02  # of the picture's height, that a match may be off its row
FEWEST = 12  # matches that can tell left from right
CLEAR = 0.8  # of them that have to agree


@dataclass(frozen=True)
class StereoCheck:
    """How well pairs of a board are rectified."""

    pairs: int
    rows: float  # [px], root mean square of the distance between rows
    scale: float  # measured over printed size of the squares, minus 1
    swapped: bool  # the right eye's picture comes first

    @property
    def good(self) -> bool:
        """Whether the pair can be used as it is."""
        return not self.swapped and self.rows < GOOD_ROWS and abs(self.scale) < GOOD_SCALE

    def __str__(self) -> str:
        if self.swapped:
            return f"LEFT AND RIGHT ARE SWAPPED: in {self.pairs} pairs the first eye sees the board further left"
        rows = f"rows differ by {self.rows:.2f} px (good: below {GOOD_ROWS:g})"
        scale = f"squares come out {100 * self.scale:+.1f} % (good: within {100 * GOOD_SCALE:g} %)"
        return f"{self.pairs} pairs: left is left; {rows}; {scale}"


@dataclass(frozen=True)
class EyeVote:
    """Which eye is left, by what a scene shows."""

    matches: int
    left_first: float  # share of them that lie further right in the first picture

    @property
    def answer(self) -> str:
        """left, right or unsure: which eye the first picture is of."""
        if self.matches < FEWEST or 1 - CLEAR < self.left_first < CLEAR:
            return "unsure"
        return "left" if self.left_first >= CLEAR else "right"

    def __str__(self) -> str:
        shown = {"left": "right way round", "right": "swapped"}.get(self.answer, "unsure")
        return f"eyes: {shown} ({self.matches} matches, {self.left_first:.0%} say that the first picture is the left)"


def check_board(pairs: Iterable[Picture], board: Board, intrinsics: Intrinsics) -> StereoCheck:
    """Check pairs (2, H, W, 3) that show a board.

    Raises:
        CalibrationError: No pair shows it to both eyes.
    """
    rows, disparities, scales = [], [], []
    for pair in pairs:
        views = [board.find(image) for image in pair]
        if views[0] is None or views[1] is None:
            continue
        ids, in_left, in_right = np.intersect1d(views[0].ids, views[1].ids, return_indices=True)
        if len(ids) < 4:
            continue
        a, b = views[0].pixels[in_left], views[1].pixels[in_right]
        rows.append(a[:, 1] - b[:, 1])
        disparities.append(np.median(a[:, 0] - b[:, 0]))
        scales.append(_scale(board.corners[ids], a, b, intrinsics))
    if not rows:
        raise CalibrationError("no pair shows the board to both eyes; hold it in view of both, nearer and in the light")
    rms = float(np.sqrt((np.concatenate(rows) ** 2).mean()))
    return StereoCheck(len(rows), rms, float(np.median(scales)) - 1, bool(np.median(disparities) < 0))


def vote_on_eyes(pairs: Iterable[Picture]) -> EyeVote:
    """Tell which eye is left from pairs (2, H, W, 3) of any scene with texture."""
    detector, matcher = cv2.ORB.create(FEATURES), cv2.BFMatcher(cv2.NORM_HAMMING)
    shifts: list[float] = []
    for pair in pairs:
        (points_a, a), (points_b, b) = (
            detector.detectAndCompute(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None) for image in pair
        )
        if a is None or b is None or len(b) < 2:
            continue
        for best, second in (found for found in matcher.knnMatch(a, b, k=2) if len(found) == 2):
            (ax, ay), (bx, by) = points_a[best.queryIdx].pt, points_b[best.trainIdx].pt
            if best.distance < RATIO * second.distance and abs(ay - by) < BAND * pair.shape[1] and abs(ax - bx) > 1:
                shifts.append(ax - bx)
    return EyeVote(len(shifts), float(np.mean(np.array(shifts) > 0)) if shifts else 0.0)


def _scale(corners: Array, left: Array, right: Array, i: Intrinsics) -> float:
    """Distances between triangulated corners over those on the print."""
    disparity = np.abs(left[:, 0] - right[:, 0]).clip(min=0.1)
    z = i.fx * i.baseline / disparity
    points = np.stack([(left[:, 0] - i.cx) * z / i.fx, (left[:, 1] - i.cy) * z / i.fy, z], axis=1)
    upper = np.triu_indices(len(points), 1)
    found = np.linalg.norm(points[upper[0]] - points[upper[1]], axis=1)
    printed = np.linalg.norm(corners[upper[0]] - corners[upper[1]], axis=1)
    return float((found * printed).sum() / (printed**2).sum())
