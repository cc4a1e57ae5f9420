"""Models that may be believed, and those that may not."""

from dataclasses import replace

import numpy as np
import pytest

from firsthand.space.frames import inverse
from firsthand.space.rotations import matrix_from_rpy
from firsthand_training.labels.scene.camera import intrinsic_matrix, project
from firsthand_training.labels.scene.checks import Limits, depth_order, doubts, focal_sigma, triangulation_angles
from firsthand_training.labels.scene.model import Model

SIZE = (640, 480)


@pytest.fixture
def model() -> Model:
    """A camera that goes aside by 0.1 in front of a slanted surface, nearer below, about 1 away."""
    rng = np.random.default_rng(0)
    points = rng.uniform([-0.5, -0.4, 0.0], [0.5, 0.4, 0.1], (200, 3))
    points[:, 2] += 1.0 - 0.6 * points[:, 1]
    poses = np.tile(np.eye(4), (9, 1, 1))
    poses[:, :3, :3] = [matrix_from_rpy(*(0.06 * np.sin([i, 2.0 * i, 0.3 * i]))) for i in range(9)]
    poses[:, 0, 3], poses[:, 1, 3] = np.linspace(-0.05, 0.05, 9), 0.02 * np.sin(np.arange(9))
    return seen_by(poses, points, rng)


def seen_by(poses: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> Model:
    K = intrinsic_matrix(500.0, SIZE)
    cameras = inverse(poses)
    pixels = [
        project(K, points @ p[:3, :3].T + p[:3, 3]) + rng.normal(scale=0.3, size=(len(points), 2)) for p in cameras
    ]
    seen = tuple(np.arange(len(points)) for _ in poses)
    return Model(np.arange(len(poses)), K, cameras, points, seen, tuple(pixels), 0.3)


def test_a_good_model_leaves_no_doubt(model):
    assert doubts(model, 9, SIZE, False, Limits()) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reprojection_error": 0.6}, "reprojection error 0.6 px"),
        ({"reprojection_error": np.nan}, "reprojection error"),
        ({"intrinsics": intrinsic_matrix(1200.0, SIZE)}, "focal length 1.88"),
    ],
)
def test_what_speaks_against_a_model_is_said(model, change, reason):
    assert any(reason in doubt for doubt in doubts(replace(model, **change), 9, SIZE, False, Limits()))


def test_frames_that_are_left_out_are_said(model):
    assert "9 of 30 keyframes registered" in doubts(model, 30, SIZE, False, Limits())


def test_a_model_turned_inside_out_is_seen(model):
    flipped = replace(model, points=model.points * [1, 1, -1] + [0, 0, 2.1])
    assert depth_order(model) < -0.8
    assert depth_order(flipped) > 0.8
    assert any("inside out" in doubt for doubt in doubts(flipped, 9, SIZE, False, Limits()))


def test_angles_are_between_the_furthest_rays(model):
    points = np.array([[0.0, 0.0, 1.0]])
    one = replace(model, points=points, observed=tuple(np.zeros(1, int) for _ in range(9)))
    assert triangulation_angles(one)[0] == pytest.approx(2 * np.arctan(0.05), rel=0.05)


def test_the_focal_length_is_the_less_certain_the_worse_the_fit(model):
    worse = replace(model, pixels=tuple(p + 2 * (p - p.round(0)) for p in model.pixels))
    assert 0.0005 < focal_sigma(model) < 0.1
    assert focal_sigma(worse) > 1.5 * focal_sigma(model)


def test_a_camera_that_glides_without_turning_does_not_tell_its_focal_length(model):
    poses = inverse(model.camera_from_world)
    poses[:, :3, :3], poses[:, 2, 3] = np.eye(3), 0.0
    gliding = seen_by(poses, model.points, np.random.default_rng(0))
    assert focal_sigma(gliding) > 10 * focal_sigma(model)
