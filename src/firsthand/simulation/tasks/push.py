"""Object pushing, as in the paper (section III): the right hand pushes an object across the table, from right to left.

The object starts on the robot's right and is done when it stands at rest in the zone that is marked on its left.
"""

from collections.abc import Mapping

import numpy as np

from firsthand.simulation.tasks.interface import STRIPE, Array, Marker, ObjectState, Setup
from firsthand.simulation.tasks.judging import at_rest, standing, way_to_zone
from firsthand.simulation.tasks.objects import draw_object
from firsthand.simulation.tasks.starting import draw_posture, draw_start
from firsthand.simulation.tasks.surroundings import draw_surroundings

GOAL_CENTER = (0.40, 0.17)  # [m], world
GOAL_HALF_SIZE = (0.19, 0.10)  # [m]


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
        way, whole = (way_to_zone(place, GOAL_CENTER, GOAL_HALF_SIZE) for place in (state.position, thing.position))
        return float(np.clip(1.0 - way / whole, 0.0, 1.0))


def in_goal(position: Array) -> bool:
    """Whether a world position (3,) lies above the zone."""
    return bool(np.all(np.abs(position[:2] - GOAL_CENTER) <= GOAL_HALF_SIZE))


def _goal_markers() -> tuple[Marker, ...]:
    (x, y), (half_x, half_y) = GOAL_CENTER, GOAL_HALF_SIZE
    edge = (0.05, 0.45, 0.50, 1.0)
    return (
        Marker("goal", GOAL_CENTER, GOAL_HALF_SIZE, (0.10, 0.62, 0.62, 0.28)),
        Marker("goal_near", (x, y - half_y), (half_x, STRIPE), edge),
        Marker("goal_far", (x, y + half_y), (half_x, STRIPE), edge),
    )
