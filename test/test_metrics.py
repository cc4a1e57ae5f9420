import numpy as np
import pytest

from firsthand.space.hand_state import (
    FINGERTIPS,
    HEAD_ROTATION,
    LEFT_WRIST_POSITION,
    LEFT_WRIST_ROTATION,
    RIGHT_FINGERTIPS,
    SIZE,
    orthonormalize,
)
from firsthand.space.rotations import matrix_from_rotation_vector, rotation_6d_from_matrix
from firsthand_training.metrics import feature_errors, feature_skill, hand_errors, skill


@pytest.fixture
def states():
    return orthonormalize(np.random.default_rng(0).normal(size=(4, 7, SIZE)))


def test_equal_states_have_no_error(states):
    errors = hand_errors(states, states)
    assert errors.wrist_mm.shape == errors.wrist_deg.shape == errors.fingertip_mm.shape == (4, 7)
    np.testing.assert_allclose(errors.mean().wrist_deg, 0, atol=1e-5)
    assert errors.wrist_mm.max() == errors.fingertip_mm.max() == 0


def test_known_errors(states):
    moved = states.copy()
    moved[..., LEFT_WRIST_POSITION][..., 1] += 0.010  # one of two wrists
    moved[..., RIGHT_FINGERTIPS] += 0.0  # none
    moved[..., FINGERTIPS][..., 2] += 0.020  # one of ten fingertips
    errors = hand_errors(moved, states)
    np.testing.assert_allclose(errors.wrist_mm, 5)
    np.testing.assert_allclose(errors.fingertip_mm, 2)


def test_a_turned_wrist_is_seen_in_degrees(states):
    turned = states.copy()
    quarter = rotation_6d_from_matrix(matrix_from_rotation_vector(np.array([0, 0, np.pi / 2])))
    states[..., LEFT_WRIST_ROTATION] = rotation_6d_from_matrix(np.eye(3))
    turned[..., LEFT_WRIST_ROTATION] = quarter
    np.testing.assert_allclose(hand_errors(turned, states).wrist_deg, 45)


def test_a_turned_head_is_seen_in_degrees(states):
    turned = states.copy()
    states[..., HEAD_ROTATION] = rotation_6d_from_matrix(np.eye(3))
    turned[..., HEAD_ROTATION] = rotation_6d_from_matrix(matrix_from_rotation_vector(np.array([0, np.pi / 6, 0])))
    np.testing.assert_allclose(hand_errors(turned, states).head_deg, 30)


def test_smooth_l1_by_hand():
    np.testing.assert_allclose(feature_errors(np.array([[0.5, 3.0]]), np.zeros((1, 2))), [(0.125 + 2.5) / 2])


def test_channels_count_in_their_own_spread():
    predicted = np.array([[5.0, 0.3]])
    np.testing.assert_allclose(
        feature_errors(predicted, np.zeros((1, 2)), np.array([10.0, 0.1])), [(0.125 + 2.5) / 2], rtol=1e-6
    )


def test_skill_of_a_copy_is_zero_and_of_the_truth_is_one():
    error = np.array([1.0, 3.0])
    assert skill(error, error) == 0
    assert skill(0 * error, error) == 1
    assert skill(2 * error, error) == -1
    assert np.isnan(skill(error, 0 * error))
    assert np.isnan(skill(error[:0], error[:0]))


def test_moving_patches_are_the_tenth_of_each_frame_that_copying_is_furthest_off_at():
    copied = np.ones((1, 2, 20))
    copied[0, 0, [3, 7]] = 10.0  # two of twenty move, in the second frame two others
    copied[0, 1, [0, 19]] = 10.0
    error = copied.copy()
    error[0, 0, [3, 7]] = 5.0
    error[0, 1, [0, 19]] = 0.0
    found = feature_skill(error, copied)
    assert found.moving_ahead == (pytest.approx(0.5), pytest.approx(1.0))
    assert found.moving == pytest.approx(0.75)
    assert found.ahead == (pytest.approx(10 / 38), pytest.approx(20 / 38))
    assert found.overall == pytest.approx(30 / 76)


def test_frames_beyond_the_end_do_not_count():
    copied = np.ones((2, 3, 4))
    error = 0.5 * copied
    copied[1, 1:] = error[1, 1:] = np.nan  # the second window ends after the first frame
    copied[0, 2] = error[0, 2] = np.nan  # and nothing shows the third
    error[0, 1] = 0.0
    found = feature_skill(error, copied)
    assert found.ahead[:2] == found.moving_ahead[:2] == (pytest.approx(0.5), pytest.approx(1.0))
    assert np.isnan(found.ahead[2])
    assert np.isnan(found.moving_ahead[2])
    assert found.overall == pytest.approx(2 / 3)
