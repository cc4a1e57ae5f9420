"""The cache is written by the real encoder, from a dataset that the real writer wrote."""

import json

import numpy as np
import pytest

from firsthand.errors import EpisodeError
from firsthand.vision.encoder import Encoder
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.read import Episodes
from firsthand_training.episodes.write import EpisodeWriter, Frame
from firsthand_training.training.feature_cache import CacheSettings, FeatureCache, cache_features
from firsthand_training.training.picture_jitter import JitterSettings, draw_jitter, jitter_pictures
from firsthand_training.training.windows import load_episodes

SETTINGS = CacheSettings(every=2)
FRAMES = 3


def record(root, robot_type="unitree_h1_2_inspire"):
    random = np.random.default_rng(0)
    with EpisodeWriter(root, EpisodeSettings(height=112, width=196, robot_type=robot_type)) as writer:
        for _ in range(2):
            writer.start("look")
            for frame in range(FRAMES):
                image = np.kron(random.integers(0, 255, (2, 8, 14, 3), np.uint8), np.ones((1, 14, 14, 1), np.uint8))
                numbers = [random.normal(size=size) for size in (54, 54, 26, 26)]
                writer.add(Frame(40_000_000 * (frame + 1), *numbers, image))
            writer.save()
    return root


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return record(tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def cache(dataset, tmp_path_factory):
    return cache_features(dataset, tmp_path_factory.mktemp("cache"), SETTINGS, progress=False)


def test_the_cache_holds_what_the_robot_would_see(dataset, cache):
    features = FeatureCache.open(cache).features(1)
    assert features.shape == (2, 2, 8, 14, 384)  # frames 0 and 2
    assert features.dtype == np.float16
    pair = list(Episodes.open(dataset).stereo_frames(1))[2]
    np.testing.assert_allclose(features[1], Encoder.load().encode(pair), atol=2e-2, rtol=2e-3)


def test_pictures_are_cached_as_they_are(dataset, tmp_path):
    settings = CacheSettings(encoder="pixels", every=2, height=112, width=196)
    cache = FeatureCache.open(cache_features(dataset, tmp_path, settings, progress=False))
    assert (cache.description.encoder, cache.description.source_sha256) == ("pixels", "")
    assert cache.features(1).dtype == np.uint8
    np.testing.assert_array_equal(cache.features(1)[1], list(Episodes.open(dataset).stereo_frames(1))[2])


def test_more_frames_of_people_are_cached(tmp_path):
    people = record(tmp_path / "people", robot_type="human")
    cache = cache_features(people, tmp_path / "cache", CacheSettings(encoder="pixels", every=2), progress=False)
    assert FeatureCache.open(cache).every == 1
    assert len(FeatureCache.open(cache).features(0)) == FRAMES


def test_episodes_come_with_their_features(dataset, cache):
    episodes = load_episodes(dataset, FeatureCache.open(cache))
    assert [each.every for each in episodes] == [2, 2]
    np.testing.assert_allclose(episodes[1].state, Episodes.open(dataset).episode(1).state)
    assert len(episodes[0].state) == FRAMES


def test_caching_goes_on_where_it_stopped(dataset, cache):
    opened = FeatureCache.open(cache)
    kept, lost = opened.path(0), opened.path(1)
    before, numbers = kept.stat().st_mtime_ns, np.array(opened.features(1))
    lost.unlink()  # as after a kill in the middle of the second episode
    with pytest.raises(EpisodeError, match="lacks episode 1; run the caching again"):
        opened.features(1)
    cache_features(dataset, cache, SETTINGS, progress=False)
    assert kept.stat().st_mtime_ns == before
    np.testing.assert_array_equal(opened.features(1), numbers)
    assert not list(cache.glob("*.partial"))


def test_a_cache_of_other_settings_is_refused(dataset, cache):
    with pytest.raises(EpisodeError, match=r"every=2.*every=1.*use another folder"):
        cache_features(dataset, cache, CacheSettings(every=1), progress=False)


def test_no_cache_and_a_damaged_one_are_told_apart(tmp_path):
    with pytest.raises(EpisodeError, match="no feature cache"):
        FeatureCache.open(tmp_path)
    (tmp_path / "cache.json").write_text(json.dumps({"encoder": "other"}))
    with pytest.raises(EpisodeError, match="does not describe"):
        FeatureCache.open(tmp_path)


def test_every_zeroth_frame_is_refused():
    with pytest.raises(ValueError, match="every = 0"):
        CacheSettings(every=0)


def test_variants_hold_the_same_frames_in_another_light(dataset, cache, tmp_path):
    settings = CacheSettings(every=2, variants=1, jitter=JitterSettings(brightness=0.3, contrast=0, saturation=0))
    opened = FeatureCache.open(cache_features(dataset, tmp_path, settings, progress=False))
    np.testing.assert_array_equal(opened.features(1), FeatureCache.open(cache).features(1))
    light = draw_jitter(settings.jitter, 1, 1)
    pair = list(Episodes.open(dataset).stereo_frames(1))[2]
    expected = Encoder.load().encode(jitter_pictures(pair, light))
    np.testing.assert_allclose(opened.features(1, 1)[1], expected, atol=2e-2, rtol=2e-3)
    assert np.abs(opened.features(1, 1).astype(float) - opened.features(1)).mean() > 0.05
    assert [len(each.variants) for each in load_episodes(dataset, opened)] == [1, 1]
    opened.path(0, 1).unlink()
    assert not opened.whole(0)
    cache_features(dataset, tmp_path, settings, progress=False)
    assert opened.whole(0)


def test_a_share_of_the_episodes_is_encoded(dataset, tmp_path):
    opened = FeatureCache.open(cache_features(dataset, tmp_path, SETTINGS, progress=False, share=(1, 2)))
    assert [opened.whole(number) for number in (0, 1)] == [False, True]
