"""Clips of moving hands whose truth is known, for `hand_fitting.py`: two hands of the rig before a head camera.

Poses are not drawn from the priors of the fit: fingers open and close together and each by itself, wrists turn by
half a radian around an egocentric view of the back of the hand, 0.58 m away, all at 0.2 to 1.5 Hz.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.space.rotations import matrix_from_rotation_vector
from firsthand_training.labels.hand_rig import SHAPE, HandPose, of_mean_length
from firsthand_training.labels.pinhole import see

Array = NDArray[np.floating]

INTRINSICS = np.array([[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]])
MIDDLE = np.array([0.6, 0.1, 0.0, 0.3, 0.4, *(0.0, 0.5, 0.7, 0.45) * 4])
SWING = np.array([0.45, 0.3, 0.12, 0.25, 0.35, *(0.12, 0.4, 0.5, 0.3) * 4])
SHARED = np.array([0.3, 0.3, 0.0, 0.5, 0.5, *(0.0, 0.8, 0.8, 0.8) * 4])


@dataclass(frozen=True)
class HandClip:
    """Truth of T frames of two hands."""

    pose: HandPose  # (2 T), frame by frame, left then right
    side: NDArray[np.int64]  # (2 T,)
    shape: Array  # (1, 21)
    stamps: Array  # (T,), [s]
    pixels: Array  # (2 T, 21, 2), [px]


def hand_clip(seed: int, frames: int = 90, rate: float = 30.0, bones: float = 0.0) -> HandClip:
    """A clip of one person, whose proportions are off by `bones` (standard deviation of their logarithm)."""
    rng = np.random.default_rng([seed, 0xC11B])
    times = np.arange(frames) / rate
    shape = of_mean_length(bones * rng.standard_normal((1, SHAPE)))
    poses = [_moving(rng, times, side) for side in (0, 1)]
    pose = HandPose(
        *(np.stack(parts, axis=1).reshape(2 * frames, *parts[0].shape[1:]) for parts in zip(*poses, strict=True))
    )
    side = np.tile([0, 1], frames)
    return HandClip(pose, side, shape, times, see(pose, side, shape, INTRINSICS, None).pixels)


def _moving(rng: np.random.Generator, times: Array, side: int) -> tuple[Array, Array, Array]:
    outward = 1.0 if side else -1.0
    place = np.array([0.11 * outward, 0.06, 0.58]) + _smooth(rng, times, 3) * [0.05, 0.05, 0.06]
    along, back = np.array([-0.15 * outward, -0.6, 0.78]), np.array([0.0, -0.78, -0.6])
    along = along / np.linalg.norm(along)
    back = back - (back @ along) * along
    back /= np.linalg.norm(back)
    upright = np.stack([along, np.cross(back, along), back], axis=1)
    turn = matrix_from_rotation_vector(0.35 * _smooth(rng, times, 3))
    own, together = _smooth(rng, times, 21), _smooth(rng, times, 1)
    swing = np.sqrt(1 - SHARED**2) * own + SHARED * together
    return turn @ upright, place, MIDDLE + SWING * np.clip(swing, -1.5, 1.5)


def _smooth(rng: np.random.Generator, times: Array, width: int) -> Array:
    """Numbers of variance 1 that swing at 0.2 to 1.5 Hz, (T, width)."""
    rates, phases = rng.uniform(0.2, 1.5, (4, width)), rng.uniform(0, 2 * np.pi, (4, width))
    return np.sqrt(0.5) * np.sin(2 * np.pi * rates * times[:, None, None] + phases).sum(axis=1)
