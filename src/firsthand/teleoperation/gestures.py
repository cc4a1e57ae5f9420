"""What bare hands say besides moving: take the clutch, and stop.

    clutch   thumb and little finger touch, on both hands at once, index and middle finger stay long
    stop     both wrists above the eyes, as people throw up their hands

Neither happens in work on a table. A gesture counts once it has been held for a while.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

SECOND = 1_000_000_000  # [ns]
TOUCHING, APART = 0.028, 0.045  # [m] between the bones' ends: closer is a touch, farther is none, between as before
LONG_FINGERS = 0.115  # [m] along x, from the wrist to the tips of index and middle finger; a fist has less
ABOVE_EYES = 0.05  # [m]
THUMB, INDEX, MIDDLE, LITTLE = 0, 1, 2, 4


def hands_are_up(wrist_positions: Array) -> bool:
    """Whether both wrists (2, 3), [m] in F_R, are above the eyes; a hand that is not seen (NaN) is not."""
    return bool((wrist_positions[:, 2] > ABOVE_EYES).all())


class ClutchGesture:
    """Whether both thumbs touch the little fingers, with a hysteresis."""

    def __init__(self) -> None:
        self.closed = False

    def look(self, fingertips_in_wrist: Array) -> bool:
        """Whether the gesture is made by fingertips (2, 5, 3), [m]; a hand that is not seen (NaN) makes none."""
        gap = np.linalg.norm(fingertips_in_wrist[:, THUMB] - fingertips_in_wrist[:, LITTLE], axis=1)
        long = (fingertips_in_wrist[:, [INDEX, MIDDLE], 0] > LONG_FINGERS).all()
        self.closed = bool(long and (gap < (APART if self.closed else TOUCHING)).all())
        return self.closed


@dataclass
class Held:
    """Says since when something has been so.

    Args:
        seconds: How long it must be so to count.
    """

    seconds: float
    _since_ns: int | None = None

    def update(self, now_ns: int, is_so: bool) -> bool:
        """Whether it has been so for long enough."""
        if not is_so:
            self._since_ns = None
        elif self._since_ns is None or now_ns < self._since_ns:
            self._since_ns = now_ns
        return self._since_ns is not None and now_ns - self._since_ns >= self.seconds * SECOND
