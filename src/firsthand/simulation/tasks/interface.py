"""What a task is made of: everything that chance decides, drawn once, as plain values.

A task draws a `Setup` from a seed; `simulation/scene.py` builds it; the task then judges the pose of its objects.
World frame: x forward and y left as the robot stands, z up, origin on the floor below the pelvis.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firsthand.simulation.textures import Color, Texture

Array = NDArray[np.floating]
Vector = tuple[float, float, float]

VARIANTS = ("id", "ood")
STRIPE = 0.006  # [m], half width of the painted edge of a zone
TABLE_HEIGHT = 0.95  # [m]; the wrists, +-26 deg of pitch, work well over tables of 0.90 to 1.00 m


@dataclass(frozen=True)
class Part:
    """One primitive of an object, in the frame of the object: origin at the centre of its base, z up."""

    shape: str  # box, cylinder, capsule, ellipsoid: MuJoCo's sizes; prism: (radius, half height, number of sides)
    size: tuple[float, ...]
    position: Vector
    surface: Texture | Color
    rpy: Vector = (0.0, 0.0, 0.0)
    shown_only: bool = False  # seen but not felt: rims, labels


@dataclass(frozen=True)
class Hinge:
    """Parts of an object that turn together about an axis: a flap, a lid, a door.

    Their frame has the axes of the object at angle 0 and its origin on the hinge. Friction holds them at any angle, as
    a crease in cardboard does, if it is greater than the torque of their weight.
    """

    name: str  # in a scene's state: `object/hinge`
    parts: tuple[Part, ...]
    mass: float  # [kg]
    position: Vector  # [m], of a point of the axis, in the frame of the object
    axis: Vector  # unit vector, in the frame of the object
    limits: tuple[float, float]  # [rad]
    start: float  # [rad]
    friction: float  # [Nm], to be overcome


@dataclass(frozen=True)
class SceneObject:
    """A thing that can be moved."""

    name: str
    kind: str  # what it is called in a report: box, mug, ...
    parts: tuple[Part, ...]
    mass: float  # [kg], without what hangs on hinges
    friction: float
    position: tuple[float, float]  # [m], where its base starts on the table, world x and y
    yaw: float  # [rad]
    radius: float  # [m], of the upright cylinder around it
    height: float  # [m]
    hinges: tuple[Hinge, ...] = ()


@dataclass(frozen=True)
class Marker:
    """A patch painted on the table: seen, not felt."""

    name: str
    center: tuple[float, float]  # [m], world x and y
    half_size: tuple[float, float]  # [m]
    rgba: tuple[float, float, float, float]


@dataclass(frozen=True)
class Light:
    """The lamps of the room."""

    ambient: float
    diffuse: float
    specular: float
    tint: Color
    direction: Vector  # of the light's travel, z < 0


@dataclass(frozen=True)
class Surroundings:
    """What the room looks like."""

    table: Texture
    wall: Texture
    floor: Texture
    light: Light
    furniture: tuple[Color, ...] = ()  # books on the shelf
    clutter: tuple[Part, ...] = ()  # things that stand about, seen and not felt; positions in the world


@dataclass(frozen=True)
class Setup:
    """One drawn scene."""

    surroundings: Surroundings
    objects: tuple[SceneObject, ...]
    arm_posture: Array  # (14,), [rad], in which the robot starts; its hands start in the model's neutral posture
    arm_posture_spread: Array  # (14,), [rad], drawn, added to it; less where the robot would touch something
    markers: tuple[Marker, ...] = ()
    table_height: float = TABLE_HEIGHT


@dataclass(frozen=True)
class ObjectState:
    """How an object lies and moves, in the world."""

    position: Array  # (3,), [m], centre of its base
    rotation: Array  # (3, 3), world_from_object
    linear_velocity: Array  # (3,), [m/s]
    angular_velocity: Array  # (3,), [rad/s]
    hinges: Mapping[str, float] = field(default_factory=dict)  # [rad], by the names of its hinges


class Task(Protocol):
    """A task of the simulation."""

    name: str
    instruction: str  # in words, as episodes carry it
    time_limit: float  # [s]

    def draw(self, variant: str, rng: np.random.Generator) -> Setup:
        """Everything that chance decides about one trial."""

    def reached(self, setup: Setup, objects: Mapping[str, ObjectState]) -> bool:
        """Whether the objects are, at this instant, where the task wants them."""

    def progress(self, setup: Setup, objects: Mapping[str, ObjectState]) -> float:
        """How far the task has come: 0 as drawn, 1 when the objects are where it wants them."""
