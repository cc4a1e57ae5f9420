"""How far predicted hand states and predicted features are off: one definition for validation and for evaluation.

Small errors mean little by themselves. Those of features therefore stand beside the errors of copying the current ones
(Appendix III): skill = 1 - error / error of the copy, 1 for a perfect prediction, 0 for one as good as copying.

Shapes: N windows, T predicted frames, P patches of all views together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.space.hand_state import HandState
from firsthand.space.rotations import angle_between

Array = NDArray[np.floating]

MOVING = 0.1  # share of a frame's patches that count as moving: those that copying is furthest off at


@dataclass(frozen=True)
class HandErrors:
    """Errors of hand states, averaged over both hands; shapes are the leading axes of what was compared."""

    wrist_mm: Array  # distance of the wrist positions
    wrist_deg: Array  # geodesic angle of the wrist rotations
    fingertip_mm: Array  # distance of the fingertips in their wrist frames, over ten fingers
    head_deg: Array  # geodesic angle of the head's rotation

    def mean(self, axis: int | tuple[int, ...] | None = None) -> "HandErrors":
        """Averages along an axis."""
        return HandErrors(
            self.wrist_mm.mean(axis), self.wrist_deg.mean(axis), self.fingertip_mm.mean(axis), self.head_deg.mean(axis)
        )


@dataclass(frozen=True)
class FeatureSkill:
    """Skill of predicted features over copying the current ones; nan where no window can tell."""

    overall: float  # over all windows, frames and patches
    moving: float  # the same on the moving patches of each frame
    ahead: tuple[float, ...]  # by predicted frame, T numbers
    moving_ahead: tuple[float, ...]  # the same on the moving patches


def hand_errors(predicted: Array, truth: Array) -> HandErrors:
    """Compare physical hand states (..., 54) with physical hand states (..., 54)."""
    a, b = HandState.from_vector(predicted), HandState.from_vector(truth)
    wrist = np.linalg.norm(a.wrist_positions - b.wrist_positions, axis=-1)
    tips = np.linalg.norm(a.fingertips_in_wrist - b.fingertips_in_wrist, axis=-1)
    return HandErrors(
        wrist_mm=1e3 * wrist.mean(axis=-1),
        wrist_deg=np.degrees(angle_between(a.wrist_rotations, b.wrist_rotations)).mean(axis=-1),
        fingertip_mm=1e3 * tips.mean(axis=(-1, -2)),
        head_deg=np.degrees(angle_between(a.head_rotation, b.head_rotation)),
    )


def feature_errors(predicted: Array, truth: Array, spread: Array | float = 1.0) -> Array:
    """Error of each patch as training measures it (L_dyn, eq. (5)): smooth L1, mean over the channels.

    Args:
        predicted: Features, (..., C).
        truth: Features, (..., C).
        spread: Standard deviation of each channel in the training data, (C,); 1 for features that are normalised.

    Returns:
        In standard deviations, (...).
    """
    distance = np.abs(np.asarray(predicted, np.float32) - np.asarray(truth, np.float32)) / spread
    return np.where(distance < 1, 0.5 * distance**2, distance - 0.5).mean(axis=-1)


def feature_skill(error: Array, copied: Array) -> FeatureSkill:
    """Skill over all patches and over the moving ones, together and by frame ahead.

    Args:
        error: Of predicted features, (N, T, P), from `feature_errors`; nan where the true frame is not known.
        copied: The same of copying the current features.
    """
    shown = ~np.isnan(copied[..., 0])
    most = np.argsort(-copied, axis=-1, kind="stable")[..., : max(1, round(MOVING * copied.shape[-1]))]
    error_moving, copied_moving = (np.take_along_axis(each, most, axis=-1) for each in (error, copied))
    frames = range(copied.shape[1])
    return FeatureSkill(
        overall=skill(error[shown], copied[shown]),
        moving=skill(error_moving[shown], copied_moving[shown]),
        ahead=tuple(skill(error[shown[:, k], k], copied[shown[:, k], k]) for k in frames),
        moving_ahead=tuple(skill(error_moving[shown[:, k], k], copied_moving[shown[:, k], k]) for k in frames),
    )


def skill(error: Array, copied: Array) -> float:
    """1 - sum of errors / sum of errors of the copy; nan if copying makes none, as where nothing is compared."""
    total = float(copied.sum())
    return 1.0 - float(error.sum()) / total if total > 0 else float("nan")
