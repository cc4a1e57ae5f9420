"""The focal length of a camera that did not travel: from how it turned, right angles, and what cameras have."""

from typing import NamedTuple

import numpy as np

from firsthand_training.labels.scene.camera import Array


class Focal(NamedTuple):
    """A focal length, and how sure it is."""

    pixels: float
    sigma: float  # relative


def weigh_focals(focals: Array, log_likelihood: Array, guess: float, guess_sigma: float) -> tuple[Focal, Array]:
    """What is likely of some focal lengths, the guess included.

    Args:
        focals: (F,), [px], rising in about equal ratios.
        log_likelihood: (F,), of each.
        guess: [px], of any camera.
        guess_sigma: Relative.

    Returns:
        The mean focal length and its spread, and the chance of each, (F,).
    """
    logarithms = np.log(focals)
    weights = log_likelihood - 0.5 * (np.log(focals / guess) / guess_sigma) ** 2
    chances = np.exp(weights - weights.max()) * np.gradient(logarithms)
    chances /= chances.sum()
    mean = float(chances @ logarithms)
    # Between two of them lies half a step of doubt.
    spread = float(np.sqrt(chances @ (logarithms - mean) ** 2 + np.diff(logarithms).mean() ** 2 / 12))
    return Focal(float(np.exp(mean)), spread), chances
