import numpy as np
import pytest

from firsthand_training.demonstrations.minimum_jerk import LAG, SHORTEST, STEP, TOLERANCE, Motion, smooth

START, GOAL = np.array([0.1, -0.3, 1.0]), np.array([0.4, 0.1, 1.1])
PACE = 0.3


def path(motion, goals):
    return np.array([motion.position, *(motion.advance(goal, PACE) for goal in goals)])


def test_a_reach_is_a_straight_line_with_a_bell_of_speed():
    points = path(Motion(START), [GOAL] * 70)
    np.testing.assert_allclose(points[-1], GOAL, atol=1e-12)
    off_line = np.cross(points - START, (GOAL - START) / np.linalg.norm(GOAL - START))
    np.testing.assert_allclose(off_line, 0, atol=1e-12)
    speed = np.linalg.norm(np.diff(points, axis=0), axis=1) / STEP
    peak = int(speed.argmax())
    assert np.all(np.diff(speed[: peak + 1]) > 0)
    assert np.all(np.diff(speed[peak:]) < 1e-12)


def test_peak_speed_is_that_of_minimum_jerk():
    """15/8 of the mean speed."""
    speed = np.linalg.norm(np.diff(path(Motion(START), [GOAL] * 70), axis=0), axis=1) / STEP
    distance = np.linalg.norm(GOAL - START)
    assert speed.max() == pytest.approx(15 / 8 * distance / (SHORTEST + distance / PACE), rel=1e-2)


def test_a_goal_that_moves_on_the_way_is_reached_without_overshoot():
    elsewhere = np.array([0.4, -0.1, 1.1])
    points = path(Motion(START), [GOAL] * 20 + [elsewhere] * 70)
    np.testing.assert_allclose(points[-1], elsewhere, atol=1e-12)
    assert points[:, 0].max() <= elsewhere[0] + 1e-12


def test_a_goal_that_creeps_is_followed_smoothly():
    goals = [START + np.array([0.004 * min(i, 40), 0, 0]) for i in range(80)]
    points = path(Motion(START), goals)
    np.testing.assert_allclose(points[-1], goals[-1], atol=1e-12)
    assert np.abs(np.diff(points, 2, axis=0)).max() / STEP**2 < 1.0


def test_a_moved_hand_draws_the_motion_after_it_and_the_goal_stays():
    motion = Motion(START)
    for _ in range(LAG + 1):
        motion.draw_towards(START + np.array([0.05, 0.0, 0.0]))
        motion.advance(START, PACE)
    assert motion.position[0] > START[0] + 0.01
    points = path(motion, [START] * 40)
    np.testing.assert_allclose(points[-1], START, atol=1e-12)


def test_ordinary_lag_draws_nothing():
    motion = Motion(START)
    motion.draw_towards(START + np.array([0.0, TOLERANCE, 0.0]))
    np.testing.assert_array_equal(motion.position, START)


@pytest.mark.parametrize(("share", "expected"), [(-1, 0), (0, 0), (0.5, 0.5), (1, 1), (2, 1)])
def test_smooth_ramp(share, expected):
    assert smooth(share) == pytest.approx(expected)
