import json

import numpy as np
import pytest

pytest.importorskip("rclpy")
from rclpy.qos import QoSProfile
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import MultiDOFJointTrajectory

from firsthand.bags.read import open_bag
from firsthand.headset.hand_model import OPEN, RELAXED, THUMB_OUT, joints, left_hand
from firsthand.headset.hand_motion import EYES, THUMBS_UP, WRISTS
from firsthand.headset.hands_sample import HandsSample
from firsthand.nodes.hands_messages import write_hands
from firsthand.nodes.messages import read_hand_state, write_hand_state
from firsthand.nodes.qos import LATCHED, PUBLISH
from firsthand.nodes.recorder import Recorder
from firsthand.nodes.teleop import Teleop
from firsthand.robot.model import RobotModel
from firsthand.space.frames import pose
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import matrix_from_rpy
from firsthand.teleoperation import session

pytestmark = pytest.mark.ros
ALL = QoSProfile(depth=1000)
MODEL = RobotModel.load()
HOME = MODEL.hand_state(MODEL.neutral)
PATIENT = {"hands_timeout": 1.0, "pedal_timeout": 2.0, "resume_time": 10.0, "engage_time": 0.2}  # the machine is busy


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """On a busy machine a sample may take long, and few come in a second."""
    monkeypatch.setattr(session, "MEASURED_WITHIN", 5.0)
    monkeypatch.setattr(session, "POSE_TIME", 3.0)


class Rig:
    """A teleop node between a person with a pedal and a body that says yes to everything."""

    def __init__(self, ros, gate="disengaged", source="teleop", **parameters):
        self.ros, self.node = ros, ros.node("others")
        self.pressed, self.fingers, self.offset, self.wrists = False, RELAXED, np.zeros((2, 3)), WRISTS
        self.sending, self.rolls = True, np.zeros(2)
        self.targets, self.statuses, self.calls, self.stops = [], [], [], []
        publish, subscribe = self.node.create_publisher, self.node.create_subscription
        self.hands = publish(MultiDOFJointTrajectory, "teleop/hands", PUBLISH)
        self.robot = publish(MultiDOFJointTrajectory, "hand_state", PUBLISH)
        self.pedal = publish(Bool, "teleop/pedal", PUBLISH)
        self.gates, self.sources = publish(String, "gate_state", LATCHED), publish(String, "source", LATCHED)
        subscribe(MultiDOFJointTrajectory, "teleop/target", lambda m: self.targets.append(read_hand_state(m)), ALL)
        subscribe(String, "teleop/status", lambda m: self.statuses.append(m.data), LATCHED)
        subscribe(Bool, "estop", lambda m: self.stops.append(m.data), ALL)
        for name in ("engage", "estop", "set_source"):
            self.node.create_service(SetBool, name, lambda q, a, name=name: self.answer(name, q, a))
        self.gates.publish(String(data=gate))
        self.sources.publish(String(data=source))
        self.teleop = ros.make(Teleop, **(PATIENT | {"clutch": "pedal"} | parameters))
        self.node.create_timer(0.02, self.send)
        ros.spin_until(lambda: self.statuses and "press the pedal" in self.statuses[-1], what="readiness")

    def answer(self, name, request, response):
        self.calls.append((name, request.data))
        if name == "set_source":
            self.sources.publish(String(data="policy" if request.data else "teleop"))
        else:
            self.gates.publish(String(data={"engage": "engaging", "estop": "stopped"}[name]))
        response.success = True
        return response

    def send(self):
        if not self.sending:
            return
        now_ns = self.node.get_clock().now().nanoseconds
        hands = np.stack([left_hand(joints(self.fingers)), joints(self.fingers)])
        turns = [matrix_from_rpy(float(roll), 0.0, 0.0) for roll in self.rolls]
        wrists = np.stack([pose(turn, EYES + at) for turn, at in zip(turns, self.wrists + self.offset, strict=True)])
        sample = HandsSample(now_ns, pose(np.eye(3), EYES), wrists[:, None] @ hands, (True, True))
        self.hands.publish(write_hands(sample))
        self.robot.publish(write_hand_state(HOME.to_vector(), now_ns))
        self.pedal.publish(Bool(data=self.pressed))

    def until(self, status, what=None):
        self.ros.spin_until(lambda: self.statuses[-1].startswith(status), what=what or status)


def test_the_pedal_engages_the_gate_and_the_hands_are_followed(ros):
    rig = Rig(ros, absolute=False)
    assert not rig.targets
    rig.pressed = True
    rig.until("following")
    assert rig.calls[0] == ("engage", True)
    np.testing.assert_allclose(rig.targets[0].vector, HOME.to_vector(), atol=1e-6)
    rig.offset = np.array([[0.05, 0.0, 0.0], [0.0, 0.0, 0.04]])
    expected = HOME.wrist_positions + rig.offset

    def arrived():
        return np.abs(HandState.from_vector(rig.targets[-1].vector).wrist_positions - expected).max() < 1e-6

    ros.spin_until(arrived, what="the target")
    assert rig.teleop._delay.count > 0


def test_the_pedal_takes_the_robot_from_the_policy(ros):
    rig = Rig(ros, gate="active", source="policy")
    rig.pressed = True
    rig.until("following")
    assert rig.calls == [("set_source", False)]


