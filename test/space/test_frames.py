import numpy as np

from firsthand.space.frames import DFX_BASE_FROM_WRIST, inverse, pose
from firsthand.space.rotations import matrix_from_rpy


def test_base_from_wrist_is_a_rotation():
    np.testing.assert_array_equal(DFX_BASE_FROM_WRIST @ DFX_BASE_FROM_WRIST.T, np.eye(3))
    assert np.linalg.det(DFX_BASE_FROM_WRIST) == 1


def test_zero_pose_palms_face_inwards():
    """At q = 0 the official description has fingers forward and thumbs up (facts: L rpy 0 0 pi/2, R pi 0 -pi/2)."""
    left = matrix_from_rpy(0, 0, np.pi / 2) @ DFX_BASE_FROM_WRIST
    right = matrix_from_rpy(np.pi, 0, -np.pi / 2) @ DFX_BASE_FROM_WRIST
    for wrist, outward in ((left, [0, 1, 0]), (right, [0, -1, 0])):
        np.testing.assert_allclose(wrist[:, 0], [1, 0, 0], atol=1e-12)  # fingers forward
        np.testing.assert_allclose(wrist[:, 2], outward, atol=1e-12)  # backs of the hands outwards
    np.testing.assert_allclose(left[:, 1], [0, 0, -1], atol=1e-12)  # left y: little-finger side, down
    np.testing.assert_allclose(right[:, 1], [0, 0, 1], atol=1e-12)  # right y: thumb side, up


def test_inverse():
    transform = pose(matrix_from_rpy(0.1, 0.2, 0.3), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(inverse(transform) @ transform, np.eye(4), atol=1e-12)
