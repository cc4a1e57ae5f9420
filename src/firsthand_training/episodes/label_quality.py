"""How far a labelled hand state is to be believed: `observation.quality`, from how far it may be off."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

USUAL = (0.05, 0.25, 0.03)  # sigma of a wrist [m], its rotation [rad] and fingertips [m], at which a label counts half


def label_quality(wrist: Array, rotation: Array, tips: Array, usual: tuple[float, float, float] = USUAL) -> Array:
    """1 / (1 + (wrist / usual)^2 + (rotation / usual)^2 + (tips / usual)^2) of the worse hand, (...).

    Args:
        wrist: Standard deviation of the wrist positions, left and right, (..., 2), [m].
        rotation: Of the wrist rotations, (..., 2), [rad].
        tips: Of the fingertips in the wrist frame, (..., 2), [m].
        usual: Of each, at which a label that is otherwise exact counts half.

    Returns:
        From 1 for exact labels down to 0, also where one of the numbers is not finite.
    """
    doubt = sum((np.square(sigma / size) for sigma, size in zip((wrist, rotation, tips), usual, strict=True)), 0.0)
    return np.where(np.isfinite(doubt), 1 / (1 + np.nan_to_num(doubt)), 0.0).min(axis=-1)
