import numpy as np
import pytest

from firsthand.errors import EpisodeError
from firsthand.space.hand_state import HEAD_ROTATION, LEFT_WRIST_POSITION, RIGHT_WRIST_POSITION
from firsthand.space.rotations import angle_between, matrix_from_rotation_6d, matrix_from_rpy, rotation_6d_from_matrix
from firsthand_training.training.speed import WristSpeed, between_frames, estimate_slow_down, wrist_speed


@pytest.fixture
def turning(still):
    """The head turns by 90 degrees between the two frames, the left wrist moves by 0.2 m."""
    path = np.tile(still, (2, 1))
    path[1, HEAD_ROTATION] = rotation_6d_from_matrix(matrix_from_rpy(0, 0, np.pi / 2))
    path[1, LEFT_WRIST_POSITION] += [0.2, 0, 0]
    return path


def test_at_its_frames_a_path_is_itself(episodes):
    path = episodes[0].state
    np.testing.assert_allclose(between_frames(path, np.arange(len(path))), path, atol=1e-12)


def test_beyond_its_ends_a_path_stands_still(turning):
    np.testing.assert_allclose(between_frames(turning, np.array([-3.0, 1.5, 9])), turning[[0, 1, 1]], atol=1e-12)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_between_frames_positions_go_straight_and_rotations_evenly(turning, share):
    """A straight line through the six numbers would be up to 4 degrees off at these places of a quarter turn."""
    state = between_frames(turning, np.array(share))
    np.testing.assert_allclose(state[LEFT_WRIST_POSITION] - turning[0, LEFT_WRIST_POSITION], [0.2 * share, 0, 0])
    expected = matrix_from_rpy(0, 0, share * np.pi / 2)
    assert angle_between(matrix_from_rotation_6d(state[HEAD_ROTATION]), expected) < 1e-6


def test_the_speed_of_moving_wrists_by_hand(still):
    path = np.tile(still, (11, 1))
    path[:, RIGHT_WRIST_POSITION.start] = 0.01 * np.minimum(np.arange(11), 5)  # five frames of 10 mm, then it waits
    speed = wrist_speed([path], rate=25)
    assert speed.median == pytest.approx(0.25)
    assert speed.moving == pytest.approx(0.5)


def test_a_person_three_times_as_fast_is_slowed_down_by_three(make_episode):
    slow = [make_episode(seed).state for seed in range(4)]
    fast = [path[::3] for path in slow]
    assert estimate_slow_down(wrist_speed(fast, 25), wrist_speed(slow, 25)) == pytest.approx(3, rel=0.08)
    assert estimate_slow_down(wrist_speed(slow, 50), wrist_speed(slow, 25)) == pytest.approx(2)


def test_speeds_that_explain_nothing_are_refused(still):
    resting = wrist_speed([np.tile(still, (5, 1))], 25)
    assert resting == WristSpeed(0, 0, 0)
    for other in (resting, WristSpeed(20.0, 30.0, 1.0)):
        with pytest.raises(EpisodeError, match="no slow-down follows from median wrist speeds"):
            estimate_slow_down(other, WristSpeed(0.2, 0.4, 0.5))
    with pytest.raises(EpisodeError, match="set it by hand"):
        estimate_slow_down(WristSpeed(0.2, 0.4, 0.5), resting)
