"""A person's hand as a headset sees it, from a few angles: what fake headsets and benchmarks move.

Everything is told for a right hand in its wrist frame (`space/frames.py`: x along the fingers, y to the thumb, z out of
the back); a left hand is its mirror. Bones end inside the flesh: tips that touch are still `TOUCH` apart.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from firsthand.headset.hand_frames import MIRROR, PALM
from firsthand.headset.hands_sample import JOINTS, TIPS
from firsthand.space.rotations import cross

Array = NDArray[np.floating]

TOUCH = 0.012  # [m] between the bones' ends of two fingertips whose skins touch

PHALANGES: Array = np.array(
    [[0.041, 0.024, 0.020], [0.045, 0.028, 0.021], [0.041, 0.027, 0.021], [0.033, 0.020, 0.019]]
)  # [m], index to little
FAN: Array = np.array([1.0, 0.0, -0.8, -1.8])  # how the fingers share a spread
CONVERGE: Array = np.array([0.0, 0.1, 0.3, 0.5])  # [rad] that the fingers turn towards the thumb, times their curl
OUTER_BENDS: Array = np.array([1.0, 1.1, 0.7])  # of a finger's three joints, times its curl
THUMB_ROOT: Array = np.array([0.022, 0.026, -0.010])
THUMB_BONES: Array = np.array([0.045, 0.033, 0.026])  # [m]
THUMB_BENDS = (0.0, 1.0, 2.1)  # of its bones, times its bend
THUMB_AT_REST: Array = np.array([0.55, 0.80, -0.22])  # direction of the metacarpal with the hand flat
THUMB_OPPOSED: Array = np.array([0.78, 0.05, -0.62])  # and in front of the palm
THUMB_BENDS_TO: Array = np.array([0.0, -0.8, -0.6])  # where its tip goes with the hand flat
METACARPAL = 0.3  # share of the way from wrist to knuckle at which a finger's metacarpal begins


@dataclass(frozen=True)
class HandPose:
    """What a person does with one hand. Angles in [rad]."""

    curl: tuple[float, float, float, float]  # of the knuckles, index to little; the other joints follow
    spread: float  # of the fingers
    oppose: float  # the thumb turns in front of the palm
    bend: float  # of the thumb's two outer joints

    def vector(self) -> Array:
        """The seven angles."""
        return np.array([*self.curl, self.spread, self.oppose, self.bend])

    @classmethod
    def from_vector(cls, angles: Array) -> "HandPose":
        """A pose of seven angles."""
        a, b, c, d, spread, oppose, bend = angles.tolist()
        return cls((a, b, c, d), spread, oppose, bend)


OPEN = HandPose((0.0, 0.0, 0.0, 0.0), 0.0, 0.0, 0.0)
RELAXED = HandPose((0.35, 0.4, 0.45, 0.5), 0.0, 0.35, 0.2)
FIST = HandPose((1.25, 1.3, 1.3, 1.3), 0.0, 0.9, 0.7)
POINT = HandPose((0.05, 1.25, 1.3, 1.3), 0.0, 0.8, 0.6)
THUMB_OUT = HandPose((1.25, 1.3, 1.3, 1.3), 0.0, 0.0, 0.0)
GRASP = HandPose((0.6, 0.6, 0.6, 0.6), 0.06, 0.9, 0.2)
HALF = HandPose((0.8, 0.2, 0.7, 0.3), 0.05, 0.5, 0.4)


def joints(pose: HandPose) -> Array:
    """wrist_from_joint (25, 4, 4) of a right hand; x runs along each bone, the last along the one before it."""
    result = np.zeros((len(JOINTS), 4, 4))
    result[:, 3, 3] = 1.0
    result[0, :3, :3] = np.eye(3)
    _lay_chains(result[None, 1:5], THUMB_ROOT[None], THUMB_BONES[None], _thumb_directions(pose)[None])
    directions = np.concatenate([_METACARPALS[:, None], _finger_directions(pose)], axis=1)
    _lay_chains(result[5:].reshape(4, 5, 4, 4), METACARPAL * PALM, _FINGER_BONES, directions)
    return result


def left_hand(right: Array) -> Array:
    """Joints (25, 4, 4) of a left hand that does what a right one does: its mirror image, with proper rotations."""
    left = right.copy()
    left[:, :3, 3] *= MIRROR
    left[:, :3, :3] = MIRROR[:, None] * right[:, :3, :3] * MIRROR
    return left


def fingertips(pose: HandPose) -> Array:
    """(5, 3), thumb to little, of a right hand, [m]."""
    return joints(pose)[list(TIPS), :3, 3]


@cache
def pinch(fingers: tuple[int, ...], others: float = 0.35) -> HandPose:
    """The pose in which the thumb touches these fingers (0 index to 3 little), found by Gauss-Newton."""
    across = max(fingers) > 1  # the thumb swings far, and the fingers close up
    rest = np.array([1.4 if across else 1.0, 0.2, -0.1 if across else 0.0, *[0.8] * len(fingers)])
    lowest = np.array([0.0, 0.0, -0.3 if across else 0.0, *[0.0] * len(fingers)])
    highest = np.array([1.6, 0.9, 0.0, *[1.4] * len(fingers)])

    def pose(x: Array) -> HandPose:
        curl = [others] * 4
        for finger, angle in zip(fingers, x[3:].tolist(), strict=True):
            curl[finger] = angle
        return HandPose((curl[0], curl[1], curl[2], curl[3]), float(x[2]), float(x[0]), float(x[1]))

    def residual(x: Array) -> Array:
        tips = fingertips(pose(x))
        gaps = [np.linalg.norm(tips[0] - tips[1 + finger]) - TOUCH for finger in fingers]
        return np.array([*gaps, *(0.002 * (x - rest))])

    x = rest.copy()
    for _ in range(60):
        slope = np.array([(residual(x + d) - residual(x - d)) / 2e-5 for d in 1e-5 * np.eye(len(x))]).T
        step = np.linalg.lstsq(slope, -residual(x), rcond=None)[0]
        x = np.clip(x + np.clip(step, -0.2, 0.2), lowest, highest)
    return pose(x)


def _finger_directions(pose: HandPose) -> Array:
    """Of the three phalanges of four fingers, (4, 3, 3): curling turns x towards -z, the palm."""
    curl = np.array(pose.curl)
    angles = np.cumsum(OUTER_BENDS * curl[:, None], axis=1)
    aside = (pose.spread * FAN + curl * CONVERGE)[:, None]
    forward = np.cos(angles)
    return np.stack([forward * np.cos(aside), forward * np.sin(aside), -np.sin(angles)], axis=-1)


def _thumb_directions(pose: HandPose) -> Array:
    """Of the three bones, (3, 3): it swings in front of the palm (`oppose` = 1) and bends towards the fingers."""
    direction, inwards = _turned(np.stack([_THUMB_AT_REST, THUMB_BENDS_TO]), _OPPOSING, pose.oppose * _OPPOSED_BY)
    axis = cross(direction, inwards)
    axis /= np.linalg.norm(axis)
    return np.stack([_turned(direction, axis, bend * pose.bend) for bend in THUMB_BENDS])


def _turned(vectors: Array, axis: Array, angle: float) -> Array:
    """Vectors (..., 3) turned about a unit axis (3,), [rad]: Rodrigues' formula."""
    along = (vectors @ axis)[..., None] * axis
    return along + math.cos(angle) * (vectors - along) + math.sin(angle) * cross(axis, vectors)


