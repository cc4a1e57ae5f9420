"""The bones of a human hand, its joints and how they move the fingertips.

Everything is told for a right hand in its wrist frame (`space/frames.py`: flat, palm down, x along the fingers, y
towards the thumb, z out of the back); a left hand is its mirror (y -> -y), moved by the same joint angles.

A digit is a chain of three bones, along x each, and four joints. The last two bend together, as tendons make them do,
so three numbers, `angles`, place a fingertip:

    0   spread     of the finger in the plane of the palm; of the thumb: opposition, out of that plane
    1   bend       at the knuckle; of the thumb at its base
    2   curl       of the second joint; the third follows by `CURL_SHARE`

The lengths of the bones are those of `hand_bones.py`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from firsthand.space.rotations import matrix_from_rotation_vector
from firsthand_training.hand_bones import BASES, MEAN_LENGTH, SEGMENTS, base_rotations, spread_axes

Array = NDArray[np.floating]

DIGITS = ("thumb", "index", "middle", "ring", "little")
BONES = ("proximal", "middle", "distal")

_RADII = np.array(  # (5, 4), [m], of a digit at its base, its two joints and its tip
    [
        [0.0130, 0.0110, 0.0098, 0.0066],
        [0.0098, 0.0086, 0.0076, 0.0058],
        [0.0100, 0.0088, 0.0077, 0.0059],
        [0.0096, 0.0083, 0.0073, 0.0056],
        [0.0086, 0.0072, 0.0063, 0.0050],
    ]
)

CURL_SHARE = np.array([0.9, 0.67, 0.67, 0.67, 0.67])  # third joint / second joint
LOWER = np.array([[-0.25, -0.45, -0.15], *[[-0.35, -0.35, 0.0]] * 4])  # (5, 3), [rad]
UPPER = np.array([[1.75, 0.75, 0.95], *[[0.35, 1.55, 1.75]] * 4])


@dataclass(frozen=True)
class Hand:
    """A right hand of some size; see the module's first lines for a left one."""

    length: float  # [m], wrist to middle fingertip
    breadth: float = 1.0  # of palm and fingers, relative to the mean hand of this length
    digits: tuple[float, ...] = (1.0,) * 5  # how long each digit is, relative to the mean hand of this length

    @property
    def scale(self) -> float:
        """Of every length, relative to the mean hand."""
        return self.length / MEAN_LENGTH

    @cached_property
    def segments(self) -> Array:
        """Lengths of the bones, (5, 3), [m]."""
        return self.scale * np.array(self.digits)[:, None] * SEGMENTS

    @cached_property
    def radii(self) -> Array:
        """Of each digit at its base, its two joints and its tip, (5, 4), [m]."""
        return self.scale * self.breadth * _RADII

    @cached_property
    def bases(self) -> Array:
        """wrist_from_digit at angles of 0, (5, 4, 4)."""
        poses = np.tile(np.eye(4), (5, 1, 1))
        poses[:, :3, 3] = self.scale * BASES * [1.0, self.breadth, self.breadth]
        poses[:, :3, :3] = base_rotations()
        return poses

    def bones(self, angles: Array) -> Array:
        """wrist_from_bone of every bone.

        Args:
            angles: (..., 5, 3), [rad].

        Returns:
            (..., 5, 3, 4, 4): origin at the joint where the bone begins, x along it.
        """
        angles = np.asarray(angles, dtype=float)
        spread, bend, curl = np.moveaxis(angles, -1, 0)
        bases = self.bases
        first = bases[:, :3, :3] @ matrix_from_rotation_vector(spread[..., None] * spread_axes()) @ _pitch(bend)
        second = first @ _pitch(curl)
        third = second @ _pitch(CURL_SHARE * curl)
        poses = np.zeros((*angles.shape[:-1], 3, 4, 4))
        poses[..., 3, 3] = 1.0
        position = np.broadcast_to(bases[:, :3, 3], angles.shape)
        for index, rotation in enumerate((first, second, third)):
            poses[..., index, :3, :3] = rotation
            poses[..., index, :3, 3] = position
            position = position + self.segments[:, index, None] * rotation[..., 0]
        return poses

    def fingertips(self, angles: Array) -> Array:
        """Where the fingertips are in the wrist frame, (..., 5, 3), [m], for angles (..., 5, 3)."""
        last = self.bones(angles)[..., 2, :, :]
        return last[..., :3, 3] + self.segments[:, 2, None] * last[..., :3, 0]

    def solve(self, fingertips: Array, angles: Array, iterations: int = 4) -> Array:
        """The joint angles within their limits that bring the fingertips nearest to where they shall be.

        Damped Gauss-Newton with a numerical Jacobian, a digit apart from the other.

        Args:
            fingertips: (..., 5, 3), [m], in the wrist frame.
            angles: (..., 5, 3), [rad], to start from.

        Returns:
            (..., 5, 3), [rad].
        """
        angles = np.array(angles, dtype=float)
        for _ in range(iterations):
            tried = np.stack([angles, *(angles + _NUDGE * axis for axis in np.eye(3))])
            tips = self.fingertips(tried)
            jacobian = np.moveaxis(tips[1:] - tips[0], 0, -1) / _NUDGE  # (..., 5, 3 of space, 3 of angles)
            transposed = np.swapaxes(jacobian, -1, -2)
            normal = transposed @ jacobian + _DAMPING**2 * np.eye(3)
            step = np.linalg.solve(normal, transposed @ (fingertips - tips[0])[..., None])[..., 0]
            angles = np.clip(angles + np.clip(step, -0.4, 0.4), LOWER, UPPER)
        return angles


_NUDGE = 1e-4  # [rad]
_DAMPING = 0.002  # [m/rad]


def _pitch(angle: Array) -> Array:
    """Rotations about y, (..., 3, 3): positive bends a finger towards the palm."""
    matrix = np.zeros((*angle.shape, 3, 3))
    matrix[..., 0, 0] = matrix[..., 2, 2] = np.cos(angle)
    matrix[..., 0, 2] = np.sin(angle)
    matrix[..., 2, 0] = -matrix[..., 0, 2]
    matrix[..., 1, 1] = 1.0
    return matrix
