import json
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from firsthand.errors import EpisodeError
from firsthand.space.hand_state import ROTATIONS, SIZE, WRIST_POSITIONS
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.write import EpisodeWriter, Frame
from firsthand_training.training.feature_cache import Description
from firsthand_training.training.sources import (
    Mixture,
    MixtureSettings,
    Source,
    deal,
    fit_statistics,
    load_sources,
)
from firsthand_training.training.windows import Statistics, TrainingEpisode, Windows


def test_shares_hold_after_any_number_of_places():
    shares = (0.5, 0.3, 0.2)
    dealt = deal(shares, 0, 1000)
    for places in (1, 10, 333, 1000):
        counts = Counter(source for source, _ in dealt[:places])
        assert all(abs(counts[source] - share * places) <= 1 for source, share in enumerate(shares))
    for source in range(3):
        assert [draw for other, draw in dealt if other == source] == list(range(sum(s == source for s, _ in dealt)))


@pytest.mark.parametrize("first", [0, 1, 2, 7, 499, 100_003])
def test_any_stretch_of_places_can_be_dealt_alone(first):
    shares = (0.61, 0.1, 0.29)
    assert deal(shares, first, 9) == deal(shares, max(0, first - 400), 409 if first >= 400 else first + 9)[-9:]


def test_a_lone_source_is_dealt_in_order():
    assert deal((1.0,), 40, 3) == [(0, 40), (0, 41), (0, 42)]


def test_half_of_a_batch_is_the_robots_and_half_the_persons(episodes, window):
    """However many windows each has: three episodes against one."""
    marked = [replace(each, state=each.state + 0.0) for each in episodes]
    statistics = Statistics.fit(marked)
    parts = [Windows(marked[:3], statistics, window), Windows(marked[3:4], statistics, window)]
    batch = Mixture(parts, [2.0, 2.0], seed=3).batch(range(16, 32))
    own = {tuple(row.tolist()) for row in parts[1].batch(range(24)).state}
    assert sum(tuple(row.tolist()) in own for row in batch.state) == 8


def test_a_batch_follows_from_seed_and_place_alone(episodes, window):
    statistics = Statistics.fit(episodes)

    def mixture(seed):
        return Mixture(
            [Windows(episodes[:4], statistics, window), Windows(episodes[4:], statistics, window)], [3, 1], seed
        )

    whole, second_half = mixture(0).batch(range(32, 48)), mixture(0).batch(range(40, 48))
    torch.testing.assert_close(whole.state[8:], second_half.state, rtol=0, atol=0)
    assert not torch.equal(mixture(1).batch(range(32, 48)).state, whole.state)


def test_each_embodiment_has_numbers_of_its_own_and_all_share_the_features(episodes):
    moved = [replace(each, state=each.state + 1.0, action=each.action + 1.0) for each in episodes[3:]]
    statistics = fit_statistics([("robot", episodes[:3]), ("human", moved)])
    np.testing.assert_allclose(statistics["human"].numbers.mean, Statistics.fit(episodes[3:]).numbers.mean + 1)
    np.testing.assert_allclose(statistics["robot"].numbers.mean, Statistics.fit(episodes[:3]).numbers.mean)
    assert statistics["human"].feature_mean is statistics["robot"].feature_mean
    np.testing.assert_allclose(statistics["human"].feature_mean, Statistics.fit(episodes).feature_mean, rtol=1e-5)


def test_a_start_keeps_its_features_and_the_embodiments_it_knew(episodes):
    earlier = fit_statistics([("human", episodes[:2])])
    later = fit_statistics([("robot", episodes[2:]), ("human", episodes[2:])], earlier)
    assert later["human"] is earlier["human"]
    np.testing.assert_array_equal(later["robot"].feature_mean, earlier["human"].feature_mean)
    np.testing.assert_allclose(later["robot"].numbers.mean, Statistics.fit(episodes[2:]).numbers.mean)


# Slowed down


def test_a_slowed_window_does_the_same_later(make_episode, window):
    """Slowed down by two, the targets at steps 2, 4, 6 are those that were at steps 1, 2, 3."""
    episode = make_episode(0)
    statistics = Statistics.fit([episode])
    slowed, plain = (Windows([replace(episode, pace=pace)], statistics, window).batch([8]) for pace in (0.5, 1.0))
    torch.testing.assert_close(slowed.actions[:, 1::2], plain.actions[:, :3])
    torch.testing.assert_close(slowed.state, plain.state)
    torch.testing.assert_close(slowed.features, plain.features)
    middle = (plain.actions[:, 0] + plain.actions[:, 1]) / 2
    torch.testing.assert_close(slowed.actions[:, 2], middle, atol=1e-4, rtol=1e-4)


