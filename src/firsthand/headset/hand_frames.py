"""From a headset's joints to the 54 numbers: axes, the wrist frame, the robot frame.

    headset's world   x right, y up, z back (ARKit and WebXR alike)     world   x forward, y left, z up
    head              x right, y up, z back                             head    x forward, y left, z up

The wrist frame of `space/frames.py` is laid into where wrist and knuckles are, in the sense of least squares over the
same palm that labelled videos use: how a device turns its own wrist axes, differently left and right, does not matter.
"""

import numpy as np
from numpy.typing import NDArray

from firsthand.headset.hands_sample import KNUCKLES, TIPS, WRIST, HandsSample
from firsthand.space.frames import inverse, pose
from firsthand.space.hand_state import HandState

Array = NDArray[np.floating]

WORLD_FROM_HEADSET: Array = np.array([[0.0, 0.0, -1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0, 0, 0, 1]])
"""Turns the axes of ARKit and WebXR into ours."""

# Knuckles of a right hand from the wrist, index to little, [m]: the proportions of labelled and rendered people.
PALM: Array = np.array([[0.0920, 0.0245, -0.0010], [0.0935, 0.0030, 0.0010], [0.0880, -0.0165, -0.0015],
                        [0.0800, -0.0345, -0.0065]])  # fmt: skip
MIRROR: Array = np.array([1.0, -1.0, 1.0])
PALMS: Array = np.stack([PALM * MIRROR, PALM])  # (2, 4, 3), left then right


def head_from_headset(headset_from_head: Array) -> Array:
    """world_from_head (4, 4) of a device's pose in its own axes."""
    return WORLD_FROM_HEADSET @ headset_from_head @ WORLD_FROM_HEADSET.T


def joints_from_headset(headset_from_joints: Array) -> Array:
    """world_from_joints (..., 4, 4); the joints' own axes stay the device's."""
    return WORLD_FROM_HEADSET @ headset_from_joints


def world_from_robot(world_from_head: Array) -> Array:
    """F_R of a head, (4, 4): origin between the eyes, axes level, x along the heading.

    Who looks straight down is heading where the top of the head points; straight up, away from there.
    """
    forward, up = world_from_head[:3, 0], world_from_head[:3, 2]
    way = forward[:2] - forward[2] * up[:2]
    way = way / max(float(np.hypot(way[0], way[1])), 1e-9)
    turn = np.array([[way[0], -way[1], 0.0], [way[1], way[0], 0.0], [0.0, 0.0, 1.0]])
    return pose(turn, world_from_head[:3, 3])


def wrist_rotations(points: Array) -> Array:
    """world_from_wrist's rotations (2, 3, 3) of both hands.

    Args:
        points: (2, 25, 3), [m], the joints' places in the world, left then right, finite.
    """
    palms = points[:, KNUCKLES] - points[:, WRIST, None]
    left, _, right = np.linalg.svd(np.swapaxes(palms, 1, 2) @ PALMS)
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    return left @ right


def hands(sample: HandsSample) -> tuple[Array, Array]:
    """world_from_wrist (2, 4, 4) and the fingertips (2, 5, 3) in them, [m], thumb to little; NaN of a hand not seen."""
    tracked = np.array(sample.tracked)[:, None, None]
    points = np.where(tracked, sample.world_from_joints[:, :, :3, 3], 0.0)
    rotations = wrist_rotations(points)
    wrists = np.zeros((2, 4, 4))
    wrists[:, :3, :3], wrists[:, :3, 3], wrists[:, 3, 3] = rotations, points[:, WRIST], 1.0
    tips = (points[:, TIPS] - points[:, WRIST, None]) @ rotations
    return np.where(tracked, wrists, np.nan), np.where(tracked, tips, np.nan)


def hand_state(sample: HandsSample, robot_frame: Array | None = None) -> HandState:
    """The person as 54 numbers.

    Args:
        sample: One instant.
        robot_frame: world_from_robot (4, 4), the frame F_R to express it in; that of the head at this instant if None.

    Returns:
        The state; NaN where a hand is not tracked.
    """
    frame = world_from_robot(sample.world_from_head) if robot_frame is None else robot_frame
    robot_from_world = inverse(frame)
    wrists, tips = hands(sample)
    head = robot_from_world[:3, :3] @ sample.world_from_head[:3, :3]
    return HandState.from_poses(head, robot_from_world @ wrists, tips)


def back_bends(points: Array) -> Array:
    """How far the fingertips of both hands are behind their backs, (2,), mean of four fingers, [m].

    A person's fingers hardly bend that way; those of a left hand taken for a right one do all the time.

    Args:
        points: (2, 25, 3), [m], left then right, finite.
    """
    fingers = (points[:, TIPS[1:]] - points[:, KNUCKLES]) @ wrist_rotations(points)
    return np.asarray(fingers[:, :, 2].mean(axis=1))