def _lay_chains(result: Array, starts: Array, bones: Array, directions: Array) -> None:
    """Fill in joints (m, n + 1, 4, 4) along m chains of n bones that begin at (m, 3)."""
    result[:, 0, :3, 3] = starts
    result[:, 1:, :3, 3] = starts[:, None] + np.cumsum(bones[..., None] * directions, axis=1)
    result[:, :-1, :3, 0], result[:, -1, :3, 0] = directions, directions[:, -1]
    along = result[..., :3, 0]
    result[..., 0, 1], result[..., 1, 1] = -along[..., 1], along[..., 0]  # level, across the bone
    result[..., :3, 1] /= np.maximum(np.hypot(along[..., 0], along[..., 1]), 1e-9)[..., None]
    result[..., :3, 2] = cross(along, result[..., :3, 1])


_FINGER_BONES: Array = np.column_stack([(1 - METACARPAL) * np.linalg.norm(PALM, axis=1), PHALANGES])
_METACARPALS: Array = PALM / np.linalg.norm(PALM, axis=1, keepdims=True)
_THUMB_AT_REST: Array = THUMB_AT_REST / np.linalg.norm(THUMB_AT_REST)
_OPPOSING: Array = np.cross(_THUMB_AT_REST, THUMB_OPPOSED) / np.linalg.norm(np.cross(_THUMB_AT_REST, THUMB_OPPOSED))
_OPPOSED_BY = math.acos(float(_THUMB_AT_REST @ THUMB_OPPOSED) / float(np.linalg.norm(THUMB_OPPOSED)))