def test_the_slowed_future_shows_the_frames_that_come_then(make_episode, window):
    """r = 2 at half the speed is one frame; the frames between are there too, since every one is cached."""
    episode = make_episode(0)
    statistics = Statistics.fit([episode])
    slowed = Windows([replace(episode, pace=0.5)], statistics, window)
    plain = Windows([episode], statistics, replace(window, stride=1))
    torch.testing.assert_close(slowed.batch([4]).future, plain.batch([4]).future)
    assert slowed.batch([4]).future_mask.all()


def test_a_future_between_cached_frames_is_masked(make_episode, window):
    """Every second frame is cached, and the future comes every frame: every other one is nowhere to be seen."""
    episode = replace(make_episode(0, every=2), pace=0.5)
    windows = Windows([episode], Statistics.fit([episode]), window)
    assert windows.batch([2]).future_mask.tolist() == [[False, True, False]]
    assert windows.future_share() == pytest.approx(np.mean([windows.batch([n]).future_mask.numpy() for n in range(12)]))


def test_masks_know_the_slowed_length(make_episode, window):
    """From frame 21 of 24 three targets are left; at half the speed they take six steps, all of them inside."""
    episode = make_episode(0)
    statistics = Statistics.fit([episode])
    inside = [
        Windows([replace(episode, pace=pace)], statistics, window).batch([21]).action_mask.sum().item()
        for pace in (1.0, 0.5, 0.75)
    ]
    assert inside == [3, 6, 4]


def test_unlikely_labels_count_less(make_episode, window):
    quality = np.ones(24)
    quality[[6, 8]] = 0.25, 0.0
    episode = replace(make_episode(0), quality=quality)
    batch = Windows([episode], Statistics.fit([episode]), window).batch([5, 21])
    assert batch.action_weight[0].tolist() == [0.25, 1, 0, 1, 1, 1]  # targets for frames 6 to 11
    assert batch.action_weight[1].tolist() == [1, 1, 1, 0, 0, 0]
    assert batch.action_mask[0].all()


def test_qualities_that_mean_nothing_are_refused(make_episode):
    with pytest.raises(EpisodeError, match="quality from 0 to 1 for each of 24 frames"):
        replace(make_episode(0), quality=np.full(24, 1.5))
    with pytest.raises(EpisodeError, match="pace above 0"):
        replace(make_episode(0), pace=0.0)


