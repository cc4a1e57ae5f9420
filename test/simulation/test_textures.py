import numpy as np
import pytest

from firsthand.errors import SimulationError
from firsthand.simulation.textures import PATTERNS, Texture, noise, paint

DARK, LIGHT = (0.2, 0.1, 0.0), (1.0, 0.9, 0.8)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_picture_is_decided_by_its_seed(pattern):
    first, again = (paint(Texture(pattern, DARK, LIGHT, seed=3), 64) for _ in range(2))
    assert first.shape == (64, 64, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert np.any(first != paint(Texture(pattern, DARK, LIGHT, seed=4), 64))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_colors_stay_between_dark_and_light(pattern):
    picture = paint(Texture(pattern, DARK, LIGHT), 64)
    assert np.all(picture >= np.floor(255 * np.array(DARK)))
    assert np.all(picture <= np.ceil(255 * np.array(LIGHT)))


@pytest.mark.parametrize("pattern", ["wood", "marble", "plaster", "concrete", "plain"])
def test_pictures_tile_without_a_seam(pattern):
    """The step across the border is no larger than the largest step inside."""
    lightness = paint(Texture(pattern, (0, 0, 0), (1, 1, 1)), 128)[..., 0].astype(float)
    for axis in (0, 1):
        inside = np.abs(np.diff(lightness, axis=axis)).mean(axis=1 - axis)
        border = np.abs(np.take(lightness, 0, axis) - np.take(lightness, -1, axis)).mean()
        assert border <= inside.max() + 1e-9


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_noise_has_zero_mean_and_unit_spread(exponent):
    field = noise(np.random.default_rng(0), 128, exponent)
    assert field.std() == pytest.approx(1.0)
    assert abs(field.mean()) < 0.05


def test_an_unknown_pattern_is_named_with_those_there_are():
    with pytest.raises(SimulationError, match="no texture pattern 'velvet'; there are plain, wood"):
        paint(Texture("velvet", DARK, LIGHT))
