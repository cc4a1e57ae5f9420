"""The boxes that are opened: brown cardboard for the `id` variant, printed and oddly proportioned for `ood`.

A box is a floor and four walls; two flaps are hinged on the upper edges of its left and right walls. In its frame x
runs along the hinges and y from the right wall to the left one. A flap lies flat over the opening at 0, stands at
90 deg and leans outwards beyond; cut tape ends at its free edge.
"""

from dataclasses import dataclass

import numpy as np

from firsthand.simulation.tasks.interface import Hinge, Part, SceneObject, Vector
from firsthand.simulation.textures import Color, Texture

Range = tuple[float, float]
Place = tuple[float, float, float]
"""World x and y [m] and yaw [rad]."""

LEFT_FLAP, RIGHT_FLAP = "left_flap", "right_flap"
FLAPS = (LEFT_FLAP, RIGHT_FLAP)

CARDBOARD = 0.002  # [m], half its thickness
DENSITY = 0.7  # [kg/m2], of a flap
TAPE = (0.024, 0.0004)  # [m], half its width and half its thickness
FLAP_LIMITS = (0.0, 3.5)  # [rad]
KRAFT: tuple[tuple[Color, Color], ...] = (
    ((0.42, 0.29, 0.17), (0.76, 0.59, 0.40)),
    ((0.38, 0.27, 0.18), (0.68, 0.53, 0.37)),
    ((0.48, 0.35, 0.21), (0.83, 0.68, 0.48)),
)
PRINTED: tuple[tuple[Color, Color], ...] = (
    ((0.10, 0.25, 0.55), (0.92, 0.92, 0.90)),  # blue on white
    ((0.15, 0.15, 0.17), (0.45, 0.46, 0.48)),  # grey
    ((0.60, 0.10, 0.14), (0.95, 0.80, 0.70)),  # red
    ((0.05, 0.38, 0.30), (0.75, 0.88, 0.70)),  # green
    ((0.40, 0.15, 0.48), (0.90, 0.78, 0.30)),  # purple and gold
)
PRINTS = ("stripes", "checker", "plaid", "label", "plain")
TAPES: tuple[Color, ...] = ((0.80, 0.70, 0.48), (0.90, 0.87, 0.80), (0.70, 0.56, 0.36))
UNFAMILIAR_TAPES: tuple[Color, ...] = ((0.75, 0.12, 0.10), (0.10, 0.12, 0.14), (0.95, 0.80, 0.10))
GOODS: tuple[Color, ...] = ((0.75, 0.25, 0.20), (0.20, 0.42, 0.62), (0.85, 0.70, 0.25), (0.30, 0.52, 0.32))


@dataclass(frozen=True)
class Proportions:
    """What the sizes of a kind of box are drawn from."""

    half_depth: Range  # [m], along the hinges
    half_width: Range  # [m], from the middle to a hinge
    height: Range  # [m]
    flap: Range  # length of a flap, as a share of the half width
    start: Range  # [rad], of a flap above closed
    equal_flaps: bool  # both of one length


FAMILIAR: dict[str, Proportions] = {
    "carton": Proportions((0.085, 0.105), (0.130, 0.150), (0.11, 0.14), (0.60, 0.70), (0.4, 0.8), True),
    "tray": Proportions((0.085, 0.095), (0.125, 0.140), (0.09, 0.11), (0.60, 0.70), (0.4, 0.8), True),
}
UNFAMILIAR: dict[str, Proportions] = {
    "gift_box": Proportions((0.085, 0.092), (0.120, 0.132), (0.11, 0.15), (0.56, 0.66), (0.42, 0.9), True),
    "parcel": Proportions((0.095, 0.120), (0.140, 0.165), (0.08, 0.12), (0.54, 0.70), (0.42, 0.9), False),
    "crate": Proportions((0.085, 0.100), (0.125, 0.150), (0.14, 0.16), (0.54, 0.66), (0.42, 0.9), False),
}


