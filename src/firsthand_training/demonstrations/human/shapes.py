"""Shapes of a human hand by name, as joint angles, and the points with which they work (`demonstrations/actor.py`)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firsthand_training.demonstrations.human.anatomy import Hand
from firsthand_training.hand_bones import MEAN_LENGTH, MIRROR

Array = NDArray[np.floating]


class HandShape(NamedTuple):
    """A shape of the hand and where it works."""

    angles: Array  # (5, 3), [rad], as in `anatomy.py`
    tool: Array  # (3,), [m], in the right wrist frame of the mean hand


def _shape(thumb: tuple[float, ...], fingers: tuple[tuple[float, ...], ...], tool: tuple[float, ...]) -> HandShape:
    return HandShape(np.array([thumb, *fingers]), np.array(tool))


SHAPES = {
    "rest": _shape(
        (0.35, 0.05, 0.25),
        ((0.06, 0.30, 0.40), (0.0, 0.34, 0.44), (-0.04, 0.38, 0.46), (-0.1, 0.40, 0.46)),
        (0.1, 0, 0),
    ),
    "paddle": _shape(
        (-0.10, -0.15, 0.05),
        ((0.0, 0.03, 0.08), (0.0, 0.03, 0.08), (0.0, 0.04, 0.08), (0.02, 0.05, 0.1)),
        (0.115, 0, -0.015),
    ),
    "blade": _shape(
        (0.20, 0.60, 0.30),
        ((0.0, 0.03, 0.08), (0.0, 0.03, 0.08), (0.02, 0.04, 0.08), (0.06, 0.05, 0.1)),
        (0.148, 0.029, 0.0),
    ),
    # By hand, near the one of some 25 closings that tilted upright things least (4 deg, 5 lifts of 5).
    "pre_grasp": _shape(
        (1.45, -0.40, 0.30),
        ((0.03, 0.12, 0.32), (0.0, 0.12, 0.32), (-0.03, 0.15, 0.32), (-0.06, 0.15, 0.32)),
        (0.102, 0.014, -0.058),
    ),
    "tripod": _shape(
        (1.55, -0.15, 0.65),
        ((0.03, 0.40, 1.15), (0.0, 0.40, 1.15), (-0.03, 0.12, 0.35), (-0.06, 0.12, 0.35)),
        (0.102, 0.014, -0.058),
    ),
}


def angles_of(shape: str) -> Array:
    """Joint angles of a named shape, (5, 3), [rad], the same for both hands."""
    return SHAPES[shape].angles


def fingertips_of(hand: Hand, side: str, shape: str) -> Array:
    """Fingertips of a hand in a named shape, in its wrist frame, (5, 3), [m]."""
    tips = hand.fingertips(angles_of(shape))
    return tips if side == "right" else tips * MIRROR


def tool_of(hand: Hand, side: str, shape: str) -> Array:
    """The point with which a hand in a named shape works, in its wrist frame, (3,), [m]."""
    tool = SHAPES[shape].tool * hand.length / MEAN_LENGTH
    return tool if side == "right" else tool * MIRROR
