import numpy as np
import pytest

from firsthand.errors import ShapeError
from firsthand.robot.model import RobotModel
from firsthand.simulation.disturbance import Disturbance
from firsthand.simulation.lockstep import LockStep
from firsthand.simulation.simulated_body import SimulatedBody
from firsthand.space.hand_state import LEFT_WRIST_POSITION, RIGHT_WRIST_POSITION, WRIST_POSITIONS


@pytest.fixture(scope="module")
def parts():
    return SimulatedBody("push", "id", 2), RobotModel.load()


def test_a_step_is_forty_milliseconds(parts):
    lockstep = LockStep(*parts)
    first = lockstep.observe()
    assert first.stamp_ns == 0
    assert lockstep.step(first.hand_state).stamp_ns == 40_000_000


def test_what_is_observed_holds_still(parts):
    lockstep = LockStep(*parts)
    first = lockstep.observe().hand_state
    for _ in range(12):
        observation = lockstep.step(first)
    np.testing.assert_allclose(observation.hand_state[WRIST_POSITIONS], first[WRIST_POSITIONS], atol=2e-3)


def test_a_wrist_goes_where_it_is_told_and_the_other_stays(parts):
    lockstep = LockStep(*parts)
    start = lockstep.observe().hand_state
    target = start.copy()
    target[RIGHT_WRIST_POSITION] += [0.03, 0.02, 0.02]
    for _ in range(20):
        observation = lockstep.step(target)
    np.testing.assert_allclose(observation.hand_state[WRIST_POSITIONS], target[WRIST_POSITIONS], atol=3e-3)
    np.testing.assert_allclose(observation.hand_state[LEFT_WRIST_POSITION], start[LEFT_WRIST_POSITION], atol=3e-3)


def test_a_jump_of_the_target_is_a_bounded_motion_of_the_command(parts):
    lockstep = LockStep(*parts)
    target = lockstep.observe().hand_state.copy()
    target[RIGHT_WRIST_POSITION] += [0.3, 0.3, 0.3]
    before = lockstep.observe().joint_command
    after = lockstep.step(target).joint_command
    assert np.abs(after - before).max() <= 6.0 * 0.04 + 1e-9


def test_equal_runs_are_bit_equal_with_a_disturbance_too(parts):
    lockstep = LockStep(*parts, Disturbance(seed=3))

    def run():
        target = lockstep.reset().hand_state
        return [lockstep.step(target).hand_state for _ in range(5)]

    np.testing.assert_array_equal(run(), run())


def test_a_disturbance_moves_what_is_executed(parts):
    def wrists(disturbance):
        lockstep = LockStep(*parts, disturbance)
        target = lockstep.observe().hand_state
        return np.array([lockstep.step(target).hand_state[WRIST_POSITIONS] for _ in range(25)])

    apart = np.abs(wrists(Disturbance(seed=3)) - wrists(None)).max(axis=0)
    assert np.all(apart > 1e-3)
    assert np.all(apart < 0.05)


def test_a_target_of_another_length_is_refused(parts):
    with pytest.raises(ShapeError, match="expected 54 numbers"):
        LockStep(*parts).step(np.zeros(26))
