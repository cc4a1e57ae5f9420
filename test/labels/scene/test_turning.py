"""How a camera turned, and what that says of its focal length."""

import numpy as np
import pytest

from firsthand.space.rotations import angle_between, matrix_from_rotation_vector
from firsthand_training.labels.scene.camera import intrinsic_matrix, project
from firsthand_training.labels.scene.focal import weigh_focals
from firsthand_training.labels.scene.tracks import Sighting
from firsthand_training.labels.scene.turning import explain_by_turning, focal_from_turning, turned_at

SIZE = (640, 480)
FOCAL = 500.0
COUNT = 25
KEYFRAMES = np.arange(0, COUNT, 3)


def turns(size: float) -> np.ndarray:
    way = np.linspace(0, 2 * np.pi, COUNT)
    return matrix_from_rotation_vector(size * np.stack([np.sin(way), 1 - np.cos(way), 0.3 * np.sin(2 * way)], axis=1))


def film(size: float = 0.1, sway: float = 0.0, moving: int = 0, noise: float = 0.1) -> list[Sighting]:
    """What a camera that turns sees of 150 points; some of them move on their own, all alike."""
    rng = np.random.default_rng(1)
    points = rng.uniform([-1.2, -1.0, 1.5], [1.2, 1.0, 3.0], (150, 3))
    sightings = []
    for at, rotation in enumerate(turns(size)):
        here = points + 0.2 * np.array([np.sin(0.2 * at), 0.0, 0.0]) * (np.arange(150) < moving)[:, None]
        place = [sway * at / COUNT, 0.0, 0.0]
        pixels = project(intrinsic_matrix(FOCAL, SIZE), (here - place) @ rotation)
        pixels += rng.normal(scale=noise, size=pixels.shape)
        inside = np.flatnonzero((pixels > 0).all(axis=1) & (pixels < SIZE).all(axis=1))
        sightings.append(Sighting(at, inside, pixels[inside]))
    return sightings


@pytest.mark.parametrize("moving", [0, 50])
def test_the_turning_of_every_frame_is_found_though_some_things_move(moving):
    turning = explain_by_turning(film(moving=moving), KEYFRAMES, intrinsic_matrix(FOCAL, SIZE))
    assert np.degrees(angle_between(turning.world_from_camera, turns(0.1))).max() < 0.1
    assert turning.residual < 0.3


def test_a_camera_that_travels_is_not_explained_by_turning():
    turning = explain_by_turning(film(sway=0.2), KEYFRAMES, intrinsic_matrix(FOCAL, SIZE))
    assert turning.residual > 2.0


def test_too_few_corners_tell_nothing():
    few = [Sighting(s.frame, s.corners[:5], s.pixels[:5]) for s in film()]
    turning = explain_by_turning(few, KEYFRAMES, intrinsic_matrix(FOCAL, SIZE))
    assert np.isnan(turning.world_from_camera[1:]).all()
    none = [Sighting(at, np.zeros(0, np.int64), np.zeros((0, 2))) for at in range(COUNT)]
    assert explain_by_turning(none, KEYFRAMES, intrinsic_matrix(FOCAL, SIZE)).residual == np.inf


def test_turning_tells_the_focal_length_and_standing_still_does_not():
    for size, told in ((0.12, True), (0.0, False)):
        test = focal_from_turning([film(size)[at] for at in KEYFRAMES], SIZE)
        focal, chances = weigh_focals(test.focals, test.log_likelihood, 600.0, 0.2)
        assert chances.sum() == pytest.approx(1.0)
        assert focal.pixels == pytest.approx(FOCAL if told else 600.0, rel=0.08)
        assert focal.sigma < 0.11 if told else focal.sigma > 0.15


def test_rotations_with_another_focal_length_keep_the_pixels():
    turned = turned_at(turns(0.05), 500.0, 600.0)
    ahead = np.array([0.0, 0.0, 1.0])
    here = project(intrinsic_matrix(500.0, SIZE), ahead @ turns(0.05))
    there = project(intrinsic_matrix(600.0, SIZE), ahead @ turned)
    np.testing.assert_allclose(here, there, atol=0.3)
