"""Depth from pictures whose cameras are known."""

import numpy as np
import pytest
import torch

from firsthand.errors import LabelError
from firsthand_training.labels.depth.sweep import Source, SweepSettings, _flattened, sweep_depth

SIZE = (96, 72)
INTRINSICS = torch.tensor([[80.0, 0.0, 47.5], [0.0, 80.0, 35.5], [0.0, 0.0, 1.0]])


def pattern(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A texture without repetition, of places [m] on a surface, 0 to 1."""
    waves = np.random.default_rng(0).normal(scale=25.0, size=(40, 3))
    return 0.5 + sum(np.sin(a * x + b * y + c) for a, b, c in waves) / 20


def look(position: tuple[float, float, float], slant: float) -> tuple[np.ndarray, np.ndarray]:
    """What a level camera sees of the surface z = 1 + slant y, and its depth."""
    columns, rows = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    x, y = (columns - 47.5) / 80, (rows - 35.5) / 80
    depth = (1 + slant * position[1] - position[2]) / (1 - slant * y)
    return pattern(position[0] + x * depth, position[1] + y * depth), depth


def sources(slant: float, places: list[tuple[float, float, float]]) -> list[Source]:
    made = []
    for place in places:
        pose = torch.eye(4)
        pose[:3, 3] = -torch.tensor(place)
        gray = torch.from_numpy(look(place, slant)[0]).float()
        made.append(Source(gray, torch.ones(gray.shape, dtype=torch.bool), pose))
    return made


AROUND = [(0.06, 0.0, 0.0), (-0.06, 0.01, 0.0), (0.0, 0.06, 0.01), (0.01, -0.06, -0.01)]


@pytest.mark.parametrize("slant", [0.0, -0.8])
def test_a_surface_is_found_to_a_fraction_of_a_percent_also_if_it_slants(slant):
    gray, truth = look((0.0, 0.0, 0.0), slant)
    depth, likeness = sweep_depth(
        torch.from_numpy(gray).float(), sources(slant, AROUND), INTRINSICS, 0.5, 2.0, SweepSettings()
    )
    inside = np.s_[6:-6, 6:-6]
    off = np.abs(depth.numpy() / truth - 1)[inside]
    assert np.median(off) < 0.004
    assert np.quantile(off, 0.95) < 0.02
    assert likeness[inside].median() > 0.95


def test_places_that_no_source_shows_have_no_depth():
    gray, _ = look((0.0, 0.0, 0.0), 0.0)
    made = sources(0.0, AROUND[:1])
    hidden = [Source(made[0].gray, torch.zeros_like(made[0].shown), made[0].from_reference)]
    depth, _ = sweep_depth(torch.from_numpy(gray).float(), hidden, INTRINSICS, 0.5, 2.0, SweepSettings())
    assert depth.isnan().all()


def test_a_picture_without_contrast_is_unlike_everything():
    flat = [Source(torch.full((72, 96), 0.5), s.shown, s.from_reference) for s in sources(0.0, AROUND)]
    _, likeness = sweep_depth(torch.full((72, 96), 0.5), flat, INTRINSICS, 0.5, 2.0, SweepSettings())
    assert likeness.nan_to_num(0.0).max() < 0.3


def test_a_plane_stays_and_noise_on_it_goes():
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    plane = 1.0 + 0.01 * x - 0.02 * y
    noisy = plane + 0.01 * torch.randn(plane.shape, generator=torch.Generator().manual_seed(0))
    inside = np.s_[6:-6, 6:-6]
    torch.testing.assert_close(_flattened(plane, torch.ones_like(plane), 0.1)[inside], plane[inside])
    left = (_flattened(noisy, torch.ones_like(plane), 0.1) - plane)[inside]
    assert left.std() < 0.004


def test_a_step_between_two_planes_is_no_plane():
    step = torch.where(torch.arange(50.0) < 25, 1.0, 2.0).expand(40, 50)
    assert (_flattened(step, torch.ones(40, 50), 0.1) - step).abs().max() < 0.02


def test_a_patch_without_a_middle_is_refused():
    with pytest.raises(LabelError, match="window=4"):
        SweepSettings(window=4)
