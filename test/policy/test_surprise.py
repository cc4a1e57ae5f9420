import json
from dataclasses import replace

import numpy as np
import pytest

from firsthand.errors import CheckpointError
from firsthand.policy.checkpoint import POLICY, find_checkpoint, load_manifest
from firsthand.policy.surprise import (
    CALIBRATION,
    SECOND,
    Alarm,
    Foresight,
    SurpriseMonitor,
    calibrate,
    load_usual,
    pool_features,
    write_usual,
)

STEP = SECOND // 25
STRIDE, FRAMES = 4, 7
SHAPE = (2, 4, 7, 16)


@pytest.fixture(scope="module")
def manifest():
    return load_manifest(find_checkpoint("push"), check_files=False)


class World:
    """Features that drift at a steady pace, which a world model foresees but for some noise."""

    def __init__(self, seed, noise=0.2):
        self.random = np.random.default_rng(seed)
        self.start, self.drift = self.random.normal(size=SHAPE), 0.05 * self.random.normal(size=SHAPE)
        self.noise = noise

    def at(self, step):
        return self.start + step * self.drift

    def seen(self, step):
        return (self.at(step) + self.noise * self.random.normal(size=SHAPE)).repeat(2, axis=1).repeat(2, axis=2)

    def foreseen(self, step):
        return np.stack([self.at(step + STRIDE * (k + 1)) for k in range(FRAMES)])


def residuals(world, steps):
    foresight, found = Foresight(25.0, STRIDE, FRAMES), []
    for step in steps:
        pooled = pool_features(world.seen(step), 4, 7)
        found.append(foresight.compare(step * STEP, pooled))
        foresight.add(step * STEP, pooled, world.foreseen(step))
    return found


@pytest.fixture(scope="module")
def usual():
    return calibrate([residuals(World(seed), range(0, 80, 2)) for seed in range(8)])


def run(manifest, usual, world, see=lambda step, features: features, foresee=None):
    monitor = SurpriseMonitor(manifest, usual)
    foresee = foresee or world.foreseen
    return [
        monitor.observe(step * STEP, see(step, world.seen(step)), foresee(step)) for step in range(0, 80, 2)
    ]  # one entry for every 2nd step


def test_predictions_are_compared_when_their_turn_comes():
    """A linear drift without noise is foreseen exactly, also between two predicted frames."""
    world = World(0, noise=0.0)
    late = residuals(world, range(0, 50, 3))[-1]
    assert late.leads == FRAMES
    np.testing.assert_allclose(late.predicted[:-1], 0, atol=1e-12)  # the last lead may be longer than the horizon
    assert np.all(late.copied > 0)


def test_a_prediction_is_not_used_before_or_long_after_its_turn():
    world = World(0)
    found = residuals(world, [0, 1, 40])
    assert [frame.leads for frame in found] == [0, 0, 0]


def test_what_is_usual_surprises_nobody(manifest, usual):
    scores = [each.score for each in run(manifest, usual, World(99)) if each is not None]
    assert len(scores) > 20
    assert np.mean(np.array(scores) > 1) < 0.1


def test_a_patch_that_changes_at_once_is_an_event_there(manifest, usual):
    def see(step, features):
        changed = features.copy()
        if step >= 50:
            changed[1, 2:4, 4:6] += 3.0
        return changed

    found = {2 * k: each for k, each in enumerate(run(manifest, usual, World(99), see))}
    assert found[48].event < 1 < found[50].event
    assert np.unravel_index(found[50].patches.argmax(), found[50].patches.shape) == (1, 1, 2)


def test_predictions_that_are_worse_than_copying_are_of_an_unfamiliar_scene(manifest, usual):
    world = World(99)
    wrong = run(manifest, usual, world, foresee=lambda step: world.foreseen(step) + np.sign(world.drift) * 0.6)
    assert min(each.unfamiliar for each in wrong if each is not None) > 1


