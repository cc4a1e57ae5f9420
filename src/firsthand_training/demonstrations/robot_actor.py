"""The simulated H1-2 as an actor: hand shapes are joint angles of the Inspire hand, put through forward kinematics."""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firsthand.robot.joints import HANDS_SLICE
from firsthand.robot.model import RobotModel
from firsthand.simulation.simulated_body import SimulatedBody
from firsthand.simulation.tasks.interface import ObjectState, Setup
from firsthand.space.frames import inverse
from firsthand.space.hand_state import HandState
from firsthand_training.demonstrations.actor import LEFT

Array = NDArray[np.floating]
Vector = tuple[float, float, float]


class HandShape(NamedTuple):
    """A shape of the hand and where it works."""

    joints: tuple[float, ...]  # [rad], thumb yaw and pitch, index, middle, ring, little
    tool: Vector  # [m], in the right wrist frame; the left hand's is its mirror image


SHAPES = {
    "paddle": HandShape((-0.05, 0.0, 0.08, 0.08, 0.08, 0.08), (0.135, 0.0, -0.022)),
    "blade": HandShape((0.0, 0.4, 0.05, 0.05, 0.05, 0.05), (0.180, 0.030, 0.0)),
    # Found by trying 165 closings on upright cylinders: these hold 50 to 70 mm, round or square, where they stand.
    "pre_grasp": HandShape((1.10, 0.00, 0.05, 0.05, 0.05, 0.05), (0.140, 0.015, -0.050)),
    "tripod": HandShape((1.28, 0.42, 0.78, 0.78, 0.31, 0.20), (0.140, 0.015, -0.050)),
}


class RobotActor:
    """Moves a `SimulatedBody`; make one per trial."""

    pace = 1.0

    def __init__(self, body: SimulatedBody, model: RobotModel) -> None:
        self._body, self._model = body, model
        self._robot_from_world = model.robot_from_torso @ inverse(body.scene.world_from_pelvis)
        self._fingertips = cache(self._fingertips_of)

    @property
    def setup(self) -> Setup:
        """The drawn scene."""
        return self._body.scene.setup

    @property
    def robot_from_world(self) -> Array:
        """(4, 4): the head of the H1-2 does not move."""
        return self._robot_from_world

    def objects(self) -> Mapping[str, ObjectState]:
        """How each object lies and moves now, in the world."""
        return self._body.objects()

    def hands(self) -> HandState:
        """Both hands as measured now, in F_R."""
        return self._model.hand_state(self._body.state().positions)

    def fingertips(self, side: int, shape: str) -> Array:
        """Fingertips in the wrist frame of a hand in a named shape, (5, 3), [m]."""
        return self._fingertips(shape)[side]

    def tool(self, side: int, shape: str) -> Array:
        """The tool point of a named shape in the wrist frame, (3,), [m]."""
        x, y, z = SHAPES[shape].tool
        return np.array([x, -y if side == LEFT else y, z])

    def _fingertips_of(self, shape: str) -> Array:
        joints = self._model.zero
        joints[HANDS_SLICE] = SHAPES[shape].joints * 2
        return self._model.hand_state(joints).fingertips_in_wrist
