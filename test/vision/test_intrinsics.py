import numpy as np

from firsthand.vision.intrinsics import Intrinsics

CAMERA = Intrinsics(width=640, height=360, fx=320.0, fy=320.0, cx=319.5, cy=179.5, baseline=0.063)


def test_the_axis_hits_the_centre_and_offsets_scale_with_depth():
    np.testing.assert_allclose(CAMERA.project(np.array([0.0, 0.0, 2.0])), [319.5, 179.5])
    np.testing.assert_allclose(CAMERA.project(np.array([0.1, -0.2, 2.0])), [319.5 + 16, 179.5 - 32])


def test_behind_the_camera_is_nan():
    assert np.isnan(CAMERA.project(np.array([[0.0, 0.0, -1.0], [0.1, 0.1, 0.0]]))).all()


def test_scaling_moves_pixels_with_their_centres():
    small = CAMERA.scaled(320, 180)
    point = np.array([0.3, 0.1, 1.5])
    np.testing.assert_allclose((CAMERA.project(point) + 0.5) / 2 - 0.5, small.project(point))
