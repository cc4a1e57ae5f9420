from dataclasses import replace

import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand_training.labels import smooth_hands
from firsthand_training.labels.block_tridiagonal import inverse_diagonal, solve
from firsthand_training.labels.fit_hands import FitSettings, Observations, fit_hands
from firsthand_training.labels.smooth_hands import (
    MotionSettings,
    choose,
    error_memory,
    of_side,
    smooth_hand,
)
from firsthand_training.labels.uncertainty import spread_of

FIT, MOTION = FitSettings(), MotionSettings()


def observe(clip, intrinsics, noise, correlation=0.0):
    random = np.random.default_rng(0).standard_normal((len(clip.stamps_ns), 2, 21, 2))
    for i in range(1, len(random)):
        random[i] = correlation * random[i - 1] + np.sqrt(1 - correlation**2) * random[i]
    keypoints = clip.pixels + noise * random.reshape(-1, 21, 2)
    return Observations(keypoints, clip.side, np.ones(len(clip.side)), intrinsics)


@pytest.fixture(scope="module")
def seen(true_clip, intrinsics):
    observed = observe(true_clip, intrinsics, 2.0)
    return observed, fit_hands(observed, FIT)


@pytest.fixture(scope="module")
def stamps(true_clip):
    return true_clip.stamps_ns / 1e9


def error(pose, clip, side):
    return np.linalg.norm(pose.position - clip.pose.position[side::2], axis=1)


def test_block_tridiagonal_systems_are_solved_as_dense_ones():
    rng = np.random.default_rng(0)
    dense = np.zeros((12, 12))
    for i in range(3):
        rows = rng.normal(size=(20, 6))
        dense[3 * i : 3 * i + 6, 3 * i : 3 * i + 6] += rows.T @ rows
    diagonal = np.stack([dense[i : i + 3, i : i + 3] for i in range(0, 12, 3)])
    upper = np.stack([dense[i : i + 3, i + 3 : i + 6] for i in range(0, 9, 3)])
    right, inverse = rng.normal(size=12), np.linalg.inv(dense)
    np.testing.assert_allclose(solve(diagonal, upper, right.reshape(4, 3)).ravel(), inverse @ right)
    expected = np.stack([inverse[i : i + 3, i : i + 3] for i in range(0, 12, 3)])
    np.testing.assert_allclose(inverse_diagonal(diagonal, upper), expected, atol=1e-12)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 7])
def test_clips_of_any_length_are_joined(make_true_clip, intrinsics, frames):
    clip = make_true_clip(frames)
    observed = observe(clip, intrinsics, 1.0)
    part, mine = of_side(fit_hands(observed, FIT), observed, 1)
    track = smooth_hand(part, mine, clip.stamps_ns / 1e9, FIT, MOTION)
    assert error(track.pose, clip, 1).mean() < 0.03
    assert (np.linalg.eigvalsh(track.covariance) > 0).all()


def test_frames_together_know_more_than_each_alone(seen, true_clip, stamps):
    observed, fit = seen
    for side in (0, 1):
        part, mine = of_side(fit, observed, side)
        track = smooth_hand(part, mine, stamps, FIT, MOTION)
        assert error(track.pose, true_clip, side).mean() < 0.75 * error(part.pose, true_clip, side).mean()


def test_long_clips_are_joined_in_windows_that_do_not_show(seen, stamps, monkeypatch):
    part, mine = of_side(seen[1], seen[0], 1)
    whole = smooth_hand(part, mine, stamps, FIT, MOTION)
    monkeypatch.setattr(smooth_hands, "WINDOW", 8)
    monkeypatch.setattr(smooth_hands, "OVERLAP", 8)
    windows = smooth_hand(part, mine, stamps, FIT, MOTION)
    np.testing.assert_allclose(windows.pose.position, whole.pose.position, atol=0.004)
    assert windows.covariance.shape == whole.covariance.shape


def test_a_gap_is_bridged_and_known_to_be_uncertain(seen, true_clip, stamps):
    observed, fit = seen
    part, mine = of_side(fit, observed, 1)
    gap = slice(10, 16)
    part.believed[gap] = False
    track = smooth_hand(part, mine, stamps, FIT, MOTION)
    part.believed[gap] = True
    assert error(track.pose, true_clip, 1)[gap].max() < 0.05
    sigmas = np.sqrt(track.covariance[:, 5, 5])
    assert sigmas[13] > 1.3 * sigmas[5]


def test_sigmas_contain_the_errors(true_clip, intrinsics, stamps):
    observed = observe(true_clip, intrinsics, 3.0, correlation=0.7)
    fit = fit_hands(observed, FIT)
    memory = error_memory(fit, observed, len(stamps))
    inside = []
    for side in (0, 1):
        part, mine = of_side(fit, observed, side)
        track = smooth_hand(part, mine, stamps, FIT, MOTION, memory)
        spread = spread_of(track, part, mine, FIT, 0.05)
        off = track.pose.position - true_clip.pose.position[side::2]
        inside.append(np.einsum("ti,tij,tj->t", off, np.linalg.inv(spread.wrist), off) < 14.2)  # 3 sigma, 3 numbers
    assert np.mean(inside) > 0.9


def test_errors_that_last_are_told_from_those_that_do_not(make_true_clip, intrinsics):
    clip = make_true_clip(60)
    memories = []
    for correlation in (0.0, 0.9):
        observed = observe(clip, intrinsics, 2.0, correlation)
        memories.append(error_memory(fit_hands(observed, FIT), observed, 60))
    assert memories[0] < 3
    assert memories[1] > 6


def test_a_flipped_picture_is_put_right_by_its_neighbours(seen, stamps):
    observed, fit = seen
    part, _ = of_side(fit, observed, 1)
    cost = part.cost.copy()
    cost[:, 1] = cost[:, 0] + 0.5
    for name in ("rotation", "position", "angles"):
        first, second = getattr(part.pose, name).copy(), getattr(part.mirrored, name).copy()
        if name == "rotation":
            second = first @ np.diag([1.0, -1.0, -1.0])  # upside down
        first[12], second[12] = second[12].copy(), first[12].copy()
        getattr(part.pose, name)[:], getattr(part.mirrored, name)[:] = first, second
    chosen = choose(replace(part, cost=cost), stamps)
    np.testing.assert_array_equal(chosen.rotation[12], part.mirrored.rotation[12])
    np.testing.assert_array_equal(chosen.rotation[11], part.pose.rotation[11])


def test_stamps_that_stand_still_are_refused(seen, stamps):
    part, mine = of_side(seen[1], seen[0], 0)
    with pytest.raises(LabelError, match="frame 1 is not later"):
        smooth_hand(part, mine, np.zeros_like(stamps), FIT, MOTION)
