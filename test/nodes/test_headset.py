import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("grpc")
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from trajectory_msgs.msg import MultiDOFJointTrajectory

from firsthand.headset.fake_tracking_streamer import FakeTrackingStreamer, Fault
from firsthand.headset.hand_motion import GeneratedMotion
from firsthand.nodes.hands_messages import read_hands
from firsthand.nodes.headset import Headset

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
