"""The 54 numbers shared by people, the robot and the policy (paper, section II-A).

slice   meaning                                         unit  expressed in
0:6     head rotation, 6D                               --    robot frame F_R
6:12    left wrist rotation, 6D                         --    robot frame F_R
12:18   right wrist rotation, 6D                        --    robot frame F_R
18:21   left wrist position                             m     robot frame F_R
21:24   right wrist position                            m     robot frame F_R
24:39   left fingertips, thumb to little, xyz each      m     left wrist frame
39:54   right fingertips, thumb to little, xyz each     m     right wrist frame

The robot frame has its origin midway between the eyes, x forward along the heading, y left, z up.
`frames.py` says where the wrist frame sits on a hand.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ShapeError
from firsthand.space.rotations import matrix_from_rotation_6d, orthonormal_rotation_6d, rotation_6d_from_matrix

Array = NDArray[np.floating]

SIZE = 54
SIDES = ("left", "right")
FINGERS = ("thumb", "index", "middle", "ring", "little")

HEAD_ROTATION = slice(0, 6)
LEFT_WRIST_ROTATION = slice(6, 12)
RIGHT_WRIST_ROTATION = slice(12, 18)
WRIST_ROTATIONS = slice(6, 18)
LEFT_WRIST_POSITION = slice(18, 21)
RIGHT_WRIST_POSITION = slice(21, 24)
WRIST_POSITIONS = slice(18, 24)
LEFT_FINGERTIPS = slice(24, 39)
RIGHT_FINGERTIPS = slice(39, 54)
FINGERTIPS = slice(24, 54)
ROTATIONS = slice(0, 18)

FRAMES = ("head", "left_wrist", "right_wrist", *(f"{side}_{finger}_tip" for side in SIDES for finger in FINGERS))
"""The 13 bodies that a hand state places, in the order in which messages carry them."""


def _names() -> tuple[str, ...]:
    rotations = [f"{frame}.rotation_6d.{i}" for frame in FRAMES[:3] for i in range(6)]
    wrists = [f"{frame}.position.{axis}" for frame in FRAMES[1:3] for axis in "xyz"]
    tips = [f"{frame}.position.{axis}" for frame in FRAMES[3:] for axis in "xyz"]
    return tuple(rotations + wrists + tips)


NAMES = _names()
"""One name for each of the 54 numbers, in order; checkpoints and datasets repeat them."""


@dataclass(frozen=True)
class HandState:
    """One bimanual state, or a batch of them along any leading axes."""

    head_rotation_6d: Array  # (..., 6)
    wrist_rotations_6d: Array  # (..., 2, 6), left then right
    wrist_positions: Array  # (..., 2, 3), [m], left then right, in the robot frame
    fingertips_in_wrist: Array  # (..., 2, 5, 3), [m], thumb to little, each in its own wrist frame

    @classmethod
    def from_vector(cls, vector: Array) -> "HandState":
        """Read a state out of its 54 numbers.

        Args:
            vector: (..., 54) in the order of this module's table.

        Raises:
            ShapeError: The last axis does not hold 54 numbers.
        """
        vector = check_vector(vector)
        batch = vector.shape[:-1]
        return cls(
            head_rotation_6d=vector[..., HEAD_ROTATION],
            wrist_rotations_6d=vector[..., WRIST_ROTATIONS].reshape(*batch, 2, 6),
            wrist_positions=vector[..., WRIST_POSITIONS].reshape(*batch, 2, 3),
            fingertips_in_wrist=vector[..., FINGERTIPS].reshape(*batch, 2, 5, 3),
        )

    @classmethod
    def from_poses(cls, head_rotation: Array, wrist_poses: Array, fingertips_in_wrist: Array) -> "HandState":
        """Build a state from matrices.

        Args:
            head_rotation: (..., 3, 3), robot_from_head.
            wrist_poses: (..., 2, 4, 4), robot_from_wrist, left then right.
            fingertips_in_wrist: (..., 2, 5, 3), [m].
        """
        return cls(
            head_rotation_6d=rotation_6d_from_matrix(head_rotation),
            wrist_rotations_6d=rotation_6d_from_matrix(wrist_poses[..., :3, :3]),
            wrist_positions=np.asarray(wrist_poses)[..., :3, 3],
            fingertips_in_wrist=np.asarray(fingertips_in_wrist),
        )

    def to_vector(self) -> Array:
        """The 54 numbers, shape (..., 54)."""
        batch = self.head_rotation_6d.shape[:-1]
        return np.concatenate(
            [
                self.head_rotation_6d,
                self.wrist_rotations_6d.reshape(*batch, 12),
                self.wrist_positions.reshape(*batch, 6),
                self.fingertips_in_wrist.reshape(*batch, 30),
            ],
            axis=-1,
        )

    @property
    def head_rotation(self) -> Array:
        """robot_from_head, (..., 3, 3)."""
        return matrix_from_rotation_6d(self.head_rotation_6d)

    @property
    def wrist_rotations(self) -> Array:
        """robot_from_wrist, (..., 2, 3, 3), left then right."""
        return matrix_from_rotation_6d(self.wrist_rotations_6d)

    @property
    def wrist_poses(self) -> Array:
        """robot_from_wrist as homogeneous matrices, (..., 2, 4, 4), left then right."""
        poses = np.zeros((*self.wrist_positions.shape[:-1], 4, 4))
        poses[..., :3, :3] = self.wrist_rotations
        poses[..., :3, 3] = self.wrist_positions
        poses[..., 3, 3] = 1.0
        return poses

    @property
    def fingertips_in_robot(self) -> Array:
        """Fingertips in the robot frame, (..., 2, 5, 3), [m]."""
        rotated = np.einsum("...ij,...fj->...fi", self.wrist_rotations, self.fingertips_in_wrist)
        return rotated + self.wrist_positions[..., None, :]

    def mirrored(self) -> "HandState":
        """The same state seen in the robot's sagittal mirror (y -> -y): left and right change places."""
        return HandState(
            head_rotation_6d=self.head_rotation_6d * _MIRROR_6D,
            wrist_rotations_6d=(self.wrist_rotations_6d * _MIRROR_6D)[..., ::-1, :],
            wrist_positions=(self.wrist_positions * _MIRROR_POINT)[..., ::-1, :],
            fingertips_in_wrist=(self.fingertips_in_wrist * _MIRROR_POINT)[..., ::-1, :, :],
        )


