"""Smooth noise on the wrists of a target: it shows a learner what to do off the expert's path.

Each wrist coordinate follows an Ornstein-Uhlenbeck process, smoothed once more so that its velocity is continuous.
The recorded action stays the clean one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import SimulationError
from firsthand.space.hand_state import HandState, check_vector
from firsthand.space.rotations import matrix_from_rotation_vector, rotation_6d_from_matrix

Array = NDArray[np.floating]


@dataclass(frozen=True)
class DisturbanceSettings:
    """How strong and how quick the noise is."""

    position_spread: float = 0.008  # [m], standard deviation of each coordinate of a wrist
    rotation_spread: float = 0.03  # [rad]
    time_constant: float = 0.35  # [s]
    rate: float = 25.0  # [Hz], calls of `apply`


class SmoothNoise:
    """Numbers of variance 1 that change smoothly: an Ornstein-Uhlenbeck process from rest, smoothed once more."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], time_constant: float) -> None:
        """Begin at zero.

        Args:
            rng: Where the noise comes from.
            shape: Of the numbers.
            time_constant: In steps of `advance`.
        """
        self._rng, self._shape = rng, shape
        self._keep = float(np.exp(-1.0 / time_constant))
        self._walk, self._smooth = np.zeros(shape), np.zeros(shape)

    def advance(self) -> Array:
        """The numbers after one more step."""
        keep = self._keep
        self._walk = keep * self._walk + np.sqrt(1 - keep**2) * self._rng.standard_normal(self._shape)
        self._smooth = keep * self._smooth + (1 - keep) * self._walk
        return self._smooth * (1 + keep) / np.sqrt(1 + keep**2)


class Disturbance:
    """Noise from one seed; call `apply` once per target."""

    def __init__(self, seed: int, settings: DisturbanceSettings | None = None) -> None:
        self.settings = settings or DisturbanceSettings()
        if min(self.settings.time_constant, self.settings.rate) <= 0:
            raise SimulationError(f"expected a positive time constant and rate, got {self.settings}")
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Back to the start of the seed's stream, at rest."""
        rng = np.random.default_rng([self._seed, 0xD157])
        self._noise = SmoothNoise(rng, (2, 6), self.settings.rate * self.settings.time_constant)

    def apply(self, target: Array) -> Array:
        """The target (54,) with both wrists moved a little."""
        offsets = self._advance()
        state = HandState.from_vector(check_vector(target))
        turned = matrix_from_rotation_vector(offsets[:, 3:]) @ state.wrist_rotations
        return HandState(
            head_rotation_6d=state.head_rotation_6d,
            wrist_rotations_6d=rotation_6d_from_matrix(turned),
            wrist_positions=state.wrist_positions + offsets[:, :3],
            fingertips_in_wrist=state.fingertips_in_wrist,
        ).to_vector()

    def _advance(self) -> Array:
        """The next offsets, (2, 6): position [m] and rotation vector [rad] of each wrist."""
        scale = np.repeat([self.settings.position_spread, self.settings.rotation_spread], 3)
        return self._noise.advance() * scale
