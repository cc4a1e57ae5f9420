"""Hand states, chunks, joints and stamps, to messages and back. Pictures are in `image_messages.py`.

Every reader checks what came and raises before anything wrong gets inside. Hand states travel as standard
MultiDOFJointTrajectory messages, as the 13 named bodies of `space.bodies`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint, MultiDOFJointTrajectory

from firsthand.errors import ShapeError
from firsthand.nodes import cdr
from firsthand.robot.joints import check_hand
from firsthand.space.bodies import ROBOT_FRAME, order_of, transforms_from_vectors, vectors_from_transforms
from firsthand.space.hand_state import FRAMES, SIZE, check_vector

Array = NDArray[np.floating]

SECOND = 1_000_000_000  # [ns]
NOTHING = np.zeros(0)
ABSURD = 1e6  # [rad], [rad/s]: beyond it a number is an error of its sender, and squares of it lose all digits


@dataclass(frozen=True)
class StampedHandState:
    """A measured hand state."""

    stamp_ns: int
    vector: Array  # (54,)


@dataclass(frozen=True)
class Chunk:
    """Targets to reach one after the other, all in the robot frame at the time of the observation."""

    stamp_ns: int  # of the observation that the chunk was computed from
    actions: Array  # (H, 54)
    times_ns: NDArray[np.int64]  # (H,), when each is due, counted from the stamp

    @property
    def rate(self) -> float:
        """Actions per second; infinite for a single target that is due at once."""
        return len(self.times_ns) * SECOND / self.times_ns[-1] if self.times_ns[-1] > 0 else float("inf")


@dataclass(frozen=True)
class JointReading:
    """Joints in the order that was asked for."""

    stamp_ns: int
    positions: Array  # (n,), [rad]
    velocities: Array | None  # (n,), [rad/s]; None if the message has none


def write_hand_state(vector: Array, stamp_ns: int) -> bytes:
    """A `hand_state` message, serialized: `publisher.publish` takes the bytes.

    Args:
        vector: The 54 numbers.
        stamp_ns: When they were measured.
    """
    if np.shape(vector) != (SIZE,):
        raise ShapeError(f"expected one hand state of {SIZE} numbers, got shape {np.shape(vector)}")
    return _write_states(vector[None], stamp_ns, np.zeros(1, dtype=np.int64))


def read_hand_state(message: bytes | MultiDOFJointTrajectory) -> StampedHandState:
    """A measured hand state, from a raw subscription's bytes or a typed message.

    Raises:
        ShapeError: Not one finite point, a body missing, or another frame than the robot's.
    """
    chunk = read_chunk(message)
    if len(chunk.actions) != 1:
        raise ShapeError(f"expected a hand state of one point, got {len(chunk.actions)} points")
    return StampedHandState(chunk.stamp_ns, chunk.actions[0])


def write_chunk(actions: Array, stamp_ns: int, rate: float) -> bytes:
    """An `action_chunk` message, serialized: `publisher.publish` takes the bytes.

    Args:
        actions: (H, 54), the i-th due (i + 1) / rate after the stamp.
        stamp_ns: Of the observation.
        rate: [Hz].
    """
    return _write_states(actions, stamp_ns, due_times_ns(len(actions), rate))


def read_chunk(message: bytes | MultiDOFJointTrajectory) -> Chunk:
    """A chunk of actions, from a raw subscription's bytes or a typed message.

    Raises:
        ShapeError: No points, a body missing, numbers that are not finite, rotations that are none, times that do
            not rise, or another frame than the robot's.
    """
    trajectory = read_trajectory(message)
    vectors = vectors_from_transforms(trajectory.frame_id, trajectory.names, trajectory.transforms)
    if (np.diff(trajectory.times_ns) <= 0).any():
        raise ShapeError("expected time_from_start to rise from point to point")
    return Chunk(trajectory.stamp_ns, vectors, trajectory.times_ns)


def write_joint_state(names: Sequence[str], positions: Array, stamp_ns: int, velocities: Array | None = None) -> bytes:
    """A JointState, serialized: `publisher.publish` takes the bytes.

    Args:
        names: n joints.
        positions: (n,), [rad].
        stamp_ns: When they were measured, or commanded.
        velocities: (n,), [rad/s].
    """
    positions = _row(positions, len(names), "positions")
    velocities = NOTHING if velocities is None else _row(velocities, len(names), "velocities")
    return cdr.encode_joints(cdr.Joints(int(stamp_ns), tuple(names), positions, velocities))


def read_joint_state(message: bytes | JointState, names: Sequence[str]) -> JointReading:
    """The joints that were asked for, in that order, from a raw subscription's bytes or a typed message; others in it
    are left aside.

    Raises:
        ShapeError: One of `names` is missing, as many positions as names did not come, or they are no angles.
        ModelError: They are of a robot with the other kind of hand.
    """
    wanted = tuple(names)
    joints = _read_joints(message)
    positions = _numbers(joints.positions, joints.names, "positions")
    velocities = _numbers(joints.velocities, joints.names, "velocities") if len(joints.velocities) else None
    if joints.names != wanted:
        check_hand(wanted, joints.names)
        order = order_of(wanted, joints.names)
        positions = positions[order]
        velocities = None if velocities is None else velocities[order]
    return JointReading(joints.stamp_ns, positions, velocities)


def write_joint_trajectory(names: Sequence[str], positions: Array, stamp_ns: int, rate: float) -> JointTrajectory:
    """A chunk of joint positions as ros2_control's joint_trajectory_controller takes it: positions only.

    Args:
        names: n joints.
        positions: (H, n), [rad], the i-th due (i + 1) / rate after the stamp.
        stamp_ns: Of the observation.
        rate: [Hz].
    """
    message = JointTrajectory(header=Header(stamp=stamp_from_ns(stamp_ns)), joint_names=list(names))
    for row, time_ns in zip(positions, due_times_ns(len(positions), rate).tolist(), strict=True):
        point = JointTrajectoryPoint(time_from_start=duration_from_ns(time_ns))
        point.positions = _row(row, len(names), "positions").tolist()
        message.points.append(point)
    return message


def write_clock(now_ns: int) -> Clock:
    """The time of a simulation or a replay."""
    return Clock(clock=stamp_from_ns(now_ns))


def stamp_from_ns(stamp_ns: int) -> Time:
    """A message's time of integer nanoseconds."""
    seconds, nanoseconds = divmod(int(stamp_ns), SECOND)
    return Time(sec=seconds, nanosec=nanoseconds)


