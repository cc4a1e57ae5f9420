"""How long the bones of an adult hand are and where its digits begin: what rendered people and fitted hands share.

Everything is told for a right hand in its wrist frame (`firsthand/space/frames.py`: flat, palm down, x along the
fingers, y towards the thumb, z out of the back); a left hand is its mirror (y -> -y).

Proportions: Buryanov and Kotiuk, "Proportions of Hand Segments", Int. J. Morphol. 28(3), 2010, table 2.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

MEAN_LENGTH = 0.186  # [m], wrist to middle fingertip, of the hand in the tables below

SEGMENTS: Array = np.array(  # (5, 3), [m]; the last one with 4 mm of flesh; the thumb's first is its metacarpal
    [
        [0.0462, 0.0316, 0.0257],
        [0.0420, 0.0240, 0.0198],
        [0.0466, 0.0275, 0.0214],
        [0.0434, 0.0270, 0.0213],
        [0.0345, 0.0195, 0.0200],
    ]
)
BASES: Array = np.array(  # (5, 3), [m], where the chains of three bones begin
    [
        [0.0240, 0.0230, -0.0120],
        [0.0920, 0.0245, -0.0010],
        [0.0935, 0.0030, 0.0010],
        [0.0880, -0.0165, -0.0015],
        [0.0800, -0.0345, -0.0065],
    ]
)
SPLAY: Array = np.array([0.08, 0.0, -0.06, -0.13])  # [rad], of the four fingers, hand at rest
MIRROR: Array = np.array([1.0, -1.0, 1.0])
"""Turns points of a right hand's wrist frame into a left hand's, and back."""

_THUMB_ALONG = np.array([0.74, 0.62, -0.26])  # of its first bone at rest, in the wrist frame
_THUMB_NAIL = np.array([-0.62, 0.48, 0.60])  # roughly where its nail looks
_OPPOSITION_AXIS = np.array([-0.95, 0.0, 0.32])  # swings the thumb below the palm


def base_rotations() -> Array:
    """wrist_from_digit of the first bones at rest, (5, 3, 3): x along the bone, z towards the nail."""
    rotations = np.tile(np.eye(3), (5, 1, 1))
    rotations[0] = _thumb_rotation()
    rotations[1:, 0, 0] = rotations[1:, 1, 1] = np.cos(SPLAY)
    rotations[1:, 1, 0] = np.sin(SPLAY)
    rotations[1:, 0, 1] = -np.sin(SPLAY)
    return rotations


def spread_axes() -> Array:
    """Unit axes of the first joints, (5, 3), each in its digit's frame: a finger's spread, the thumb's opposition."""
    axes = np.tile([0.0, 0.0, 1.0], (5, 1))
    axes[0] = _thumb_rotation().T @ (_OPPOSITION_AXIS / np.linalg.norm(_OPPOSITION_AXIS))
    return axes


def _thumb_rotation() -> Array:
    along = _THUMB_ALONG / np.linalg.norm(_THUMB_ALONG)
    nail = _THUMB_NAIL - (_THUMB_NAIL @ along) * along
    nail /= np.linalg.norm(nail)
    return np.stack([along, np.cross(nail, along), nail], axis=1)
