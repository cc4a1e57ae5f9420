"""A person's hand as a headset sees it, from a few angles: what fake headsets and benchmarks move.

Everything is told for a right hand in its wrist frame (`space/frames.py`: x along the fingers, y to the thumb, z out of
the back); a left hand is its mirror. Bones end inside the flesh: tips that touch are still `TOUCH` apart.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from firsthand.headset.hand_frames import MIRROR, PALM
from firsthand.headset.hands_sample import JOINTS, TIPS
from firsthand.space.rotations import matrix_from_rotation_vector

Array = NDArray[np.floating]

TOUCH = 0.012  # [m] between the bones' ends of two fingertips whose skins touch

PHALANGES: Array = np.array(
    [[0.041, 0.024, 0.020], [0.045, 0.028, 0.021], [0.041, 0.027, 0.021], [0.033, 0.020, 0.019]]
)  # [m], index to little
FAN = (1.0, 0.0, -0.8, -1.8)  # how the fingers share a spread
OUTER_BENDS = (1.0, 1.1, 0.7)  # of a finger's three joints, times its curl
THUMB_ROOT: Array = np.array([0.022, 0.026, -0.010])
THUMB_BONES = (0.045, 0.033, 0.026)  # [m]
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
GRASP = HandPose((0.6, 0.6, 0.6, 0.6), 0.06, 0.9, 0.2)
HALF = HandPose((0.8, 0.2, 0.7, 0.3), 0.05, 0.5, 0.4)


def joints(pose: HandPose) -> Array:
    """wrist_from_joint (25, 4, 4) of a right hand; x runs along each bone, the last along the one before it."""
    result = np.tile(np.eye(4), (len(JOINTS), 1, 1))
    result[1:5] = _chain(THUMB_ROOT, THUMB_BONES, _thumb_directions(pose))
    for finger in range(4):
        knuckle = PALM[finger]
        start = METACARPAL * knuckle
        bones = (float(np.linalg.norm(knuckle - start)), *PHALANGES[finger].tolist())
        directions = np.vstack([knuckle / np.linalg.norm(knuckle), _finger_directions(pose, finger)])
        result[5 + 5 * finger : 10 + 5 * finger] = _chain(start, bones, directions)
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
    rest = np.array([1.0, 0.2, *[0.8] * len(fingers)])
    highest = np.array([1.5, 0.9, *[1.4] * len(fingers)])

    def pose(x: Array) -> HandPose:
        curl = [others] * 4
        for finger, angle in zip(fingers, x[2:].tolist(), strict=True):
            curl[finger] = angle
        return HandPose((curl[0], curl[1], curl[2], curl[3]), 0.0, float(x[0]), float(x[1]))

    def residual(x: Array) -> Array:
        tips = fingertips(pose(x))
        gaps = [np.linalg.norm(tips[0] - tips[1 + finger]) - TOUCH for finger in fingers]
        return np.array([*gaps, *(0.002 * (x - rest))])

    x = rest.copy()
    for _ in range(60):
        slope = np.array([(residual(x + d) - residual(x - d)) / 2e-5 for d in 1e-5 * np.eye(len(x))]).T
        step = np.linalg.lstsq(slope, -residual(x), rcond=None)[0]
        x = np.clip(x + np.clip(step, -0.2, 0.2), 0.0, highest)
        if np.abs(step).max() < 1e-6:
            break
    return pose(x)


def _finger_directions(pose: HandPose, finger: int) -> Array:
    """Of the three phalanges, (3, 3): curling turns x towards -z, the palm."""
    angles = np.cumsum(np.array(OUTER_BENDS) * pose.curl[finger])
    along = np.array([np.cos(angles), np.zeros(3), -np.sin(angles)]).T
    return along @ matrix_from_rotation_vector(np.array([0.0, 0.0, pose.spread * FAN[finger]])).T


def _thumb_directions(pose: HandPose) -> Array:
    """Of the three bones, (3, 3): it swings in front of the palm (`oppose` = 1) and bends towards the fingers."""
    swing = matrix_from_rotation_vector(pose.oppose * _turn(THUMB_AT_REST, THUMB_OPPOSED))
    direction = swing @ (THUMB_AT_REST / np.linalg.norm(THUMB_AT_REST))
    axis = np.cross(direction, swing @ THUMB_BENDS_TO)
    axis /= np.linalg.norm(axis)
    turns = matrix_from_rotation_vector(axis * (np.array(THUMB_BENDS) * pose.bend)[:, None])
    return turns @ direction


def _turn(start: Array, end: Array) -> Array:
    """The shortest rotation from one direction to another, as a rotation vector."""
    axis = np.cross(start, end)
    length = float(np.linalg.norm(axis))
    return axis / length * float(np.arctan2(length, start @ end))


def _chain(start: Array, bones: tuple[float, ...], directions: Array) -> Array:
    """Joints (n + 1, 4, 4) along n bones."""
    result = np.tile(np.eye(4), (len(bones) + 1, 1, 1))
    result[0, :3, 3] = start
    result[1:, :3, 3] = start + np.cumsum(np.array(bones)[:, None] * directions, axis=0)
    along = np.vstack([directions, directions[-1:]])
    across = np.cross([0.0, 0.0, 1.0], along)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    result[:, :3, :3] = np.stack([along, across, np.cross(along, across)], axis=-1)
    return result
