"""Where the arms of a person are, given head and wrists: for the eyes only."""

import numpy as np
from numpy.typing import NDArray

from firsthand.space.frames import pose
from firsthand_training.demonstrations.human.surface import FOREARM_LENGTH

Array = NDArray[np.floating]

UPPER_ARM_LENGTH = 0.29  # [m]
SHOULDERS_FROM_EYES = np.array([-0.10, 0.19, -0.27])  # [m], the left one; x forward, y left, z up


def pose_arm(shoulder: Array, world_from_wrist: Array, outwards: Array) -> tuple[Array, Array]:
    """Bend an elbow between shoulder and wrist, hanging down and outwards.

    Args:
        shoulder: (3,), [m], world.
        world_from_wrist: (4, 4).
        outwards: (3,), unit vector from the trunk to this side.

    Returns:
        world_from_forearm (origin at the wrist, x from the elbow) and world_from_upper_arm (origin at the shoulder, x
        to the elbow), (4, 4) each. An arm that is too short ends before the shoulder, out of sight.
    """
    wrist = world_from_wrist[:3, 3]
    way = wrist - shoulder
    distance = float(np.clip(np.linalg.norm(way), 0.1, 0.999 * (UPPER_ARM_LENGTH + FOREARM_LENGTH)))
    along = way / np.linalg.norm(way)
    share = (UPPER_ARM_LENGTH**2 - FOREARM_LENGTH**2 + distance**2) / (2 * distance)
    height = np.sqrt(max(UPPER_ARM_LENGTH**2 - share**2, 0.0))
    pole = np.array([0.0, 0.0, -1.0]) + 0.55 * outwards
    pole = _unit(pole - (pole @ along) * along)
    elbow = wrist - (distance - share) * along + height * pole
    forearm = pose(_frame(wrist - elbow, world_from_wrist[:3, 2]), wrist)
    return forearm, pose(_frame(elbow - shoulder, pole), shoulder)


def _frame(x: Array, near_z: Array) -> Array:
    """A rotation (3, 3) with its first axis along `x` and its third as near to `near_z` as can be."""
    first = _unit(x)
    second = _unit(np.cross(near_z, first))
    return np.stack([first, second, np.cross(first, second)], axis=1)


def _unit(vector: Array) -> Array:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)
