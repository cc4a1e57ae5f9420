"""Object passing from right to left, as in the paper (section III).

The right hand picks the object up and sets it down near the left one, which takes it on to the zone that is marked on
the left. Done when the object stands there at rest. The task judges the object alone. That the right hand cannot do it
by itself follows from the zone's place: holding an upright object it ends 5 cm short of the near edge. The left hand
can just reach the nearest starts; whether an object was passed to it is then not seen.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from firsthand.simulation.tasks.graspable import draw_graspable
from firsthand.simulation.tasks.interface import STRIPE, Marker, ObjectState, Setup
from firsthand.simulation.tasks.judging import at_rest, standing, way_to_zone
from firsthand.simulation.tasks.starting import draw_posture, draw_start
from firsthand.simulation.tasks.surroundings import draw_surroundings

ZONE_CENTER = (0.37, 0.345)  # [m], world
ZONE_HALF_SIZE = (0.09, 0.065)  # [m]
FALLEN = 0.7  # cosine of the tilt from which on an object will not stand up again by itself


class Passing:
    """The task `passing`."""

    name = "passing"
    instruction = "pass the object from the right hand to the left one and put it down on the left"
    time_limit = 25.0

    def draw(self, variant: str, rng: np.random.Generator) -> Setup:
        """Room, object, its place and the robot's posture."""
        position = draw_start(variant, rng)
        surroundings = draw_surroundings(variant, rng)
        thing = draw_graspable(variant, rng, position)
        posture, spread = draw_posture(rng)
        return Setup(surroundings, (thing,), posture, spread, _zone_markers())

    def reached(self, setup: Setup, objects: Mapping[str, ObjectState]) -> bool:
        """Whether the object stands at rest inside the zone."""
        state = objects[setup.objects[0].name]
        return _way(state.position) == 0.0 and standing(state, setup.table_height) and at_rest(state)

    def progress(self, setup: Setup, objects: Mapping[str, ObjectState]) -> float:
        """Share of the way from where the object started to the edge of the zone; 0 if it has fallen."""
        thing = setup.objects[0]
        state = objects[thing.name]
        if state.rotation[2, 2] < FALLEN:
            return 0.0
        return float(np.clip(1.0 - _way(state.position) / _way(thing.position), 0.0, 1.0))


def _way(position: ArrayLike) -> float:
    return way_to_zone(position, ZONE_CENTER, ZONE_HALF_SIZE)


def _zone_markers() -> tuple[Marker, ...]:
    (x, y), (half_x, half_y) = ZONE_CENTER, ZONE_HALF_SIZE
    edge = (0.55, 0.12, 0.40, 1.0)
    return (
        Marker("goal", ZONE_CENTER, ZONE_HALF_SIZE, (0.72, 0.22, 0.55, 0.28)),
        Marker("goal_right", (x, y - half_y), (half_x, STRIPE), edge),
        Marker("goal_left", (x, y + half_y), (half_x, STRIPE), edge),
        Marker("goal_near", (x - half_x, y), (STRIPE, half_y), edge),
        Marker("goal_far", (x + half_x, y), (STRIPE, half_y), edge),
    )
