"""How a person's head moves at the table: it looks towards the work and the moving hand, leans a little, and sways."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    """The head of a person; `advance` it by the same step all the time."""

    def __init__(self, person: Person, table_height: float, seed: int) -> None:
        self._person = person
        self._rng = np.random.default_rng([seed, 0x4EAD])
        self._stand = np.array([person.eyes[0], 0.0, table_height + person.eyes[1]])
        self._work = WORK + np.array([0.0, 0.0, table_height])
        self._walk, self._sway = np.zeros(4), np.zeros(4)
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

    def advance(self, seconds: float, hand: Array) -> None:
        """Let time pass.

        Args:
            seconds: How much.
            hand: (3,), [m], world: what there is to look at beside the work, the hand that moves.
        """
        self._wander(seconds)
        aim = self._aim(0.6 * self._work + 0.4 * hand)
        goal = np.concatenate([aim.position + self._sway[:3], aim.angles])
        goal[3] += 2.0 * self._sway[3]
        force = TURNING**2 * (goal - self._value) - 2 * TURNING * self._speed
        self._speed = self._speed + seconds * force
        self._value = self._value + seconds * self._speed

    def _aim(self, point: Array) -> _Aim:
        lean = LEAN * (point - self._work)
        position = self._stand + lean * [1.0, 1.0, 0.0]
        forward, left, up = matrix_from_rpy(0.0, 0.0, self._person.heading).T @ (point - position)
        pitch = np.arctan2(-up, np.hypot(forward, left)) - self._person.look_down
        return _Aim(position, np.array([0.0, pitch, HEAD_SHARE * np.arctan2(left, forward)]))

    def _wander(self, seconds: float) -> None:
        """An Ornstein-Uhlenbeck process, smoothed once more; in units of SWAY, the last one of [rad] of roll."""
        keep = np.exp(-seconds / SWAY_TIME)
        self._walk = keep * self._walk + np.sqrt(1 - keep**2) * SWAY * self._rng.standard_normal(4)
        self._sway = keep * self._sway + (1 - keep) * self._walk
