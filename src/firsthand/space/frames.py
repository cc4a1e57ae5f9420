"""The wrist frame, and where each kind of hand puts it. Drawing: docs/wrist_frame.svg.

With the hand flat, palm down and fingers pointing forward, the wrist frame's axes are the robot frame's:

    x   from the wrist towards the middle knuckle (along the fingers)
    y   to the left: the right hand's thumb side, the left hand's little-finger side
    z   out of the back of the hand

It is right-handed on both sides; the sagittal mirror (y -> -y) turns a left hand's state into the right's.
The origin is the wrist joint; on the robot, the origin of the Inspire hand's base link.
"""

import numpy as np
from numpy.typing import NDArray

# The columns are the wrist's x, y, z in the hand base link of the Inspire DFX hand, L_ and R_ alike: its fingers
# point along -y, its back along +x, and the official description turns the right base half a turn, so that one
# matrix serves both sides.
DFX_BASE_FROM_WRIST: NDArray[np.floating] = np.array(
    [
        [0.0, 0.0, 1.0],
        [-1.0, 0.0, 0.0],
        [0.0, -1.0, 0.0],
    ]
)

# The same for the Inspire FTP hand, left_base_link and right_base_link alike: its fingers point along +z and its palm
# faces +y, and the official description mounts both bases so that one matrix serves both sides.
FTP_BASE_FROM_WRIST: NDArray[np.floating] = np.array(
    [
        [0.0, -1.0, 0.0],
        [0.0, 0.0, -1.0],
        [1.0, 0.0, 0.0],
    ]
)


def pose(rotation: NDArray[np.floating], position: NDArray[np.floating]) -> NDArray[np.floating]:
    """A homogeneous (4, 4) matrix, parent_from_child, from its parts."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = position
    return matrix


def inverse(parent_from_child: NDArray[np.floating]) -> NDArray[np.floating]:
    """child_from_parent of rigid transforms (..., 4, 4)."""
    rotation_t = np.swapaxes(parent_from_child[..., :3, :3], -1, -2)
    result = np.zeros_like(parent_from_child)
    result[..., :3, :3] = rotation_t
    result[..., :3, 3] = -np.einsum("...ij,...j->...i", rotation_t, parent_from_child[..., :3, 3])
    result[..., 3, 3] = 1.0
    return result
