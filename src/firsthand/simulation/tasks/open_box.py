"""Box opening, as in the paper (section III): the two hands unfold the two flaps of a cardboard box.

The flaps stand ajar at the start; the task is done when both stay open and the box is where it was, or nearly.
"""

from collections.abc import Mapping

import numpy as np

from firsthand.simulation.tasks.boxes import FLAPS, Place, draw_box
from firsthand.simulation.tasks.interface import ObjectState, SceneObject, Setup
from firsthand.simulation.tasks.judging import standing
from firsthand.simulation.tasks.starting import draw_posture
from firsthand.simulation.tasks.surroundings import draw_surroundings

TABLE_HEIGHT = 0.87  # [m]: hands that reach down into a box, fingers 35 deg down, work well at 0.95 to 1.10 m
START = ((0.40, 0.45), (-0.04, 0.04), (-0.17, 0.17))  # [m], [m], [rad], world x, y and yaw of the box in `id`
START_RING = ((0.38, 0.47), (-0.07, 0.07), (-0.35, 0.35))  # outer edge of what surrounds START for `ood`

OPEN = float(np.deg2rad(110.0))  # [rad], from closed
MOVED = 0.10  # [m], from where it stood, that a box may be pulled about


class OpenBox:
    """The task `open_box`."""

    name = "open_box"
    instruction = "open the box: unfold both of its flaps"
    time_limit = 16.0

    def draw(self, variant: str, rng: np.random.Generator) -> Setup:
        """Room, box, its place and the robot's posture."""
        place = _draw_place(variant, rng)
        surroundings = draw_surroundings(variant, rng)
        box = draw_box(variant, rng, place)
        posture, spread = draw_posture(rng)
        return Setup(surroundings, (box,), posture, spread, table_height=TABLE_HEIGHT)

    def reached(self, setup: Setup, objects: Mapping[str, ObjectState]) -> bool:
        """Whether both flaps are open and the box stands about where it stood."""
        box = setup.objects[0]
        state = objects[box.name]
        return all(state.hinges[name] >= OPEN for name in FLAPS) and in_place(box, state, setup.table_height)

    def progress(self, setup: Setup, objects: Mapping[str, ObjectState]) -> float:
        """Share of the way that the flaps have turned, on average; 0 if the box has fallen or was pulled away."""
        box = setup.objects[0]
        state = objects[box.name]
        if not in_place(box, state, setup.table_height):
            return 0.0
        shares = [(state.hinges[hinge.name] - hinge.start) / (OPEN - hinge.start) for hinge in box.hinges]
        return float(np.mean(np.clip(shares, 0.0, 1.0)))


def in_place(box: SceneObject, state: ObjectState, table_height: float) -> bool:
    """Whether the box stands upright, no farther than MOVED from where it started."""
    moved = np.linalg.norm(state.position[:2] - np.array(box.position))
    return standing(state, table_height) and bool(moved <= MOVED)


def _draw_place(variant: str, rng: np.random.Generator) -> Place:
    """Inside START, or for `ood` inside START_RING and outside START."""
    while True:
        ranges = START if variant == "id" else START_RING
        x, y, yaw = (float(rng.uniform(low, high)) for low, high in ranges)
        familiar = all(low <= value <= high for value, (low, high) in zip((x, y, yaw), START, strict=True))
        if familiar == (variant == "id"):
            return x, y, yaw
