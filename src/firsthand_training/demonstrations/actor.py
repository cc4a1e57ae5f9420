"""Whoever a scripted expert moves: the simulated robot, or a pair of human hands.

An expert plans in the world and sees where everything truly is. What it needs to know of the hands that it moves is
here, so that one expert serves every kind of hand; `robot_actor.py` is the robot's.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firsthand.simulation.tasks.interface import ObjectState, Setup
from firsthand.space.frames import inverse
from firsthand.space.hand_state import HandState

Array = NDArray[np.floating]

LEFT, RIGHT = 0, 1  # indices of the hands, as in a hand state


class Actor(Protocol):
    """Two hands at the table of a task.

    Hand shapes go by name: `paddle` (flat, the thumb out of the way), `blade` (flat, the thumb beside the palm),
    `pre_grasp` (thumb opposed to open fingers) and `tripod` (thumb against index and middle finger). Each works at one
    point of the hand, its tool point: where the palm pushes, the middle of the index finger of a blade, or where the
    axis of an upright object is that the hand holds.
    """

    @property
    def setup(self) -> Setup:
        """The drawn scene."""

    @property
    def pace(self) -> float:
        """How quick these hands are: 1 for the robot. Speeds are multiplied by it, durations divided."""

    @property
    def robot_from_world(self) -> Array:
        """(4, 4), where the frame F_R of the hand states is now; with a person's head it moves."""

    def objects(self) -> Mapping[str, ObjectState]:
        """How each object lies and moves now, in the world."""

    def hands(self) -> HandState:
        """Both hands as measured now, in F_R."""

    def fingertips(self, side: int, shape: str) -> Array:
        """Fingertips in the wrist frame of a hand in a named shape, (5, 3), thumb to little finger, [m]."""

    def tool(self, side: int, shape: str) -> Array:
        """The point with which a hand in a named shape works, in its wrist frame, (3,), [m]."""


class Expert(Protocol):
    """Does a task, step after step."""

    @property
    def phase(self) -> str:
        """What it is about to do, in a word."""

    def act(self) -> Array:
        """The hand state (54,) that the hands shall reach by the end of the coming 25 Hz step."""


def wrists_in_world(actor: Actor) -> Array:
    """world_from_wrist as measured now, (2, 4, 4), left then right."""
    return inverse(actor.robot_from_world) @ actor.hands().wrist_poses
