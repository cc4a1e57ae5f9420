"""Targets of an episode, seen from another moment of it."""

import numpy as np
from numpy.typing import NDArray

from firsthand.space.hand_state import WRIST_POSITIONS

Array = NDArray[np.floating]


def in_frame_of(actions: Array, origins: Array, origin: Array) -> Array:
    """Rows of `action`, each in the F_R of its own time, in the F_R of one time.

    The axes of F_R never turn within an episode; where a head moves, its origin does.

    Args:
        actions: (..., 54).
        origins: Where F_R is at the time of each, (..., 3), [m]: rows of `observation.origin`.
        origin: Where it is at that one time, (3,), [m].
    """
    moved = actions.copy()
    moved[..., WRIST_POSITIONS] += np.tile(origins - origin, 2)
    return moved
