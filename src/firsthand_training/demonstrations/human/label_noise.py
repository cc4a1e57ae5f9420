"""Hand labels of a video as they come out of an estimator, not as the hands were.

Sizes are those measured for two-dimensional landmarks lifted by a fitted hand and smoothed over half a second: wrists
29 mm off on average, fingertips 25 mm within the wrist frame, wrist rotations 9 degrees. Most of a wrist's error lies
along the line of sight, because a hand taken for larger than it is seems farther away; that share stays for the whole
clip. Some clips are labelled better than others.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import EpisodeError
from firsthand.simulation.disturbance import SmoothNoise
from firsthand.space.hand_state import HandState, check_vector
from firsthand.space.rotations import matrix_from_rotation_vector, rotation_6d_from_matrix

Array = NDArray[np.floating]

MEAN_NORM = np.sqrt(8 / np.pi)  # of a vector of three standard normal numbers
SIZE_SHARE = 0.7  # of the variance of a wrist's error that comes from the size of the hand


@dataclass(frozen=True)
class LabelNoiseSettings:
    """Mean errors over many clips."""

    wrist: float = 0.029  # [m], at a distance of `distance`
    fingertips: float = 0.025  # [m], in the wrist frame
    rotation: float = 0.157  # [rad], of a wrist
    gravity: float = 0.01  # [rad], of the clip's vertical
    distance: float = 0.6  # [m], of the hands from the eyes
    spread: float = 0.35  # of the logarithm of a clip's own factor on all of this
    time_constant: float = 0.25  # [s], of what changes within a clip

    def __post_init__(self) -> None:
        """Refuse what is no size."""
        if min(self.wrist, self.fingertips, self.rotation, self.gravity, self.spread) < 0:
            raise EpisodeError(f"expected label errors of 0 or more, got {self}")
        if min(self.distance, self.time_constant) <= 0:
            raise EpisodeError(f"expected a positive distance and time constant, got {self}")

    def scaled(self, factor: float) -> "LabelNoiseSettings":
        """The same with all errors `factor` times as large."""
        sizes = {name: factor * getattr(self, name) for name in ("wrist", "fingertips", "rotation", "gravity")}
        return replace(self, **sizes)


class LabelNoise:
    """The errors of one clip's labels, frame by frame.

    Attributes:
        sigma: Their standard deviation along the worst direction, as `observation.sigma` has it, (6,): what an
            estimator says of labels that it is right about.
    """

    def __init__(self, seed: int, frames: int, rate: float, settings: LabelNoiseSettings | None = None) -> None:
        """Draw them.

        Args:
            seed: Of the clip.
            frames: How many there are to label.
            rate: Of the frames, [Hz].
            settings: How large the errors are.
        """
        s = settings or LabelNoiseSettings()
        rng = np.random.default_rng([seed, 0x1ABE])
        clip = float(np.exp(rng.normal(0.0, s.spread) - s.spread**2 / 2))
        steps = rate * s.time_constant
        spread = clip * s.wrist / np.sqrt(2 / np.pi * SIZE_SHARE + 8 / np.pi * (1 - SIZE_SHARE))
        turn, tips = clip * s.rotation / MEAN_NORM, clip * s.fingertips / MEAN_NORM
        self.sigma: Array = np.repeat([spread, turn, tips], 2)
        self._stretch = 1 + np.sqrt(SIZE_SHARE) * spread / s.distance * rng.standard_normal()
        self._tilt = matrix_from_rotation_vector(s.gravity * clip * np.array([*rng.standard_normal(2), 0.0]))
        self._wrists = np.sqrt(1 - SIZE_SHARE) * spread * _smooth(rng, (frames, 2, 3), steps)
        self._turns = turn * _half_constant(rng, (frames, 2, 3), steps)
        self._tips = tips * _half_constant(rng, (frames, 2, 5, 3), steps)

    def apply(self, vector: Array, frame: int) -> Array:
        """The label (54,) that a frame gets for a true hand state (54,)."""
        state = HandState.from_vector(check_vector(vector))
        frame = min(frame, len(self._wrists) - 1)
        turned = self._tilt @ state.wrist_rotations @ matrix_from_rotation_vector(self._turns[frame])
        return HandState(
            head_rotation_6d=rotation_6d_from_matrix(self._tilt @ state.head_rotation),
            wrist_rotations_6d=rotation_6d_from_matrix(turned),
            wrist_positions=self._stretch * state.wrist_positions @ self._tilt.T + self._wrists[frame],
            fingertips_in_wrist=state.fingertips_in_wrist + self._tips[frame],
        ).to_vector()


def _half_constant(rng: np.random.Generator, shape: tuple[int, ...], time_constant: float) -> Array:
    """Numbers of variance 1 of which one half stays the same over the first axis and the other changes smoothly."""
    return np.sqrt(0.5) * (rng.standard_normal(shape[1:]) + _smooth(rng, shape, time_constant))


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], time_constant: float) -> Array:
    """Numbers of variance 1 that change smoothly along the first axis, in full swing from the first one on."""
    noise = SmoothNoise(rng, shape[1:], time_constant)
    for _ in range(round(8 * time_constant)):
        noise.advance()
    return np.stack([noise.advance() for _ in range(shape[0])])
