"""A person as an actor for the scripted experts; see `demonstrations/actor.py`."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from firsthand.simulation.tasks.interface import ObjectState, Setup
from firsthand.space.hand_state import SIDES, HandState
from firsthand_training.demonstrations.human.body import HumanBody
from firsthand_training.demonstrations.human.shapes import fingertips_of, tool_of

Array = NDArray[np.floating]


class HumanActor:
    """Moves the hands of a `HumanBody`; make one per trial."""

    def __init__(self, body: HumanBody) -> None:
        self._body = body
        self._hand = body.scene.person.hand

    @property
    def setup(self) -> Setup:
        """The drawn scene."""
        return self._body.scene.setup

    @property
    def pace(self) -> float:
        """How quick this person is; the robot has 1."""
        return self._body.scene.person.pace

    @property
    def robot_from_world(self) -> Array:
        """(4, 4), where F_R is now; it goes along with the head."""
        return self._body.robot_from_world

    def objects(self) -> Mapping[str, ObjectState]:
        """How each object lies and moves now, in the world."""
        return self._body.objects()

    def hands(self) -> HandState:
        """Both hands as they are now, in F_R."""
        return self._body.hand_state()

    def fingertips(self, side: int, shape: str) -> Array:
        """Fingertips in the wrist frame of a hand in a named shape, (5, 3), [m]."""
        return fingertips_of(self._hand, SIDES[side], shape)

    def tool(self, side: int, shape: str) -> Array:
        """The tool point of a named shape in the wrist frame, (3,), [m]."""
        return tool_of(self._hand, SIDES[side], shape)
