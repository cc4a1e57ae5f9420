import itertools

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("grpc")
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String
from trajectory_msgs.msg import MultiDOFJointTrajectory

from firsthand.headset.fake_tracking_streamer import FakeTrackingStreamer, Fault, device_update
from firsthand.headset.hand_motion import GeneratedMotion
from firsthand.headset.view_server import HEAD
from firsthand.nodes.hands_messages import read_hands
from firsthand.nodes.headset import Headset
from firsthand.nodes.qos import LATCHED, PUBLISH

pytestmark = pytest.mark.ros
ALL = QoSProfile(depth=1000)


class Rig:
    """A headset node between a fake headset and a listener."""

    def __init__(self, ros):
        self.server = FakeTrackingStreamer(GeneratedMotion("reach"), port=0)
        self.server.start()
        self.samples, self.health, listener = [], {}, ros.node("listener")
        listener.create_subscription(
            MultiDOFJointTrajectory, "teleop/hands", lambda m: self.samples.append(read_hands(m)), ALL
        )
        listener.create_subscription(DiagnosticArray, "/diagnostics", self._on_health, ALL)
        self.node = ros.make(Headset, address=f"127.0.0.1:{self.server.port}", hand_lead=0.0)
        self.ros = ros

    def _on_health(self, message):
        self.health |= {s.name: (s.message, {v.key: v.value for v in s.values}) for s in message.status}

    def now_ns(self):
        return self.node.get_clock().now().nanoseconds


@pytest.fixture
def rig(ros):
    one = Rig(ros)
    yield one
    one.server.stop()


def test_hands_come_with_the_time_of_their_arrival_and_health_with_their_rate(ros, rig):
    started = rig.now_ns()
    ros.spin_until(lambda: len(rig.samples) > 30, what="hands")
    stamps = [sample.stamp_ns for sample in rig.samples]
    assert started < stamps[0]
    assert stamps[-1] <= rig.now_ns()
    assert np.all(np.diff(stamps) > 0)
    assert rig.samples[-1].tracked == (True, True)
    ros.spin_until(lambda: rig.health.get("headset: stream", ("",))[0].startswith("both hands"), what="health")
    assert float(rig.health["headset: stream"][1]["rate [Hz]"]) > 5


def test_a_hand_out_of_sight_is_left_out_and_told(ros, rig):
    rig.server.faults = (Fault("absent_left", 0.0, 1e6),)
    ros.spin_until(lambda: rig.samples and rig.samples[-1].tracked == (False, True), what="one hand")
    name = "headset: stream"
    ros.spin_until(lambda: rig.health.get(name, ("",))[0] == "a hand is not tracked", what="health")
    assert "left hand not tracked: absent" in rig.health[name][1]


def test_a_headset_that_dies_is_told_and_found_again(ros, rig):
    ros.spin_until(lambda: rig.samples, what="hands")
    rig.server.faults = (Fault("die", rig.server.time, 2.5),)
    ros.spin_until(lambda: rig.health.get("headset: stream", ("",))[0].startswith("no samples"), what="health")
    count = len(rig.samples)
    ros.spin_until(lambda: len(rig.samples) > count + 10, what="hands again")


def test_the_page_shows_pairs_of_one_instant_and_tells_what_the_operator_is_told(ros):
    websockets = pytest.importorskip("websockets.sync.client")
    publisher = ros.node("camera")
    images = [
        publisher.create_publisher(CompressedImage, f"{side}/color/rect/image/compressed", PUBLISH)
        for side in ("left", "right")
    ]
    status = publisher.create_publisher(String, "teleop/status", LATCHED)
    status.publish(String(data="ready"))
    node = ros.make(Headset, source="web", view_port=0)
    heard, numbers = [], itertools.count(1)

    def show():
        number = next(numbers)
        for k, image in enumerate(images):
            of = number - (k and number % 2)  # every other right picture is of the instant before
            message = CompressedImage(format="jpeg", data=f"{('left', 'right')[k]} {of}".encode())
            message.header.stamp.sec = of
            image.publish(message)

    with websockets.connect(f"ws://127.0.0.1:{node.view.port}/stream", compression=None) as viewer:
        ros.spin_until(lambda: all(image.get_subscription_count() for image in images), what="the node")

        def pair():
            show()
            try:
                heard.append(viewer.recv(timeout=0.05))
            except TimeoutError:
                return False
            return isinstance(heard[-1], bytes)

        ros.spin_until(pair, what="a pair")
        stamp, length = HEAD.unpack_from(heard[-1])
        number = stamp // 10**9
        assert number % 2 == 0
        assert heard[-1][12:] == f"left {number}right {number}".encode()
        assert length == len(f"left {number}")
        ros.spin_until(lambda: node._hands.state.startswith("waits"), what="the source")
        samples = []
        publisher.create_subscription(
            MultiDOFJointTrajectory, "teleop/hands", lambda m: samples.append(read_hands(m)), ALL
        )
        update = device_update(GeneratedMotion("reach").at(1.0))
        values = np.concatenate([update.head[None], (update.wrists[:, None] @ update.joints).reshape(50, 4, 4)])

        def send():
            values[:, 0, 3] += 1e-4
            viewer.send(np.ascontiguousarray(values.swapaxes(1, 2)).astype("<f4").tobytes())
            return samples

        ros.spin_until(send, what="hands of the page")
        assert samples[-1].tracked == (True, True)
