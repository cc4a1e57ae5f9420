"""People are faster than robots: recordings stretched in time, and by how much.

A stretched recording keeps its frames and its features. Only its clock changes: one step of the run is `pace` frames of
the recording. Targets are read between frames, positions along the straight line and rotations along the great circle
(SLERP). Between frames 10 degrees apart a straight line through the six numbers would be 0.13 degrees off, between
frames 90 degrees apart 11; the circle costs the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import EpisodeError
from firsthand.space.hand_state import ROTATIONS, WRIST_POSITIONS, check_vector
from firsthand.space.rotations import (
    matrix_from_rotation_6d,
    matrix_from_rotation_vector,
    rotation_6d_from_matrix,
    rotation_vector_from_matrix,
)

Array = NDArray[np.floating]

WAITING = 0.1  # a wrist slower than this share of the fast ones is waiting, and says nothing about how fast one works
STILL = 0.002  # [m/s] recordings in which not even the fast wrists move are of nobody doing anything
LARGEST = 10.0  # nobody is more than this many times faster than a robot; a larger factor is a mistake in the data


def between_frames(path: Array, times: Array) -> Array:
    """Hand states between those of a path.

    Args:
        path: (N, 54), one a frame.
        times: (...), in frames from the first; beyond either end the path stands still.

    Returns:
        (..., 54) with orthonormal rotations.
    """
    times = np.clip(times, 0, len(path) - 1)
    before = np.minimum(times.astype(int), max(len(path) - 2, 0))
    after, share = np.minimum(before + 1, len(path) - 1), (times - before)[..., None]
    mixed = path[before] + share * (path[after] - path[before])
    mixed[..., ROTATIONS] = _slerp(path[before][..., ROTATIONS], path[after][..., ROTATIONS], share[..., None])
    return mixed


def _slerp(first: Array, second: Array, share: Array) -> Array:
    """Rotations (..., 18) between two, by the great circle; `share` is (..., 1, 1)."""
    start, end = (matrix_from_rotation_6d(each.reshape(*each.shape[:-1], 3, 6)) for each in (first, second))
    turn = rotation_vector_from_matrix(np.swapaxes(start, -1, -2) @ end)
    return rotation_6d_from_matrix(start @ matrix_from_rotation_vector(share * turn)).reshape(first.shape)


@dataclass(frozen=True)
class WristSpeed:
    """How fast the wrists of some recordings move while they move."""

    median: float  # [m/s]
    fast: float  # [m/s], 19 of 20 times they are slower
    moving: float  # share of the time that they move at all


def wrist_speed(states: Sequence[Array], rate: float) -> WristSpeed:
    """Speed of the faster wrist in recordings of (N, 54) hand states at `rate` [Hz]; 0 if nothing ever moves."""
    steps = [np.diff(check_vector(state)[:, WRIST_POSITIONS].reshape(-1, 2, 3), axis=0) for state in states]
    speed = rate * np.linalg.norm(np.concatenate(steps), axis=-1).max(axis=-1)
    fast = float(np.quantile(speed, 0.95))
    if fast < STILL:
        return WristSpeed(0.0, fast, 0.0)
    moving = speed[speed > WAITING * fast]
    return WristSpeed(float(np.median(moving)), fast, moving.size / speed.size)


def estimate_slow_down(fast: WristSpeed, slow: WristSpeed) -> float:
    """How many times longer `fast` recordings should take, for their wrists to move as in `slow` ones.

    Raises:
        EpisodeError: The factor is beyond anything that the same task would explain.
    """
    if slow.median == 0 or not slow.median / LARGEST <= fast.median <= slow.median * LARGEST:
        raise EpisodeError(
            f"no slow-down follows from median wrist speeds of {fast.median:.3f} and {slow.median:.3f} m/s: expected "
            f"one at most {LARGEST:.0f} times the other. Check units and frames, or set it by hand"
        )
    return fast.median / slow.median
