"""The clutch: a hand of the person and a hand of the robot are tied to each other where both of them are.

    position   robot's then + scale * (the person's now - the person's then)
    rotation   the robot's then, turning over into the person's own

all in the frame that the person's eyes had when the clutch closed: who turns the head or steps aside meanwhile does not
move the robot, whose eyes stand still. Rotations come to agree, because nobody can work with a hand that is askew;
positions may, too (`absolute`): then the robot's hand ends where the person's hand is seen from the eyes, which is what
people do in videos and what a policy learns from.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from firsthand.space.frames import pose
from firsthand.space.rotations import matrix_from_rotation_vector, rotation_vector_from_matrix

Array = NDArray[np.floating]

SECOND = 1_000_000_000  # [ns]
SLOWLY, TURNING = 0.15, 0.6  # [m/s], [rad/s]: at most so fast do offsets fade, on average


@dataclass(frozen=True)
class Anchor:
    """One hand's tie; poses (4, 4) in F_R of their own eyes."""

    robot: Array
    person: Array
    since_ns: int
    fade: float  # [s] in which what differs fades, longer if it is much
    scale: float = 1.0  # the robot's way over the person's
    absolute: bool = True

    def follow(self, person: Array, now_ns: int) -> Array:
        """Where the robot's hand (4, 4) goes when the person's is at (4, 4)."""
        left = self._left(now_ns, float(np.linalg.norm(self._turn)) / TURNING)
        rotation = person[:3, :3]
        if left > 0:
            rotation = matrix_from_rotation_vector(left * self._turn) @ rotation
        if self.absolute:
            return pose(rotation, person[:3, 3] + self.remainder(now_ns, self.robot[:3, 3] - self.person[:3, 3]))
        return pose(rotation, self.robot[:3, 3] + self.scale * (person[:3, 3] - self.person[:3, 3]))

    def remainder(self, now_ns: int, offset: Array) -> Array:
        """What is left of an offset (3,), [m], that there was when the hands were tied."""
        return self._left(now_ns, float(np.linalg.norm(offset)) / SLOWLY) * offset

    @cached_property
    def _turn(self) -> Array:
        """By how much the hands' rotations differed when they were tied, (3,), [rad]."""
        return rotation_vector_from_matrix(self.robot[:3, :3] @ self.person[:3, :3].T)

    def _left(self, now_ns: int, at_least: float) -> float:
        return 1.0 - smooth((now_ns - self.since_ns) / SECOND / max(self.fade, at_least))


def smooth(share: float) -> float:
    """0 to 1 with level ends."""
    linear = min(max(share, 0.0), 1.0)
    return linear * linear * (3 - 2 * linear)
