"""The cache is written by the real encoder, from a dataset that the real writer wrote."""

import json
import shutil

import numpy as np
import pytest

from firsthand.errors import EpisodeError
from firsthand.vision.encoder import Encoder
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.read import Episodes
from firsthand_training.episodes.write import EpisodeWriter, Frame
from firsthand_training.training.feature_cache import CacheSettings, FeatureCache, cache_features, digest_dataset
from firsthand_training.training.picture_jitter import JitterSettings, draw_jitter, jitter_pictures
from firsthand_training.training.sources import MixtureSettings, load_sources
from firsthand_training.training.windows import load_episodes

SETTINGS = CacheSettings(every=2)
PIXELS = CacheSettings(encoder="pixels", every=1, height=56, width=98)
FRAMES = 3


def record(root, robot_type="unitree_h1_2_inspire", episodes=2, seed=0):
    random = np.random.default_rng(seed)
    with EpisodeWriter(root, EpisodeSettings(height=112, width=196, robot_type=robot_type)) as writer:
        for _ in range(episodes):
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


def cached(folder, **arguments):
    """A dataset of two episodes, and its cache."""
    root = record(folder / "dataset", **arguments)
    return root, cache_features(root, folder / "features", PIXELS, progress=False)


def test_a_dataset_recorded_anew_is_refused_with_both_digests(tmp_path):
    root, features = cached(tmp_path)
    first = FeatureCache.open(features).description.dataset_sha256
    shutil.rmtree(root)
    second = digest_dataset(Episodes.open(record(root, seed=1)))  # as many frames of other pictures
    message = f"2 episodes with the digest {first}.*have the digest {second}.*Delete .* and encode again"
    with pytest.raises(EpisodeError, match=message):
        cache_features(root, features, PIXELS, progress=False)
    with pytest.raises(EpisodeError, match=message):
        load_sources([(root, features)], MixtureSettings())
    assert FeatureCache.open(features).description.dataset_sha256 == first


def test_a_dataset_that_has_grown_keeps_its_features(tmp_path):
    root, features = cached(tmp_path)
    before = FeatureCache.open(features)
    kept = before.path(0).stat().st_mtime_ns
    record(root, episodes=1, seed=1)
    cache_features(root, features, PIXELS, progress=False)
    after = FeatureCache.open(features)
    assert after.path(0).stat().st_mtime_ns == kept
    assert (before.description.episodes, after.description.episodes) == (2, 3)
    assert after.description.dataset_sha256 == digest_dataset(Episodes.open(root))
    assert len(load_episodes(root, after)) == 3


def test_a_dataset_that_lost_an_episode_is_refused(tmp_path):
    root, features = cached(tmp_path)
    shutil.rmtree(root)
    with pytest.raises(EpisodeError, match="the first 2 of the 1 in"):
        cache_features(record(root, episodes=1), features, PIXELS, progress=False)


def test_a_run_remembers_which_recording_it_saw(tmp_path):
    root, features = cached(tmp_path)
    (source,) = load_sources([(root, features)], MixtureSettings())[1]["sources"]
    assert source["dataset_sha256"] == digest_dataset(Episodes.open(root))


def test_a_cache_from_before_there_was_a_digest_is_taken_as_it_is(tmp_path):
    root, features = cached(tmp_path)
    description = json.loads((features / "cache.json").read_text())
    old = json.dumps({name: description[name] for name in description if name not in ("episodes", "dataset_sha256")})
    (features / "cache.json").write_text(old)
    cache_features(root, features, PIXELS, progress=False)
    _, provenance = load_sources([(root, features)], MixtureSettings())
    assert (features / "cache.json").read_text() == old
    assert "dataset_sha256" not in provenance["sources"][0]  # so that a run begun on it goes on
    assert provenance["cache"] == json.loads(old) | {"image_size": (56, 98)}


def test_features_are_enough_to_train_without_the_videos(tmp_path):
    root, features = cached(tmp_path)
    shutil.rmtree(root / "videos")
    assert len(load_episodes(root, FeatureCache.open(features))) == 2
    cache_features(root, features, PIXELS, progress=False)
    assert FeatureCache.open(features).description.dataset_sha256 is not None
