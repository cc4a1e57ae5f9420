"""The bytes of a MultiDOFJointTrajectory and of a JointState, written and read with numpy.

rclpy fills 28 points of 13 transforms in about 2 ms and reads them back in about 5; here both take some 0.05 ms. Of the
joints, which come 250 times a second on three topics, it makes 0.2 ms each way, and here 0.03, without the middleware;
with it, from writing to reading, it is 0.38 ms against 0.24. The layout is plain CDR, little endian, offsets counted
after the 4 encapsulation bytes:

    header      int32 sec, uint32 nanosec, string frame_id
    joint_names uint32 count, strings
    points      uint32 count, then per point: uint32 count, transforms (aligned to 8), 0 velocities, 0 accelerations,
                int32 sec, uint32 nanosec

    header      the same
    name        uint32 count, strings
    position    uint32 count, doubles (aligned to 8 if there are any); then velocity and effort
"""

import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

NANOSECONDS = 1_000_000_000
ENCAPSULATION = b"\x00\x01\x00\x00"  # plain CDR, little endian
STAMP = struct.Struct("<iI")
COUNT = struct.Struct("<I")
MOST_HEADS = 8  # that are kept
_KNOWN_HEADS: dict[bytes, tuple[str, tuple[str, ...]]] = {}


@dataclass(frozen=True)
class Trajectory:
    """What our trajectories carry, as arrays."""

    stamp_ns: int
    frame_id: str
    names: tuple[str, ...]  # N bodies
    times_ns: NDArray[np.int64]  # (H,), time_from_start
    transforms: Array  # (H, N, 7): x, y, z, then the quaternion as messages order it, x, y, z, w


@dataclass(frozen=True)
class Joints:
    """What our joint states carry, as arrays."""

    stamp_ns: int
    names: tuple[str, ...]  # n joints
    positions: Array  # (n,)
    velocities: Array  # (n,), or (0,)


def encode(trajectory: Trajectory) -> bytes:
    """Serialize a trajectory; what `rclpy.serialization` would give, up to padding."""
    steps, bodies = trajectory.transforms.shape[:2]
    points = np.zeros(steps, dtype=_point_type(bodies))
    points["transforms"] = trajectory.transforms
    points["seconds"], points["nanoseconds"] = np.divmod(trajectory.times_ns, NANOSECONDS)
    points["next_count"] = bodies
    head = _head(trajectory.frame_id, trajectory.names)
    start = STAMP.pack(*divmod(trajectory.stamp_ns, NANOSECONDS)) + head + COUNT.pack(steps)
    if not steps:
        return ENCAPSULATION + start
    start = _aligned(start + COUNT.pack(bodies), 8)
    return ENCAPSULATION + start + points.tobytes()[:-8]  # the last point has no next one


def decode(raw: bytes) -> Trajectory | None:
    """Read a trajectory, or None where the bytes have another layout than `encode` gives (e.g. velocities)."""
    if raw[:2] != ENCAPSULATION[:2]:
        return None
    try:
        reader = _Reader(raw)
        stamp_ns = reader.stamp_ns()
        frame_id, names = reader.head()
        steps = reader.count(limit=len(raw))
        return _decode_points(reader, stamp_ns, frame_id, names, steps)
    except (struct.error, UnicodeDecodeError, ValueError):
        return None


def encode_joints(joints: Joints) -> bytes:
    """Serialize a JointState without a frame and without efforts."""
    data = STAMP.pack(*divmod(joints.stamp_ns, NANOSECONDS)) + _head("", joints.names)
    for values in (joints.positions, joints.velocities):
        data += COUNT.pack(len(values))
        if len(values):
            data = _aligned(data, 8) + np.asarray(values, dtype="<f8").tobytes()
    return ENCAPSULATION + data + COUNT.pack(0)


