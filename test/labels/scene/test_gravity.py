"""Up, from lines that run along three axes."""

import numpy as np
import pytest

from firsthand.space.rotations import matrix_from_rotation_vector, matrix_from_rpy
from firsthand_training.labels.scene.camera import intrinsic_matrix
from firsthand_training.labels.scene.gravity import (
    GravitySettings,
    Lines,
    View,
    dominant_plane,
    find_vertical,
    manhattan_axes,
)

CAMERA = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # world_from_camera, looking along x, level
UP = np.array([0.0, 0.0, 1.0])
SETTINGS = GravitySettings(hypotheses=600)


def room_lines(axes: np.ndarray, stray: int = 40, noise: float = 0.002) -> Lines:
    """Planes through the origin and lines along each of the columns of `axes`, and some that run anyhow."""
    rng = np.random.default_rng(0)
    along = np.concatenate([np.repeat(axes.T, 30, axis=0), rng.normal(size=(stray, 3))])
    normals = np.cross(along, rng.normal(size=along.shape)) + noise * rng.normal(size=along.shape)
    return Lines(normals / np.linalg.norm(normals, axis=1, keepdims=True), np.ones(len(along)))


def test_axes_are_found_among_stray_lines():
    true = matrix_from_rotation_vector([0.3, -0.5, 0.2])
    axes = manhattan_axes(room_lines(true), SETTINGS, true[:, 2])
    nearest = np.abs(true.T @ axes).max(axis=0)
    assert np.degrees(np.arccos(np.clip(nearest, -1, 1))).max() < 0.3


def test_lines_that_run_anyhow_have_no_axes():
    stray = room_lines(np.eye(3), stray=300)
    assert manhattan_axes(Lines(stray.normals[90:], stray.lengths[90:]), SETTINGS, UP) is None


def test_one_bundle_of_lines_has_no_axes():
    lines = room_lines(np.eye(3), stray=30)
    kept = [*range(30), *range(90, 120)]
    assert manhattan_axes(Lines(lines.normals[kept], lines.lengths[kept]), SETTINGS, UP) is None


def test_axes_far_from_the_main_plane_are_not_believed():
    true = matrix_from_rotation_vector([0.3, -0.5, 0.2])
    between = true @ np.array([1.0, 1.0, 1.0]) / np.sqrt(3)
    assert manhattan_axes(room_lines(true), SETTINGS, UP, between) is None


@pytest.mark.parametrize("pitch", [0.1, 0.5, 0.9, 1.2])
def test_blank_pictures_leave_the_plane_that_points_lie_on(pitch):
    rng = np.random.default_rng(0)
    table = np.concatenate([rng.uniform(-1, 1, (200, 2)), 0.001 * rng.normal(size=(200, 1))], axis=1)
    turned = matrix_from_rpy(0.0, pitch, 0.3) @ CAMERA
    view = View(np.zeros((240, 320), np.uint8), np.zeros((240, 320), bool), turned)
    found = find_vertical([view], intrinsic_matrix(250, (320, 240)), table, SETTINGS)
    assert found.source == "plane"
    assert np.degrees(np.arccos(found.up[2])) < 1.0


def test_nothing_to_go_by_leaves_how_heads_are_held():
    turned = matrix_from_rpy(0.0, np.radians(40.0), 0.0) @ CAMERA
    view = View(np.zeros((240, 320), np.uint8), np.zeros((240, 320), bool), turned)
    found = find_vertical([view], intrinsic_matrix(250, (320, 240)), np.zeros((0, 3)), SETTINGS)
    assert found.source == "prior"
    np.testing.assert_allclose(found.up, [0.0, 0.0, 1.0], atol=1e-9)
    assert found.sigma > 0.2


def test_the_main_plane_is_found_among_other_points():
    rng = np.random.default_rng(1)
    plane = rng.uniform(-1, 1, (150, 3)) * [1.0, 1.0, 0.001]
    normal, share = dominant_plane(np.concatenate([plane, rng.uniform(-1, 1, (100, 3))]), np.array([0.0, 0.1, -1.0]))
    assert normal[2] < -0.999
    assert share == pytest.approx(0.6, abs=0.05)
