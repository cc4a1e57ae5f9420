"""Both hands of a person work at about one height: what that says of how far away each of them is.

How far away a hand is, is the least certain of all that one picture tells, and often of one hand far more than of the
other: the one that holds something. Two hands at work on a table, or on what they hold between them, are not a metre
apart in height; so the surer one says how far away the other is, along the ray on which that was seen.

    height below the camera = -(up . position),    error of it = height * error of log distance
"""

import numpy as np
from numpy.typing import NDArray

from firsthand_training.labels.metric_hands import CameraHands

Array = NDArray[np.floating]

HEIGHT_SIGMA = 0.1
"""Of one wrist over the other, [m]: root mean square, of people who carry, reach and hold things up. It was 0.05 in
rendered clips 41 to 51, of work on a table; there anything from 0.05 to 0.12 does as well."""
DOUBT = 3.0  # sigmas: hands so far from one height pull each other half as much, and less from there on


def level_hands(hands: CameraHands, up: Array, tilt_sigma: float, height_sigma: float = HEIGHT_SIGMA) -> CameraHands:
    """Move hands along their rays to where their heights agree, each by as much as it is unsure.

    Args:
        hands: N frames, [m]; frames in which only one hand is known stay as they are.
        up: (N, 3), unit, in the camera.
        tilt_sigma: Of it, [rad].
        height_sigma: Of one wrist over the other, [m].
    """
    known = np.isfinite(hands.position).all(axis=2) & np.isfinite(hands.wrist_sigma)  # (N, 2)
    both: NDArray[np.bool_] = known[:, 0] & known[:, 1]
    distance = np.where(both[:, None], np.linalg.norm(hands.position, axis=-1), 1.0)
    heights = np.where(both[:, None], np.einsum("nsi,ni->ns", hands.position, up), 0.0)
    variance = np.where(both[:, None], hands.wrist_sigma / distance, 0.0) ** 2  # of the logarithm of the distance
    apart = np.where(both[:, None], hands.position[:, 0] - hands.position[:, 1], 0.0)
    allowed = height_sigma**2 + tilt_sigma**2 * (apart**2).sum(axis=1)
    by_log = heights * [1.0, -1.0]  # of the left wrist's height over the right one's, (N, 2)
    over = by_log.sum(axis=1)
    spread = (by_log**2 * variance).sum(axis=1) + allowed
    belief = 1 / (1 + over**2 / (DOUBT**2 * spread))
    gain = belief[:, None] * variance * by_log / spread[:, None]
    left = np.sqrt(np.clip(1 - gain * by_log, 0.0, 1.0))
    return CameraHands(
        hands.rotation,
        hands.position * np.exp(-gain * over[:, None])[..., None],
        hands.tips,
        hands.wrist_sigma * left,
        hands.rotation_sigma,
        hands.tips_sigma,
        hands.measured,
    )
