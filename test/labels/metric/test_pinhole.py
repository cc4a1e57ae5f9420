"""What is told in a camera that looks at a crop is turned into the one that took the picture."""

import numpy as np

from firsthand.space.rotations import angle_between, matrix_from_rotation_vector
from firsthand_training.labels.mano import MANO_FROM_WRIST
from firsthand_training.labels.metric_hands import mano_rotations
from firsthand_training.labels.pinhole import turned_to
from firsthand_training.labels.stage_files import HandPoses

INTRINSICS = np.array([[320.0, 0, 319.5], [0, 320, 239.5], [0, 0, 1]])  # 90 deg wide


def test_the_camera_turns_to_look_at_a_pixel_by_the_shortest_way():
    pixels = np.array([[319.5, 239.5], [639.5, 239.5], [100.0, 400.0]])
    turns = turned_to(pixels, INTRINSICS)
    np.testing.assert_allclose(turns[0], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(turns[1], matrix_from_rotation_vector(np.array([0, np.pi / 4, 0])), atol=1e-12)
    np.testing.assert_allclose(turns @ np.swapaxes(turns, 1, 2), np.tile(np.eye(3), (3, 1, 1)), atol=1e-12)
    ray = np.linalg.inv(INTRINSICS) @ [100.0, 400.0, 1.0]
    np.testing.assert_allclose(turns[2][:, 2], ray / np.linalg.norm(ray), atol=1e-12)


def test_a_hand_that_looks_the_same_everywhere_in_the_picture_is_turned_with_the_ray_to_it():
    """A network of crops says one theta for a hand in the middle and for the same view of one at the border."""
    pose = np.zeros((1, 2, 48))
    pose[..., :3] = [0.4, -0.2, 0.3]
    ray = np.array([[[319.5, 239.5], [639.5, 239.5]]])
    poses = HandPoses(np.arange(1), np.zeros((1, 2, 21, 2)), np.ones((1, 2)), np.zeros((1, 2, 10)), pose, mano_ray=ray)
    middle, border = mano_rotations(poses, INTRINSICS)[0]
    np.testing.assert_allclose(middle, matrix_from_rotation_vector(pose[0, 0, :3]) @ MANO_FROM_WRIST[0])
    as_if = matrix_from_rotation_vector(pose[0, 1, :3]) @ MANO_FROM_WRIST[1]
    np.testing.assert_allclose(angle_between(border, as_if), np.pi / 4)
    sight = turned_to(ray[0, 1], INTRINSICS)[:, 2]
    np.testing.assert_allclose(border.T @ sight, as_if.T @ [0, 0, 1.0], atol=1e-12)


def test_a_hand_told_in_the_picture_s_own_camera_stays_as_it_is():
    pose = np.zeros((1, 2, 48))
    poses = HandPoses(np.arange(1), np.zeros((1, 2, 21, 2)), np.ones((1, 2)), np.zeros((1, 2, 10)), pose)
    np.testing.assert_allclose(mano_rotations(poses, INTRINSICS)[0], MANO_FROM_WRIST)
