"""The things on the table: familiar shapes for the `id` variant, unfamiliar ones for `ood`.

Sizes are those of kitchen goods, 8 to 15 cm high: lower than that a hand reaches over them, higher they topple.
"""

from collections.abc import Callable

import numpy as np

from firsthand.simulation.tasks.interface import Part, SceneObject
from firsthand.simulation.textures import Color, Texture

CREAM: Color = (0.97, 0.94, 0.87)
STEEL: Color = (0.72, 0.73, 0.75)
FAMILIAR_COLORS: tuple[Color, ...] = (
    (0.78, 0.16, 0.12),  # red
    (0.12, 0.30, 0.66),  # blue
    (0.13, 0.48, 0.24),  # green
    (0.90, 0.62, 0.10),  # yellow
    (0.86, 0.38, 0.10),  # orange
    (0.93, 0.92, 0.88),  # white
)
UNFAMILIAR_COLORS: tuple[Color, ...] = (
    (0.45, 0.15, 0.55),  # purple
    (0.90, 0.35, 0.60),  # pink
    (0.05, 0.55, 0.55),  # teal
    (0.10, 0.10, 0.12),  # black
    (0.55, 0.75, 0.10),  # lime
)


def draw_object(variant: str, rng: np.random.Generator, position: tuple[float, float]) -> SceneObject:
    """One object of the variant's shapes and colours, standing at `position`, turned at random."""
    return draw_thing(FAMILIAR if variant == "id" else UNFAMILIAR, variant, rng, position, (0.15, 0.4), (0.25, 0.42))


def draw_thing(
    makers: "Shapes",
    variant: str,
    rng: np.random.Generator,
    position: tuple[float, float],
    mass: tuple[float, float],
    friction: tuple[float, float],
) -> SceneObject:
    """One of several shapes in a colour of the variant, standing at `position`, turned at random.

    Args:
        makers: The shapes.
        variant: `id` or `ood`.
        rng: Decides.
        position: Of its base, [m], world x and y.
        mass: From and to, [kg].
        friction: From and to.
    """
    colors = FAMILIAR_COLORS if variant == "id" else UNFAMILIAR_COLORS
    kind = str(rng.choice(list(makers)))
    color = colors[rng.integers(len(colors))]
    parts, radius, height = makers[kind](rng, color)
    return SceneObject(
        name="object",
        kind=kind,
        parts=parts,
        mass=float(rng.uniform(*mass)),
        friction=float(rng.uniform(*friction)),
        position=position,
        yaw=float(rng.uniform(-np.pi, np.pi)),
        radius=radius,
        height=height,
    )


Shape = tuple[tuple[Part, ...], float, float]
"""The parts of an object, its radius and its height [m]."""
Shapes = dict[str, Callable[[np.random.Generator, Color], Shape]]
"""What makes each kind of object."""


def box(rng: np.random.Generator, color: Color) -> Shape:
    """A package with a printed face."""
    x, y, z = rng.uniform(0.034, 0.048), rng.uniform(0.034, 0.048), rng.uniform(0.055, 0.07)
    printed = Texture("label", color, CREAM, int(rng.integers(1000)))
    return (Part("box", (x, y, z), (0, 0, z), printed),), float(np.hypot(x, y)), 2 * z


def cylinder(rng: np.random.Generator, color: Color) -> Shape:
    """A canister with a lid."""
    radius, half = rng.uniform(0.038, 0.048), rng.uniform(0.052, 0.068)
    darker = (0.5 * color[0], 0.5 * color[1], 0.5 * color[2])
    lid = Part("cylinder", (radius + 0.0015, 0.007), (0, 0, 2 * half - 0.006), darker, shown_only=True)
    return (Part("cylinder", (radius, half), (0, 0, half), color), lid), radius, 2 * half


def can(rng: np.random.Generator, color: Color) -> Shape:
    """A tin can: steel with a striped sleeve."""
    radius, half = rng.uniform(0.036, 0.044), rng.uniform(0.052, 0.064)
    sleeve = Texture("stripes", color, CREAM, int(rng.integers(1000)))
    steel = Part("cylinder", (radius, half), (0, 0, half), STEEL)
    return (
        (steel, Part("cylinder", (radius + 0.001, 0.8 * half), (0, 0, half), sleeve, shown_only=True)),
        radius,
        2 * half,
    )