def test_lights_are_drawn_for_the_input_and_its_future_alike(make_episode, window):
    episode = make_episode(0)
    lit = replace(episode, variants=(episode.features + np.float16(1),))
    statistics = Statistics.fit([episode])
    windows = Windows([lit], statistics, window)
    filmed, other = windows.batch([3], [0]), windows.batch([3], [1])
    shift = torch.from_numpy(1 / statistics.feature_std)
    torch.testing.assert_close(other.features - filmed.features, shift.expand_as(filmed.features), rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(other.future - filmed.future, shift.expand_as(filmed.future), rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(windows.batch([3]).features, filmed.features)  # validation sees what was filmed
    mixed = Mixture([windows], [1.0], seed=0).batch(range(200))
    plain = Mixture([Windows([episode], statistics, window)], [1.0], seed=0).batch(range(200))
    share = ((mixed.features - plain.features).abs().amax(dim=(1, 2, 3, 4)) > 0.5).float().mean()
    assert 0.35 < share < 0.65


# From datasets on disk


@pytest.fixture(scope="module")
def datasets(tmp_path_factory, make_episode):
    """A robot at 25 Hz and a person at 50 Hz who does the same three times as fast."""

    def write(name, robot_type, fps, skip):
        root, cache = tmp_path_factory.mktemp(name), tmp_path_factory.mktemp(f"{name}-features")
        settings = EpisodeSettings(height=32, width=32, fps=fps, robot_type=robot_type, quality=robot_type == "human")
        with EpisodeWriter(root, settings) as writer:
            for seed in range(3):
                episode = make_episode(seed, frames=25)
                writer.start("reach")
                for number, (state, action) in enumerate(
                    zip(episode.state[::skip], episode.action[::skip], strict=True)
                ):
                    image = np.zeros((2, 32, 32, 3), np.uint8)
                    joints = np.zeros(26)
                    stamp = (number + 1) * 1_000_000_000 // fps
                    writer.add(Frame(stamp, state, action, joints, joints, image, quality=0.5 if number else 1.0))
                writer.save()
                np.save(cache / f"episode_{seed:06d}.npy", episode.features[::skip])
        (cache / "cache.json").write_text(json.dumps(asdict(Description("dinov2", "0", (4, 6), 1, fps))))
        return root, cache

    return write("robot", "unitree_h1_2_inspire", 25, 1), write("human", "human", 50, 3)


def test_datasets_come_as_sources_on_one_clock(datasets):
    (robot, human), provenance = load_sources(datasets, MixtureSettings())
    assert (robot.name, robot.embodiment, human.name, human.embodiment) == ("robot", "robot", "human", "human")
    assert robot.episodes[0].pace == 1
    slow_down = provenance["sources"][1]["slow_down"]
    assert slow_down == pytest.approx(6, rel=0.2)  # three times as fast, and twice as many frames a second
    assert human.episodes[0].pace == pytest.approx(2 / slow_down)
    assert robot.weight == human.weight
    assert human.episodes[0].quality.tolist() == [1.0] + [0.5] * 8
    assert robot.episodes[0].quality is None
    assert provenance["cache"]["fps"] == 25
    assert provenance["sources"][1]["wrist_speed"]["median"] > provenance["sources"][0]["wrist_speed"]["median"]


def test_a_slow_down_set_by_hand_is_taken(datasets):
    (_, human), _ = load_sources(datasets, MixtureSettings(slow_down=4.0, human=0.25))
    assert human.episodes[0].pace == 0.5
    assert human.weight == 0.25


def test_people_alone_keep_their_speed_and_their_rate(datasets):
    (human,), provenance = load_sources(datasets[1:], MixtureSettings())
    assert human.episodes[0].pace == 1
    assert provenance["cache"]["fps"] == 50


def test_datasets_of_one_kind_share_by_their_size(datasets):
    sources, _ = load_sources([datasets[0], datasets[0], datasets[1]], MixtureSettings())
    assert [source.name for source in sources] == ["robot-1", "robot-2", "human"]
    assert [source.weight for source in sources] == [0.5, 0.5, 1]


def test_sources_that_cannot_be_mixed_are_refused(datasets, tmp_path, episodes):
    with pytest.raises(EpisodeError, match="at least one dataset"):
        load_sources([], MixtureSettings())
    (tmp_path / "cache.json").write_text(json.dumps(asdict(Description("other", "0", (4, 6), 1, 50))))
    for path in datasets[1][1].glob("*.npy"):
        (tmp_path / path.name).symlink_to(path)
    with pytest.raises(EpisodeError, match="different encoders or sizes do not mix"):
        load_sources([datasets[0], (datasets[1][0], tmp_path)], MixtureSettings())
    with pytest.raises(EpisodeError, match="weight above 0 of human"):
        Source("human", "human", episodes, 0.0)
    with pytest.raises(ValueError, match="share of human data"):
        MixtureSettings(human=-1)
    with pytest.raises(ValueError, match="slow-down above 0"):
        MixtureSettings(slow_down=0.0)


@pytest.mark.parametrize("pace", [1.0, 0.5])
def test_targets_of_a_moving_head_are_seen_from_where_it_was(make_episode, pace):
    """A head that moves past hands which rest in the world: seen from any one moment, they rest."""
    frames = 12
    origin = np.cumsum(np.full((frames, 3), 0.01), axis=0)
    still = np.zeros((frames, SIZE))
    still[:, ROTATIONS] = np.tile([1.0, 0, 0, 0, 1, 0], 3)
    state, action = still.copy(), still.copy()
    state[:, WRIST_POSITIONS] = action[:, WRIST_POSITIONS] = 0.5 - np.tile(origin, 2)
    episode = TrainingEpisode(np.zeros((frames, 1, 1, 1, 1), np.float16), state, action, pace=pace, origin=origin)
    targets, *_ = episode.targets(3, 6)
    np.testing.assert_allclose(targets, np.tile(state[3], (6, 1)), atol=1e-12)
    apart, *_ = replace(episode, origin=None).targets(3, 6)
    assert np.abs(apart - state[3]).max() > 0.02
