import itertools

import numpy as np
import pytest

from firsthand.errors import FirsthandError, ShapeError
from firsthand.robot.bodies.interface import TICK, TICK_NS, Body, MotorCommand
from firsthand.robot.bodies.mock import MockBody, MockSettings
from firsthand.robot.model import RobotModel


@pytest.fixture(scope="module")
def model():
    return RobotModel.load()


@pytest.fixture
def body(model):
    return MockBody(model)


def run(body: Body, command, seconds):
    return [body.step(command) for _ in range(round(seconds / TICK))]


def test_it_starts_still_in_the_ready_posture(body, model):
    state = body.reset()
    np.testing.assert_array_equal(state.positions, model.neutral)
    np.testing.assert_array_equal(state.velocities, 0)
    assert state.stamp_ns == 0


def test_a_seed_decides_the_start(body, model):
    first, again, other = (body.reset(seed).positions for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first >= model.lower).all()
    assert (first <= model.upper).all()


def test_it_goes_where_it_is_told_and_rests_there(body, model):
    goal = np.clip(model.neutral + 0.3, model.lower, model.upper)
    states = run(body, MotorCommand(goal), 1.0)
    np.testing.assert_allclose(states[-1].positions, goal, atol=1e-6)
    np.testing.assert_allclose(states[-1].velocities, 0, atol=1e-5)


def test_it_does_not_overshoot(body, model):
    goal = np.clip(model.neutral + 0.3, model.lower, model.upper)
    assert all((state.positions <= goal + 1e-12).all() for state in run(body, MotorCommand(goal), 0.5))


def test_a_step_answers_like_a_second_order_system(model):
    """q'' = -2 w q' - w^2 q leaves (1 + w t) exp(-w t) of the way."""
    settings = MockSettings(natural_frequency=20.0)
    body = MockBody(model, settings)
    joint, size = 3, 0.1
    goal = model.neutral.copy()
    goal[joint] += size
    states = run(body, MotorCommand(goal), 0.1)
    left = (goal[joint] - states[-1].positions[joint]) / size
    assert left == pytest.approx((1 + 2.0) * np.exp(-2.0), abs=0.05)


def test_without_stiffness_it_comes_to_rest_where_it_is(body, model):
    moving = run(body, MotorCommand(model.upper), 0.06)[-1]
    assert np.abs(moving.velocities).max() > 0.5
    resting = run(body, MotorCommand(model.upper, stiffness=0.0), 1.0)[-1]
    np.testing.assert_allclose(resting.velocities, 0, atol=1e-6)
    assert (resting.positions < model.upper - 0.05).any()


def test_it_never_leaves_its_limits(body, model):
    rng = np.random.default_rng(0)
    for _ in range(200):
        state = body.step(MotorCommand(rng.uniform(-10, 10, 26)))
        assert (state.positions >= model.lower).all()
        assert (state.positions <= model.upper).all()
        assert (np.abs(state.velocities) <= model.velocity_limits + 1e-9).all()


def test_velocities_are_the_slope_of_the_positions(body, model):
    states = run(body, MotorCommand(model.zero), 0.1)
    for before, after in itertools.pairwise(states):
        np.testing.assert_allclose(after.velocities, (after.positions - before.positions) / TICK, atol=1e-9)


def test_time_passes_by_ticks(body, model):
    stamps = [state.stamp_ns for state in run(body, MotorCommand(model.neutral), 0.04)]
    assert stamps == [TICK_NS * (i + 1) for i in range(10)]
    assert pytest.approx(TICK * 1e9) == TICK_NS


def test_states_are_not_changed_by_later_steps(body, model):
    state = body.reset()
    body.step(MotorCommand(model.zero))
    np.testing.assert_array_equal(state.positions, model.neutral)


@pytest.mark.parametrize(
    ("positions", "stiffness", "message"),
    [
        (np.zeros(27), 1.0, r"expected 26 motor positions, got shape \(27,\)"),
        (np.where(np.arange(26) == 4, np.nan, 0.0), 1.0, r"not finite: \[4\]"),
        (np.zeros(26), 1.5, "expected a stiffness from 0 to 1, got 1.5"),
        (np.zeros(26), float("nan"), "expected a stiffness from 0 to 1, got nan"),
    ],
)
def test_commands_that_no_motor_may_get_are_refused(positions, stiffness, message):
    with pytest.raises(ShapeError, match=message):
        MotorCommand(positions, stiffness)


def test_a_closed_body_says_so(body, model):
    body.close()
    with pytest.raises(FirsthandError, match="this body is closed"):
        body.step(MotorCommand(model.neutral))
