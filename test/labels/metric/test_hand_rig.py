import numpy as np
import pytest

from firsthand.space.rotations import matrix_from_rotation_vector
from firsthand_training.demonstrations.human.anatomy import CURL_SHARE, Hand
from firsthand_training.hand_bones import MEAN_LENGTH
from firsthand_training.labels.hand_rig import (
    LOWER,
    SHAPE,
    UPPER,
    HandPose,
    keypoints_in_wrist,
    of_mean_length,
)
from firsthand_training.labels.pinhole import see
from firsthand_training.labels.stage_files import KEYPOINTS, TIPS

NUDGE = 1e-6


@pytest.fixture
def hands():
    rng = np.random.default_rng(0)
    rotation = matrix_from_rotation_vector(rng.normal(size=(6, 3)))
    position = [0.0, 0.0, 0.6] + 0.1 * rng.normal(size=(6, 3))
    pose = HandPose(rotation, position, rng.uniform(LOWER, UPPER, (6, 21)))
    return pose, np.array([0, 1, 0, 1, 0, 1]), 0.1 * rng.normal(size=(6, SHAPE)), 0.005 * rng.normal(size=(21, 3))


def test_the_pixels_move_as_the_analytic_jacobian_says(hands, intrinsics):
    pose, side, shape, offsets = hands
    by_pose = see(pose, side, shape, intrinsics, offsets).by_pose
    for i, way in enumerate(np.eye(27)):
        step = np.tile(NUDGE * way, (6, 1))
        ahead = see(pose.moved(step), side, shape, intrinsics, offsets).pixels
        behind = see(pose.moved(-step), side, shape, intrinsics, offsets).pixels
        np.testing.assert_allclose(by_pose[..., i], (ahead - behind) / (2 * NUDGE), rtol=1e-4, atol=2e-2)


def test_the_pixels_move_with_proportions_as_said(hands, intrinsics):
    pose, side, shape, offsets = hands
    by_shape = see(pose, side, shape, intrinsics, offsets, with_shape=True).by_shape
    for i, way in enumerate(np.eye(SHAPE)):
        ahead = see(pose, side, shape + NUDGE * way, intrinsics, offsets).pixels
        behind = see(pose, side, shape - NUDGE * way, intrinsics, offsets).pixels
        np.testing.assert_allclose(by_shape[..., i], (ahead - behind) / (2 * NUDGE), rtol=1e-4, atol=2e-2)


def test_fingertips_are_those_of_rendered_people():
    """The rig and the hands of `demonstrations/human` are one anatomy: the same bones, bent alike."""
    rng = np.random.default_rng(1)
    angles = rng.uniform(0.0, 0.6, (5, 3))
    curled = CURL_SHARE * angles[:, 2]
    thumb = [*angles[0, :2], 0.0, angles[0, 2], curled[0]]
    fingers = np.column_stack([angles[1:], curled[1:]])
    rig = keypoints_in_wrist(np.array([[*thumb, *fingers.ravel()]]), np.array([1]), np.zeros((1, SHAPE)))
    np.testing.assert_allclose(rig.points[0, TIPS], Hand(MEAN_LENGTH).fingertips(angles), atol=1e-12)


def test_a_left_hand_is_the_mirrored_right_one():
    angles = np.random.default_rng(2).uniform(LOWER, UPPER, (1, 21))
    left, right = (keypoints_in_wrist(angles, np.array([side]), np.zeros((1, SHAPE))).points for side in (0, 1))
    np.testing.assert_array_equal(left, right * [1.0, -1.0, 1.0])


def test_an_offset_turns_with_the_bone_that_ends_at_its_keypoint():
    offsets = np.zeros((21, 3))
    offsets[KEYPOINTS.index("index_4")] = [0.004, 0.0, 0.0]  # beyond the tip, along the last bone
    angles, side, shape = np.random.default_rng(3).uniform(LOWER, UPPER, (4, 21)), np.ones(4), np.zeros((1, SHAPE))
    plain = keypoints_in_wrist(angles, side, shape).points
    moved = keypoints_in_wrist(angles, side, shape, offsets).points
    last, tip = KEYPOINTS.index("index_3"), KEYPOINTS.index("index_4")
    bone = np.linalg.norm(plain[:, tip] - plain[:, last], axis=1)
    np.testing.assert_allclose(np.linalg.norm(moved[:, tip] - plain[:, last], axis=1), bone + 0.004)


def test_proportions_without_size_keep_the_length_of_the_middle_finger_and_palm():
    shape = of_mean_length(0.1 * np.random.default_rng(4).normal(size=(3, SHAPE)))
    for each in shape[:, None]:
        flat = keypoints_in_wrist(np.zeros((1, 21)), np.array([1]), each).points[0]
        mean = keypoints_in_wrist(np.zeros((1, 21)), np.array([1]), np.zeros((1, SHAPE))).points[0]
        palm, finger = KEYPOINTS.index("middle_1"), KEYPOINTS.index("middle_4")
        lengths = [np.linalg.norm(hand[palm]) + np.linalg.norm(hand[finger] - hand[palm]) for hand in (flat, mean)]
        assert lengths[0] == pytest.approx(lengths[1])
