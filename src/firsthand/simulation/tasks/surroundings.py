"""What the room looks like: calm and domestic for the `id` variant, loud and badly lit for `ood`."""

import numpy as np

from firsthand.simulation.tasks.interface import Light, Surroundings, Vector
from firsthand.simulation.textures import Color, Texture

Palette = tuple[tuple[str, Color, Color, float], ...]
"""Pattern, dark colour, light colour and width of a repetition [m], one row a choice."""

TABLES: Palette = (
    ("wood", (0.52, 0.36, 0.22), (0.86, 0.70, 0.50), 0.8),  # oak
    ("wood", (0.24, 0.14, 0.09), (0.56, 0.38, 0.25), 0.8),  # walnut
    ("planks", (0.40, 0.28, 0.18), (0.82, 0.66, 0.47), 0.9),
    ("marble", (0.55, 0.55, 0.57), (0.94, 0.93, 0.91), 0.9),
    ("plain", (0.70, 0.70, 0.70), (0.90, 0.90, 0.89), 1.0),
)
WALLS: Palette = (
    ("plaster", (0.70, 0.67, 0.62), (0.95, 0.93, 0.89), 2.0),
    ("plaster", (0.58, 0.62, 0.66), (0.84, 0.87, 0.90), 2.0),
    ("plaster", (0.55, 0.62, 0.57), (0.82, 0.88, 0.83), 2.0),
)
FLOORS: Palette = (
    ("planks", (0.30, 0.21, 0.14), (0.68, 0.53, 0.38), 0.7),
    ("planks", (0.22, 0.19, 0.17), (0.55, 0.50, 0.46), 0.7),
    ("concrete", (0.40, 0.40, 0.41), (0.68, 0.68, 0.67), 2.0),
)
UNSEEN_TABLES: Palette = (
    ("checker", (0.12, 0.22, 0.45), (0.92, 0.92, 0.90), 0.35),
    ("plaid", (0.62, 0.10, 0.12), (0.96, 0.92, 0.86), 0.5),
    ("terrazzo", (0.16, 0.18, 0.20), (0.92, 0.86, 0.78), 0.6),
    ("plain", (0.10, 0.34, 0.28), (0.16, 0.46, 0.38), 1.0),
)
UNSEEN_WALLS: Palette = (
    ("bricks", (0.42, 0.15, 0.10), (0.90, 0.84, 0.78), 1.2),
    ("stripes", (0.20, 0.32, 0.52), (0.86, 0.86, 0.80), 1.2),
    ("plain", (0.66, 0.40, 0.10), (0.88, 0.60, 0.20), 2.0),
)
UNSEEN_FLOORS: Palette = (
    ("checker", (0.10, 0.10, 0.11), (0.88, 0.87, 0.84), 1.2),
    ("terrazzo", (0.45, 0.42, 0.40), (0.90, 0.88, 0.84), 1.0),
    ("plaster", (0.32, 0.10, 0.12), (0.52, 0.18, 0.20), 1.0),
)
SPINES: tuple[Color, ...] = (
    (0.62, 0.18, 0.15),
    (0.18, 0.30, 0.50),
    (0.85, 0.80, 0.68),
    (0.20, 0.40, 0.30),
    (0.80, 0.58, 0.20),
    (0.30, 0.28, 0.30),
)


def draw_surroundings(variant: str, rng: np.random.Generator) -> Surroundings:
    """One room of the variant."""
    palettes = (TABLES, WALLS, FLOORS) if variant == "id" else (UNSEEN_TABLES, UNSEEN_WALLS, UNSEEN_FLOORS)
    table, wall, floor = (_draw_texture(palette, rng) for palette in palettes)
    light = _calm_light(rng) if variant == "id" else _harsh_light(rng)
    books = tuple(SPINES[i] for i in rng.integers(len(SPINES), size=22))
    return Surroundings(table, wall, floor, light, books)


def _draw_texture(palette: Palette, rng: np.random.Generator) -> Texture:
    pattern, dark, light, tile = palette[rng.integers(len(palette))]
    gain = rng.uniform(0.93, 1.05)
    return Texture(pattern, _scaled(dark, gain), _scaled(light, gain), int(rng.integers(1_000_000)), tile)


def _calm_light(rng: np.random.Generator) -> Light:
    warmth = rng.uniform(-0.04, 0.06)
    return Light(
        ambient=float(rng.uniform(0.34, 0.42)),
        diffuse=float(rng.uniform(0.48, 0.62)),
        specular=0.15,
        tint=(1.0 + min(warmth, 0.0), 1.0 - abs(warmth) / 2, 1.0 - max(warmth, 0.0)),
        direction=_direction(rng, lowest=0.8),
    )


def _harsh_light(rng: np.random.Generator) -> Light:
    dim = rng.random() < 0.5
    tints: tuple[Color, ...] = ((1.0, 0.78, 0.55), (0.70, 0.82, 1.0), (1.0, 1.0, 1.0))
    return Light(
        ambient=float(rng.uniform(0.12, 0.2) if dim else rng.uniform(0.3, 0.4)),
        diffuse=float(rng.uniform(0.35, 0.5) if dim else rng.uniform(0.8, 0.95)),
        specular=0.4,
        tint=tints[rng.integers(len(tints))],
        direction=_direction(rng, lowest=0.45),
    )


def _direction(rng: np.random.Generator, lowest: float) -> Vector:
    """A unit vector that points down, its vertical part at least `lowest`."""
    azimuth, down = rng.uniform(-np.pi, np.pi), rng.uniform(lowest, 0.97)
    level = float(np.sqrt(1 - down**2))
    return level * float(np.cos(azimuth)), level * float(np.sin(azimuth)), -float(down)


def _scaled(color: Color, gain: float) -> Color:
    red, green, blue = (float(min(1.0, channel * gain)) for channel in color)
    return red, green, blue
