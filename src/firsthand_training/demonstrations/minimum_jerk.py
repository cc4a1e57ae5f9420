"""Motion of a point as people reach, towards goals that move.

A reach is a straight line along which the jerk is least: a bell of speed (Flash and Hogan 1985). When the goal moves
on the way, people do not start over but add a second reach, from the old goal to the new one, on top of the first
(Flash and Henis 1991). So does this: a motion is a sum of reaches, always smooth, at rest when the goal has been.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

STEP = 0.04  # [s], of one call of `advance`
SHORTEST = 0.32  # [s], no reach is quicker: this keeps corrections gentle
LAG = 2  # steps by which a measured hand follows its target
TRUST = 0.15  # share of the difference to the measured point that is taken over, per step
TOLERANCE = 0.010  # [m], of that difference that counts as ordinary lag and play


@dataclass
class Reach:
    """One straight minimum-jerk motion on its way."""

    travel: Array  # (3,), [m]
    duration: float  # [s]
    time: float = 0.0  # [s], since it began

    def advance(self) -> Array:
        """How far it moves the point during one step, (3,), [m]."""
        before = smooth(self.time / self.duration)
        self.time += STEP
        return self.travel * (smooth(self.time / self.duration) - before)


class Motion:
    """A point in space that moves towards goals."""

    def __init__(self, position: Array) -> None:
        self.position = np.array(position, dtype=float)
        self._goal = self.position
        self._reaches: list[Reach] = []
        self._past = [self.position] * (LAG + 1)

    @property
    def expected(self) -> Array:
        """Where a hand that follows is to be found now, (3,), [m]."""
        return self._past[0]

    def draw_towards(self, measured: Array) -> None:
        """Take over a part of the difference between where the point is measured and where it was to be.

        The goal stays: what was taken over is made good by a reach of its own.
        """
        difference = measured - self.expected
        excess = max(0.0, 1.0 - TOLERANCE / max(float(np.linalg.norm(difference)), TOLERANCE))
        moved = TRUST * excess * difference
        self.position = self.position + moved
        if excess > 0:
            self._reaches.append(Reach(-moved, 2 * SHORTEST))

    def advance(self, goal: Array, pace: float) -> Array:
        """Move for one step towards `goal`.

        Args:
            goal: (3,), [m], where to come to rest.
            pace: [m/s], mean speed of a long reach.

        Returns:
            The position at the end of the step, (3,), [m].
        """
        change = goal - self._goal
        if np.any(change):
            self._reaches.append(Reach(change, SHORTEST + float(np.linalg.norm(change)) / pace))
            self._goal = np.array(goal)
        for reach in self._reaches:
            self.position = self.position + reach.advance()
        self._reaches = [reach for reach in self._reaches if reach.time < reach.duration]
        self._past = [*self._past[1:], self.position]
        return self.position


def smooth(share: float) -> float:
    """Minimum-jerk ramp from 0 to 1, clipped outside."""
    s = min(max(share, 0.0), 1.0)
    return s**3 * (10 - 15 * s + 6 * s**2)
