"""How a person's head moves at the table: it looks towards the work and the moving hand, leans a little, and sways."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.simulation.disturbance import SmoothNoise
from firsthand.space.frames import pose
from firsthand.space.rotations import matrix_from_rpy
from firsthand_training.demonstrations.human.person import Person

Array = NDArray[np.floating]

WORK = np.array([0.36, 0.0, 0.04])  # [m], where the work is: world x and y, height above the table
TURNING = 4.5  # [rad/s], natural frequency of the head, critically damped: half a second to look somewhere else
SWAY = 0.008  # [m], standard deviation of the head's place along each axis
SWAY_TIME = 1.5  # [s]
HEAD_SHARE = 0.6  # of a change of gaze to the side; the eyes do the rest
LEAN = 0.12  # [m] of head per [m] of gaze


@dataclass(frozen=True)
class _Aim:
    """What the head moves towards."""

    position: Array  # (3,), [m], world
    angles: Array  # (3,): roll, pitch (down positive), yaw relative to the heading, [rad]


class Head:
    """The head of a person."""

    def __init__(self, person: Person, table_height: float, seed: int, step: float) -> None:
        """A head that looks at the work; `step` is the time between two calls of `advance`, [s]."""
        self._person = person
        self._stand = np.array([person.eyes[0], 0.0, table_height + person.eyes[1]])
        self._work = WORK + np.array([0.0, 0.0, table_height])
        self._sway = SmoothNoise(np.random.default_rng([seed, 0x4EAD]), (4,), SWAY_TIME / step)
        self._step = step
        aim = self._aim(self._work)
        self._value = np.concatenate([aim.position, aim.angles])
        self._speed = np.zeros(6)

    @property
    def world_from_robot(self) -> Array:
        """The frame F_R of the hand states: between the eyes, x along the heading, z up; (4, 4)."""
        return pose(matrix_from_rpy(0.0, 0.0, self._person.heading), self._value[:3])

    @property
    def rotation(self) -> Array:
        """robot_from_head, (3, 3): the cameras look along its x."""
        return matrix_from_rpy(*self._value[3:])

    @property
    def world_from_head(self) -> Array:
        """(4, 4)."""
        return pose(self.world_from_robot[:3, :3] @ self.rotation, self._value[:3])

    def advance(self, hand: Array) -> None:
        """Let a step pass.

        Args:
            hand: (3,), [m], world: what there is to look at beside the work, the hand that moves.
        """
        sway = SWAY * self._sway.advance()
        aim = self._aim(0.6 * self._work + 0.4 * hand)
        goal = np.concatenate([aim.position + sway[:3], aim.angles])
        goal[3] += 2.0 * sway[3]
        force = TURNING**2 * (goal - self._value) - 2 * TURNING * self._speed
        self._speed = self._speed + self._step * force
        self._value = self._value + self._step * self._speed

    def _aim(self, point: Array) -> _Aim:
        lean = LEAN * (point - self._work)
        position = self._stand + lean * [1.0, 1.0, 0.0]
        forward, left, up = matrix_from_rpy(0.0, 0.0, self._person.heading).T @ (point - position)
        pitch = np.arctan2(-up, np.hypot(forward, left)) - self._person.look_down
        return _Aim(position, np.array([0.0, pitch, HEAD_SHARE * np.arctan2(left, forward)]))
