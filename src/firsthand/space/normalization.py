"""Normalised hand states: zero mean, unit spread, with a floor in physical units.

The floor keeps a coordinate that hardly moves in the data (a resting hand) from being blown up to unit noise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.space.hand_state import ROTATIONS, SIZE, check_vector

Array = NDArray[np.floating]

POSITION_FLOOR = 0.005  # [m]
ROTATION_FLOOR = float(np.deg2rad(2.0))  # a column of a rotation matrix moves by the angle


@dataclass(frozen=True)
class Normalization:
    """An affine map of the 54 numbers and its inverse."""

    mean: Array  # (54,)
    std: Array  # (54,), never below the floor

    @classmethod
    def fit(cls, samples: Array) -> "Normalization":
        """Mean and floored standard deviation of (..., 54) samples."""
        samples = check_vector(samples).reshape(-1, SIZE)
        return cls(mean=samples.mean(axis=0), std=np.maximum(samples.std(axis=0), physical_floor()))

    def normalize(self, vector: Array) -> Array:
        """Physical units to normalised ones, (..., 54)."""
        return (check_vector(vector) - self.mean) / self.std

    def denormalize(self, vector: Array) -> Array:
        """Normalised units to physical ones, (..., 54)."""
        return check_vector(vector) * self.std + self.mean


def physical_floor() -> Array:
    """The smallest spread of each of the 54 numbers that counts as motion, (54,)."""
    floor = np.full(SIZE, POSITION_FLOOR)
    floor[ROTATIONS] = ROTATION_FLOOR
    return floor