def mug(rng: np.random.Generator, color: Color) -> Shape:
    """A mug with a handle and something dark inside."""
    radius, half = rng.uniform(0.040, 0.047), rng.uniform(0.047, 0.055)
    coffee = Part("cylinder", (0.86 * radius, 0.001), (0, 0, 2 * half), (0.16, 0.09, 0.05), shown_only=True)
    reach = radius + 0.022
    handle = (
        Part("capsule", (0.006, 0.5 * half), (reach, 0, half), color),
        Part("capsule", (0.006, 0.010), (radius + 0.010, 0, 1.5 * half), color, (0, np.pi / 2, 0)),
        Part("capsule", (0.006, 0.010), (radius + 0.010, 0, 0.5 * half), color, (0, np.pi / 2, 0)),
    )
    return (Part("cylinder", (radius, half), (0, 0, half), color), coffee, *handle), reach, 2 * half


def bottle(rng: np.random.Generator, color: Color) -> Shape:
    """A squat bottle with a neck and a cap."""
    radius, half = rng.uniform(0.037, 0.044), rng.uniform(0.044, 0.052)
    shoulder = Part("ellipsoid", (radius, radius, 0.025), (0, 0, 2 * half), color)
    neck = Part("cylinder", (0.012, 0.02), (0, 0, 2 * half + 0.03), color)
    cap = Part("cylinder", (0.014, 0.008), (0, 0, 2 * half + 0.048), CREAM, shown_only=True)
    return (Part("cylinder", (radius, half), (0, 0, half), color), shoulder, neck, cap), radius, 2 * half + 0.056


def prism(rng: np.random.Generator, color: Color) -> Shape:
    """A striped block of three, five or six sides."""
    radius, half, sides = rng.uniform(0.046, 0.054), rng.uniform(0.048, 0.062), int(rng.choice([3, 5, 6]))
    surface = Texture("stripes", color, CREAM, int(rng.integers(1000)))
    return (Part("prism", (radius, half, sides), (0, 0, half), surface),), radius, 2 * half


def carton(rng: np.random.Generator, color: Color) -> Shape:
    """A milk carton: a box under a gable."""
    side, half = rng.uniform(0.035, 0.042), rng.uniform(0.045, 0.055)
    printed = Texture("checker", color, CREAM, int(rng.integers(1000)))
    roof = Part("box", (0.7 * side, side, 0.7 * side), (0, 0, 2 * half), color, (0, np.pi / 4, 0))
    ridge = Part("box", (0.003, side, 0.012), (0, 0, 2 * half + side + 0.008), CREAM, shown_only=True)
    return (Part("box", (side, side, half), (0, 0, half), printed), roof, ridge), 1.42 * side, 2 * half + side + 0.02


def figure(rng: np.random.Generator, color: Color) -> Shape:
    """A toy: a round head on a wide foot."""
    radius, half = rng.uniform(0.04, 0.046), rng.uniform(0.03, 0.036)
    body = Part("ellipsoid", (0.8 * radius, 0.8 * radius, 0.045), (0, 0, 2 * half + 0.02), color)
    head = Part("ellipsoid", (0.026, 0.026, 0.026), (0, 0, 2 * half + 0.075), CREAM)
    eyes = tuple(
        Part("ellipsoid", (0.005, 0.005, 0.005), (0.023, side, 2 * half + 0.082), (0.05, 0.05, 0.05), shown_only=True)
        for side in (-0.01, 0.01)
    )
    foot = Part("cylinder", (radius, half), (0, 0, half), Texture("stripes", color, CREAM, int(rng.integers(1000))))
    return (foot, body, head, *eyes), radius, 2 * half + 0.1


FAMILIAR: Shapes = {
    "box": box,
    "cylinder": cylinder,
    "can": can,
    "mug": mug,
}
UNFAMILIAR: Shapes = {
    "bottle": bottle,
    "prism": prism,
    "carton": carton,
    "figure": figure,
}
