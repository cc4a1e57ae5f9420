"""Pick-and-place, as in the paper (section III): an object is grasped from the table and placed inside a box.

The object starts on the robot's right, an open box stands in its middle to left. Done when the object lies or stands in
the box at rest, lower than a hand over its walls can hold it.
"""

from collections.abc import Mapping

import numpy as np

from firsthand.simulation.tasks.graspable import draw_graspable
from firsthand.simulation.tasks.interface import Array, ObjectState, Part, SceneObject, Setup
from firsthand.simulation.tasks.judging import at_rest, standing
from firsthand.simulation.tasks.starting import draw_posture, draw_start
from firsthand.simulation.tasks.surroundings import draw_surroundings
from firsthand.simulation.textures import Color

BOX = "box"  # name of the box among a setup's objects
BOX_PLACES = {"id": ((0.38, 0.44), (0.12, 0.16), 0.12), "ood": ((0.36, 0.46), (0.11, 0.17), 0.35)}
"""World x and y [m] of the box's middle, and how far it is turned [rad]."""
THICKNESS = 0.003  # [m], half that of the walls
DEEP = 0.025  # [m], by which the middle of an object may lie higher than where it stands on the box's floor
BOX_COLORS: tuple[Color, ...] = ((0.72, 0.56, 0.38), (0.62, 0.47, 0.31), (0.80, 0.66, 0.48))
UNSEEN_BOX_COLORS: tuple[Color, ...] = ((0.16, 0.22, 0.42), (0.86, 0.86, 0.84), (0.50, 0.12, 0.14), (0.24, 0.26, 0.27))


class PickPlace:
    """The task `pick_place`."""

    name = "pick_place"
    instruction = "pick up the object with the right hand and put it into the box"
    time_limit = 15.0

    def draw(self, variant: str, rng: np.random.Generator) -> Setup:
        """Room, object, box, their places and the robot's posture."""
        position = draw_start(variant, rng)
        surroundings = draw_surroundings(variant, rng)
        thing = draw_graspable(variant, rng, position)
        box = _draw_box(variant, rng)
        posture, spread = draw_posture(rng)
        return Setup(surroundings, (thing, box), posture, spread)

    def reached(self, setup: Setup, objects: Mapping[str, ObjectState]) -> bool:
        """Whether the object lies at rest in the box, and the box stands."""
        thing, box = setup.objects
        inside = _way_into(setup, objects) == 0.0
        upright = standing(objects[box.name], setup.table_height)
        return bool(inside and upright and at_rest(objects[thing.name]) and at_rest(objects[box.name]))

    def progress(self, setup: Setup, objects: Mapping[str, ObjectState]) -> float:
        """Share of the straight way from where the object stood into the box; 0 if the box has been turned over."""
        thing, box = setup.objects
        if not standing(objects[box.name], setup.table_height):
            return 0.0
        began = {thing.name: _as_drawn(thing, setup), box.name: _as_drawn(box, setup)}
        return float(np.clip(1.0 - _way_into(setup, objects) / _way_into(setup, began), 0.0, 1.0))


def inner_half_size(box: SceneObject) -> Array:
    """From the middle of a box to its walls, along its own axes, (2,), [m]."""
    floor = box.parts[0]
    return np.array(floor.size[:2]) - 2 * THICKNESS


def _way_into(setup: Setup, objects: Mapping[str, ObjectState]) -> float:
    """Distance of the middle of the object from the space in the box where it can lie, [m]."""
    thing, box = setup.objects
    state, frame = objects[thing.name], objects[box.name]
    middle = state.position + state.rotation @ [0.0, 0.0, thing.height / 2]
    in_box = frame.rotation.T @ (middle - frame.position)
    outside = np.maximum(np.abs(in_box[:2]) - inner_half_size(box), 0.0)
    above = max(0.0, float(in_box[2]) - (thing.height / 2 + DEEP))
    return float(np.hypot(np.linalg.norm(outside), above))


def _as_drawn(thing: SceneObject, setup: Setup) -> ObjectState:
    cosine, sine = np.cos(thing.yaw), np.sin(thing.yaw)
    rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return ObjectState(np.array([*thing.position, setup.table_height]), rotation, np.zeros(3), np.zeros(3))


def _draw_box(variant: str, rng: np.random.Generator) -> SceneObject:
    """An open box of four low walls."""
    (x_low, x_high), (y_low, y_high), turned = BOX_PLACES[variant]
    half_x, half_y, height = rng.uniform(0.085, 0.100), rng.uniform(0.080, 0.092), rng.uniform(0.050, 0.062)
    colors = BOX_COLORS if variant == "id" else UNSEEN_BOX_COLORS
    color = colors[rng.integers(len(colors))]
    position = float(rng.uniform(x_low, x_high)), float(rng.uniform(y_low, y_high))
    return SceneObject(
        name=BOX,
        kind="box",
        parts=_box_parts(float(half_x), float(half_y), float(height), color),
        mass=1.2,
        friction=0.7,
        position=position,
        yaw=float(rng.uniform(-turned, turned)),
        radius=float(np.hypot(half_x, half_y)),
        height=float(height),
    )


def _box_parts(half_x: float, half_y: float, height: float, color: Color) -> tuple[Part, ...]:
    """Floor first, then the walls; the inside is darker."""
    inside = (0.75 * color[0], 0.75 * color[1], 0.75 * color[2])
    floor = Part("box", (half_x, half_y, THICKNESS), (0, 0, THICKNESS), inside)
    half = height / 2
    walls = tuple(
        Part("box", size, place, color)
        for size, place in (
            ((THICKNESS, half_y, half), (half_x - THICKNESS, 0, half)),
            ((THICKNESS, half_y, half), (THICKNESS - half_x, 0, half)),
            ((half_x, THICKNESS, half), (0, half_y - THICKNESS, half)),
            ((half_x, THICKNESS, half), (0, THICKNESS - half_y, half)),
        )
    )
    return floor, *walls
