from types import SimpleNamespace

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from firsthand.bags.write import BagWriter, Topic

STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = STORE.types
START = 1_700_000_000_000_000_000  # [ns]
TOPICS = [
    Topic("/left/color/rect/image/compressed", "sensor_msgs/msg/CompressedImage"),
    Topic("/right/color/rect/image/compressed", "sensor_msgs/msg/CompressedImage"),
    Topic("/joint_states", "sensor_msgs/msg/JointState"),
    Topic("/robot_description", "std_msgs/msg/String", latched=True),
]


def header(stamp_ns, frame="left_eye_optical"):
    stamp = TYPES["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return TYPES["std_msgs/msg/Header"](stamp=stamp, frame_id=frame)


def joint_state(stamp_ns, positions):
    names = [f"joint_{i}" for i in range(len(positions))]
    positions, empty = np.asarray(positions, dtype=float), np.zeros(0)
    message = TYPES["sensor_msgs/msg/JointState"](
        header=header(stamp_ns, ""), name=names, position=positions, velocity=empty, effort=empty
    )
    return bytes(STORE.serialize_cdr(message, message.__msgtype__))


def picture(stamp_ns, size=20_000):
    data = np.random.default_rng(stamp_ns % 1000).integers(0, 256, size, dtype=np.uint8)
    message = TYPES["sensor_msgs/msg/CompressedImage"](header=header(stamp_ns), format="jpeg", data=data)
    return bytes(STORE.serialize_cdr(message, message.__msgtype__))


def text(content):
    message = TYPES["std_msgs/msg/String"](data=content)
    return bytes(STORE.serialize_cdr(message, message.__msgtype__))


def fill(writer, seconds=2.0, skip=(), right_late_ns=0):
    """Stereo at 25 Hz and joints at 250 Hz, recorded 3 ms after they were captured; frames in `skip` never come."""
    writer.write("/robot_description", START, text("<robot/>"))
    for tick in range(int(seconds * 250)):
        stamp = START + tick * 4_000_000
        if tick % 10 == 0 and tick // 10 not in skip:
            writer.write(TOPICS[0].name, stamp + 3_000_000, picture(stamp))
            writer.write(TOPICS[1].name, stamp + 3_000_000, picture(stamp + right_late_ns))
        writer.write("/joint_states", stamp + 3_000_000, joint_state(stamp, np.full(26, float(tick))))


@pytest.fixture
def make():
    """What the tests of this room build bags from."""
    return SimpleNamespace(
        topics=TOPICS,
        start=START,
        fill=fill,
        header=header,
        joint_state=joint_state,
        picture=picture,
        text=text,
        store=STORE,
    )


@pytest.fixture
def bag(tmp_path):
    """Two seconds of stereo and joints."""
    with BagWriter(tmp_path / "run", TOPICS) as writer:
        fill(writer)
    return tmp_path / "run"