_MIRROR_POINT = np.array([1.0, -1.0, 1.0])
_MIRROR_6D = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])  # S R S with S = diag(1, -1, 1), first two columns


def check_vector(vector: Array) -> Array:
    """Return `vector` as an array if its last axis holds the 54 numbers.

    Raises:
        ShapeError: It does not.
    """
    vector = np.asarray(vector)
    if vector.ndim == 0 or vector.shape[-1] != SIZE:
        raise ShapeError(f"expected {SIZE} numbers on the last axis, got shape {vector.shape}")
    return vector


def interpolate(start: Array, end: Array, fraction: Array | float) -> Array:
    """Blend two states: straight lines for positions, Gram-Schmidt of the blended columns for rotations.

    Args:
        start: (..., 54).
        end: (..., 54).
        fraction: 0 gives `start`, 1 gives `end`; broadcasts against the leading axes.
    """
    fraction = np.asarray(fraction)[..., None]
    blended = (1.0 - fraction) * check_vector(start) + fraction * check_vector(end)
    return orthonormalize(blended)


def orthonormalize(vector: Array) -> Array:
    """Replace each 6D rotation of (..., 54) by the orthonormal one that it stands for."""
    vector = np.array(check_vector(vector), dtype=float)
    batch = vector.shape[:-1]
    rotations = orthonormal_rotation_6d(vector[..., ROTATIONS].reshape(*batch, 3, 6))
    vector[..., ROTATIONS] = rotations.reshape(*batch, 18)
    return vector
