"""Cameras and points out of corners that were followed, with the truth known exactly."""

import numpy as np
import pytest

from firsthand.space.frames import inverse
from firsthand.space.rotations import angle_between, matrix_from_rpy
from firsthand_training.labels.scene.camera import intrinsic_matrix, project
from firsthand_training.labels.scene.model import Model, Prior
from firsthand_training.labels.scene.registration import register_sightings
from firsthand_training.labels.scene.small_motion import map_small_motion
from firsthand_training.labels.scene.tracks import Sighting

SIZE = (640, 480)
K = intrinsic_matrix(500.0, SIZE)
COUNT = 24


@pytest.fixture
def points() -> np.ndarray:
    """A table that comes nearer downwards, with things on it, about 0.8 away, (300, 3)."""
    rng = np.random.default_rng(0)
    points = rng.uniform([-0.5, -0.4, -0.15], [0.5, 0.4, 0.05], (300, 3))
    points[:, 2] += 0.8 - 0.6 * points[:, 1]
    return points


@pytest.fixture
def cameras() -> np.ndarray:
    """world_from_camera (24, 4, 4), within 4 cm and 5 deg."""
    time = np.linspace(0, 1, COUNT)[:, None]
    poses = np.tile(np.eye(4), (COUNT, 1, 1))
    poses[:, :3, 3] = 0.04 * np.sin(2 * np.pi * time * [0.5, 0.8, 0.3] + [0.0, 1.0, 2.0])
    poses[:, :3, :3] = [matrix_from_rpy(*(0.09 * np.sin(3.0 * t + np.array([0.0, 2.0, 4.0])))) for t in time]
    return poses


def look(cameras: np.ndarray, points: np.ndarray, noise: float = 0.0) -> list[Sighting]:
    rng = np.random.default_rng(1)
    sightings = []
    for frame, camera in enumerate(inverse(cameras)):
        pixels = project(K, points @ camera[:3, :3].T + camera[:3, 3])
        seen = np.flatnonzero(((pixels > 0) & (pixels < np.array(SIZE) - 1)).all(axis=1))
        sightings.append(Sighting(100 + frame, seen, pixels[seen] + noise * rng.normal(size=(len(seen), 2))))
    return sightings


def way_error(model: Model, cameras: np.ndarray) -> float:
    """Root mean square distance of camera centres after the best similarity."""
    theirs = cameras[model.frames - 100, :3, 3]
    ours = inverse(model.camera_from_world)[:, :3, 3]
    a, b = ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)
    left, values, right = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, 1.0, np.linalg.det(left @ right)])
    scale = (values * signs).sum() / (a**2).sum()
    return float(np.sqrt(((scale * a @ ((left * signs) @ right).T - b) ** 2).sum(axis=1).mean()))


def guessed(cameras: np.ndarray) -> np.ndarray:
    """Rotations as turning alone would explain them: a degree off."""
    rng = np.random.default_rng(2)
    return np.array([matrix_from_rpy(*rng.normal(scale=0.015, size=3)) @ pose[:3, :3] for pose in cameras])


def test_the_way_is_exact_where_corners_are(cameras, points):
    model = map_small_motion(look(cameras, points), guessed(cameras), Prior(K, True))
    assert model is not None
    assert len(model.frames) == COUNT
    assert way_error(model, cameras) < 1e-4
    assert model.reprojection_error < 0.02
    np.testing.assert_array_equal(model.intrinsics, K)


def test_points_lie_where_they_are_seen(cameras, points):
    model = map_small_motion(look(cameras, points, 0.2), guessed(cameras), Prior(K, True))
    assert model is not None
    for pose, seen, pixels in zip(model.camera_from_world, model.observed, model.pixels, strict=True):
        off = project(model.intrinsics, model.points[seen] @ pose[:3, :3].T + pose[:3, 3]) - pixels
        assert np.abs(off).mean() < 0.3
    distances = np.linalg.norm(model.points[:, None] - model.points, axis=-1)
    truth = np.linalg.norm(points[model.corners][:, None] - points[model.corners], axis=-1)
    ratio = distances[truth > 0.2] / truth[truth > 0.2]
    assert np.std(ratio) / np.mean(ratio) < 0.02


@pytest.mark.parametrize("start", [320.0, 480.0, 700.0])
def test_a_focal_length_is_found_from_a_wrong_one(cameras, points, start):
    turned = [pose[:3, :3] for pose in cameras]
    model = map_small_motion(look(cameras, points, 0.1), np.array(turned), Prior(intrinsic_matrix(start, SIZE), False))
    assert model is not None
    assert model.intrinsics[0, 0] == pytest.approx(500.0, rel=0.02)
    assert way_error(model, cameras) < 2e-3


def test_things_that_move_by_themselves_are_left_out(cameras, points):
    sightings = look(cameras, points, 0.2)
    ways = np.random.default_rng(3).normal(scale=1.5, size=(60, 2))
    for at, sighting in enumerate(sightings):  # a fifth of the corners drifts across the picture, each in its own way
        moving = sighting.corners < 60
        sighting.pixels[moving] += at * ways[sighting.corners[moving]]
    model = map_small_motion(sightings, guessed(cameras), Prior(K, True))
    assert model is not None
    assert way_error(model, cameras) < 2e-3
    observed = np.concatenate([model.corners[seen] for seen in model.observed])
    assert np.count_nonzero(observed < 60) < 0.1 * np.count_nonzero(observed >= 60)


def test_frames_that_see_too_little_are_not_registered(cameras, points):
    sightings = look(cameras, points)
    sightings[5] = Sighting(105, sightings[5].corners[:10], sightings[5].pixels[:10])
    rotations = guessed(cameras)
    rotations[7] = np.nan
    model = map_small_motion(sightings, rotations, Prior(K, True))
    assert model is not None
    assert sorted(set(range(100, 100 + COUNT)) - set(model.frames.tolist())) == [105, 107]


def test_two_frames_are_no_model(cameras, points):
    assert map_small_motion(look(cameras, points)[:2], guessed(cameras)[:2], Prior(K, True)) is None


def test_frames_in_between_are_registered_by_the_corners_that_they_show(cameras, points):
    sightings = look(cameras, points, 0.2)
    model = map_small_motion(sightings[::3], guessed(cameras)[::3], Prior(K, True))
    assert model is not None
    few = Sighting(104, sightings[4].corners[:8], sightings[4].pixels[:8])
    poses = register_sightings(model, [*sightings[:4], few, *sightings[5:]], 100, 100 + COUNT)
    known = np.isfinite(poses[:, 0, 0])
    assert np.flatnonzero(~known).tolist() == [4]
    ours, theirs = poses[known][:, :3, :3], cameras[known][:, :3, :3]
    off = angle_between(np.swapaxes(ours[:1], 1, 2) @ ours, np.swapaxes(theirs[:1], 1, 2) @ theirs)
    assert np.degrees(off).max() < 0.15
    unit = np.linalg.norm(np.ptp(cameras[known, :3, 3], axis=0)) / np.linalg.norm(np.ptp(poses[known, :3, 3], axis=0))
    steps = unit * np.linalg.norm(np.diff(poses[known, :3, 3], axis=0), axis=1)
    np.testing.assert_allclose(steps, np.linalg.norm(np.diff(cameras[known, :3, 3], axis=0), axis=1), atol=1.5e-3)
