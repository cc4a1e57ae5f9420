import numpy as np
import pytest

from firsthand.robot.fingertips import Fingertips
from firsthand.robot.joints import HANDS_SLICE


@pytest.fixture(scope="module")
def fingertips(robot):
    return Fingertips(robot)


@pytest.mark.parametrize("seed", range(3))
def test_tips_are_those_of_forward_kinematics(robot, fingertips, seed):
    q = np.random.default_rng(seed).uniform(robot.lower, robot.upper)
    expected = robot.hand_state(q).fingertips_in_wrist
    np.testing.assert_allclose(fingertips.at(q[HANDS_SLICE]), expected, atol=1e-6)
    np.testing.assert_allclose(fingertips.with_jacobian(q[HANDS_SLICE])[0], expected, atol=1e-6)


def test_jacobian_is_the_slope_of_the_tips(robot, fingertips):
    q = np.random.default_rng(3).uniform(robot.lower, robot.upper)[HANDS_SLICE]
    _, jacobian = fingertips.with_jacobian(q)
    for motor, step in enumerate(1e-6 * np.eye(12)):
        slope = (fingertips.at(q + step) - fingertips.at(q - step)) / 2e-6
        np.testing.assert_allclose(jacobian[..., motor], slope, atol=1e-8)


def test_a_finger_moves_with_its_own_motors_only(robot, fingertips):
    _, jacobian = fingertips.with_jacobian(robot.neutral[HANDS_SLICE])
    moves = np.abs(jacobian).max(axis=2) > 1e-7  # (2, 5, 12)
    owners = [{0, 1}, {2}, {3}, {4}, {5}]
    for side in range(2):
        for finger, motors in enumerate(owners):
            assert set(np.flatnonzero(moves[side, finger])) == {motor + 6 * side for motor in motors}
