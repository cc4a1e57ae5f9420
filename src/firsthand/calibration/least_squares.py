"""Robust nonlinear least squares for a dozen unknowns: Levenberg-Marquardt, Huber's loss, and what stays uncertain."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

STEP = 1e-6  # of the numerical derivative
ITERATIONS = 60
ASSUMED = -1  # in place of a group: residuals of a known standard deviation, 1
FLAT = 1e-12  # of the steepest curvature: what numerical derivatives cannot tell from none
TINY = 1e-9  # keeps a group that alone decides something from a division by zero
SMALLEST_VARIANCE = 1e-2  # of a residual, squared: nobody sees a corner better than a tenth of a pixel
ENOUGH = 1e-10  # relative fall of the cost below which it has converged


@dataclass(frozen=True)
class Solution:
    """Where the cost is smallest."""

    unknowns: Array  # (n,)
    covariance: Array  # (n, n), from the spread of what is left, group by group
    weights: Array  # (m,), Huber's, 1 for what fits


def solve(
    residuals: Callable[[Array], Array], start: Array, bend: float, groups: NDArray[np.intp] | None = None
) -> Solution:
    """Minimise Huber's loss of residuals.

    Args:
        residuals: (n,) unknowns to (m,) numbers that should be zero, all of one scale.
        start: (n,), near the solution.
        bend: Residuals beyond this count linearly.
        groups: (m,) which residuals go wrong together: all corners of a board when a joint was measured wrong. Without
            this, a result would seem as sure as if every corner were a measurement of its own. `ASSUMED` are those that
            nobody measured: their standard deviation is 1.
    """
    x, damping = np.asarray(start, dtype=float).copy(), 1e-3
    r = residuals(x)
    for _ in range(ITERATIONS):
        weights = _weights(r, bend)
        jacobian = _derivative(residuals, x, r)
        normal, gradient = (jacobian.T * weights) @ jacobian, (jacobian.T * weights) @ r
        step = -np.linalg.solve(normal + damping * np.diag(np.maximum(np.diag(normal), 1e-12)), gradient)
        trial = residuals(x + step)
        before, after = _cost(r, bend), _cost(trial, bend)
        if not after < before:
            damping *= 10
            if damping > 1e12:
                break
            continue
        x, r, damping = x + step, trial, max(damping / 10, 1e-12)
        if before - after < ENOUGH * before:
            break
    return _solution(residuals, x, r, bend, np.arange(len(r)) if groups is None else groups)


def _solution(
    residuals: Callable[[Array], Array], x: Array, r: Array, bend: float, groups: NDArray[np.intp]
) -> Solution:
    """With the covariance that is robust to errors within a group, and honest about few groups.

    What is left of a group in a fit that it took part in is too small: by its leverage, I - H. The estimate CR3 (Bell
    and McCaffrey 2002, after Liang and Zeger 1986) turns it back into what it would have been without that group.
    """
    weights = _weights(r, bend)
    root = np.sqrt(weights)
    jacobian, left = _derivative(residuals, x, r) * root[:, None], root * r
    bread = _inverse(jacobian.T @ jacobian)
    meat = np.zeros_like(bread)
    for group in np.unique(groups):
        rows = groups == group
        own = jacobian[rows]
        if group == ASSUMED:
            meat += own.T @ own
            continue
        leverage = own @ bread @ own.T
        outside = np.linalg.solve(np.eye(len(leverage)) * (1 + TINY) - leverage, left[rows])
        score = own.T @ outside
        meat += np.outer(score, score)
    return Solution(x, bread @ meat @ bread + SMALLEST_VARIANCE * bread, weights)


def _inverse(normal: Array) -> Array:
    """Of a symmetric matrix that may be singular: what nothing is known about comes out large, not zero as in pinv."""
    sizes, directions = np.linalg.eigh(normal)
    return np.asarray(directions / np.maximum(sizes, FLAT * sizes[-1]) @ directions.T)


def _weights(r: Array, bend: float) -> Array:
    return bend / np.maximum(np.abs(r), bend)


def _cost(r: Array, bend: float) -> float:
    size = np.abs(r)
    return float(np.where(size <= bend, size**2 / 2, bend * (size - bend / 2)).sum())


def _derivative(residuals: Callable[[Array], Array], x: Array, r: Array) -> Array:
    columns = []
    for i in range(len(x)):
        there = x.copy()
        there[i] += STEP
        columns.append((residuals(there) - r) / STEP)
    return np.stack(columns, axis=1)
