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
PAPERS = ("plaid", "terrazzo", "marble", "carton", "checker", "stripes")
THINGS = ("label", "carton", "stripes", "bricks", "terrazzo", "plaid", "wood", "cardboard")
"""Of what lies and stands about in clips that no policy is evaluated on."""


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


def scatter_clutter(old: Surroundings, table_height: float, rng: np.random.Generator) -> Surroundings:
    """The same room with papers and cloths on the table, things around where the hands work, and a finer tabletop.

    Nothing of it is felt. Papers are thinner than a millimetre; what stands higher is out of the way of the tasks.
    """
    papers = [_paper(table_height + 0.0004 * (1 + index), rng) for index in range(int(rng.integers(2, 5)))]
    things = [_standing(table_height, place, rng) for place in _places(rng)]
    table = replace(old.table, tile=0.6 * old.table.tile)
    return replace(old, table=table, clutter=(*papers, *things))


def _paper(height: float, rng: np.random.Generator) -> Part:
    half = (float(rng.uniform(0.07, 0.16)), float(rng.uniform(0.10, 0.24)), 0.0001)
    place = (float(rng.uniform(0.30, 0.70)), float(rng.uniform(-0.45, 0.45)), height)
    return Part("box", half, place, _print(PAPERS, rng), (0.0, 0.0, float(rng.uniform(-1.6, 1.6))), shown_only=True)


def _places(rng: np.random.Generator) -> list[tuple[float, float]]:
    """Where things stand, world x and y, [m]: along the far edge of the table and at its sides."""
    far = [(float(rng.uniform(0.76, 0.95)), y + float(rng.uniform(-0.06, 0.06))) for y in np.linspace(-0.6, 0.6, 6)]
    sides = [(float(rng.uniform(0.35, 0.7)), side * float(rng.uniform(0.58, 0.68))) for side in (-1, 1)]
    return [place for place in (*far, *sides) if rng.random() < 0.75]


def _standing(table_height: float, place: tuple[float, float], rng: np.random.Generator) -> Part:
    turned = (0.0, 0.0, float(rng.uniform(-np.pi, np.pi)))
    surface = _print(THINGS, rng)
    if rng.random() < 0.4:
        radius, half = float(rng.uniform(0.03, 0.05)), float(rng.uniform(0.03, 0.09))
        return Part("cylinder", (radius, half), (*place, table_height + half), surface, turned, shown_only=True)
    box = tuple(float(each) for each in rng.uniform((0.03, 0.04, 0.015), (0.07, 0.09, 0.10)))
    return Part("box", box, (*place, table_height + box[2]), surface, turned, shown_only=True)


def _print(patterns: tuple[str, ...], rng: np.random.Generator) -> Texture:
    light, dark = _color(rng, 0.4), _color(rng, 0.9)
    dark = tuple(0.55 * channel for channel in dark)  # type: ignore[assignment]
    return Texture(patterns[rng.integers(len(patterns))], dark, light, int(rng.integers(1_000_000)))


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
