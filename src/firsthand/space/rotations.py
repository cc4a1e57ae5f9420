"""Rotations as matrices, 6D vectors, quaternions and rotation vectors, batched over leading axes.

6D is the first two *columns* of the matrix, stacked (Zhou et al., paper ref. [27]). Data that stacks rows
(pytorch3d, HAT) must be converted where it enters: read the wrong way it is exactly the transpose.
Quaternions are wxyz here; messages are xyzw and `space/bodies.py` is where the order changes.
"""

import math

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ShapeError

Array = NDArray[np.floating]

SMALL = 1e-12
YZX, ZXY = [1, 2, 0], [2, 0, 1]


def _products() -> Array:
    """P (9, 16), with 4 q q^T = 1 + the nine numbers of the matrix @ P, for the quaternion q of a rotation matrix."""
    products = np.zeros((4, 4, 3, 3))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        products[0, 0, i, i] = products[i + 1, i + 1, i, i] = 1.0
        products[i + 1, i + 1, j, j] = products[i + 1, i + 1, k, k] = -1.0
        products[0, i + 1, k, j], products[0, i + 1, j, k] = 1.0, -1.0
        products[i + 1, j + 1, i, j] = products[i + 1, j + 1, j, i] = 1.0
        products[i + 1, 0], products[j + 1, i + 1] = products[0, i + 1], products[i + 1, j + 1]
    return products.reshape(16, 9).T


_PRODUCTS, _IDENTITY = _products(), np.eye(4).reshape(16)


def matrix_from_rotation_6d(rotation_6d: Array) -> Array:
    """Gram-Schmidt the two columns and complete them to a right-handed matrix.

    Args:
        rotation_6d: (..., 6), first column then second column; need not be orthonormal.

    Returns:
        (..., 3, 3).
    """
    orthonormal = orthonormal_rotation_6d(rotation_6d)
    matrix = np.empty((*orthonormal.shape[:-1], 3, 3))
    matrix[..., 0], matrix[..., 1] = orthonormal[..., :3], orthonormal[..., 3:]
    matrix[..., 2] = cross(orthonormal[..., :3], orthonormal[..., 3:])
    return matrix


def orthonormal_rotation_6d(rotation_6d: Array) -> Array:
    """Gram-Schmidt the two columns (..., 6)."""
    rotation_6d = np.asarray(rotation_6d, dtype=float)
    if rotation_6d.shape[-1:] != (6,):
        raise ShapeError(f"expected a 6D rotation on the last axis, got shape {rotation_6d.shape}")
    orthonormal = np.empty(rotation_6d.shape)
    first = orthonormal[..., :3] = _unit(rotation_6d[..., :3])
    second = rotation_6d[..., 3:]
    orthonormal[..., 3:] = _unit(second - _dot(first, second) * first)
    return orthonormal


def rotation_6d_from_matrix(matrix: Array) -> Array:
    """The first two columns of (..., 3, 3), stacked to (..., 6)."""
    matrix = np.asarray(matrix)
    return np.concatenate([matrix[..., :, 0], matrix[..., :, 1]], axis=-1)


def quaternion_wxyz_from_matrix(matrix: Array) -> Array:
    """Unit quaternions (..., 4) with w >= 0 from (..., 3, 3); the branch with the largest pivot is used."""
    matrix = np.asarray(matrix, dtype=float)
    products = matrix.reshape(-1, 9) @ _PRODUCTS + _IDENTITY
    best = products[:, ::5].argmax(axis=1)  # row i is q times 4 q_i: the largest q_i loses no digits
    quaternion = _unit(products.reshape(-1, 4, 4)[np.arange(len(products)), best])
    quaternion *= np.where(quaternion[:, :1] < 0, -1.0, 1.0)
    return quaternion.reshape(*matrix.shape[:-2], 4)


def matrix_from_quaternion_wxyz(quaternion_wxyz: Array) -> Array:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4), which are normalised first."""
    quaternion = _unit(np.asarray(quaternion_wxyz, dtype=float))
    products = quaternion[..., :, None] * quaternion[..., None, :]
    batch = quaternion.shape[:-1]
    return (products.reshape(*batch, 16) @ _PRODUCTS.T).reshape(*batch, 3, 3)  # the rows of P are orthogonal


def rotation_vector_from_matrix(matrix: Array) -> Array:
    """Axis times angle (..., 3), [rad], angle in [0, pi]."""
    quaternion = quaternion_wxyz_from_matrix(matrix)
    imaginary = quaternion[..., 1:]
    sine = np.linalg.norm(imaginary, axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[..., :1])
    scale = np.where(sine > SMALL, angle / np.maximum(sine, SMALL), 2.0)
    return imaginary * scale


def matrix_from_rotation_vector(vector: Array) -> Array:
    """Rotation matrices (..., 3, 3) of axis times angle (..., 3), [rad]."""
    vector = np.asarray(vector, dtype=float)
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    sinc = np.where(angle > SMALL, np.sin(angle / 2) / np.maximum(angle, SMALL), 0.5)
    return matrix_from_quaternion_wxyz(np.concatenate([np.cos(angle / 2), vector * sinc], axis=-1))


def matrix_from_rpy(roll: float, pitch: float, yaw: float) -> Array:
    """Fixed-axis roll, pitch, yaw as in URDF: Rz(yaw) Ry(pitch) Rx(roll), [rad]."""
    (cr, cp, cy), (sr, sp, sy) = (map(f, (roll, pitch, yaw)) for f in (math.cos, math.sin))
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def angle_between(first: Array, second: Array) -> Array:
    """Geodesic angle between rotation matrices (..., 3, 3), [rad], shape (...): sqrt(8) sin(angle / 2) apart."""
    apart = np.asarray(first) - np.asarray(second)
    distance = np.sqrt(np.einsum("...ij,...ij->...", apart, apart))
    return 2 * np.arcsin(np.minimum(distance / math.sqrt(8), 1.0))


def _unit(vector: Array) -> Array:
    return vector / np.maximum(np.sqrt(_dot(vector, vector)), SMALL)


def _dot(a: Array, b: Array) -> Array:
    """(..., 1); on small arrays several times faster than np.sum and np.linalg.norm."""
    return np.einsum("...i,...i->...", a, b)[..., None]


def cross(a: Array, b: Array) -> Array:
    """np.cross of 3-vectors (..., 3), several times faster on small arrays."""
    return a[..., YZX] * b[..., ZXY] - a[..., ZXY] * b[..., YZX]
