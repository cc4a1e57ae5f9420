"""Up, from right angles, the main plane, and where hands are at work."""

import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand.space.rotations import matrix_from_rpy
from firsthand_training.labels.scene.camera import Array, intrinsic_matrix, project
from firsthand_training.labels.scene.gravity import GravitySettings, Sights, Vertical, dominant_plane, find_vertical

CAMERA = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # world_from_camera, looking along x, level
SIZE = (640, 480)
K = intrinsic_matrix(450.0, SIZE)
NO_POINTS = np.zeros((0, 3))
BLANK = Sights([np.zeros((0, 2, 2))], [np.zeros((0, 2))])


def looking_down(pitch: float, roll: float = 0.0) -> Array:
    """world_from_camera (1, 3, 3) of a camera that looks so far down, [deg]."""
    return (matrix_from_rpy(0.0, np.radians(pitch), 0.3) @ matrix_from_rpy(np.radians(roll), 0.0, 0.0) @ CAMERA)[None]


def sheets_on_a_table(turned: Array, upright: int = 0, noise: float = 0.3) -> Array:
    """Edges (E, 2, 2) of five sheets of paper, each laid as it fell, 0.6 m below a camera, and of so many posts."""
    rng = np.random.default_rng(4)
    middle = turned[0] @ [0.0, 0.0, 1.0]
    middle = middle * (-0.6 / middle[2])
    corners = []
    for yaw, x, y in zip(rng.uniform(0, np.pi, 5), rng.uniform(-0.2, 0.2, 5), rng.uniform(-0.25, 0.25, 5), strict=True):
        sheet = np.array([[-0.1, -0.07, 0], [0.1, -0.07, 0], [0.1, 0.07, 0], [-0.1, 0.07, 0]])
        sheet = sheet @ matrix_from_rpy(0, 0, yaw).T + middle + [x, y, 0]
        corners.append(np.stack([sheet, np.roll(sheet, 1, axis=0)], axis=1))
    for _ in range(upright):
        foot = middle + np.array([*rng.uniform(-0.2, 0.2, 2), 0.0])
        corners.append(np.stack([foot, foot + np.array([0.0, 0.0, 0.1])])[None])
    edges = project(K, np.concatenate(corners) @ turned[0])
    return edges + rng.normal(scale=noise, size=edges.shape)


def error(found: Vertical) -> float:
    """[deg]."""
    return float(np.degrees(np.arccos(np.clip(found.up[2], -1, 1))))


@pytest.mark.parametrize(("pitch", "roll"), [(40.0, 5.0), (60.0, -4.0), (75.0, 8.0)])
def test_sheets_that_lie_anyhow_tell_the_vertical(pitch, roll):
    turned = looking_down(pitch, roll)
    seen = Sights([sheets_on_a_table(turned)], [np.array([[320.0, 300.0]])])
    found = find_vertical(seen, turned, K, NO_POINTS)
    assert found.source == "lines"
    assert error(found) < min(2.0, np.degrees(2 * found.sigma))


def test_a_wrong_focal_length_fits_right_angles_less():
    turned = looking_down(55.0)
    seen = Sights([sheets_on_a_table(turned, upright=3)], [np.array([[320.0, 300.0]])])
    right, wrong = (find_vertical(seen, turned, intrinsic_matrix(f, SIZE), NO_POINTS) for f in (450.0, 750.0))
    assert right.evidence > wrong.evidence + 2.0


def test_edges_that_run_anyhow_tell_nothing():
    rng = np.random.default_rng(3)
    turned = looking_down(50.0)
    middles, ways = rng.uniform([50, 50], [590, 430], (60, 2)), rng.uniform(0, np.pi, 60)
    half = 30 * np.stack([np.cos(ways), np.sin(ways)], axis=1)
    seen = Sights([np.stack([middles - half, middles + half], axis=1)], [np.array([[320.0, 240.0]])])
    found = find_vertical(seen, turned, K, NO_POINTS)
    assert error(found) < np.degrees(2 * found.sigma)
    assert found.sigma > np.radians(3.0)


@pytest.mark.parametrize("pitch", [30.0, 55.0, 70.0])
def test_blank_pictures_leave_the_plane_that_points_lie_on(pitch):
    rng = np.random.default_rng(0)
    table = np.concatenate([rng.uniform(-1, 1, (200, 2)), 0.001 * rng.normal(size=(200, 1))], axis=1)
    found = find_vertical(BLANK, looking_down(pitch), K, table)
    assert found.source == "plane"
    assert error(found) < np.degrees(found.sigma)


def test_a_wall_is_not_taken_for_a_table():
    rng = np.random.default_rng(0)
    wall = rng.uniform(-1, 1, (200, 3)) * [0.001, 1.0, 1.0] + [2.0, 0.0, 0.0]
    found = find_vertical(BLANK, looking_down(35.0), K, wall)
    assert found.source == "prior"
    assert error(found) < 10.0


@pytest.mark.parametrize(("row", "pitch"), [(239.5, 58.0), (80.0, 58.0 + np.degrees(np.arctan(159.5 / 450)))])
def test_hands_alone_are_expected_below_the_eyes_wherever_the_camera_points(row, pitch):
    seen = Sights([np.zeros((0, 2, 2))], [np.array([[319.5, row]])])
    found = find_vertical(seen, looking_down(pitch), K, NO_POINTS)
    assert found.source == "prior"
    assert error(found) < 0.5
    assert np.radians(9.0) < found.sigma < np.radians(15.0)


def test_without_hands_heads_are_expected_to_look_down():
    found = find_vertical(BLANK, looking_down(40.0), K, NO_POINTS)
    assert found.source == "prior"
    assert error(found) < 1.0
    assert found.sigma > np.radians(12.0)


def test_the_main_plane_is_found_among_other_points():
    rng = np.random.default_rng(1)
    plane = rng.uniform(-1, 1, (150, 3)) * [1.0, 1.0, 0.001]
    normal, share = dominant_plane(np.concatenate([plane, rng.uniform(-1, 1, (100, 3))]), np.array([0.0, 0.1, -1.0]))
    assert normal[2] < -0.999
    assert share == pytest.approx(0.6, abs=0.05)


def test_settings_that_are_none_are_refused():
    with pytest.raises(LabelError, match="sigmas"):
        GravitySettings(roll_sigma=0.0)
    with pytest.raises(LabelError, match="pictures"):
        GravitySettings(pictures=0)
