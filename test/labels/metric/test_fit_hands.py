from dataclasses import replace

import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand.space.rotations import angle_between
from firsthand_training.labels.fit_hands import FitSettings, Observations, fit_hands, linearize
from firsthand_training.labels.landmarks import OFFSETS, calibrate_offsets
from firsthand_training.labels.pinhole import see


@pytest.fixture
def observed(true_clip, intrinsics):
    return Observations(true_clip.pixels, true_clip.side, np.ones(len(true_clip.side)), intrinsics)


def noisy(observed, sigma):
    noise = sigma * np.random.default_rng(0).standard_normal(observed.keypoints.shape)
    return replace(observed, keypoints=observed.keypoints + noise)


def wrist_error(fit, clip):
    return np.linalg.norm(fit.pose.position - clip.pose.position, axis=1)


def test_exact_keypoints_give_the_hands_back(observed, true_clip):
    fit = fit_hands(observed, FitSettings())
    assert fit.believed.all()
    assert np.median(wrist_error(fit, true_clip)) < 0.004
    assert np.median(angle_between(fit.pose.rotation, true_clip.pose.rotation)) < 0.02


def test_two_pixels_of_noise_cost_two_centimetres_and_are_noticed(observed, true_clip):
    fit = fit_hands(noisy(observed, 2.0), FitSettings())
    assert wrist_error(fit, true_clip).mean() < 0.03
    assert 1.5 < fit.sigma < 2.5


def test_a_keypoint_far_off_is_not_followed(observed, true_clip):
    wild = noisy(observed, 1.0)
    wild.keypoints[:, 8] += 60.0
    fit = fit_hands(wild, FitSettings())
    assert np.median(wrist_error(fit, true_clip)) < 0.02


def test_missing_keypoints_are_left_out_and_hands_with_too_few_are_not_believed(observed, true_clip):
    holes = noisy(observed, 0.5)
    holes.keypoints[:, [4, 8, 20]] = np.nan
    holes.keypoints[5, 3:] = np.nan
    fit = fit_hands(holes, FitSettings())
    assert not fit.believed[5]
    assert np.isnan(fit.pose.position[5]).all()
    others = np.arange(len(fit.pose)) != 5
    assert fit.believed[others].all()
    assert np.median(wrist_error(fit, true_clip)[others]) < 0.02


def test_what_is_no_hand_is_not_believed(observed, intrinsics):
    random = np.random.default_rng(0).uniform(100, 400, observed.keypoints.shape)
    assert fit_hands(replace(observed, keypoints=random), FitSettings(keypoint_sigma=2.0)).believed.mean() < 0.2


@pytest.mark.parametrize("wild", [1e7, -1e7, 1e-9])
def test_absurd_keypoints_are_not_believed_and_break_nothing(observed, wild):
    absurd = replace(observed, keypoints=observed.keypoints.copy())
    absurd.keypoints[3] *= wild
    fit = fit_hands(absurd, FitSettings())
    assert not fit.believed[3]
    assert fit.believed[np.arange(len(fit.pose)) != 3].all()


def test_a_palm_seen_edge_on_breaks_nothing(observed):
    flat = replace(observed, keypoints=observed.keypoints.copy())
    flat.keypoints[3, :, 1] = 200.0  # a line
    fit = fit_hands(flat, FitSettings())
    assert fit.believed[np.arange(len(fit.pose)) != 3].all()


def test_no_hands_at_all_are_an_empty_answer(observed):
    fit = fit_hands(replace(observed, keypoints=np.full_like(observed.keypoints, np.nan)), FitSettings())
    assert not fit.believed.any()


def test_the_second_answer_is_the_palm_tilted_the_other_way(observed):
    fit = fit_hands(observed, FitSettings())
    assert (fit.cost[:, 0] <= fit.cost[:, 1]).all()
    other = angle_between(fit.pose.rotation, fit.mirrored.rotation)
    assert (other > 0.3).mean() > 0.2  # elsewhere both starts come to the same answer


def test_a_wrong_camera_is_refused(observed):
    with pytest.raises(LabelError, match="intrinsics"):
        fit_hands(replace(observed, intrinsics=np.zeros((3, 3))), FitSettings())


