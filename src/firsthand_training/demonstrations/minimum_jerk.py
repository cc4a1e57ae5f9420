"""Motion of a point as people reach: minimum jerk, planned anew on every step.

From position, velocity and acceleration now to rest at the goal in the time that is left, there is one quintic of least
jerk (Flash and Hogan 1985). Following it for one step and planning again gives the same curve while the goal stays, and
bends it smoothly when the goal or the point is moved.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

STEP = 0.04  # [s], of a plan that is followed before the next
SETTLING = 0.25  # [s], added to every new motion: short ones are not hurried
SHORTEST = 0.32  # [s], no plan is quicker: this keeps corrections gentle
NEW_GOAL = 0.03  # [m], a goal that jumps farther starts a motion of its own
LAG = 2  # steps by which a measured hand follows its target
TRUST = 0.12  # share of the difference to the measured point that the plan takes over, per step


class Motion:
    """A point in space that moves towards goals."""

    def __init__(self, position: Array) -> None:
        self.position = np.array(position, dtype=float)
        self._velocity = np.zeros(3)
        self._acceleration = np.zeros(3)
        self._goal = self.position
        self._time_left = 0.0
        self._past = deque([self.position], maxlen=LAG + 1)

    def draw_towards(self, measured: Array) -> None:
        """Take over a part of the difference between where the point is measured and where it was to be."""
        self.position = self.position + TRUST * (measured - self._past[0])

    def advance(self, goal: Array, pace: float) -> Array:
        """Move for one step towards `goal`.

        Args:
            goal: (3,), [m], where to come to rest.
            pace: [m/s], mean speed of a whole motion.

        Returns:
            The position at the end of the step, (3,), [m].
        """
        distance = float(np.linalg.norm(goal - self.position))
        if np.linalg.norm(goal - self._goal) > NEW_GOAL:
            self._time_left = distance / pace + SETTLING
        self._goal = np.array(goal)
        self._time_left = max(self._time_left, distance / (2 * pace), SHORTEST)
        self.position, self._velocity, self._acceleration = plan(
            self.position, self._velocity, self._acceleration, self._goal, self._time_left, STEP
        )
        self._time_left -= STEP
        self._past.append(self.position)
        return self.position


def plan(
    position: Array, velocity: Array, acceleration: Array, goal: Array, duration: float, time: float
) -> tuple[Array, Array, Array]:
    """Position, velocity and acceleration at `time` of the least-jerk motion to rest at `goal` after `duration`."""
    s, whole = time / duration, duration
    travel = goal - position
    v, a = velocity * whole, acceleration * whole**2  # in units of the whole duration
    c3 = 10 * travel - 6 * v - 1.5 * a
    c4 = -15 * travel + 8 * v + 1.5 * a
    c5 = 6 * travel - 3 * v - 0.5 * a
    moved = position + s * (v + s * (a / 2 + s * (c3 + s * (c4 + s * c5))))
    speed = v + s * (a + s * (3 * c3 + s * (4 * c4 + s * 5 * c5)))
    change = a + s * (6 * c3 + s * (12 * c4 + s * 20 * c5))
    return moved, speed / whole, change / whole**2


def smooth(share: float) -> float:
    """Minimum-jerk ramp from 0 to 1, clipped outside."""
    s = min(max(share, 0.0), 1.0)
    return s**3 * (10 - 15 * s + 6 * s**2)
