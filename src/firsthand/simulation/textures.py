"""Pictures for surfaces, computed from a seed: no image file is shipped or downloaded.

Every picture is square, RGB, uint8 and tiles without a seam: noise is made in the frequency domain, and every pattern
repeats a whole number of times.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import SimulationError

Array = NDArray[np.floating]
Image = NDArray[np.uint8]
Color = tuple[float, float, float]


@dataclass(frozen=True)
class Texture:
    """A surface before it is painted: a pattern, its two colours and the seed of its noise."""

    pattern: str  # one of PATTERNS
    dark: Color  # 0..1, RGB
    light: Color  # 0..1, RGB
    seed: int = 0
    tile: float = 1.0  # [m], width of one repetition on the surface


def paint(texture: Texture, size: int = 256) -> Image:
    """The picture of a texture, (size, size, 3) uint8 RGB.

    Raises:
        SimulationError: There is no such pattern.
    """
    if texture.pattern not in PATTERNS:
        raise SimulationError(f"no texture pattern {texture.pattern!r}; there are {', '.join(PATTERNS)}")
    rng = np.random.default_rng(texture.seed)
    return _blend(PATTERNS[texture.pattern](rng, size), texture.dark, texture.light)


def plain(rng: np.random.Generator, size: int) -> Array:
    """A painted surface: almost one colour."""
    return 0.8 + 0.04 * noise(rng, size, 1.2)


def wood(rng: np.random.Generator, size: int) -> Array:
    """Long grain along the picture's first axis."""
    _, across = _grid(size)
    warp = noise(rng, size, 2.2, stretch=6.0)
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (7 * across + 1.5 * warp))
    fibre = noise(rng, size, 1.0, stretch=24.0)
    return 0.55 + 0.3 * (rings - 0.5) + 0.14 * fibre + 0.1 * warp


def planks(rng: np.random.Generator, size: int) -> Array:
    """Four boards side by side, each of its own tone, with a dark joint between them."""
    boards = 4
    _, across = _grid(size)
    index = np.floor(across * boards).astype(int)
    tone = rng.uniform(-0.16, 0.16, boards)[index]
    to_joint = np.abs(across * boards - np.round(across * boards))
    return np.where(to_joint < 0.025, 0.05, wood(rng, size) * 0.8 + 0.1 + tone)


def marble(rng: np.random.Generator, size: int) -> Array:
    """Thin dark veins that wander through a light stone."""
    along, across = _grid(size)
    wander = noise(rng, size, 2.0)
    vein = np.abs(np.sin(np.pi * (2 * along + across + 0.9 * wander)))
    fine = np.abs(np.sin(np.pi * (along - 3 * across + 1.2 * noise(rng, size, 1.8))))
    return 0.25 + 0.55 * vein**0.25 + 0.2 * fine**0.3 + 0.05 * wander


def plaster(rng: np.random.Generator, size: int) -> Array:
    """A wall: soft clouds and a fine grain."""
    return 0.7 + 0.12 * noise(rng, size, 1.8) + 0.05 * noise(rng, size, 0.4)


def concrete(rng: np.random.Generator, size: int) -> Array:
    """Blotches at every scale."""
    return 0.5 + 0.2 * noise(rng, size, 1.4) + 0.06 * noise(rng, size, 0.2)


def checker(rng: np.random.Generator, size: int) -> Array:
    """Squares, four to a side."""
    along, across = _grid(size)
    squares = (np.floor(4 * along) + np.floor(4 * across)) % 2
    return 0.06 + 0.86 * squares + 0.05 * noise(rng, size, 1.0)


def plaid(rng: np.random.Generator, size: int) -> Array:
    """A woven cloth: bands in both directions, darker where they cross."""
    along, across = _grid(size)
    bands = [0.5 + 0.5 * np.sign(np.sin(2 * np.pi * 3 * axis + 0.4)) for axis in (along, across)]
    threads = [0.5 + 0.5 * np.sign(np.sin(2 * np.pi * 3 * axis - 1.1) - 0.8) for axis in (along, across)]
    return 0.1 + 0.35 * (bands[0] + bands[1]) + 0.12 * (threads[0] + threads[1]) + 0.04 * noise(rng, size, 0.2)


def stripes(rng: np.random.Generator, size: int) -> Array:
    """Level bands, as on a label."""
    along, _ = _grid(size)
    return 0.05 + 0.9 * (np.floor(6 * along) % 2) + 0.03 * noise(rng, size, 1.0)


