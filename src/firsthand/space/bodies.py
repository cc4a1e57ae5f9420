"""A hand state as 13 named bodies, the way messages and bags carry it: each a translation and a quaternion xyzw.

    head                   rotation only; its translation is a filler, zero
    left_wrist, ...        pose in the robot frame
    left_thumb_tip, ...    translation in the hand's wrist frame; its rotation is a filler, identity

This is the only module in which the order of a quaternion changes: wxyz inside, xyzw in messages.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ShapeError
from firsthand.space.hand_state import FINGERTIPS, FRAMES, ROTATIONS, SIZE, WRIST_POSITIONS
from firsthand.space.rotations import (
    matrix_from_quaternion_wxyz,
    matrix_from_rotation_6d,
    quaternion_wxyz_from_matrix,
    rotation_6d_from_matrix,
)

Array = NDArray[np.floating]

ROBOT_FRAME = "eyes_gravity"  # F_R: origin midway between the eyes, axes level, x along the heading
QUATERNION_TOLERANCE = 1e-3  # how far a rotation's norm may be from one
WXYZ_TO_XYZW = [1, 2, 3, 0]
XYZW_TO_WXYZ = [3, 0, 1, 2]


def transforms_from_vectors(vectors: Array) -> Array:
    """The bodies of (H, 54) in the order of FRAMES: (H, 13, 7), x, y, z [m] and a quaternion xyzw."""
    vectors = np.asarray(vectors, dtype=float)
    rotations = matrix_from_rotation_6d(vectors[:, ROTATIONS].reshape(-1, 3, 6))
    transforms = np.zeros((len(vectors), len(FRAMES), 7))
    transforms[:, :3, 3:] = quaternion_wxyz_from_matrix(rotations)[..., WXYZ_TO_XYZW]
    transforms[:, 1:3, :3] = vectors[:, WRIST_POSITIONS].reshape(-1, 2, 3)
    transforms[:, 3:, :3] = vectors[:, FINGERTIPS].reshape(-1, 10, 3)
    transforms[:, 3:, 6] = 1.0
    return transforms


def vectors_from_transforms(frame: str, names: Sequence[str], transforms: Array) -> Array:
    """The 54 numbers (H, 54) of bodies.

    Args:
        frame: What they are expressed in.
        names: N bodies, FRAMES among them, in any order.
        transforms: (H, N, 7), H >= 1, x, y, z [m] and a quaternion xyzw.

    Raises:
        ShapeError: Another frame than the robot's, a body missing, no points, numbers that are not finite, rotations
            that are none.
    """
    if frame != ROBOT_FRAME:
        raise ShapeError(f"expected hand states in frame {ROBOT_FRAME!r}, got {frame!r}")
    order = slice(None) if tuple(names) == FRAMES else order_of(FRAMES, names)
    if len(transforms) == 0:
        raise ShapeError("expected a trajectory of at least one point, got none")
    if transforms.shape[1:] != (len(names), 7):
        raise ShapeError(f"expected points of {len(names)} transforms as named, got shape {transforms.shape}")
    transforms = transforms[:, order]
    quaternions = transforms[:, :3, 3:]
    if not np.isfinite(transforms).all():
        raise ShapeError("expected finite transforms, got NaN or infinity")
    if (np.abs(np.linalg.norm(quaternions, axis=-1) - 1) > QUATERNION_TOLERANCE).any():
        raise ShapeError("expected unit quaternions for the head and the wrists")
    vectors = np.empty((len(transforms), SIZE))
    rotations = matrix_from_quaternion_wxyz(quaternions[..., XYZW_TO_WXYZ])
    vectors[:, ROTATIONS] = rotation_6d_from_matrix(rotations).reshape(-1, 18)
    vectors[:, WRIST_POSITIONS] = transforms[:, 1:3, :3].reshape(-1, 6)
    vectors[:, FINGERTIPS] = transforms[:, 3:, :3].reshape(-1, 30)
    return vectors


def order_of(wanted: Sequence[str], came: Sequence[str]) -> list[int]:
    """Where each wanted name is in what came.

    Raises:
        ShapeError: One is missing, or a name came twice.
    """
    index = {name: i for i, name in enumerate(came)}
    if len(index) != len(came):
        twice = sorted({name for name in came if list(came).count(name) > 1})
        raise ShapeError(f"a message names {', '.join(twice)} more than once")
    missing = [name for name in wanted if name not in index]
    if missing:
        raise ShapeError(f"expected {missing[0]!r} in the message, got {', '.join(came) or 'no names at all'}")
    return [index[name] for name in wanted]