def duration_from_ns(duration_ns: int) -> Duration:
    """A message's duration of integer nanoseconds."""
    seconds, nanoseconds = divmod(int(duration_ns), SECOND)
    return Duration(sec=seconds, nanosec=nanoseconds)


def ns_from_stamp(stamp: Time) -> int:
    """Integer nanoseconds of a message's time."""
    return stamp.sec * SECOND + stamp.nanosec


def ns_from_duration(duration: Duration) -> int:
    """Integer nanoseconds of a message's duration."""
    return duration.sec * SECOND + duration.nanosec


def due_times_ns(steps: int, rate: float) -> NDArray[np.int64]:
    """When each action of a chunk is due, counted from its stamp, (steps,): (i + 1) / rate."""
    return np.rint(np.arange(1, steps + 1) * (SECOND / rate)).astype(np.int64)


def _write_states(vectors: Array, stamp_ns: int, times_ns: NDArray[np.int64]) -> bytes:
    vectors = check_vector(vectors)
    if vectors.ndim != 2 or len(vectors) == 0:
        raise ShapeError(f"expected (steps, {SIZE}) numbers with at least one step, got shape {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise ShapeError("expected finite hand states, got NaN or infinity")
    return cdr.encode(cdr.Trajectory(int(stamp_ns), ROBOT_FRAME, FRAMES, times_ns, transforms_from_vectors(vectors)))


def read_trajectory(message: bytes | MultiDOFJointTrajectory) -> cdr.Trajectory:
    """A trajectory of any bodies as arrays.

    Raises:
        ShapeError: The bytes are none.
    """
    if isinstance(message, MultiDOFJointTrajectory):
        return _from_typed(message)
    fast = cdr.decode(message)
    return _from_typed(_deserialize(message, MultiDOFJointTrajectory)) if fast is None else fast


def _read_joints(message: bytes | JointState) -> cdr.Joints:
    if isinstance(message, bytes):
        fast = cdr.decode_joints(message)
        if fast is not None:
            return fast
        message = _deserialize(message, JointState)
    stamp_ns = ns_from_stamp(message.header.stamp)
    return cdr.Joints(stamp_ns, tuple(message.name), np.array(message.position), np.array(message.velocity))


def _deserialize(raw: bytes, kind: Any) -> Any:
    """Let rclpy read what is not in our own layout: a foreign sender's velocities, or garbage."""
    try:
        return deserialize_message(raw, kind)
    except Exception as error:  # rclpy raises the C++ layer's own RMWError, which has no public name
        raise ShapeError(f"expected a {kind.__name__}, got {len(raw)} bytes that are none: {error}") from error


def _from_typed(message: MultiDOFJointTrajectory) -> cdr.Trajectory:
    names = tuple(message.joint_names)
    transforms = np.zeros((len(message.points), len(names), 7))
    for row, point in zip(transforms, message.points, strict=True):
        if len(point.transforms) != len(names):
            raise ShapeError(f"expected {len(names)} transforms a point as named, got {len(point.transforms)}")
        for body, transform in zip(row, point.transforms, strict=True):
            t, r = transform.translation, transform.rotation
            body[:] = t.x, t.y, t.z, r.x, r.y, r.z, r.w
    times = [ns_from_duration(point.time_from_start) for point in message.points]
    return cdr.Trajectory(
        ns_from_stamp(message.header.stamp), message.header.frame_id, names, np.array(times, dtype=np.int64), transforms
    )


def _row(values: Array, size: int, what: str) -> Array:
    values = np.asarray(values, dtype=float)
    if values.shape != (size,):
        raise ShapeError(f"expected {size} {what}, one per joint, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ShapeError(f"expected finite {what}, got NaN or infinity")
    return values


def _numbers(numbers: Array, names: Sequence[str], what: str) -> Array:
    if len(numbers) != len(names):
        raise ShapeError(f"expected {len(names)} {what}, one per name, got {len(numbers)}")
    if not np.isfinite(numbers).all():
        bad = [name for name, number in zip(names, numbers, strict=True) if not np.isfinite(number)]
        raise ShapeError(f"expected finite {what}, got NaN or infinity for {', '.join(bad)}")
    if numbers.size and np.abs(numbers).max() > ABSURD:
        raise ShapeError(f"expected {what} in radians, got one of {np.abs(numbers).max():.3g}")
    return numbers
