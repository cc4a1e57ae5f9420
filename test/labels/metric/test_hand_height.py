"""The surer hand tells how far away the other one is, because both work at about one height."""

from dataclasses import replace

import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand_training.labels.hand_height import level_hands
from firsthand_training.labels.metric_hands import CameraHands
from firsthand_training.labels.to_robot_frame import RobotFrameSettings

UP = np.array([[0.0, -0.8, -0.6]])  # of a camera that looks down by 37 deg
LEFT, RIGHT = np.array([-0.15, 0.2, 0.45]), np.array([0.15, 0.2, 0.45])


def hands(right_farther=1.0, sigmas=(0.02, 0.15)):
    position = np.array([[LEFT, right_farther * RIGHT]])
    nothing = np.zeros((1, 2))
    return CameraHands(
        np.tile(np.eye(3), (1, 2, 1, 1)),
        position,
        np.zeros((1, 2, 5, 3)),
        np.array([sigmas]),
        nothing,
        nothing,
        np.ones((1, 2), bool),
    )


def test_hands_at_one_height_stay_and_become_surer():
    level = level_hands(hands(), UP, 0.01)
    np.testing.assert_allclose(level.position, hands().position)
    assert (level.wrist_sigma < hands().wrist_sigma).all()
    assert level.wrist_sigma[0, 1] < 0.13


def test_the_unsure_hand_comes_to_the_sure_one_along_its_ray():
    before = hands(right_farther=1.4)
    level = level_hands(before, UP, 0.01)
    shares = np.linalg.norm(level.position, axis=-1) / np.linalg.norm(before.position, axis=-1)
    assert shares[0, 1] < 0.93
    assert 1.0 < shares[0, 0] < 1.01
    np.testing.assert_allclose(np.cross(level.position, before.position), 0.0, atol=1e-12)


def test_hands_that_are_told_well_keep_their_heights():
    before = hands(right_farther=1.4, sigmas=(0.01, 0.01))
    np.testing.assert_allclose(level_hands(before, UP, 0.0).position, before.position, rtol=0.01)


def test_a_hand_held_up_is_pulled_less_than_one_that_is_a_little_off():
    def pulled(farther):
        before = hands(farther, sigmas=(0.02, 0.05))
        level = level_hands(before, UP, 0.0, height_sigma=0.02)
        return 1 - np.linalg.norm(level.position[0, 1]) / np.linalg.norm(before.position[0, 1])

    assert pulled(1.2) > 0.05
    assert pulled(2.5) < 0.5 * 1.5 * pulled(1.2) / 0.2


def test_a_vertical_that_is_not_known_tells_nothing():
    before = hands(right_farther=1.4)
    assert np.abs(level_hands(before, UP, 30.0).position - before.position).max() < 1e-3


def test_one_hand_alone_stays_where_it_is():
    before = hands(right_farther=1.4)
    lost = replace(before, position=before.position.copy(), wrist_sigma=before.wrist_sigma.copy())
    lost.position[0, 0], lost.wrist_sigma[0, 0] = np.nan, np.nan
    level = level_hands(lost, UP, 0.01)
    np.testing.assert_array_equal(level.position, lost.position)
    np.testing.assert_array_equal(level.wrist_sigma, lost.wrist_sigma)


def test_heights_without_a_sigma_are_refused():
    with pytest.raises(LabelError, match="positive sigmas"):
        RobotFrameSettings(height_sigma=0.0)
