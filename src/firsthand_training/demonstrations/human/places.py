"""Other people's homes: the rooms and things of videos, far more varied than the robot's.

Shapes are those of the `id` variant, and no table or wall has a pattern of the `ood` variant's: those are kept for
evaluation. Colours are of any hue, for rooms paler than those of `ood`; an object may come near an `ood` colour.
"""

import colorsys
from dataclasses import replace

import numpy as np

from firsthand.simulation.tasks.interface import Light, Part, SceneObject, Setup, Surroundings
from firsthand.simulation.textures import Color, Texture

TABLE_PATTERNS = (("wood", 0.8), ("planks", 0.9), ("marble", 0.9), ("concrete", 1.2))
WALL_PATTERNS = (("plaster", 2.0), ("concrete", 2.0))
FLOOR_PATTERNS = (("planks", 0.7), ("concrete", 2.0), ("marble", 1.5), ("plain", 2.0))
"""Pattern and width of a repetition, [m]."""


def redecorate(setup: Setup, rng: np.random.Generator) -> Setup:
    """The same task in another room, with things of other colours."""
    old = setup.surroundings
    surroundings = Surroundings(
        table=_texture(TABLE_PATTERNS, rng),
        wall=_texture(WALL_PATTERNS, rng),
        floor=_texture(FLOOR_PATTERNS, rng),
        light=_light(old.light, rng),
        furniture=tuple(_color(rng, 0.9) for _ in old.furniture) if rng.random() < 0.6 else (),
    )
    return replace(setup, surroundings=surroundings, objects=tuple(_repaint(thing, rng) for thing in setup.objects))


def _texture(patterns: tuple[tuple[str, float], ...], rng: np.random.Generator) -> Texture:
    pattern, tile = patterns[rng.integers(len(patterns))]
    light = _color(rng, 0.45)
    dark: Color = tuple(float(rng.uniform(0.4, 0.8)) * channel for channel in light)  # type: ignore[assignment]
    return Texture(pattern, dark, light, int(rng.integers(1_000_000)), tile)


def _color(rng: np.random.Generator, saturation: float) -> Color:
    """Any hue, up to some saturation, not too dark."""
    return colorsys.hsv_to_rgb(rng.random(), saturation * rng.random(), rng.uniform(0.35, 0.98))


def _light(old: Light, rng: np.random.Generator) -> Light:
    gain = rng.uniform(0.75, 1.2)
    return replace(old, ambient=float(gain * old.ambient), diffuse=float(gain * old.diffuse))


def _repaint(thing: SceneObject, rng: np.random.Generator) -> SceneObject:
    """The thing with all its colours turned around the wheel by one angle."""
    turn, saturation = rng.random(), rng.uniform(0.6, 1.1)
    parts = tuple(_repainted(part, turn, saturation) for part in thing.parts)
    hinges = tuple(
        replace(hinge, parts=tuple(_repainted(part, turn, saturation) for part in hinge.parts))
        for hinge in thing.hinges
    )
    return replace(thing, parts=parts, hinges=hinges)


def _repainted(part: Part, turn: float, saturation: float) -> Part:
    surface = part.surface
    if isinstance(surface, Texture):
        dark, light = (_turned(color, turn, saturation) for color in (surface.dark, surface.light))
        return replace(part, surface=replace(surface, dark=dark, light=light))
    return replace(part, surface=_turned(surface, turn, saturation))


def _turned(color: Color, turn: float, saturation: float) -> Color:
    hue, depth, value = colorsys.rgb_to_hsv(*color)
    return colorsys.hsv_to_rgb((hue + turn) % 1.0, min(1.0, saturation * depth), value)
