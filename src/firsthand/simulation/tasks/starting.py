"""How trials of every task start: where the robot's arms are, and where the thing stands that a hand is to move."""

import numpy as np

from firsthand.simulation.tasks.interface import Array

START = ((0.33, 0.45), (-0.21, -0.10))  # [m], world x and y of the object in `id`
START_RING = ((0.30, 0.49), (-0.25, -0.06))  # outer edge of the ring around START for `ood`
# Hands wide apart over the near edge of the table, palms inwards: the right one clear of every start of the object.
LEFT_ARM_POSTURE = (0.20, 0.38, 0.15, 0.19, -0.18, -0.10, -0.28)  # [rad]
MIRROR = (1, -1, -1, 1, -1, 1, -1)
POSTURE_SPREAD = 0.025  # [rad], of each arm joint from trial to trial


def draw_start(variant: str, rng: np.random.Generator) -> tuple[float, float]:
    """Where the object of a task starts, on the robot's right: inside START, or for `ood` in the ring around it."""
    return _inside(START, rng) if variant == "id" else _in_ring(rng)


def draw_posture(rng: np.random.Generator) -> tuple[Array, Array]:
    """The posture that the arms start in and what is added to it in one trial, (14,) each, [rad]."""
    posture = np.concatenate([LEFT_ARM_POSTURE, np.multiply(LEFT_ARM_POSTURE, MIRROR)])
    return posture, rng.normal(0.0, POSTURE_SPREAD, 14)


def _inside(ranges: tuple[tuple[float, float], tuple[float, float]], rng: np.random.Generator) -> tuple[float, float]:
    (x_low, x_high), (y_low, y_high) = ranges
    return float(rng.uniform(x_low, x_high)), float(rng.uniform(y_low, y_high))


def _in_ring(rng: np.random.Generator) -> tuple[float, float]:
    """A place inside START_RING and outside START."""
    while True:
        x, y = _inside(START_RING, rng)
        if not (START[0][0] <= x <= START[0][1] and START[1][0] <= y <= START[1][1]):
            return x, y
