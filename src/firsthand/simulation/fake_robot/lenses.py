"""The lenses of the fake robot's camera: what an ideal pair sees, as a stereo camera takes it before rectification.

A policy is trained on rectified pictures of one focal length, with rows that match. A camera's raw pictures are not so:
lenses are bent, shifted, and turned against each other, and the factory measured how. These are such lenses, chosen so
that a reader who rectifies with their calibration gets back just the ideal pair.

    pixel of the ideal pair = K_ideal R (undistorted ray of the raw pixel)
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.space.rotations import matrix_from_rotation_vector
from firsthand.vision.intrinsics import Intrinsics
from firsthand.vision.rectification import Lens, Rectifier, StereoCalibration

Array = NDArray[np.floating]
Picture = NDArray[np.uint8]

DISTORTIONS = ((-0.17, 0.026, 0.0003, -0.0005), (-0.168, 0.0255, -0.0002, 0.0004))  # k1 k2 p1 p2, as ZEDs have
OFF_CENTRE = ((7.0, -4.0), (-5.0, 6.0))  # [px], of each lens from the middle that both are given
TURN = (0.002, 0.006, -0.0015)  # rotation vector from the left lens to the right one, [rad]
ROUNDS, STEP = 24, 0.6  # of adjusting focal length and centre; what is off moves the rectified centre almost twice
SETTLED = 1e-3  # [px] of a raw picture
COARSE = 8  # times smaller: pictures for which adjusting asks
UNBENDING = 12  # rounds; each leaves less than 0.4 of what the one before left


class FakeLenses:
    """A stereo camera's lenses.

    Args:
        ideal: What a reader shall get after rectification.
        width: Of one view as the camera takes it, [px].
        height: The same, [px].

    Attributes:
        calibration: What the factory measured.
    """

    def __init__(self, ideal: Intrinsics, width: int, height: int) -> None:
        self.calibration = _choose(ideal, width, height)
        lenses = (self.calibration.left, self.calibration.right)
        self._maps = [
            _maps(lens, turn, ideal, (width, height)) for lens, turn in zip(lenses, _half_turns(), strict=True)
        ]

    def take(self, pair: Picture) -> tuple[Picture, Picture]:
        """Left and right raw pictures (height, width, 3) of an ideal pair (2, H, W, 3)."""
        left, right = (
            cv2.remap(view, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for view, maps in zip(pair, self._maps, strict=True)
        )
        return left, right


def _choose(ideal: Intrinsics, width: int, height: int) -> StereoCalibration:
    """Lenses whose rectified pair is the ideal one: focal length and centre are adjusted until it is.

    Rectification keeps what both raw pictures show, so it is a little longer than the lenses are.
    """
    wanted = ideal.scaled(width, height)
    focal, cx, cy = wanted.fx, wanted.cx, wanted.cy
    for _ in range(ROUNDS):
        calibration = _calibration(focal, cx, cy, ideal.baseline, width, height)
        got = Rectifier(calibration, width // COARSE, height // COARSE).intrinsics.scaled(width, height)
        off = wanted.fx - got.fx, wanted.cx - got.cx, wanted.cy - got.cy
        if max(map(abs, off)) < SETTLED:
            break
        focal, cx, cy = (value + STEP * error for value, error in zip((focal, cx, cy), off, strict=True))
    return calibration


def _calibration(focal: float, cx: float, cy: float, baseline: float, width: int, height: int) -> StereoCalibration:
    left, right = (
        Lens(focal, focal, cx + x, cy + y, distortion)
        for (x, y), distortion in zip(OFF_CENTRE, DISTORTIONS, strict=True)
    )
    across = np.array([-baseline, 0.0, 0.0])
    right_from_middle = _half_turns()[1].T
    return StereoCalibration(
        width, height, left, right, matrix_from_rotation_vector(np.array(TURN)), right_from_middle @ across
    )


def _half_turns() -> tuple[Array, Array]:
    """What turns rays of the left and of the right lens into the ideal pair's: (3, 3) each.

    Rectification turns both lenses by the same angle towards each other, as far as the line between them asks for it;
    here it asks for no more.
    """
    half = np.array(TURN) / 2
    return matrix_from_rotation_vector(half), matrix_from_rotation_vector(-half)


def _maps(
    lens: Lens, turn: Array, ideal: Intrinsics, size: tuple[int, int]
) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """Where in the ideal picture each raw pixel looks, in fixed point."""
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    x, y = _undistorted((columns - lens.cx) / lens.fx, (rows - lens.cy) / lens.fy, lens.distortion)
    x, y, z = np.einsum("ij,jhw->ihw", turn, np.stack([x, y, np.ones_like(x)]))
    u, v = ideal.fx * x / z + ideal.cx, ideal.fy * y / z + ideal.cy
    return cv2.convertMaps(u.astype(np.float32), v.astype(np.float32), cv2.CV_16SC2)


def _undistorted(x: Array, y: Array, distortion: tuple[float, ...]) -> tuple[Array, Array]:
    """The straight rays (x, y, 1) of bent ones: what is bent by OpenCV's model, four numbers, into x and y."""
    k1, k2, p1, p2 = distortion
    straight_x, straight_y = x, y
    for _ in range(UNBENDING):
        r2 = straight_x**2 + straight_y**2
        radial = 1 + r2 * (k1 + r2 * k2)
        shift_x = 2 * p1 * straight_x * straight_y + p2 * (r2 + 2 * straight_x**2)
        shift_y = p1 * (r2 + 2 * straight_y**2) + 2 * p2 * straight_x * straight_y
        straight_x, straight_y = (x - shift_x) / radial, (y - shift_y) / radial
    return straight_x, straight_y
