"""What decoded messages of our topics say, as arrays; the twin of nodes/messages.py for machines without ROS.

Quaternions are xyzw in messages and wxyz inside: for bags, the order changes here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import BagError
from firsthand.space.hand_state import FRAMES, HandState
from firsthand.space.rotations import matrix_from_quaternion_wxyz

Array = NDArray[np.floating]

ROBOT_FRAME = "eyes_gravity"
QUATERNION_TOLERANCE = 1e-3  # how far a rotation's norm may be from one


@dataclass(frozen=True)
class HandTrajectory:
    """A `hand_state` (one point) or an `action_chunk` (many)."""

    stamp_ns: int
    times_ns: NDArray[np.int64]  # (H,), when each is due, counted from the stamp
    vectors: Array  # (H, 54)


def stamp_ns(message: Any) -> int:
    """The stamp in a message's header."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def hand_trajectory(message: Any) -> HandTrajectory:
    """Read a MultiDOFJointTrajectory of our 13 bodies.

    Raises:
        BagError: A body is missing, the frame is another, or a number is not finite or no rotation.
    """
    if message.header.frame_id != ROBOT_FRAME:
        raise BagError(f"expected hand states in frame {ROBOT_FRAME!r}, got {message.header.frame_id!r}")
    order = _order(message.joint_names, FRAMES)
    if len(message.points) == 0:
        raise BagError("expected a trajectory of at least one point, got none")
    transforms = np.array([[_numbers(t) for t in point.transforms] for point in message.points], dtype=float)
    if transforms.ndim != 3 or transforms.shape[1] != len(message.joint_names):
        raise BagError(f"expected points of {len(message.joint_names)} transforms, got shape {transforms.shape}")
    starts = [point.time_from_start for point in message.points]
    times_ns = np.array([int(t.sec) * 1_000_000_000 + int(t.nanosec) for t in starts], dtype=np.int64)
    return HandTrajectory(stamp_ns(message), times_ns, _vectors(transforms[:, order]))


def joint_positions(message: Any, names: Sequence[str]) -> Array:
    """The positions of a JointState in the order of `names`, [rad].

    Raises:
        BagError: A joint is missing, or positions and names differ in number or are not finite.
    """
    positions = np.asarray(message.position, dtype=float)
    if len(positions) != len(message.name) or not np.isfinite(positions).all():
        raise BagError(f"expected {len(message.name)} finite positions, one per name, got {len(positions)}")
    return positions[_order(message.name, names)]


def picture(message: Any) -> NDArray[np.uint8]:
    """The picture of a CompressedImage, (H, W, 3) RGB.

    Raises:
        BagError: The data is no JPEG or PNG.
    """
    data = np.asarray(message.data, dtype=np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if bgr is None:
        raise BagError(f"expected a JPEG or PNG, got {len(data)} bytes of format {message.format!r} that are none")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def _vectors(transforms: Array) -> Array:
    """The 54 numbers (H, 54) of bodies (H, 13, 7), each x, y, z and a quaternion wxyz."""
    quaternions = transforms[:, :3, 3:]
    norms = np.linalg.norm(quaternions, axis=-1)
    if not np.isfinite(transforms).all() or (np.abs(norms - 1) > QUATERNION_TOLERANCE).any():
        raise BagError("expected finite positions and unit quaternions for the head and the wrists")
    rotations = matrix_from_quaternion_wxyz(quaternions)
    wrist_poses = np.zeros((len(transforms), 2, 4, 4))
    wrist_poses[..., :3, :3] = rotations[:, 1:]
    wrist_poses[..., :3, 3] = transforms[:, 1:3, :3]
    fingertips = transforms[:, 3:, :3].reshape(-1, 2, 5, 3)
    return HandState.from_poses(rotations[:, 0], wrist_poses, fingertips).to_vector()


def _numbers(transform: Any) -> tuple[float, ...]:
    position, q = transform.translation, transform.rotation
    return position.x, position.y, position.z, q.w, q.x, q.y, q.z


def _order(came: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where each wanted name is in what came."""
    index = {name: i for i, name in enumerate(came)}
    missing = [name for name in wanted if name not in index]
    if missing or len(index) != len(came):
        raise BagError(f"expected {', '.join(missing) or 'each name once'} in the message, got {', '.join(came)}")
    return [index[name] for name in wanted]