def terrazzo(rng: np.random.Generator, size: int) -> Array:
    """Chips of stone in a darker ground."""
    chips = noise(rng, size, 1.6)
    pale = noise(rng, size, 1.6)
    return 0.2 + 0.65 * (chips > 1.0) + 0.4 * (pale > 1.2) + 0.04 * noise(rng, size, 0.2)


def bricks(rng: np.random.Generator, size: int) -> Array:
    """A running bond, eight courses high, four bricks wide, each of its own tone."""
    along, across = _grid(size)
    course = np.floor(8 * along).astype(int)
    shifted = 4 * across + 0.5 * (course % 2)
    brick = np.floor(shifted).astype(int) % 4
    tone = rng.uniform(0.15, 0.55, (8, 4))[course, brick]
    mortar = (np.mod(8 * along, 1) < 0.1) | (np.mod(shifted, 1) < 0.05)
    return np.where(mortar, 0.95, tone + 0.08 * noise(rng, size, 1.0))


def label(rng: np.random.Generator, size: int) -> Array:
    """A package: a pale field with a round emblem and a band below it."""
    along, across = _grid(size)
    emblem = (along - 0.42) ** 2 + (across - 0.5) ** 2 < 0.04
    band = np.abs(along - 0.8) < 0.07
    return np.where(emblem | band, 0.95, 0.18) + 0.04 * noise(rng, size, 1.0)


def cardboard(rng: np.random.Generator, size: int) -> Array:
    """Kraft paper: short fibres and the faint ribs of the corrugation under it."""
    along, _ = _grid(size)
    ribs = np.sin(2 * np.pi * 40 * along)
    return 0.72 + 0.05 * noise(rng, size, 0.6, stretch=3.0) + 0.06 * noise(rng, size, 1.6) + 0.02 * ribs


def carton(rng: np.random.Generator, size: int) -> Array:
    """Cardboard with print: two arrows that point up over a bar."""
    along, across = _grid(size)
    printed = (np.abs(along - 0.78) < 0.035) & (np.abs(across - 0.5) < 0.22)
    for middle in (0.38, 0.62):
        aside = np.abs(across - middle)
        printed = printed | ((along > 0.42) & (along < 0.7) & (aside < 0.025))
        printed = printed | ((along > 0.28) & (along < 0.42) & (aside < 0.55 * (along - 0.28)))
    return np.where(printed, 0.08, cardboard(rng, size))


PATTERNS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "plain": plain,
    "wood": wood,
    "planks": planks,
    "marble": marble,
    "plaster": plaster,
    "concrete": concrete,
    "checker": checker,
    "plaid": plaid,
    "stripes": stripes,
    "terrazzo": terrazzo,
    "bricks": bricks,
    "label": label,
    "cardboard": cardboard,
    "carton": carton,
}
"""Each pattern is a function of a generator and a size; it returns lightness, about 0..1, (size, size)."""


def noise(rng: np.random.Generator, size: int, exponent: float, stretch: float = 1.0) -> Array:
    """Tileable noise of zero mean and unit spread, (size, size).

    Args:
        rng: Where the phases come from.
        size: Pixels on a side.
        exponent: Amplitude falls as frequency to this power: 0 is white, 2 is soft clouds.
        stretch: How many times longer than wide its features are, along the first axis.
    """
    along = np.fft.fftfreq(size)[:, None] * size * stretch
    across = np.fft.rfftfreq(size)[None, :] * size
    frequency = np.hypot(along, across)
    frequency[0, 0] = np.inf  # no mean
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / frequency**exponent if exponent else None
    field = np.fft.irfft2(spectrum, (size, size)) if spectrum is not None else rng.standard_normal((size, size))
    return field / field.std()


def _grid(size: int) -> tuple[Array, Array]:
    axis = (np.arange(size) + 0.5) / size
    return np.broadcast_to(axis[:, None], (size, size)), np.broadcast_to(axis[None, :], (size, size))


def _blend(lightness: Array, dark: Color, light: Color) -> Image:
    weight = np.clip(lightness, 0.0, 1.0)[..., None]
    rgb = (1 - weight) * np.asarray(dark) + weight * np.asarray(light)
    return np.round(255 * np.clip(rgb, 0.0, 1.0)).astype(np.uint8)
