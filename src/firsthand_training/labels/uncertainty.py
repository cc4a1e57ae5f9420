"""How far a hand's numbers are off, from the covariance of its fit and from what a fit cannot know.

Three parts: the keypoints' errors, as they went through the fit; the proportions of the bones, which are the mean
hand's here and a person's there; and the lean of fits to noisy keypoints, which come out too near. Size is apart: it
scales everything alike (`hand_size.py`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand_training.labels.fit_hands import Fit, FitSettings, Observations, hand_sizes, linearize
from firsthand_training.labels.hand_rig import PARAMETERS, SHAPE, keypoints_in_wrist
from firsthand_training.labels.smooth_hands import Track
from firsthand_training.labels.stage_files import TIPS

Array = NDArray[np.floating]

LEAN = 1.0
"""Depth by which fits come out too near, relative, for keypoints off by the size of the hand in the picture. Measured:
0.75 to 1.05 for noise of 2 to 5 px, up to 1.75 if it lasts (`benchmarks/hand_fitting.py`)."""


@dataclass(frozen=True)
class Spread:
    """Covariances of one hand in T frames, of a hand of MEAN_LENGTH."""

    wrist: Array  # (T, 3, 3), [m2], of its position in the camera
    rotation: Array  # (T, 3, 3), [rad2], of a turn in the camera's axes
    tips: Array  # (T, 5, 3, 3), [m2], of the fingertips in the wrist frame


def spread_of(track: Track, fit: Fit, observed: Observations, settings: FitSettings, proportion_sigma: float) -> Spread:
    """Covariances of a hand's way through a clip.

    Args:
        track: Its way.
        fit: Of its pictures.
        observed: Its keypoints.
        settings: As of the fit.
        proportion_sigma: Spread of the logarithm of a bone's length among people, size taken out.
    """
    shift = _shift_by_proportions(track, fit, observed, settings)  # (T, 27, 21)
    local = keypoints_in_wrist(track.pose.angles, observed.side, fit.shape, with_shape=True)
    by_angles, by_shape = local.by_angles[:, TIPS], local.by_shape[:, TIPS]
    tips_by_shape = by_shape + by_angles @ shift[:, None, 6:]
    of_angles = by_angles @ track.covariance[:, None, 6:, 6:] @ np.swapaxes(by_angles, -1, -2)
    whole = track.covariance[:, :6, :6] + proportion_sigma**2 * shift[:, :6] @ np.swapaxes(shift[:, :6], 1, 2)
    lean = LEAN * fit.sigma / np.maximum(_bridged(hand_sizes(observed.keypoints)), 1.0)
    near = lean[:, None] * track.pose.position
    return Spread(
        whole[:, 3:, 3:] + near[:, :, None] * near[:, None],
        whole[:, :3, :3],
        of_angles + proportion_sigma**2 * tips_by_shape @ np.swapaxes(tips_by_shape, -1, -2),
    )


def worst_sigma(covariance: Array) -> Array:
    """Standard deviation along the worst direction of (..., n, n), shape (...)."""
    return np.sqrt(np.maximum(np.linalg.eigvalsh(covariance)[..., -1], 0.0))


def _shift_by_proportions(track: Track, fit: Fit, observed: Observations, settings: FitSettings) -> Array:
    """How a fit moves with the proportions that it takes for granted, (T, 27, 21).

    A wrong bone is wrong in every frame, so joining frames does not help against it: each frame answers for itself, and
    the nearest one that saw the hand for those that did not.
    """
    at = linearize(track.pose, observed, fit.shape, fit.sigma, settings, with_shape=True)
    hessian = at.hessian + 1e-6 * np.eye(PARAMETERS)
    shift = -np.linalg.solve(hessian, np.swapaxes(at.by_pose, 1, 2) @ at.by_shape)
    seen = np.flatnonzero(fit.believed)
    shift = shift[seen[np.abs(np.arange(len(shift))[:, None] - seen).argmin(axis=1)]]
    alike = np.zeros(SHAPE)
    alike[:20] = 1 / np.sqrt(20)  # all bones alike is size, which is counted elsewhere
    return shift - (shift @ alike)[..., None] * alike


def _bridged(values: Array) -> Array:
    known = np.isfinite(values)
    return np.interp(np.arange(len(values)), np.flatnonzero(known), values[known])
