"""Symmetric positive definite systems whose blocks touch only their neighbours: solutions, and the inverse's diagonal.

The cost grows with the number of blocks, not with its cube: a clip of any length.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def solve(diagonal: Array, upper: Array, right: Array) -> Array:
    """x of A x = b.

    Args:
        diagonal: (N, k, k), the blocks A[i, i].
        upper: (N - 1, k, k), the blocks A[i, i + 1]; those below are their transposes.
        right: (N, k), b.

    Returns:
        (N, k).
    """
    pivots, gains, right = _eliminate(diagonal, upper, right)
    x = np.empty(right.shape)
    x[-1] = np.linalg.solve(pivots[-1], right[-1])
    for i in range(len(x) - 2, -1, -1):
        x[i] = np.linalg.solve(pivots[i], right[i]) - gains[i] @ x[i + 1]
    return x


def inverse_diagonal(diagonal: Array, upper: Array) -> Array:
    """The blocks on the diagonal of the inverse, (N, k, k): what is known of each block if all others are open."""
    pivots, gains, _ = _eliminate(diagonal, upper, np.zeros(diagonal.shape[:2]))
    inverse = np.linalg.inv(pivots)
    for i in range(len(inverse) - 2, -1, -1):
        inverse[i] += gains[i] @ inverse[i + 1] @ gains[i].T
    return inverse


def _eliminate(diagonal: Array, upper: Array, right: Array) -> tuple[Array, list[Array], Array]:
    """Pivots, A[i, i]^-1 A[i, i + 1] after elimination, and the right side, from the first block to the last."""
    pivots, right, gains = diagonal.copy(), right.copy(), []
    for i in range(len(upper)):
        solved = np.linalg.solve(pivots[i], np.column_stack([upper[i], right[i]]))
        gains.append(solved[:, :-1])
        pivots[i + 1] -= upper[i].T @ solved[:, :-1]
        right[i + 1] -= upper[i].T @ solved[:, -1]
    return pivots, gains, right