def decode_joints(raw: bytes) -> Joints | None:
    """Read a JointState, or None where the bytes are none."""
    if raw[:2] != ENCAPSULATION[:2]:
        return None
    try:
        reader = _Reader(raw)
        stamp_ns = reader.stamp_ns()
        _, names = reader.head()
        return Joints(stamp_ns, names, reader.numbers(), reader.numbers())
    except (struct.error, UnicodeDecodeError, ValueError):
        return None


def _decode_points(reader: "_Reader", stamp_ns: int, frame_id: str, names: tuple[str, ...], steps: int) -> Trajectory:
    bodies = reader.count(limit=len(reader.raw)) if steps else len(names)
    if steps:
        reader.align(8)
    point = _point_type(bodies)
    size = steps * point.itemsize - 8 if steps else 0
    body = reader.raw[reader.offset : reader.offset + size]
    if len(body) != size:
        raise ValueError("truncated")
    points = np.frombuffer(body + bytes(8 if steps else 0), dtype=point)
    if points["velocities"].any() or points["accelerations"].any() or (points["next_count"][:-1] != bodies).any():
        raise ValueError("points of another layout")
    times_ns = points["seconds"].astype(np.int64) * NANOSECONDS + points["nanoseconds"]
    return Trajectory(stamp_ns, frame_id, names, times_ns, points["transforms"])


@lru_cache(maxsize=8)
def _point_type(bodies: int) -> np.dtype:
    """One point from its first transform to the next point's: always a multiple of 8 bytes, so no padding moves."""
    return np.dtype(
        [
            ("transforms", "<f8", (bodies, 7)),
            ("velocities", "<u4"),
            ("accelerations", "<u4"),
            ("seconds", "<i4"),
            ("nanoseconds", "<u4"),
            ("next_count", "<u4"),
            ("padding", "<u4"),
        ]
    )


@lru_cache(maxsize=8)
def _head(frame_id: str, names: tuple[str, ...]) -> bytes:
    """Everything between the stamp and the number of points."""
    head = _string(frame_id) + COUNT.pack(len(names))
    for name in names:
        head += _string(name)
    return head


def _string(text: str) -> bytes:
    encoded = text.encode() + b"\x00"
    return _aligned(COUNT.pack(len(encoded)) + encoded, 4)


def _aligned(data: bytes, boundary: int) -> bytes:
    return data + bytes(-len(data) % boundary)


class _Reader:
    """A cursor over CDR bytes."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw[len(ENCAPSULATION) :]
        self.offset = 0

    def align(self, boundary: int) -> None:
        self.offset += -self.offset % boundary

    def stamp_ns(self) -> int:
        seconds, nanoseconds = STAMP.unpack_from(self.raw, self.offset)
        self.offset += STAMP.size
        return seconds * NANOSECONDS + nanoseconds

    def count(self, limit: int) -> int:
        self.align(4)
        (count,) = COUNT.unpack_from(self.raw, self.offset)
        self.offset += COUNT.size
        if count > limit:
            raise ValueError(f"{count} elements do not fit into {len(self.raw)} bytes")
        return count

    def head(self) -> tuple[str, tuple[str, ...]]:
        """The frame and the names. A stream says the same ones again and again: those of the first few are kept."""
        begin = self.offset
        for known, head in tuple(_KNOWN_HEADS.items()):
            if self.raw.startswith(known, begin):
                self.offset += len(known)
                return head
        frame_id = self.string()
        head = frame_id, tuple(self.string() for _ in range(self.count(limit=len(self.raw) // 5)))
        self.align(4)
        if len(_KNOWN_HEADS) < MOST_HEADS:
            _KNOWN_HEADS[self.raw[begin : self.offset]] = head
        return head

    def numbers(self) -> Array:
        count = self.count(limit=len(self.raw) // 8)
        if not count:
            return np.zeros(0)
        self.align(8)
        numbers = np.frombuffer(self.raw, "<f8", count, self.offset).copy()
        self.offset += numbers.nbytes
        return numbers

    def string(self) -> str:
        length = self.count(limit=len(self.raw))
        text = self.raw[self.offset : self.offset + length]
        self.offset += length
        return text[:-1].decode()
