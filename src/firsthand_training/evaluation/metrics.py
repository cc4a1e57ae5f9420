"""Errors of predicted hand states and predicted features, in units that mean something."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.space.hand_state import HandState
from firsthand.space.rotations import angle_between

Array = NDArray[np.floating]


@dataclass(frozen=True)
class HandErrors:
    """Errors of hand states, averaged over both hands; shapes are the leading axes of what was compared."""

    wrist_mm: Array  # distance of the wrist positions
    wrist_deg: Array  # geodesic angle of the wrist rotations
    fingertip_mm: Array  # distance of the fingertips in their wrist frames, over ten fingers

    def mean(self, axis: int | tuple[int, ...] | None = None) -> "HandErrors":
        """Averages along an axis."""
        return HandErrors(self.wrist_mm.mean(axis), self.wrist_deg.mean(axis), self.fingertip_mm.mean(axis))


def hand_errors(predicted: Array, truth: Array) -> HandErrors:
    """Compare hand states (..., 54) with hand states (..., 54)."""
    a, b = HandState.from_vector(predicted), HandState.from_vector(truth)
    wrist = np.linalg.norm(a.wrist_positions - b.wrist_positions, axis=-1)
    angle = angle_between(a.wrist_rotations, b.wrist_rotations)
    tips = np.linalg.norm(a.fingertips_in_wrist - b.fingertips_in_wrist, axis=-1)
    return HandErrors(1000 * wrist.mean(-1), np.rad2deg(angle).mean(-1), 1000 * tips.mean((-2, -1)))


def feature_errors(predicted: Array, truth: Array) -> Array:
    """Smooth L1 between features (..., channels), averaged over the channels: one number a patch (L_dyn, eq. 5)."""
    distance = np.abs(np.asarray(predicted, np.float32) - np.asarray(truth, np.float32))
    return np.where(distance < 1, 0.5 * distance**2, distance - 0.5).mean(-1)


def skill(predicted_error: Array, copied_error: Array) -> float:
    """1 - E_pred / E_copy: 0 is as good as copying the last frame, 1 is perfect, below 0 is worse than copying."""
    copied = float(np.mean(copied_error))
    return float("nan") if copied == 0 else 1.0 - float(np.mean(predicted_error)) / copied
