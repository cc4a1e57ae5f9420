"""Message definitions of ROS 2 Jazzy without ROS: names, texts, hashes, (de)serialization."""

import struct
from dataclasses import dataclass
from functools import lru_cache

from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from firsthand.errors import BagError

STAMP = struct.Struct("<iI")
STAMP_OFFSET = 4  # behind the encapsulation bytes
LITTLE_ENDIAN = 1  # in the second encapsulation byte


@dataclass(frozen=True)
class Definition:
    """What a bag keeps so that others can decode a message."""

    type: str  # such as "sensor_msgs/msg/JointState"
    text: str
    encoding: str  # "ros2msg" or "ros2idl"
    hash: str  # "RIHS01_..."


@lru_cache(maxsize=1)
def typestore() -> Typestore:
    """The messages of ROS 2 Jazzy; those of Humble and Kilted that we use are the same."""
    return get_typestore(Stores.ROS2_JAZZY)


def define(name: str) -> Definition:
    """The definition of a message type.

    Raises:
        BagError: Jazzy's common packages have no such message.
    """
    if name not in typestore().fielddefs:
        raise BagError(f"no message type {name!r} in ROS 2 Jazzy; names look like 'sensor_msgs/msg/JointState'")
    text, _ = typestore().generate_msgdef(name, ros_version=2)
    return Definition(name, text, "ros2msg", typestore().hash_rihs01(name))


def starts_with_header(name: str, store: Typestore) -> bool:
    """Whether a message's first field is a std_msgs/Header, so that `header_stamp_ns` can read it."""
    if name not in store.fielddefs:
        return False
    fields = store.fielddefs[name][1]
    return bool(fields) and fields[0][1][1] == "std_msgs/msg/Header"


def header_stamp_ns(data: bytes) -> int | None:
    """The stamp of a serialized message that starts with a header; None where the bytes are too few or zero."""
    if len(data) < STAMP_OFFSET + STAMP.size or data[1] & LITTLE_ENDIAN == 0:
        return None
    seconds, nanoseconds = STAMP.unpack_from(data, STAMP_OFFSET)
    return (seconds * 1_000_000_000 + nanoseconds) or None