def draw_box(variant: str, rng: np.random.Generator, place: Place) -> SceneObject:
    """One box of the variant's proportions and print, its flaps ajar."""
    kinds = FAMILIAR if variant == "id" else UNFAMILIAR
    kind = str(rng.choice(list(kinds)))
    sizes = kinds[kind]
    depth, width, height = (rng.uniform(*limits) for limits in (sizes.half_depth, sizes.half_width, sizes.height))
    surface = _familiar_surface(rng) if variant == "id" else _unfamiliar_surface(rng)
    tapes = TAPES if variant == "id" else UNFAMILIAR_TAPES
    tape = tapes[rng.integers(len(tapes))]
    lengths = width * (np.full(2, rng.uniform(*sizes.flap)) if sizes.equal_flaps else rng.uniform(*sizes.flap, 2))
    friction = float(rng.uniform(0.013, 0.020))
    x, y, yaw = place
    return SceneObject(
        name="object",
        kind=kind,
        parts=(*_walls(depth, width, height, surface), *_goods(rng, depth, width, height)),
        mass=float(rng.uniform(1.0, 1.6)),
        friction=float(rng.uniform(0.25, 0.35)),
        position=(x, y),
        yaw=yaw,
        radius=float(np.hypot(depth, width)),
        height=float(height),
        hinges=tuple(
            _flap(name, (depth, width, height), length, surface, tape, rng.uniform(*sizes.start), friction)
            for name, length in zip(FLAPS, lengths, strict=True)
        ),
    )


def flap_size(hinge: Hinge) -> tuple[float, float]:
    """From the hinge to the free edge, and along the hinge, [m]."""
    half_depth, half_length, _ = hinge.parts[0].size
    return 2 * half_length, 2 * half_depth


def _familiar_surface(rng: np.random.Generator) -> Texture:
    dark, light = KRAFT[rng.integers(len(KRAFT))]
    return Texture(str(rng.choice(["cardboard", "carton"])), dark, light, int(rng.integers(1_000_000)))


def _unfamiliar_surface(rng: np.random.Generator) -> Texture:
    dark, light = PRINTED[rng.integers(len(PRINTED))]
    return Texture(str(rng.choice(PRINTS)), dark, light, int(rng.integers(1_000_000)))


def _walls(depth: float, width: float, height: float, surface: Texture) -> tuple[Part, ...]:
    """Floor, near and far wall, right and left wall."""
    half = height / 2
    ends = [Part("box", (CARDBOARD, width, half), (x, 0, half), surface) for x in (-depth, depth)]
    sides = [Part("box", (depth, CARDBOARD, half), (0, y, half), surface) for y in (-width, width)]
    return (Part("box", (depth, width, CARDBOARD), (0, 0, CARDBOARD), surface), *ends, *sides)


def _goods(rng: np.random.Generator, depth: float, width: float, height: float) -> tuple[Part, ...]:
    """Packing paper and two things on it: what there is to see once the box is open."""
    paper = Part(
        "box",
        (0.96 * depth, 0.96 * width, 0.008),
        (0, 0, 0.012),
        Texture("plaster", (0.6, 0.55, 0.48), (0.93, 0.9, 0.84)),
    )
    things = []
    for side in (-0.5, 0.5):
        color = GOODS[rng.integers(len(GOODS))]
        radius, half = float(rng.uniform(0.02, 0.03)), 0.15 * height
        things.append(Part("cylinder", (radius, half), (0, side * width, 0.02 + half), color))
    return tuple(Part(p.shape, p.size, p.position, p.surface, shown_only=True) for p in (paper, *things))


def _flap(
    name: str,
    box: tuple[float, float, float],
    length: float,
    surface: Texture,
    tape: Color,
    start: float,
    friction: float,
) -> Hinge:
    depth, width, height = box
    out = 1.0 if name == LEFT_FLAP else -1.0
    half = (depth - 0.003, length / 2, CARDBOARD)
    sheet = Part("box", half, (0, -out * length / 2, 0), surface)
    tape_half, thin = TAPE
    strip = Part(
        "box",
        (half[0], tape_half / 2, CARDBOARD + thin),
        (0, -out * (length - tape_half / 2), 0),
        tape,
        shown_only=True,
    )
    axis: Vector = (-out, 0.0, 0.0)
    return Hinge(
        name=name,
        parts=(sheet, strip),
        mass=float(DENSITY * 2 * half[0] * length),
        position=(0.0, out * width, height + CARDBOARD),
        axis=axis,
        limits=FLAP_LIMITS,
        start=float(start),
        friction=friction,
    )
