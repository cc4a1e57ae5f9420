"""From two lenses as they are to a rectified pair: the same focal length, rows that match, no distortion.

What a stereo calibration says is OpenCV's convention: a point is `rotation @ point_in_left + translation` in the right
camera, optical axes (z forward, x right, y down). `Rectifier` maps and resizes in one step, so that pictures that are
published smaller than they are taken cost less.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import CalibrationError
from firsthand.vision.intrinsics import Intrinsics

Array = NDArray[np.floating]
Picture = NDArray[np.uint8]

FOCAL_RANGE = (0.2, 5.0)  # focal length over width: 136 degrees across down to 11
BASELINE_RANGE = (0.01, 0.5)  # [m]
LARGEST_TURN = 0.2  # [rad] between the two lenses
FOCAL_CHANGE = 3.0  # times, that rectifying may change the focal length
REDUCTION = 2.0  # resized by more than this, pictures are made smaller by area first: sampling would alias


@dataclass(frozen=True)
class Lens:
    """One camera as it is, before rectification."""

    fx: float  # [px]
    fy: float  # [px]
    cx: float  # [px], centre of the upper left pixel is 0
    cy: float  # [px]
    distortion: tuple[float, ...] = ()  # OpenCV's k1 k2 p1 p2 [k3 [k4 k5 k6]]

    @property
    def matrix(self) -> Array:
        """(3, 3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])


@dataclass(frozen=True)
class StereoCalibration:
    """Two lenses and how they stand to each other.

    Raises:
        CalibrationError: Numbers that no stereo camera has; the message names the first.
    """

    width: int  # [px], of one view
    height: int  # [px]
    left: Lens
    right: Lens
    rotation: Array = field(default_factory=lambda: np.eye(3))  # (3, 3), right_from_left
    translation: Array = field(default_factory=lambda: np.zeros(3))  # (3,), [m], right_from_left

    def __post_init__(self) -> None:
        for side, lens in (("left", self.left), ("right", self.right)):
            self._check_lens(side, lens)
        angle = np.arccos(np.clip((np.trace(self.rotation) - 1) / 2, -1, 1))
        if not angle < LARGEST_TURN:  # NaN, too
            raise CalibrationError(
                f"the lenses are turned {np.rad2deg(angle):.1f} deg against each other, expected less than "
                f"{np.rad2deg(LARGEST_TURN):.0f}"
            )
        across, total = -self.translation[0], float(np.linalg.norm(self.translation))
        if not BASELINE_RANGE[0] < across < BASELINE_RANGE[1] or across < 0.9 * total:
            raise CalibrationError(
                f"the right lens is {np.round(-self.translation, 4)} m from the left one, expected "
                f"{BASELINE_RANGE[0]} to {BASELINE_RANGE[1]} m to its right; are left and right swapped?"
            )

    def _check_lens(self, side: str, lens: Lens) -> None:
        ratios = np.array([lens.fx, lens.fy]) / self.width
        if not np.all((ratios > FOCAL_RANGE[0]) & (ratios < FOCAL_RANGE[1])):
            raise CalibrationError(
                f"the {side} focal lengths are {lens.fx} and {lens.fy} px, expected {FOCAL_RANGE[0] * self.width:.0f} "
                f"to {FOCAL_RANGE[1] * self.width:.0f} for pictures {self.width} px wide"
            )
        if not (0 < lens.cx < self.width and 0 < lens.cy < self.height):
            raise CalibrationError(
                f"the {side} centre is ({lens.cx}, {lens.cy}) px, outside of a picture of {self.width}x{self.height}"
            )
        if not np.all(np.abs(lens.distortion) < 100):
            raise CalibrationError(f"the {side} distortion is {lens.distortion}; expected a few numbers around 0")


class Rectifier:
    """Rectifies pairs of one calibration.

    Args:
        calibration: Of the pictures as they come.
        width: Of one view as it should come out, [px].
        height: The same, [px].

    Raises:
        CalibrationError: The calibration cannot be rectified, or the new size has another shape.
    """

    def __init__(self, calibration: StereoCalibration, width: int, height: int) -> None:
        c = calibration
        check_shape((c.width, c.height), (width, height))
        size = (c.width, c.height)
        distortions = [np.array(lens.distortion or (0.0,) * 4) for lens in (c.left, c.right)]
        turn_left, turn_right, left, right = cv2.stereoRectify(
            c.left.matrix, distortions[0], c.right.matrix, distortions[1], size,
            c.rotation, c.translation.reshape(3, 1),
            flags=cv2.CALIB_ZERO_DISPARITY, alpha=0,
        )[:4]  # fmt: skip
        focal, baseline = float(left[0, 0]), float(-right[0, 3] / right[0, 0])
        if not c.left.fx / FOCAL_CHANGE < focal < c.left.fx * FOCAL_CHANGE:
            raise CalibrationError(
                f"rectifying would change the focal length from {c.left.fx:.0f} to {focal:.0f} px: the distortion "
                f"{c.left.distortion} or {c.right.distortion} cannot be right"
            )
        full = Intrinsics(c.width, c.height, focal, focal, float(left[0, 2]), float(left[1, 2]), baseline)
        self.intrinsics = full.scaled(width, height)
        self._reduced = _reduced_size(size, (width, height))
        self._maps = [
            _maps(lens, distortion, turn, self.intrinsics, size, self._reduced)
            for lens, distortion, turn in zip((c.left, c.right), distortions, (turn_left, turn_right), strict=True)
        ]

    def rectify(self, left: Picture, right: Picture) -> Picture:
        """The pair (2, height, width, 3) of two pictures (H, W, 3) in the calibration's size."""
        return np.stack([self._one(image, maps) for image, maps in zip((left, right), self._maps, strict=True)])

    def _one(self, image: Picture, maps: tuple[NDArray[np.int16], NDArray[np.uint16]]) -> Picture:
        if self._reduced is not None:
            image = cv2.resize(image, self._reduced, interpolation=cv2.INTER_AREA)
        return cv2.remap(image, *maps, cv2.INTER_LINEAR)


def check_shape(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    """Refuse to squeeze pictures.

    Raises:
        CalibrationError: The sizes (width, height) differ in shape by more than a pixel in twenty.
    """
    ratio = (size[0] / size[1]) / (wanted[0] / wanted[1])
    if abs(ratio - 1) > 0.05:
        raise CalibrationError(
            f"pictures of {size[0]}x{size[1]} cannot become {wanted[0]}x{wanted[1]} without squeezing; "
            f"{wanted[0]}x{round(wanted[0] * size[1] / size[0])} would work"
        )


def _reduced_size(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int] | None:
    """What to make pictures smaller to before they are mapped, if they shrink much."""
    if size[0] / wanted[0] <= REDUCTION:
        return None
    return (round(REDUCTION * wanted[0]), round(REDUCTION * wanted[1]))


def _maps(
    lens: Lens, distortion: Array, turn: Array, new: Intrinsics, size: tuple[int, int], reduced: tuple[int, int] | None
) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """Where each new pixel comes from, in fixed point."""
    matrix = np.array([[new.fx, 0, new.cx], [0, new.fy, new.cy], [0, 0, 1.0]])
    x, y = cv2.initUndistortRectifyMap(
        lens.matrix, distortion, turn, matrix, (new.width, new.height), cv2.CV_32FC1
    )  # fmt: skip
    if reduced is not None:
        x = (x + 0.5) * (reduced[0] / size[0]) - 0.5
        y = (y + 0.5) * (reduced[1] / size[1]) - 0.5
    return cv2.convertMaps(x.astype(np.float32), y.astype(np.float32), cv2.CV_16SC2)
