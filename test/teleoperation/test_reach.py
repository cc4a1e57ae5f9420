import numpy as np
import pytest

from firsthand.robot.model import RobotModel
from firsthand.teleoperation.reach import Reach

REACH = Reach.of(RobotModel.load(), lowest=-0.7)


def test_the_shoulders_are_those_of_the_robot():
    left, right = REACH.shoulders
    assert left[1] == pytest.approx(0.2095, abs=1e-3)
    np.testing.assert_allclose(right, left * [1, -1, 1], atol=1e-9)


def test_inside_nothing_is_changed():
    places = np.array([[0.3, 0.2, -0.4], [0.25, -0.15, -0.5]])
    np.testing.assert_array_equal(REACH.limit(places), places)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_straight_way_out_is_bent_smoothly_and_never_leaves(axis, sign):
    start = np.array([[0.3, 0.2, -0.4], [0.3, -0.2, -0.4]])
    ways = np.linspace(0.0, 3.0, 3001)
    limited = np.array([REACH.limit(start + way * sign * np.eye(3)[axis]) for way in ways])
    assert np.all(np.linalg.norm(limited - REACH.shoulders, axis=-1) <= REACH.radius + 1e-9)
    steps = np.diff(limited, axis=0)
    assert np.all(np.linalg.norm(steps, axis=-1) <= 1e-3 + 1e-6)  # never faster than the wish
    assert np.abs(np.diff(steps, axis=0)).max() < 5e-5  # and without a corner


@pytest.mark.parametrize("side", [0, 1])
def test_the_other_arm_is_left_alone(side):
    places = np.array([[0.3, 0.2, -0.4], [0.3, -0.2, -0.4]])
    far = places.copy()
    far[side] += 1.0
    np.testing.assert_array_equal(REACH.limit(far)[1 - side], places[1 - side])
