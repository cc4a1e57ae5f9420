"""Recordings as `firsthand launch record` writes them, of joints and pictures that a test makes up or renders."""

import cv2
import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from firsthand.bags.write import BagWriter, Topic
from firsthand.robot.joints import JOINTS

STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = STORE.types
START = 1_700_000_000_000_000_000  # [ns]
MILLISECOND = 1_000_000  # [ns]
SIDES = ("left", "right")
NAMES = {"sensor_msgs/msg/CompressedImage": "image/compressed", "sensor_msgs/msg/CameraInfo": "camera_info"}
TOPICS = [Topic(f"/{side}/color/rect/{name}", kind) for side in SIDES for kind, name in NAMES.items()]
JOINT_TOPICS = [Topic(f"/{name}", "sensor_msgs/msg/JointState") for name in ("joint_states", "motor_command")]

HEALTH = Topic("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")


def serialized(kind, **fields):
    message = TYPES[kind](**fields)
    return bytes(STORE.serialize_cdr(message, kind))


def header(stamp_ns):
    stamp = TYPES["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return TYPES["std_msgs/msg/Header"](stamp=stamp, frame_id="")


class Bag:
    """Writes one recording."""

    def __init__(self, path):
        self.path = path
        self.writer = BagWriter(path, [*TOPICS, *JOINT_TOPICS, HEALTH])

    def joints(self, topic, stamp_ns, q, names=JOINTS):
        empty = np.zeros(0)
        fields = {"name": list(names), "position": np.asarray(q, float), "velocity": empty, "effort": empty}
        data = serialized("sensor_msgs/msg/JointState", header=header(stamp_ns), **fields)
        self.writer.write(f"/{topic}", stamp_ns, data)

    def diagnostics(self, stamp_ns, name, values):
        pairs = [TYPES["diagnostic_msgs/msg/KeyValue"](key=key, value=value) for key, value in values.items()]
        status = TYPES["diagnostic_msgs/msg/DiagnosticStatus"](
            level=0, name=name, message="", hardware_id="", values=pairs
        )  # fmt: skip
        data = serialized("diagnostic_msgs/msg/DiagnosticArray", header=header(stamp_ns), status=[status])
        self.writer.write("/diagnostics", stamp_ns, data)

    def pictures(self, stamp_ns, images, intrinsics):
        for side, image in zip(SIDES, images, strict=True):
            jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].reshape(-1)
            data = serialized("sensor_msgs/msg/CompressedImage", header=header(stamp_ns), format="jpeg", data=jpeg)
            self.writer.write(f"/{side}/color/rect/image/compressed", stamp_ns, data)
            self.writer.write(f"/{side}/color/rect/camera_info", stamp_ns, self._info(stamp_ns, side, intrinsics))

    def posture(self, stamp_ns, q, images, intrinsics):
        """Half a second at rest, with a picture in the middle."""
        for k in range(26):
            self.joints("joint_states", stamp_ns + 20 * k * MILLISECOND, q)
        self.pictures(stamp_ns + 250 * MILLISECOND, images, intrinsics)

    def _info(self, stamp_ns, side, i):
        shift = -i.fx * i.baseline if side == "right" else 0.0
        nothing = TYPES["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )  # fmt: skip
        return serialized(
            "sensor_msgs/msg/CameraInfo", header=header(stamp_ns), height=i.height, width=i.width,
            distortion_model="plumb_bob", d=np.zeros(5), k=np.array([i.fx, 0, i.cx, 0, i.fy, i.cy, 0, 0, 1.0]),
            r=np.eye(3).ravel(), p=np.array([i.fx, 0, i.cx, shift, 0, i.fy, i.cy, 0, 0, 0, 1.0, 0]),
            binning_x=0, binning_y=0, roi=nothing,
        )  # fmt: skip


@pytest.fixture
def record(tmp_path):
    """An open bag to write into; reading begins after `close`."""
    bag = Bag(tmp_path / "recording")
    bag.close = bag.writer.close
    yield bag
    bag.writer.close()
