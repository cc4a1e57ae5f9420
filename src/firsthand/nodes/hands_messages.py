"""Raw joints of a headset as messages: `teleop/hands`, kept in bags so that they can be retargeted again.

A MultiDOFJointTrajectory of one point in the frame `headset_world` (x forward, y left, z up, where the wearer stood at
the start). Its bodies are the head and, for each hand that is tracked, 25 joints, named `left_wrist`,
`left_thumb_knuckle` ... as in `headset.hands_sample.BODIES`. A hand that is not tracked is not in the message.
"""

import numpy as np
from trajectory_msgs.msg import MultiDOFJointTrajectory

from firsthand.errors import ShapeError
from firsthand.headset.hands_sample import BODIES, JOINTS, HandsSample
from firsthand.nodes import cdr
from firsthand.nodes.messages import read_trajectory
from firsthand.space.bodies import QUATERNION_TOLERANCE, WXYZ_TO_XYZW, XYZW_TO_WXYZ
from firsthand.space.hand_state import SIDES
from firsthand.space.rotations import matrix_from_quaternion_wxyz, quaternion_wxyz_from_matrix

HEADSET_FRAME = "headset_world"
HANDS = tuple(BODIES[1 + side * len(JOINTS) : 1 + (side + 1) * len(JOINTS)] for side in (0, 1))
NAMES = {
    tracked: ("head", *(name for side in (0, 1) if tracked[side] for name in HANDS[side]))
    for tracked in ((False, False), (True, False), (False, True), (True, True))
}


def write_hands(sample: HandsSample) -> bytes:
    """A `teleop/hands` message, serialized: `publisher.publish` takes the bytes."""
    hands = [sample.world_from_joints[side] for side in (0, 1) if sample.tracked[side]]
    poses = np.concatenate([sample.world_from_head[None], *hands])
    transforms = np.empty((1, len(poses), 7))
    transforms[0, :, :3] = poses[:, :3, 3]
    transforms[0, :, 3:] = quaternion_wxyz_from_matrix(poses[:, :3, :3])[:, WXYZ_TO_XYZW]
    names = NAMES[sample.tracked]
    return cdr.encode(cdr.Trajectory(sample.stamp_ns, HEADSET_FRAME, names, np.zeros(1, np.int64), transforms))


def read_hands(message: bytes | MultiDOFJointTrajectory) -> HandsSample:
    """The sample, from a raw subscription's bytes or a typed message.

    Raises:
        ShapeError: Another frame, not one point, other bodies than the head and whole hands, numbers that are not
            finite, rotations that are none.
    """
    trajectory = read_trajectory(message)
    if trajectory.frame_id != HEADSET_FRAME:
        raise ShapeError(f"expected hands in frame {HEADSET_FRAME!r}, got {trajectory.frame_id!r}")
    tracked = next((known for known, names in NAMES.items() if names == trajectory.names), None)
    if tracked is None or trajectory.transforms.shape != (1, len(trajectory.names), 7):
        raise ShapeError(
            f"expected one point of the head and {' or '.join(SIDES)} hand's {len(JOINTS)} joints, "
            f"got {len(trajectory.transforms)} of {len(trajectory.names)} bodies"
        )
    numbers = trajectory.transforms[0]
    if not np.isfinite(numbers).all():
        raise ShapeError("expected finite hands, got NaN or infinity")
    if (np.abs(np.linalg.norm(numbers[:, 3:], axis=1) - 1) > QUATERNION_TOLERANCE).any():
        raise ShapeError("expected unit quaternions for head and joints")
    poses = np.zeros((len(numbers), 4, 4))
    poses[:, :3, :3] = matrix_from_quaternion_wxyz(numbers[:, 3:][:, XYZW_TO_WXYZ])
    poses[:, :3, 3], poses[:, 3, 3] = numbers[:, :3], 1.0
    joints = np.full((2, len(JOINTS), 4, 4), np.nan)
    present = [side for side in (0, 1) if tracked[side]]
    joints[present] = poses[1:].reshape(len(present), len(JOINTS), 4, 4)
    return HandsSample(trajectory.stamp_ns, poses[0], joints, tracked)