def test_a_released_pedal_holds(ros):
    rig = Rig(ros, gate="active")
    rig.pressed = True
    rig.until("following")
    rig.pressed = False
    rig.until("ready")
    count, held = len(rig.targets), rig.targets[-1].vector
    rig.offset = np.full((2, 3), 0.05)
    ros.spin_until(lambda: len(rig.targets) > count + 5, what="targets")
    np.testing.assert_allclose(rig.targets[-1].vector, rig.targets[count].vector, atol=1e-9)
    assert np.abs(rig.targets[-1].vector - held).max() < 0.02


def test_hands_thrown_up_call_the_estop(ros):
    rig = Rig(ros, gate="active")
    rig.pressed = True
    rig.until("following")
    rig.offset = np.array([0.0, 0.0, 0.6])
    rig.until("stopped")
    ros.spin_until(lambda: ("estop", True) in rig.calls and True in rig.stops, what="the call, and the topic")


def test_thumbs_up_and_down_make_real_recordings_and_the_operator_is_told(ros, tmp_path):
    rig = Rig(ros)
    recorder = ros.make(Recorder, folder=str(tmp_path), topics=["teleop/hands"], autostart=False, judge=False)

    def hold(way):
        rig.fingers, rig.rolls = THUMB_OUT, way * THUMBS_UP

    def relax():
        rig.fingers, rig.rolls = RELAXED, np.zeros(2)
        taken = rig.teleop._hands_in.taken
        ros.spin_until(lambda: rig.teleop._hands_in.taken > taken + 3, what="thumbs that are elsewhere")

    ros.spin_until(lambda: rig.statuses[-1].endswith("; not recording, both thumbs up begin it"), what="an invitation")
    hold(1)
    ros.spin_until(lambda: recorder.session.is_recording, what="a recording")
    ros.spin_until(lambda: "; recording" in rig.statuses[-1], what="the word that it is one")
    bag = recorder.session.last
    relax()
    ros.spin_until(lambda: sum(recorder.session.summary().written.values()) > 5, what="messages")
    hold(1)
    ros.spin_until(lambda: not recorder.session.is_recording, what="its end")
    relax()
    with open_bag(bag) as opened:
        assert opened.message_count > 5
    hold(-1)
    ros.spin_until(lambda: (tmp_path / "discarded" / bag.name).exists(), what="that it is put away")
    ros.spin_until(lambda: "; discarded, not recording" in rig.statuses[-1], what="the word of that")


def test_a_recorder_that_has_gone_is_not_said_to_record(ros):
    rig = Rig(ros)
    other = ros.node("recorder_of_ours")
    states = other.create_publisher(String, "recorder/state", LATCHED)
    states.publish(String(data="recording: bag"))
    ros.spin_until(lambda: "; recording" in rig.statuses[-1], what="a recording")
    other.destroy_publisher(states)
    ros.spin_until(lambda: "recording" not in rig.statuses[-1], what="silence about it")


def test_a_silent_headset_is_told_and_no_target_is_sent(ros):
    rig = Rig(ros, gate="active")
    rig.pressed = True
    rig.until("following")
    rig.sending = False
    rig.until("paused")
    count = len(rig.targets)
    end = rig.node.get_clock().now().nanoseconds + 300_000_000
    ros.spin_until(lambda: rig.node.get_clock().now().nanoseconds > end)
    assert len(rig.targets) == count


def test_bad_hands_are_refused_and_the_good_ones_go_on(ros):
    rig = Rig(ros)

    def refused(bad):
        rig.hands.publish(bad)  # again and again: only the newest is taken, and good ones come between
        return rig.teleop._hands_in.refused > before

    for bad in (b"\0\1\0\0no", write_hand_state(HOME.to_vector(), 0)):
        before = rig.teleop._hands_in.refused
        ros.spin_until(lambda bad=bad: refused(bad), what="a refusal")
    taken = rig.teleop._hands_in.taken
    ros.spin_until(lambda: rig.teleop._hands_in.taken > taken + 3, what="good hands")


def test_an_operator_is_measured_kept_and_known_the_next_time(ros, tmp_path):
    path = tmp_path / "operators" / "ada.json"
    rig = Rig(ros, operator=str(path))
    client = rig.node.create_client(Trigger, "teleop/calibrate")
    ros.spin_until(lambda: len(rig.teleop._session._recent) > 20, what="a second of hands")
    answer = ros.call(client, Trigger.Request())
    assert not answer.success
    assert "not flat" in answer.message
    rig.fingers, rig.wrists = OPEN, np.array([[0.46, 0.18, -0.25], [0.46, -0.18, -0.25]])
    begun, recent = rig.node.get_clock().now().nanoseconds, rig.teleop._session._recent
    ros.spin_until(lambda: len(recent) > 20 and recent[0][0] > begun + 100_000_000, what="a second of flat hands")
    answer = ros.call(client, Trigger.Request())
    assert answer.success, answer.message
    assert "arms that reach 55 cm" in answer.message
    assert json.loads(path.read_text())["arm_reach"] == pytest.approx(0.55, abs=1e-3)
    again = ros.make(Teleop, operator=str(path))
    assert again._session.operator == rig.teleop._session.operator