def test_after_a_break_nothing_is_compared_until_there_are_predictions_again(manifest, usual):
    world, monitor = World(3), SurpriseMonitor(manifest, usual)
    for step in range(0, 60, 2):
        last = monitor.observe(step * STEP, world.seen(step), world.foreseen(step))
    assert last is not None
    monitor.clear()
    assert monitor.observe(60 * STEP, world.seen(60), world.foreseen(60)) is None
    for step in range(62, 100, 2):
        last = monitor.observe(step * STEP, world.seen(step), world.foreseen(step))
    assert last is not None
    assert monitor.observe(0, world.seen(0), world.foreseen(0)) is None  # time went back: another run


def test_an_alarm_takes_more_than_a_moment_and_ends_only_after_calm():
    alarm = Alarm(persistence=0.15, release_level=0.8, release_after=1.0)

    def feed(score, start, end):
        return [alarm.update(round(t * SECOND), score) for t in np.arange(start, end, 0.05)]

    assert not any(feed(5.0, 0.0, 0.12))
    assert not any(feed(0.9, 0.15, 0.3))
    assert feed(1.1, 0.3, 0.6)[-1]
    assert all(feed(0.9, 0.6, 3.0))  # below 1, and not below the level of release
    assert all(feed(0.5, 3.0, 3.9))
    assert all(feed(0.9, 3.9, 4.0))  # the calm was too short
    assert not feed(0.5, 4.0, 5.2)[-1]


def test_time_in_which_nothing_was_seen_is_neither_calm_nor_surprising():
    alarm = Alarm(persistence=0.15, release_level=0.8, release_after=1.0)
    assert not any(alarm.update(round(t * SECOND), 5.0) for t in (0.0, 2.0, 4.0))
    assert alarm.update(round(4.2 * SECOND), 5.0)
    assert all(alarm.update(round(t * SECOND), 0.1) for t in (5.0, 7.0, 7.4, 7.8))
    assert not alarm.update(round(8.0 * SECOND), 0.1)


def test_there_and_back(tmp_path, manifest, usual):
    write_usual(tmp_path, manifest, usual)
    read = load_usual(tmp_path, manifest)
    np.testing.assert_allclose(read.mean, usual.mean, atol=1e-4)
    np.testing.assert_allclose(read.spread, usual.spread, atol=1e-4)
    assert (read.event, read.unfamiliar, read.frames) == (usual.event, usual.unfamiliar, usual.frames)


def test_what_was_measured_with_another_world_model_is_refused(tmp_path, manifest, usual):
    assert load_usual(tmp_path, manifest) is None
    write_usual(tmp_path, manifest, usual)
    other = replace(manifest, files={**manifest.files, "world_model.onnx": "ab" * 32})
    with pytest.raises(CheckpointError, match=r"3d06191cc99a.*abababababab.*firsthand-lab calibrate"):
        load_usual(tmp_path, other)
    data = json.loads((tmp_path / CALIBRATION).read_text())
    (tmp_path / CALIBRATION).write_text(json.dumps({key: data[key] for key in data if key != "mean"}))
    with pytest.raises(CheckpointError, match="no calibration of surprise"):
        load_usual(tmp_path, manifest)


def test_too_little_to_measure_is_refused():
    with pytest.raises(CheckpointError, match="at least two rollouts"):
        calibrate([residuals(World(0), range(40))])
    with pytest.raises(CheckpointError, match="as long as the horizon"):
        calibrate([residuals(World(seed), range(20)) for seed in range(3)])


def test_without_a_world_model_there_is_no_surprise(manifest, usual):
    with pytest.raises(CheckpointError, match="no world model"):
        SurpriseMonitor(replace(manifest, files={POLICY: manifest.files[POLICY]}), usual)


def test_features_pool_by_averaging_neighbours():
    features = np.arange(2 * 4 * 6).reshape(1, 4, 6, 2).astype(float)
    pooled = pool_features(features, 2, 3)
    assert pooled.shape == (1, 2, 3, 2)
    np.testing.assert_allclose(pooled[0, 0, 0], features[0, :2, :2].mean((0, 1)))
    with pytest.raises(ValueError, match="cannot pool 4 x 6 patches to 3 x 3"):
        pool_features(features, 3, 3)
