"""Things that one hand can pick up: slim enough to close around, 11 to 14 cm high, stable where they are let go.

Their sides are upright from 4 to 10 cm above the table, where thumb and fingers meet them.
"""

import numpy as np

from firsthand.simulation.tasks.interface import Part, SceneObject
from firsthand.simulation.tasks.objects import CREAM, STEEL, Shape, Shapes, draw_thing
from firsthand.simulation.textures import Color, Texture


def draw_graspable(variant: str, rng: np.random.Generator, position: tuple[float, float]) -> SceneObject:
    """One thing of the variant's shapes and colours, standing at `position`, turned at random."""
    return draw_thing(FAMILIAR if variant == "id" else UNFAMILIAR, variant, rng, position, (0.12, 0.3), (0.40, 0.52))


def jar(rng: np.random.Generator, color: Color) -> Shape:
    """A spice jar: a printed sleeve under a coloured lid."""
    radius, half = rng.uniform(0.027, 0.030), rng.uniform(0.055, 0.062)
    sleeve = Texture("label", CREAM, color, int(rng.integers(1000)))
    lid = Part("cylinder", (radius + 0.001, 0.009), (0, 0, 2 * half - 0.008), color, shown_only=True)
    return (Part("cylinder", (radius, half), (0, 0, half), sleeve), lid), radius, 2 * half


def packet(rng: np.random.Generator, color: Color) -> Shape:
    """A square packet with a printed face."""
    side, half = rng.uniform(0.023, 0.027), rng.uniform(0.055, 0.062)
    printed = Texture("label", color, CREAM, int(rng.integers(1000)))
    return (Part("box", (side, side, half), (0, 0, half), printed),), 1.42 * side, 2 * half


def tumbler(rng: np.random.Generator, color: Color) -> Shape:
    """A steel tumbler with a coloured band."""
    radius, half = rng.uniform(0.027, 0.031), rng.uniform(0.055, 0.062)
    band = Part("cylinder", (radius + 0.0005, 0.4 * half), (0, 0, 1.1 * half), color, shown_only=True)
    drink = Part("cylinder", (0.86 * radius, 0.001), (0, 0, 2 * half), (0.35, 0.20, 0.08), shown_only=True)
    return (Part("cylinder", (radius, half), (0, 0, half), STEEL), band, drink), radius, 2 * half


def toy(rng: np.random.Generator, color: Color) -> Shape:
    """A wooden figure: a round head on a straight body with a wide foot."""
    radius, half = rng.uniform(0.025, 0.028), rng.uniform(0.050, 0.054)
    foot = Part("cylinder", (radius + 0.012, 0.008), (0, 0, 0.008), CREAM)
    body = Part("cylinder", (radius, half), (0, 0, half), color)
    head = Part("ellipsoid", (0.024, 0.024, 0.024), (0, 0, 2 * half + 0.014), CREAM)
    return (body, foot, head, *_eyes(0.021, 2 * half + 0.020)), radius + 0.012, 2 * half + 0.038


def hexagon(rng: np.random.Generator, color: Color) -> Shape:
    """A striped block of six or eight sides."""
    radius, half, sides = rng.uniform(0.028, 0.031), rng.uniform(0.055, 0.062), int(rng.choice([6, 8]))
    surface = Texture("stripes", color, CREAM, int(rng.integers(1000)))
    return (Part("prism", (radius, half, sides), (0, 0, half), surface),), radius, 2 * half


def bottle(rng: np.random.Generator, color: Color) -> Shape:
    """A small bottle with a neck and a cap."""
    radius, half = rng.uniform(0.027, 0.031), rng.uniform(0.050, 0.054)
    shoulder = Part("ellipsoid", (radius, radius, 0.018), (0, 0, 2 * half), color)
    neck = Part("cylinder", (0.010, 0.014), (0, 0, 2 * half + 0.022), color)
    cap = Part("cylinder", (0.012, 0.006), (0, 0, 2 * half + 0.034), CREAM, shown_only=True)
    return (Part("cylinder", (radius, half), (0, 0, half), color), shoulder, neck, cap), radius, 2 * half + 0.04


def house(rng: np.random.Generator, color: Color) -> Shape:
    """A little house: square walls under a gable, on a plot."""
    side, half = rng.uniform(0.022, 0.025), rng.uniform(0.051, 0.055)
    walls = Texture("bricks", color, CREAM, int(rng.integers(1000)))
    plot = Part("box", (side + 0.012, side + 0.012, 0.006), (0, 0, 0.006), (0.16, 0.36, 0.16))
    roof = Part("box", (0.7 * side, side, 0.7 * side), (0, 0, 2 * half), color, (0, np.pi / 4, 0))
    parts = (Part("box", (side, side, half), (0, 0, half), walls), plot, roof)
    return parts, 1.42 * (side + 0.012), 2 * half + side


def pawn(rng: np.random.Generator, color: Color) -> Shape:
    """A chess pawn: two rings on a checkered column, a ball on top."""
    radius, half = rng.uniform(0.025, 0.028), rng.uniform(0.050, 0.054)
    column = Part("cylinder", (radius, half), (0, 0, half), Texture("checker", color, CREAM, int(rng.integers(1000))))
    foot = Part("cylinder", (radius + 0.013, 0.009), (0, 0, 0.009), color)
    ball = Part("ellipsoid", (0.021, 0.021, 0.021), (0, 0, 2 * half + 0.014), color)
    return (column, foot, ball), radius + 0.013, 2 * half + 0.035


def _eyes(forward: float, height: float) -> tuple[Part, ...]:
    dark = (0.05, 0.05, 0.05)
    return tuple(
        Part("ellipsoid", (0.004, 0.004, 0.004), (forward, side, height), dark, shown_only=True)
        for side in (-0.009, 0.009)
    )


FAMILIAR: Shapes = {
    "jar": jar,
    "packet": packet,
    "tumbler": tumbler,
    "toy": toy,
}
UNFAMILIAR: Shapes = {
    "hexagon": hexagon,
    "bottle": bottle,
    "house": house,
    "pawn": pawn,
}
