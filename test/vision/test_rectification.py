"""Rectified pairs of lenses that are known: rows match, and distances in the world come out right."""

import cv2
import numpy as np
import pytest

from firsthand.errors import CalibrationError
from firsthand.space.rotations import matrix_from_rotation_vector
from firsthand.vision.rectification import Lens, Rectifier, StereoCalibration

WIDTH, HEIGHT = 640, 360
LEFT = Lens(352.0, 350.5, 331.0, 176.0, (-0.174, 0.026, 0.0004, -0.0005, 0.001))
RIGHT = Lens(350.1, 351.0, 317.5, 183.0, (-0.171, 0.025, -0.0003, 0.0004, 0.0))
TURN = np.array([0.005, 0.0096, -0.0019])
SHIFT = np.array([-0.063, 0.0002, -0.0004])
POINTS = np.array([[-0.2, -0.08, 0.55], [0.15, -0.1, 0.5], [0.02, 0.03, 0.7], [-0.12, 0.1, 0.6], [0.2, 0.12, 0.65]])


def calibration(**changes):
    values = {"left": LEFT, "right": RIGHT, "rotation": matrix_from_rotation_vector(TURN), "translation": SHIFT}
    return StereoCalibration(WIDTH, HEIGHT, **{**values, **changes})


def dots(lens, turn, shift):
    """A picture of every point as one soft dot, through a lens that distorts."""
    pixels = cv2.projectPoints(POINTS, turn, shift, lens.matrix, np.array(lens.distortion))[0].reshape(-1, 2)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    pictures = []
    for x, y in pixels:
        grey = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 3.0**2))
        pictures.append(np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2))
    return pictures


def centre(picture):
    weights = picture[..., 0].astype(float)
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()


@pytest.mark.parametrize("size", [(640, 360), (320, 180), (196, 112)])
def test_rows_match_and_the_world_is_metric_at_any_size(size):
    rectifier = Rectifier(calibration(), *size)
    lefts, rights = dots(LEFT, np.zeros(3), np.zeros(3)), dots(RIGHT, TURN, SHIFT)
    pairs = [rectifier.rectify(left, right) for left, right in zip(lefts, rights, strict=True)]
    found = np.array([[centre(left), centre(right)] for left, right in pairs])  # (n, 2, 2)
    scale = size[0] / WIDTH
    np.testing.assert_allclose(found[:, 0, 1], found[:, 1, 1], atol=max(0.15 * scale, 0.06))
    i = rectifier.intrinsics
    disparity = found[:, 0, 0] - found[:, 1, 0]
    z = i.fx * i.baseline / disparity
    x, y = (found[:, 0, 0] - i.cx) * z / i.fx, (found[:, 0, 1] - i.cy) * z / i.fy
    ours = np.stack([x, y, z], axis=-1)
    between = np.linalg.norm(ours[:, None] - ours[None], axis=-1)
    truth = np.linalg.norm(POINTS[:, None] - POINTS[None], axis=-1)
    np.testing.assert_allclose(between, truth, atol=0.004)
    assert i.baseline == pytest.approx(np.linalg.norm(SHIFT), abs=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"left": Lens(np.nan, 350, 320, 180)}, "left focal lengths are nan"),
        ({"right": Lens(1e9, 350, 320, 180)}, r"right focal lengths are 1000000000\.0"),
        ({"left": Lens(352, 352, 2000, 180)}, r"left centre is \(2000, 180\) px, outside"),
        ({"left": Lens(352, 352, 320, 180, (np.inf, 0, 0, 0))}, "left distortion"),
        ({"rotation": matrix_from_rotation_vector(np.array([0.5, 0, 0]))}, r"turned 28\.6 deg"),
        ({"rotation": np.full((3, 3), np.nan)}, "turned nan deg"),
        ({"translation": np.array([0.063, 0, 0])}, "are left and right swapped"),
        ({"translation": np.array([-0.063, 0.2, 0])}, "expected 0.01 to 0.5 m to its right"),
    ],
)
def test_numbers_that_no_camera_has_are_refused(changes, message):
    with pytest.raises(CalibrationError, match=message):
        calibration(**changes)


def test_a_distortion_that_turns_the_picture_inside_out_is_refused():
    with pytest.raises(CalibrationError, match="cannot be right"):
        Rectifier(calibration(left=Lens(352, 352, 320, 180, (-40.0, 90.0, 0, 0))), WIDTH, HEIGHT)
