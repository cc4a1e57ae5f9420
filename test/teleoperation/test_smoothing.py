import math
from itertools import pairwise

import numpy as np
import pytest

from firsthand.space.frames import pose
from firsthand.space.rotations import angle_between, matrix_from_rpy
from firsthand.teleoperation.smoothing import SECOND, HandsFilter, SmoothingSettings

PERIOD = 1 / 90
TIPS = np.zeros((5, 3))


class OneHand:
    """The right one of a filter; the other is not seen."""

    def __init__(self, settings):
        self.both = HandsFilter(settings)
        self.reset = self.both.reset

    def smooth(self, stamp_ns, wrist, tips):
        nothing = np.full((4, 4), np.nan), np.full((5, 3), np.nan)
        wrists, found = self.both.smooth(
            stamp_ns, np.stack([nothing[0], wrist]), np.stack([nothing[1], tips]), (False, True)
        )
        assert np.isnan(wrists[0]).all()
        assert np.isnan(found[0]).all()
        return wrists[1], found[1]


def smoothed(settings, wrists, tips=None):
    one = OneHand(settings)
    tips = [TIPS] * len(wrists) if tips is None else tips
    pairs = zip(wrists, tips, strict=True)
    return [one.smooth(round(k * PERIOD * SECOND), wrist, tip) for k, (wrist, tip) in enumerate(pairs)]


def along_x(values):
    return [pose(np.eye(3), np.array([value, 0.0, 0.0])) for value in values]


def one_euro(values, min_cutoff, beta):
    """Algorithm 1 of the paper, for one number."""

    def alpha(cutoff):
        tau = 1 / (2 * math.pi * cutoff)
        return 1 / (1 + tau / PERIOD)

    filtered, speed, out = values[0], 0.0, [values[0]]
    for before, value in pairwise(values):
        a = alpha(1.0)
        speed = a * (value - before) / PERIOD + (1 - a) * speed
        a = alpha(min_cutoff + beta * abs(speed))
        filtered = a * value + (1 - a) * filtered
        out.append(filtered)
    return out


def test_it_is_the_papers_filter():
    values = np.cumsum(np.random.default_rng(0).normal(scale=0.002, size=100)).tolist()
    found = [wrist[0, 3] for wrist, _ in smoothed(SmoothingSettings(1.5, 80.0, 0.0), along_x(values))]
    np.testing.assert_allclose(found, one_euro(values, 1.5, 80.0), atol=1e-6)


@pytest.mark.parametrize("finger", range(5))
def test_each_fingertip_is_filtered_for_itself(finger):
    values = np.cumsum(np.random.default_rng(finger).normal(scale=0.002, size=50)).tolist()
    tips = [TIPS.copy() for _ in values]
    for tip, value in zip(tips, values, strict=True):
        tip[finger, 1] = value
    found = np.array([tip for _, tip in smoothed(SmoothingSettings(1.5, 80.0, 0.0), along_x([0.0] * 50), tips)])
    np.testing.assert_allclose(found[:, finger, 1], one_euro(values, 1.5, 80.0), atol=1e-6)
    assert not np.delete(found, finger, axis=1).any()


def test_a_hand_at_rest_is_steadied_in_place_and_turn():
    rng = np.random.default_rng(0)
    noisy = [
        pose(matrix_from_rpy(*rng.normal(scale=0.02, size=3)), rng.normal(scale=0.001, size=3)) for _ in range(300)
    ]
    found = smoothed(SmoothingSettings(), noisy)[50:]
    places, rotations = (np.array([wrist[part] for wrist, _ in found]) for part in (np.s_[:3, 3], np.s_[:3, :3]))
    assert places.std() < 0.5 * 0.001
    assert (
        angle_between(rotations, np.eye(3)).mean() < 0.5 * angle_between(np.array(noisy)[:, :3, :3], np.eye(3)).mean()
    )
    np.testing.assert_allclose(rotations @ np.swapaxes(rotations, 1, 2), np.tile(np.eye(3), (250, 1, 1)), atol=1e-9)


def test_a_hand_that_moves_is_hardly_held_back():
    speed, turning = 0.3, 2.0  # [m/s], [rad/s]
    times = np.arange(0, 1.0, PERIOD)
    moving = [pose(matrix_from_rpy(turning * t, 0.0, 0.0), np.array([speed * t, 0.0, 0.0])) for t in times]
    wrist, _ = smoothed(SmoothingSettings(), moving)[-1]
    assert (moving[-1][0, 3] - wrist[0, 3]) / speed < 0.010  # [s]
    assert angle_between(moving[-1][:3, :3], wrist[:3, :3]) / turning < 0.015


def test_a_hand_that_comes_into_sight_begins_where_it_is():
    one = OneHand(SmoothingSettings())
    one.smooth(0, np.eye(4), TIPS)
    one.reset()
    there = pose(matrix_from_rpy(0.0, 0.0, 1.0), np.ones(3))
    wrist, tips = one.smooth(SECOND, there, TIPS + 0.1)
    np.testing.assert_array_equal(wrist, there)
    np.testing.assert_array_equal(tips, TIPS + 0.1)


@pytest.mark.parametrize("side", [0, 1])
def test_a_hand_that_is_lost_and_seen_again_does_not_touch_the_other(side):
    rng = np.random.default_rng(1)
    both, alone = HandsFilter(SmoothingSettings()), HandsFilter(SmoothingSettings())
    for k in range(60):
        wrists = np.stack([pose(matrix_from_rpy(*rng.normal(size=3)), rng.normal(size=3)) for _ in range(2)])
        tips = rng.normal(size=(2, 5, 3))
        seen = [True, True]
        seen[1 - side] = k % 7 > 2
        one, _ = alone.smooth(k * 11_000_000, wrists, tips, (side == 0, side == 1))
        two, _ = both.smooth(k * 11_000_000, wrists, tips, tuple(seen))
        np.testing.assert_allclose(two[side], one[side], atol=1e-12)
        if k % 7 == 3:
            np.testing.assert_allclose(two[1 - side], wrists[1 - side], atol=1e-12)  # it begins where it is


def test_samples_that_come_at_once_or_backwards_stay_finite():
    one = OneHand(SmoothingSettings())
    for stamp in (0, 0, -SECOND, 10**15):
        wrist, tips = one.smooth(stamp, pose(np.eye(3), np.full(3, stamp % 7 / 7)), TIPS)
        assert np.isfinite(wrist).all()
        assert np.isfinite(tips).all()


@pytest.mark.parametrize("wrong", [{"min_cutoff": 0.0}, {"beta": -1.0}, {"beta_turn": -1.0}, {"min_cutoff": math.nan}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="expected a cutoff"):
        SmoothingSettings(**wrong)
