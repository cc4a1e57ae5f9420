"""Object pushing, as in the paper (section III): the right hand pushes an object across the table, from right to left.

The object starts on the robot's right and is done when it stands at rest in the zone that is marked on its left.
"""

from collections.abc import Mapping

import numpy as np

from firsthand.simulation.tasks.interface import Array, Marker, ObjectState, SceneObject, Setup
from firsthand.simulation.tasks.objects import draw_object
from firsthand.simulation.tasks.surroundings import draw_surroundings

START = ((0.33, 0.45), (-0.21, -0.10))  # [m], world x and y of the object in `id`
START_RING = ((0.30, 0.49), (-0.25, -0.06))  # outer edge of the ring around START for `ood`
GOAL_CENTER = (0.40, 0.17)  # [m], world
GOAL_HALF_SIZE = (0.19, 0.10)  # [m]
STRIPE = 0.006  # [m], half width of the painted edges of the zone

UPRIGHT = float(np.cos(np.deg2rad(15.0)))
ON_TABLE = 0.01  # [m]
AT_REST = (0.02, 0.3)  # [m/s], [rad/s]
# Hands wide apart over the near edge of the table, palms inwards: the right one clear of every start of the object.
LEFT_ARM_POSTURE = (0.20, 0.38, 0.15, 0.19, -0.18, -0.10, -0.28)  # [rad]
MIRROR = (1, -1, -1, 1, -1, 1, -1)
POSTURE_SPREAD = 0.025  # [rad], of each arm joint from trial to trial


class Push:
    """The task `push`."""

    name = "push"
    instruction = "push the object across the table from right to left"
    time_limit = 10.0

    def draw(self, variant: str, rng: np.random.Generator) -> Setup:
        """Room, object, its place and the robot's posture."""
        position = draw_start(variant, rng)
        surroundings = draw_surroundings(variant, rng)
        thing = draw_object(variant, rng, position)
        posture, spread = draw_posture(rng)
        return Setup(surroundings, (thing,), posture, spread, _goal_markers())

    def reached(self, setup: Setup, objects: Mapping[str, ObjectState]) -> bool:
        """Whether the object stands at rest inside the zone."""
        state = objects[setup.objects[0].name]
        return in_goal(state.position) and standing(state, setup.table_height) and at_rest(state)

    def progress(self, setup: Setup, objects: Mapping[str, ObjectState]) -> float:
        """Share of the way from where the object started to the near edge of the zone; 0 if it has fallen."""
        thing = setup.objects[0]
        state = objects[thing.name]
        if not standing(state, setup.table_height):
            return 0.0
        return float(np.clip(1.0 - _way_to_zone(state.position) / _way_to_zone(_start(thing)), 0.0, 1.0))


def draw_start(variant: str, rng: np.random.Generator) -> tuple[float, float]:
    """Where the object of a task starts, on the robot's right: inside START, or for `ood` in the ring around it."""
    return _inside(START, rng) if variant == "id" else _in_ring(rng)


def draw_posture(rng: np.random.Generator) -> tuple[Array, Array]:
    """The posture that the arms start in and what is added to it in one trial, (14,) each, [rad]."""
    posture = np.concatenate([LEFT_ARM_POSTURE, np.multiply(LEFT_ARM_POSTURE, MIRROR)])
    return posture, rng.normal(0.0, POSTURE_SPREAD, 14)


def in_goal(position: Array) -> bool:
    """Whether a world position (3,) lies above the zone."""
    return bool(np.all(np.abs(position[:2] - GOAL_CENTER) <= GOAL_HALF_SIZE))


def standing(state: ObjectState, table_height: float) -> bool:
    """Whether an object stands upright on the table."""
    return bool(state.rotation[2, 2] >= UPRIGHT and abs(state.position[2] - table_height) <= ON_TABLE)


def at_rest(state: ObjectState) -> bool:
    """Whether an object hardly moves."""
    linear, angular = AT_REST
    return bool(np.linalg.norm(state.linear_velocity) <= linear and np.linalg.norm(state.angular_velocity) <= angular)


def _way_to_zone(position: Array) -> float:
    """Distance on the table from a position to the zone's rectangle, [m]."""
    outside = np.maximum(np.abs(np.asarray(position)[:2] - GOAL_CENTER) - GOAL_HALF_SIZE, 0.0)
    return float(np.linalg.norm(outside))


def _start(thing: SceneObject) -> Array:
    return np.array(thing.position)


def _inside(ranges: tuple[tuple[float, float], tuple[float, float]], rng: np.random.Generator) -> tuple[float, float]:
    (x_low, x_high), (y_low, y_high) = ranges
    return float(rng.uniform(x_low, x_high)), float(rng.uniform(y_low, y_high))


def _in_ring(rng: np.random.Generator) -> tuple[float, float]:
    """A place inside START_RING and outside START."""
    while True:
        x, y = _inside(START_RING, rng)
        if not (START[0][0] <= x <= START[0][1] and START[1][0] <= y <= START[1][1]):
            return x, y


def _goal_markers() -> tuple[Marker, ...]:
    (x, y), (half_x, half_y) = GOAL_CENTER, GOAL_HALF_SIZE
    edge = (0.05, 0.45, 0.50, 1.0)
    return (
        Marker("goal", GOAL_CENTER, GOAL_HALF_SIZE, (0.10, 0.62, 0.62, 0.28)),
        Marker("goal_near", (x, y - half_y), (half_x, STRIPE), edge),
        Marker("goal_far", (x, y + half_y), (half_x, STRIPE), edge),
    )
