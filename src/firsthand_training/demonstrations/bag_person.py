"""A person's side of a bag: head and hands from the headset's raw joints, at each camera pair.

Nobody commands a person: the action at t is where head and hands are at t + 1 / fps, in the F_R of t. F_R goes along
with the head; its axes are level and keep one heading, that of the whole recording, as in every dataset of people.

A hand that is not tracked for a moment keeps the place where it was seen last, at quality 0: such a frame is kept and
teaches nothing. Where it stays away for longer, the frame is none.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firsthand.bags.read import Bag
from firsthand.errors import BagError
from firsthand.headset.hand_frames import hand_state, world_from_robot
from firsthand.headset.hands_sample import JOINTS, HandsSample
from firsthand.space.bodies import XYZW_TO_WXYZ
from firsthand.space.frames import inverse, pose
from firsthand.space.hand_state import SIDES
from firsthand.space.rotations import matrix_from_quaternion_wxyz, matrix_from_rpy
from firsthand_training.demonstrations.bag_conversion import BagConversion
from firsthand_training.demonstrations.bag_series import SECOND, BagFrames, Flags, Stamps, series

Array = NDArray[np.floating]

HANDS = "teleop/hands"
HEADSET_FRAME = "headset_world"  # level, where the person stood at the start; as nodes/hands_messages.py has it
NORM_TOLERANCE = 0.02  # of quaternions


def align_person(bag: Bag, pairs: Stamps, breaks: Flags, settings: BagConversion) -> BagFrames:
    """State and action at each camera pair.

    Raises:
        BagError: The headset was not recorded, or its messages are wrong.
    """
    samples = _samples(bag)
    samples = [_with_eyes(sample, settings) for sample in samples]
    stamps = np.array([sample.stamp_ns for sample in samples], dtype=np.int64)
    seen = np.array([sample.tracked for sample in samples])
    now = pairs[:, 0]
    then = now + round(SECOND / settings.fps)
    heading = _heading(np.array([sample.world_from_head for sample in samples]))
    at, fresh, believed = _chosen(stamps, seen, now, settings)
    following, fresh_then, believed_then = _chosen(stamps, seen, then, settings)
    frames = np.array([_level_frame(samples[i].world_from_head, heading) for i in at[:, 0]])
    return BagFrames(
        stamps=pairs,
        breaks=breaks,
        state=_states(samples, at, frames),
        action=_states(samples, following, frames),
        joints=np.zeros((len(pairs), 0)),
        action_joints=np.zeros((len(pairs), 0)),
        quality=(believed & believed_then).astype(float),
        lacks={"hands": ~(fresh & fresh_then)},
        robot_from_world=np.array([inverse(frame) for frame in frames]),
    )


def read_hands(message: Any) -> HandsSample:
    """A headset's sample out of a decoded message: 51 bodies in the headset's level world; a hand may be missing.

    Raises:
        BagError: Another frame, no head, or rotations that are none.
    """
    if len(message.points) != 1 or len(message.points[0].transforms) != len(message.joint_names):
        raise BagError(f"expected one point of {len(message.joint_names)} bodies, got others")
    if message.header.frame_id != HEADSET_FRAME:
        raise BagError(f"expected hands in frame {HEADSET_FRAME!r}, got {message.header.frame_id!r}")
    found = dict(zip(message.joint_names, message.points[0].transforms, strict=True))
    head = _pose(found["head"]) if "head" in found else np.full((4, 4), np.nan)
    if not np.isfinite(head).all():
        raise BagError("expected the headset's own pose as body 'head', got none")
    names = [[f"{side}_{joint}" for joint in JOINTS] for side in SIDES]
    hands = np.full((2, len(JOINTS), 4, 4), np.nan)
    for side in (0, 1):
        if all(name in found for name in names[side]):
            hands[side] = [_pose(found[name]) for name in names[side]]
    tracked = np.isfinite(hands).all(axis=(1, 2, 3))
    stamp = message.header.stamp
    return HandsSample(int(stamp.sec) * SECOND + int(stamp.nanosec), head, hands, (bool(tracked[0]), bool(tracked[1])))


def _samples(bag: Bag) -> list[HandsSample]:
    rows = series(bag, HANDS, lambda raw: np.zeros(0))
    return [read_hands(bag.decode(raw)) for raw in rows.messages]


def _pose(transform: Any) -> Array:
    t, q = transform.translation, transform.rotation
    quaternion = np.array([q.x, q.y, q.z, q.w], dtype=float)[XYZW_TO_WXYZ]
    place = np.array([t.x, t.y, t.z], dtype=float)
    if not np.isfinite(place).all() or not np.isfinite(quaternion).all():
        return np.full((4, 4), np.nan)
    if abs(float(np.linalg.norm(quaternion)) - 1.0) > NORM_TOLERANCE:
        raise BagError(f"expected unit quaternions, got one of norm {np.linalg.norm(quaternion):.3f}")
    return pose(matrix_from_quaternion_wxyz(quaternion), place)


def _with_eyes(sample: HandsSample, settings: BagConversion) -> HandsSample:
    """The sample with the stereo camera's pose in place of the headset's: it is what looked."""
    head_from_eyes = pose(matrix_from_rpy(0.0, settings.eyes_pitch, 0.0), np.array(settings.eyes_xyz))
    return replace(sample, world_from_head=sample.world_from_head @ head_from_eyes)


def _chosen(stamps: Stamps, seen: Flags, times: Stamps, settings: BagConversion) -> tuple[Any, Flags, Flags]:
    """Which sample tells of head, left and right hand at each time.

    Returns:
        Indices (N, 3); which times have all three, young enough, (N,); and at which both hands were tracked, (N,).
    """
    newest = np.searchsorted(stamps, times, side="right") - 1
    last_seen = np.maximum.accumulate(np.where(seen, np.arange(len(stamps))[:, None], -1), axis=0)  # (M, 2)
    hands = last_seen[np.maximum(newest, 0)]
    index = np.concatenate([newest[:, None], hands], axis=1)
    age = times[:, None] - stamps[np.maximum(index, 0)]
    limits = np.array([settings.max_state_age, *[settings.max_state_age + settings.max_hand_loss] * 2]) * SECOND
    fresh = ((index >= 0) & (age <= limits)).all(axis=1)
    return np.maximum(index, 0), fresh, (hands == newest[:, None]).all(axis=1) & (newest >= 0)


def _states(samples: list[HandsSample], chosen: Any, frames: Array) -> Array:
    """The 54 numbers of each row of chosen samples, in its frame, (N, 54)."""
    rows = []
    for (head, left, right), frame in zip(chosen.tolist(), frames, strict=True):
        joints = np.stack([samples[left].world_from_joints[0], samples[right].world_from_joints[1]])
        tracked = bool(np.isfinite(joints[0]).all()), bool(np.isfinite(joints[1]).all())
        sample = replace(samples[head], world_from_joints=joints, tracked=tracked)
        rows.append(np.nan_to_num(hand_state(sample, frame).to_vector()))
    return np.array(rows)


def _heading(world_from_head: Array) -> float:
    """The mean heading of heads (N, 4, 4) about the vertical, [rad]."""
    ways = np.array([world_from_robot(head)[:2, 0] for head in world_from_head]).mean(axis=0)
    return float(np.arctan2(ways[1], ways[0]))


def _level_frame(world_from_head: Array, heading: float) -> Array:
    """world_from_robot: where the head is, with level axes of one heading."""
    return pose(matrix_from_rpy(0.0, 0.0, heading), world_from_head[:3, 3])
