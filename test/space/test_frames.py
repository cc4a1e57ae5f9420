import numpy as np
import pytest

from firsthand.space.frames import DFX_BASE_FROM_WRIST, FTP_BASE_FROM_WRIST, inverse, pose
from firsthand.space.rotations import matrix_from_rpy

# How the official description mounts the hands on the wrist flanges: base rpy for left and right, [rad].
DFX_MOUNTS = (0, 0, np.pi / 2), (np.pi, 0, -np.pi / 2)
FTP_MOUNTS = (np.pi, -np.pi / 2, 0), (0, np.pi / 2, 0)


@pytest.mark.parametrize("base_from_wrist", [DFX_BASE_FROM_WRIST, FTP_BASE_FROM_WRIST])
def test_base_from_wrist_is_a_rotation(base_from_wrist):
    np.testing.assert_array_equal(base_from_wrist @ base_from_wrist.T, np.eye(3))
    assert np.linalg.det(base_from_wrist) == 1


@pytest.mark.parametrize(
    ("mounts", "base_from_wrist"), [(DFX_MOUNTS, DFX_BASE_FROM_WRIST), (FTP_MOUNTS, FTP_BASE_FROM_WRIST)]
)
def test_zero_pose_palms_face_inwards(mounts, base_from_wrist):
    """At q = 0 both kinds of hand have fingers forward and thumbs up."""
    left, right = (matrix_from_rpy(*mount) @ base_from_wrist for mount in mounts)
    for wrist, outward in ((left, [0, 1, 0]), (right, [0, -1, 0])):
        np.testing.assert_allclose(wrist[:, 0], [1, 0, 0], atol=1e-12)  # fingers forward
        np.testing.assert_allclose(wrist[:, 2], outward, atol=1e-12)  # backs of the hands outwards
    np.testing.assert_allclose(left[:, 1], [0, 0, -1], atol=1e-12)  # left y: little-finger side, down
    np.testing.assert_allclose(right[:, 1], [0, 0, 1], atol=1e-12)  # right y: thumb side, up


def test_inverse():
    transform = pose(matrix_from_rpy(0.1, 0.2, 0.3), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(inverse(transform) @ transform, np.eye(4), atol=1e-12)
