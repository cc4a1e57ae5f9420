import numpy as np
import pytest

from firsthand_training.demonstrations.minimum_jerk import LAG, STEP, Motion, plan, smooth

START, GOAL = np.array([0.1, -0.3, 1.0]), np.array([0.4, 0.1, 1.1])
REST = np.zeros(3)


def test_a_plan_ends_at_rest_at_its_goal():
    position, velocity, acceleration = plan(START, np.array([0.2, 0, -0.1]), np.array([1.0, 2, 3]), GOAL, 0.8, 0.8)
    np.testing.assert_allclose(position, GOAL, atol=1e-12)
    np.testing.assert_allclose(velocity, 0, atol=1e-12)
    np.testing.assert_allclose(acceleration, 0, atol=1e-12)


def test_a_plan_starts_where_it_is():
    velocity, acceleration = np.array([0.2, 0, -0.1]), np.array([1.0, 2, 3])
    now = plan(START, velocity, acceleration, GOAL, 0.8, 0.0)
    for value, expected in zip(now, (START, velocity, acceleration), strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-12)


def test_velocity_and_acceleration_are_derivatives():
    def at(time):
        return np.array(plan(START, np.array([0.2, 0, -0.1]), np.array([1.0, 2, 3]), GOAL, 0.8, time))

    h = 1e-6
    difference = (at(0.3 + h) - at(0.3 - h)) / (2 * h)
    np.testing.assert_allclose(difference[:2], at(0.3)[1:], atol=1e-6)


def test_planning_anew_on_the_way_gives_the_same_curve():
    halfway = plan(START, REST, REST, GOAL, 1.0, 0.4)
    np.testing.assert_allclose(
        plan(*halfway, GOAL, 0.6, 0.3)[0], plan(START, REST, REST, GOAL, 1.0, 0.7)[0], atol=1e-12
    )


def test_a_motion_comes_to_rest_at_its_goal_along_a_bell_shaped_speed():
    motion = Motion(START)
    path = np.array([START, *(motion.advance(GOAL, pace=0.3) for _ in range(70))])
    np.testing.assert_allclose(path[-1], GOAL, atol=1e-6)
    speed = np.linalg.norm(np.diff(path, axis=0), axis=1) / STEP
    peak = int(speed.argmax())
    assert np.all(np.diff(speed[: peak + 1]) > 0)
    assert np.all(np.diff(speed[peak:]) < 0.01 * speed[peak])


def test_a_moved_hand_draws_the_motion_after_it():
    motion = Motion(START)
    aside = np.array([0.02, 0.0, 0.0])
    for _ in range(LAG + 1):
        motion.draw_towards(motion._past[0] + aside)
        motion.advance(START, pace=0.3)
    assert motion.position[0] > START[0] + 0.002


@pytest.mark.parametrize(("share", "expected"), [(-1, 0), (0, 0), (0.5, 0.5), (1, 1), (2, 1)])
def test_smooth_ramp(share, expected):
    assert smooth(share) == pytest.approx(expected)
