import sys

import numpy as np
import pytest

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

from firsthand.nodes.command_stream import LONGEST_GAP_NS
from firsthand.nodes.kinematics import SWITCH_INTERVAL, Kinematics
from firsthand.nodes.messages import (
    SECOND,
    read_hand_state,
    read_joint_state,
    write_chunk,
    write_clock,
    write_hand_state,
    write_joint_state,
)
from firsthand.nodes.qos import CLOCK, PUBLISH
from firsthand.robot.bodies.interface import TICK_NS
from firsthand.robot.joints import JOINTS
from firsthand.robot.model import RobotModel
from firsthand.space.hand_state import WRIST_POSITIONS

pytestmark = pytest.mark.ros

ALL = QoSProfile(depth=5000)
MODEL = RobotModel.load()
HOME = MODEL.hand_state(MODEL.neutral).to_vector()
RIGHT_Y = WRIST_POSITIONS.start + 4


def actions(step=0.002):
    moving = np.tile(HOME, (28, 1))
    moving[:, RIGHT_Y] += step * np.arange(1, 29)
    return moving


@pytest.fixture(autouse=True)
def _threads_take_turns_quickly():
    """As the node's own process does; here the listener shares the interpreter with it."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    yield
    sys.setswitchinterval(interval)


class Rig:
    """A kinematics node between a body that stands still at `joints` and a policy; a listener behind it."""

    def __init__(self, ros, in_simulation=False, **parameters):
        self.ros, self.node = ros, ros.node("body")
        self.joints = MODEL.neutral  # None: the body is silent
        self.time_ns = 0 if in_simulation else None
        self.measured_ns = set()
        self.states, self.commands, self.trajectories, self.health = [], [], [], {}
        publish, subscribe = self.node.create_publisher, self.node.create_subscription
        self.measured = publish(JointState, "joint_states", PUBLISH)
        self.chunks = publish(MultiDOFJointTrajectory, "action_chunk", PUBLISH)
        self.targets = publish(MultiDOFJointTrajectory, "teleop/target", PUBLISH)
        self.clock = publish(Clock, "/clock", CLOCK)
        subscribe(MultiDOFJointTrajectory, "hand_state", lambda m: self.states.append(read_hand_state(m)), ALL)
        subscribe(JointState, "joint_command", lambda m: self.commands.append(read_joint_state(m, JOINTS)), ALL)
        subscribe(JointTrajectory, "joint_trajectory", self.trajectories.append, ALL)
        subscribe(DiagnosticArray, "/diagnostics", self.on_health, ALL)
        if in_simulation:
            parameters["use_sim_time"] = True
        patient = {"joints_timeout": 1.0}  # the body shares the test's thread and may be kept waiting
        self.kinematics = ros.make(Kinematics, **(patient | parameters))
        self.node.create_timer(0.01, self.measure)
        ros.spin_until(lambda: self.states and self.chunks.get_subscription_count(), what="hand states")

    @property
    def now_ns(self):
        return self.node.get_clock().now().nanoseconds if self.time_ns is None else self.time_ns

    def measure(self):
        if self.time_ns is not None:
            self.time_ns += 4_000_000
            self.clock.publish(write_clock(self.time_ns))
        if self.joints is not None:
            now_ns = self.now_ns
            self.measured_ns.add(now_ns)
            self.measured.publish(write_joint_state(JOINTS, self.joints, now_ns))

    def on_health(self, message):
        self.health |= {s.name: (s.message, {v.key: v.value for v in s.values}) for s in message.status}

    def send_chunk(self, **changes):
        self.chunks.publish(write_chunk(**({"actions": actions(), "stamp_ns": self.now_ns, "rate": 25.0} | changes)))

    def refusal(self, intake, number=1):
        self.ros.spin_until(lambda: intake.refused >= number, what="a refusal")
        return intake.last_error

    def silent(self, why, seconds=0.1):
        """Whether nothing is commanded any more once the node has said why."""
        self.ros.spin_until(lambda: self.kinematics._stream.idle == why, what=f"silence: {why}")
        since_ns = self.now_ns
        self.ros.spin_until(lambda: self.states[-1].stamp_ns > since_ns + seconds * SECOND, what="hand states")
        return all(command.stamp_ns <= since_ns for command in self.commands)


def test_measured_joints_become_the_hand_state_with_their_stamp(ros):
    rig = Rig(ros, state_rate=50.0)
    ros.spin_until(lambda: len(rig.states) >= 5)
    np.testing.assert_allclose(rig.states[-1].vector, HOME, atol=1e-9)
    periods = [state.stamp_ns // 20_000_000 for state in rig.states]
    assert len(set(periods)) == len(periods)  # the body measures twice a period
    assert not rig.commands


def test_a_chunk_becomes_commands_every_four_milliseconds_and_a_trajectory(ros):
    rig = Rig(ros)
    rig.send_chunk()
    ros.spin_until(lambda: len(rig.commands) > 80 and rig.trajectories, what="commands and a trajectory")
    stamps = np.array([command.stamp_ns for command in rig.commands])
    gaps = np.diff(stamps)
    assert np.all(gaps > 0)
    np.testing.assert_array_equal(gaps[gaps < LONGEST_GAP_NS] % TICK_NS, 0)  # after a longer one it begins anew
    reached = np.array([MODEL.hand_state(c.positions).to_vector()[RIGHT_Y] for c in rig.commands]) - HOME[RIGHT_Y]
    assert reached[-1] > 0.01
    trajectory = rig.trajectories[0]
    assert list(trajectory.joint_names) == list(JOINTS)
    assert len(trajectory.points) == 28
    assert trajectory.points[0].time_from_start.nanosec == 40_000_000
    last = MODEL.hand_state(np.array(trajectory.points[-1].positions)).to_vector()
    np.testing.assert_allclose(last[WRIST_POSITIONS], actions()[-1, WRIST_POSITIONS], atol=2e-3)


def test_a_chunk_that_runs_out_ends_in_silence_and_says_so(ros):
    rig = Rig(ros)
    rig.send_chunk(actions=actions()[:15])
    ros.spin_until(lambda: rig.commands)
    assert rig.silent("no chunk covers this time")
    name = "kinematics: commands"
    ros.spin_until(lambda: rig.health.get(name, ("",))[0] == "silent: no chunk covers this time", what="diagnostics")
    assert float(rig.health[name][1]["observation to command p50 [ms]"]) < 1000


def test_without_measured_joints_there_are_no_commands(ros):
    rig = Rig(ros, joints_timeout=0.05)
    rig.send_chunk()
    ros.spin_until(lambda: rig.commands)
    rig.joints = None
    silent_ns = rig.now_ns
    ros.spin_until(lambda: rig.now_ns > silent_ns + 0.2 * SECOND)  # nothing of before is under way any more
    ros.spin_until(lambda: rig.kinematics._stream.idle.startswith("joint_states are"), what="silence")
    again_ns, rig.joints = rig.now_ns, MODEL.neutral - 0.05
    ros.spin_until(lambda: rig.commands[-1].stamp_ns > again_ns, what="commands again")
    first = next(command for command in rig.commands if command.stamp_ns > again_ns)
    np.testing.assert_allclose(first.positions, np.clip(rig.joints, MODEL.lower, MODEL.upper), atol=5e-3)


def test_bad_joints_are_refused_and_never_become_a_hand_state(ros):
    rig = Rig(ros)
    rig.joints = None
    intake = rig.kinematics._joints_in
    nan = JointState(name=list(JOINTS), position=[float("nan"), *MODEL.neutral[1:]])
    strangers = JointState(name=[f"joint_{i}" for i in range(26)], position=[0.0] * 26)
    old = write_joint_state(JOINTS, MODEL.neutral, rig.now_ns - 5 * SECOND)
    for number, (message, why) in enumerate([(nan, JOINTS[0]), (strangers, JOINTS[0]), (old, "older than")], start=1):
        rig.measured.publish(message)
        assert why in rig.refusal(intake, number)
    assert all(np.isfinite(state.vector).all() for state in rig.states)


def test_bad_chunks_are_refused_and_the_good_one_goes_on(ros):
    rig = Rig(ros)
    rig.send_chunk()
    ros.spin_until(lambda: rig.commands)
    intake = rig.kinematics._chunks_in
    foreign = MultiDOFJointTrajectory(joint_names=["base"])
    foreign.header.frame_id = "map"
    late = write_chunk(actions(), rig.now_ns - 10 * SECOND, 25.0)
    uneven = write_hand_state(HOME, rig.now_ns)
    cases = [
        (foreign, "'map'"),
        (late, "older than the limit"),
        (uneven, "due at"),
        (b"\0\1\0\0no", "none"),
    ]
    for number, (message, why) in enumerate(cases, start=1):
        rig.chunks.publish(message)
        assert why in rig.refusal(intake, number)
    count = len(rig.commands)
    ros.spin_until(lambda: len(rig.commands) > count + 10, what="commands of the good chunk")


def test_set_source_changes_who_is_followed(ros):
    rig = Rig(ros, target_timeout=2.0)
    client = rig.node.create_client(SetBool, "set_source")
    response = ros.call(client, SetBool.Request(data=False))
    assert (response.success, response.message) == (True, "follows teleop")
    rig.send_chunk()
    assert rig.silent("no fresh teleop target")
    target = actions()[9]
    for _ in range(30):
        count = len(rig.commands)
        rig.targets.publish(write_hand_state(target, rig.now_ns))
        ros.spin_until(lambda before=count: len(rig.commands) > before + 3, what="commands")
    reached = MODEL.hand_state(rig.commands[-1].positions).to_vector()
    np.testing.assert_allclose(reached[RIGHT_Y], target[RIGHT_Y], atol=2e-3)


def test_in_simulation_every_joint_state_is_answered_with_its_stamp(ros):
    rig = Rig(ros, in_simulation=True)
    ros.spin_until(lambda: rig.time_ns > 200_000_000)
    rig.send_chunk()
    ros.spin_until(lambda: len(rig.commands) > 50, what="commands")
    stamps = np.array([command.stamp_ns for command in rig.commands])
    assert np.all(np.diff(stamps) > 0)
    assert set(stamps) <= rig.measured_ns