def test_keypoints_of_another_number_are_refused(observed):
    with pytest.raises(LabelError, match="expected keypoints"):
        fit_hands(replace(observed, keypoints=observed.keypoints[:-1]), FitSettings())


@pytest.mark.parametrize("wrong", [{"robust": 0.0}, {"nearest": 2.0}, {"keypoint_sigma": -1.0}])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(LabelError):
        FitSettings(**wrong)


def test_offsets_of_a_detector_are_found_from_hands_of_known_pose(true_clip, intrinsics):
    shape = np.zeros((1, 21))
    offsets = 0.006 * np.random.default_rng(0).standard_normal((21, 3))
    seen = see(true_clip.pose, true_clip.side, shape, intrinsics, offsets).pixels
    seen = seen + 0.3 * np.random.default_rng(1).standard_normal(seen.shape)
    seen[3, 7] += 100.0  # a miss
    found = calibrate_offsets(true_clip.pose, true_clip.side, shape, intrinsics, seen)
    after = see(true_clip.pose, true_clip.side, shape, intrinsics, found).pixels
    assert np.sqrt(np.median(((after - seen) ** 2).sum(axis=-1))) < 1.0
    assert np.abs(found - offsets).max() < 0.004


def test_fits_that_know_the_offsets_undo_them(true_clip, observed, intrinsics):
    offsets = OFFSETS["mediapipe"]
    seen = see(true_clip.pose, true_clip.side, np.zeros((1, 21)), intrinsics, offsets).pixels
    moved = replace(observed, keypoints=seen)
    ignorant, aware = fit_hands(moved, FitSettings()), fit_hands(replace(moved, offsets=offsets), FitSettings())
    assert wrist_error(aware, true_clip).mean() < 0.3 * wrist_error(ignorant, true_clip).mean()


def with_depths(observed, clip, sigma=0.01):
    """Depths from the wrist as a network would tell them, exact along the ray."""
    points = see(clip.pose, clip.side, np.zeros((1, 21)), observed.intrinsics, None).in_camera
    depths = np.einsum("bki,bi->bk", points - points[:, :1], observed.rays)
    return replace(observed, depths=depths, depth_sigma=np.full(depths.shape, sigma))


def test_depths_turn_hands_whose_keypoints_are_poor(observed, true_clip):
    poor = replace(noisy(observed, 10.0), sigma=np.full((len(observed), 21), 10.0))
    alone = fit_hands(poor, FitSettings())
    told = fit_hands(with_depths(poor, true_clip), FitSettings())
    alone, told = (angle_between(fit.pose.rotation, true_clip.pose.rotation) for fit in (alone, told))
    assert told.mean() < 0.6 * alone.mean()
    assert told.max() < 0.5


def test_derivatives_of_depths_are_those_of_differences(observed, true_clip):
    deep = with_depths(noisy(observed, 2.0), true_clip)[:4]
    deep.depths[:, 1:] += 0.03 * np.random.default_rng(1).standard_normal((4, 20))
    settings, shape, pose = FitSettings(), np.zeros((1, 21)), true_clip.pose[:4]
    at = linearize(pose, deep, shape, 2.0, settings)
    for number in range(27):
        step = np.zeros((4, 27))
        step[:, number] = 1e-6
        ahead = linearize(pose.moved(step), deep, shape, 2.0, settings).cost
        behind = linearize(pose.moved(-step), deep, shape, 2.0, settings).cost
        np.testing.assert_allclose((ahead - behind) / 2e-6, at.gradient[:, number], rtol=1e-3, atol=1e-3)


def test_keypoints_count_by_their_own_sigmas(observed, true_clip):
    wild = noisy(observed, 1.0)
    wild.keypoints[:, 9:] += 15.0
    sigma = np.where(np.arange(21) < 9, 1.0, 60.0) * np.ones((len(wild), 1))
    trusting = fit_hands(wild, FitSettings())
    wary = fit_hands(replace(wild, sigma=sigma), FitSettings())
    kept = see(wary.pose, wild.side, wary.shape, wild.intrinsics, None).pixels - wild.keypoints
    assert np.median(np.abs(kept[:, :9])) < 1.5
    errors = [np.median(angle_between(fit.pose.rotation, true_clip.pose.rotation)) for fit in (wary, trusting)]
    assert errors[0] < errors[1]
