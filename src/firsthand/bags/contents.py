"""What decoded messages of our topics say, as arrays; the twin of nodes/messages.py for machines without ROS."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import BagError, ShapeError
from firsthand.space.bodies import order_of, vectors_from_transforms

Array = NDArray[np.floating]


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
    names = tuple(message.joint_names)
    if any(len(point.transforms) != len(names) for point in message.points):
        raise BagError(f"expected points of {len(names)} transforms as named, got others")
    transforms = np.array([[_numbers(t) for t in point.transforms] for point in message.points], dtype=float)
    try:
        vectors = vectors_from_transforms(message.header.frame_id, names, transforms)
    except ShapeError as error:
        raise BagError(str(error)) from error
    starts = [point.time_from_start for point in message.points]
    times_ns = np.array([int(t.sec) * 1_000_000_000 + int(t.nanosec) for t in starts], dtype=np.int64)
    return HandTrajectory(stamp_ns(message), times_ns, vectors)


def joint_positions(message: Any, names: Sequence[str]) -> Array:
    """The positions of a JointState in the order of `names`, [rad].

    Raises:
        BagError: A joint is missing, or positions and names differ in number or are not finite.
    """
    positions = np.asarray(message.position, dtype=float)
    if len(positions) != len(message.name) or not np.isfinite(positions).all():
        raise BagError(f"expected {len(message.name)} finite positions, one per name, got {len(positions)}")
    try:
        return positions[order_of(names, message.name)]
    except ShapeError as error:
        raise BagError(str(error)) from error


def picture(message: Any) -> NDArray[np.uint8]:
    """The picture of a CompressedImage, (H, W, 3) RGB.

    Raises:
        BagError: The data is no JPEG or PNG.
    """
    data = np.asarray(message.data, dtype=np.uint8)
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except cv2.error:  # a header that promises more pixels than OpenCV allows
        bgr = None
    if bgr is None:
        raise BagError(f"expected a JPEG or PNG, got {len(data)} bytes of format {message.format!r} that are none")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def _numbers(transform: Any) -> tuple[float, ...]:
    position, q = transform.translation, transform.rotation
    return position.x, position.y, position.z, q.x, q.y, q.z, q.w
