import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from firsthand.errors import EpisodeError
from firsthand_training.models.layers import pool_grid
from firsthand_training.training.sources import sample_number
from firsthand_training.training.windows import (
    Statistics,
    TrainingEpisode,
    Windows,
    fit_features,
    split_episodes,
)


def physical(windows, values):
    return windows.statistics.numbers.denormalize(values.numpy())


@pytest.fixture
def windows(episodes, window):
    return Windows(episodes, Statistics.fit(episodes), window)


def test_a_window_holds_what_was_seen_and_done(windows, episodes, window):
    batch, episode = windows.batch([5]), episodes[0]
    np.testing.assert_allclose(physical(windows, batch.state)[0], episode.state[5], atol=1e-6)
    np.testing.assert_allclose(physical(windows, batch.actions)[0], episode.action[5:11], atol=1e-6)
    raw = batch.features * torch.from_numpy(windows.statistics.feature_std) + torch.from_numpy(
        windows.statistics.feature_mean
    )
    np.testing.assert_allclose(raw[0], episode.features[5], atol=1e-3)
    for frame, time in enumerate((7, 9, 11)):
        expected = pool_grid(windows.batch([time]).features, window.pool).flatten(2, 3)
        torch.testing.assert_close(batch.future[:, :, frame], expected)
    assert batch.action_mask.all()
    assert batch.future_mask.all()


def test_the_end_of_an_episode_is_repeated_and_masked(windows, episodes):
    batch = windows.batch([21])  # of 24 frames: actions 21, 22, 23 and the future at 23 are real
    assert batch.action_mask.tolist() == [[True] * 3 + [False] * 3]
    assert batch.future_mask.tolist() == [[True, False, False]]
    np.testing.assert_allclose(
        physical(windows, batch.actions)[0, 3:], np.tile(episodes[0].action[-1], (3, 1)), atol=1e-6
    )
    torch.testing.assert_close(batch.future[:, :, 2], batch.future[:, :, 0])


def test_pictures_are_scaled_as_imagenet_is(window):
    white = TrainingEpisode(np.full((4, 2, 4, 6, 3), 255, np.uint8), np.zeros((4, 54)), np.zeros((4, 54)))
    windows = Windows([white], Statistics.fit([white]), replace(window, channels=3, frames=0))
    seen = windows.batch([0]).features[0, 0, 0, 0]
    np.testing.assert_allclose(seen, (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225], rtol=1e-5)


def test_one_view_of_two_is_the_left_one(episodes, window):
    statistics = Statistics.fit(episodes)
    both, left = (Windows(episodes, statistics, replace(window, views=views)).batch([3]) for views in (2, 1))
    torch.testing.assert_close(left.features, both.features[:, :1])
    torch.testing.assert_close(left.future, both.future[:, :1])
    with pytest.raises(EpisodeError, match=r"expected features of shape \(N, \(3, 4, 6, 8\)\)"):
        Windows(episodes, statistics, replace(window, views=3))


def test_windows_do_not_cross_episodes(windows, episodes):
    assert len(windows) == 6 * 24
    np.testing.assert_allclose(physical(windows, windows.batch([24]).state)[0], episodes[1].state[0], atol=1e-6)


def test_features_of_every_other_frame_give_the_same_windows(make_episode, window):
    full, sparse = make_episode(0), make_episode(0, every=2)
    statistics = Statistics.fit([full])
    one, other = Windows([full], statistics, window).batch([6]), Windows([sparse], statistics, window).batch([3])
    for name in ("features", "state", "future", "actions", "action_mask", "future_mask"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name))


def test_features_that_miss_the_future_are_refused(make_episode, window):
    episode = make_episode(0, every=3)
    with pytest.raises(EpisodeError, match="every 3 frames cannot show the future every 2"):
        Windows([episode], Statistics.fit([episode]), window)


def test_another_grid_is_refused_with_both_shapes(episodes, window):
    cut = [TrainingEpisode(each.features[:, :, :, :4], each.state, each.action) for each in episodes]
    with pytest.raises(EpisodeError, match=r"\(N, \(2, 4, 6, 8\)\).*\(24, 2, 4, 4, 8\)"):
        Windows(cut, Statistics.fit(cut), window)


def test_arrays_of_different_episodes_are_refused(episodes):
    with pytest.raises(EpisodeError, match="expected features of 24 frames"):
        TrainingEpisode(episodes[0].features[:9], episodes[0].state, episodes[0].action)
    with pytest.raises(EpisodeError, match=r"\(24, 53\)"):
        TrainingEpisode(episodes[0].features, episodes[0].state[:, 1:], episodes[0].action)


def test_normalized_windows_have_zero_mean(windows):
    batch = windows.batch(range(len(windows)))
    assert torch.cat([batch.state, batch.actions[:, 0]]).mean(dim=0).abs().max() < 1e-4
    assert batch.features.mean(dim=(0, 1, 2, 3)).abs().max() < 0.02
    assert (windows.statistics.numbers.std > 0).all()


def test_states_and_actions_share_one_normalisation(episodes):
    """So that a change of zero means: stay."""
    both = np.concatenate([part for each in episodes for part in (each.state, each.action)])
    np.testing.assert_allclose(Statistics.fit(episodes).numbers.mean, both.mean(axis=0))


def test_a_network_that_predicts_no_features_gets_no_future(episodes, window):
    windows = Windows(episodes, Statistics.fit(episodes), replace(window, frames=0))
    batch = windows.batch([0, 3])
    assert batch.future.shape == (2, 2, 0, 6, 8)
    assert batch.future_mask.shape == (2, 0)


def test_an_epoch_has_every_window_once_and_the_order_is_the_seeds():
    numbers = [sample_number(20, draw, seed=3) for draw in range(40)]
    assert sorted(numbers[:20]) == sorted(numbers[20:]) == list(range(20))
    assert numbers[:20] != numbers[20:]
    assert numbers != [sample_number(20, draw, seed=4) for draw in range(40)]


@pytest.mark.parametrize(("count", "share", "out"), [(20, 0.1, 2), (5, 0.01, 1), (1, 0.5, 0), (4, 0.0, 0), (2, 0.9, 1)])
def test_held_out_episodes(count, share, out):
    inside, outside = split_episodes(count, share, seed=0)
    assert len(outside) == out
    assert sorted([*inside, *outside]) == list(range(count))


@pytest.mark.parametrize(("frames", "share"), [(144, 1), (100, 2), (30, 5)])
def test_statistics_of_features_are_those_of_every_nth_frame(episodes, frames, share):
    sample = np.concatenate([each.features for each in episodes])[::share].astype(float).reshape(-1, 8)
    assert len(sample) <= frames * 2 * 4 * 6
    mean, std = fit_features(episodes, frames)
    assert mean.dtype == std.dtype == np.float32
    np.testing.assert_allclose(mean, sample.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, sample.std(axis=0), rtol=1e-6)


def test_statistics_of_features_take_the_memory_of_one_episode():
    features = np.random.default_rng(0).normal(size=(40, 2, 4, 6, 64)).astype(np.float16)
    many = [TrainingEpisode(features, np.zeros((40, 54)), np.zeros((40, 54)))] * 12
    tracemalloc.start()
    fit_features(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * features.astype(float).nbytes + 100_000


def test_no_episodes_are_refused(episodes, window):
    with pytest.raises(EpisodeError, match="at least one episode"):
        Windows([], Statistics.fit(episodes), window)
