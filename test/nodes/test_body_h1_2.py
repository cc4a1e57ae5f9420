"""The body node with a robot on the other end of the wire: the fake one, a process of its own; and what befalls it."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mujoco")
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from firsthand.errors import RobotError
from firsthand.nodes.body import BodyNode
from firsthand.nodes.messages import read_joint_state, write_joint_state
from firsthand.nodes.qos import LATCHED, PUBLISH
from firsthand.robot.joints import JOINTS, RIGHT_ARM_SLICE

pytestmark = [pytest.mark.ros, pytest.mark.slow]

EVERY_CHANGE = QoSProfile(depth=100, durability=LATCHED.durability)
PATIENT = {
    "command_timeout": 0.5, "engage_time": 0.2, "hold_time": 0.3, "damping_time": 0.1, "weight_time": 0.2,
    "state_timeout": 0.3, "hand_state_timeout": 2.0,
}  # fmt: skip
"""Short ramps; long time-outs, for a busy computer keeps everybody waiting."""


class Rig:
    """The node of a robot between a commander that answers every joint state, and a listener."""

    def __init__(self, ros, domain, **parameters):
        self.ros, self.node = ros, ros.node("commander")
        self.joints, self.gate, self.health, self.answer = [], [], {}, None
        self.commands = self.node.create_publisher(JointState, "joint_command", PUBLISH)
        self.node.create_subscription(JointState, "joint_states", self.on_joints, 10)
        self.node.create_subscription(String, "gate_state", lambda m: self.gate.append(m.data), EVERY_CHANGE)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.on_health, 10)
        self.body = ros.make(BodyNode, body="h1_2", dds_domain=domain, **(PATIENT | parameters))
        ros.spin_until(lambda: self.joints and self.commands.get_subscription_count(), what="joint states")

    def on_joints(self, message):
        self.joints.append(read_joint_state(message, JOINTS))
        if self.answer is not None:
            self.commands.publish(write_joint_state(JOINTS, self.answer, self.node.get_clock().now().nanoseconds))

    def on_health(self, message):
        self.health |= {s.name: {"message": s.message, **{v.key: v.value for v in s.values}} for s in message.status}

    def call(self, service, data=None):
        kind = Trigger if data is None else SetBool
        request = Trigger.Request() if data is None else SetBool.Request(data=data)
        return self.ros.call(self.node.create_client(kind, service), request)

    def wait_for(self, state):
        self.ros.spin_until(lambda: self.gate and self.gate[-1] == state, what=f"the gate to be {state}")

    def rests_at(self, joint):
        """Whether it is where it should be and nothing moves any more: at the robot's gains its arms swing a little."""
        last = self.joints[-1]
        return abs(last.positions[joint] - self.answer[joint]) < 0.03 and np.abs(last.velocities[:14]).max() < 0.02

    def hear(self, count):
        """So many more joint states."""
        end = len(self.joints) + count
        self.ros.spin_until(lambda: len(self.joints) >= end, what="joint states")

    def engaged(self):
        """Follow commands that ask for what is measured."""
        self.answer = self.joints[-1].positions
        assert self.call("engage", True).success
        self.wait_for("active")
        return self


@pytest.fixture
def rig(ros, dds_domain):
    return lambda **parameters: Rig(ros, dds_domain, **parameters)


def test_a_joint_command_moves_that_joint_of_the_robot_and_no_other(ros, rig, fake_robot):
    robot = fake_robot("--strict")
    one = rig().engaged()
    for name in ("left_shoulder_pitch_joint", "right_elbow_joint", "L_index_proximal_joint"):
        joint, before = JOINTS.index(name), one.joints[-1].positions
        one.answer = one.answer.copy()
        one.answer[joint] += 0.3 if name.startswith("L_") else -0.25  # arms up: the table is below
        ros.spin_until(lambda j=joint: one.rests_at(j), what=name)
        others = np.delete(one.joints[-1].positions - before, joint)
        assert np.abs(others).max() < 0.05, name
    assert "dropped: none" in robot.end()


def test_in_debug_mode_limp_arms_are_taken_up_where_they_fell(ros, rig, fake_robot):
    """Against the table, so that more than the one joint may give; the other arm has no part in it."""
    robot = fake_robot("--mode", "debug")
    one = rig(control="lowcmd").engaged()
    before = one.joints[-1].positions
    joint = JOINTS.index("left_elbow_joint")
    one.answer = one.answer.copy()
    one.answer[joint] -= 0.3
    ros.spin_until(lambda: one.joints[-1].positions[joint] < before[joint] - 0.2, what="the elbow to bend")
    assert np.abs(one.joints[-1].positions - before)[RIGHT_ARM_SLICE].max() < 0.1
    assert "dropped: none" in robot.end()


def test_diagnostics_tell_of_the_stream_and_of_the_robot(ros, rig, fake_robot):
    fake_robot()
    one = rig().engaged()
    ros.spin_until(lambda: "stream [Hz]" in one.health.get("body: robot", {}), what="the stream in diagnostics")
    health = one.health["body: robot"]
    assert health["mode_machine"] == "6"
    assert health["topic"] == "rt/arm_sdk"
    assert float(health["period p99 [ms]"]) >= float(health["period p50 [ms]"]) > 0
    assert "body: control thread" in one.health


def test_no_robot_ends_the_node_with_what_to_look_at(ros, dds_domain):
    with pytest.raises(RobotError, match=r"nothing on rt/lowstate.*Look at the robot's power"):
        Rig(ros, dds_domain)


def test_an_estop_on_the_topic_damps_the_robot_and_stays(ros, rig, fake_robot):
    fake_robot()
    one = rig().engaged()
    publisher = one.node.create_publisher(Bool, "estop", 10)
    ros.spin_until(publisher.get_subscription_count, what="the body to listen")
    publisher.publish(Bool(data=True))
    one.wait_for("stopped")
    before = one.joints[-1].positions
    one.hear(50)
    assert np.abs(one.joints[-1].positions - before)[:14].max() < 0.1  # damped and carried: it does not drop
    publisher.publish(Bool(data=False))  # says nothing
    assert not one.call("engage", True).success
    assert one.gate[-1] == "stopped"
    assert one.call("estop", False).success
    one.wait_for("disengaged")


def test_a_robot_that_freezes_is_held_damped_and_let_go_and_taken_up_again_only_when_asked(ros, rig, fake_robot):
    robot = fake_robot()
    one = rig(hold_time=0.2).engaged()
    robot.process.send_signal(signal.SIGSTOP)
    one.wait_for("disengaged")
    assert one.gate[-4:] == ["active", "holding", "damping", "disengaged"]
    robot.process.send_signal(signal.SIGCONT)
    one.hear(50)
    assert one.gate[-1] == "disengaged"
    ros.spin_until(lambda: not one.body._state.missing, what="the robot to be heard again")
    one.engaged()


def test_a_short_silence_is_held_and_gone_on_from(ros, rig, fake_robot):
    robot = fake_robot()
    one = rig(hold_time=30.0).engaged()
    robot.process.send_signal(signal.SIGSTOP)
    one.wait_for("holding")
    ros.spin_until(lambda: "silent" in one.health.get("body: robot", {}).get("message", ""), what="diagnostics")
    robot.process.send_signal(signal.SIGCONT)
    one.wait_for("active")


def test_a_robot_that_leaves_the_network_is_let_go_and_a_new_one_can_be_engaged(ros, rig, fake_robot):
    robot = fake_robot()
    one = rig(hold_time=0.2).engaged()
    robot.end()
    one.wait_for("disengaged")
    assert "rt/lowstate has been silent" in one.body._state.missing
    fake_robot()
    ros.spin_until(lambda: not one.body._state.missing, what="the new robot to be heard")
    one.engaged()


def test_another_kind_of_robot_on_the_wire_is_let_go_and_not_engaged_before_a_reset(ros, rig, fake_robot):
    robot = fake_robot()
    one = rig(hold_time=0.2).engaged()
    robot.end()
    robot = fake_robot("--mode-machine", "4")
    ros.spin_until(lambda: "from 6 to 4" in one.body._state.missing, what="the other robot to be noticed")
    one.wait_for("disengaged")
    answer = one.call("reset")
    assert not answer.success
    assert "mode_machine 4, expected 6" in answer.message
    one.call("engage", True)
    ros_seconds(ros, one, 0.3)
    assert one.gate[-1] == "disengaged"
    robot.end()
    fake_robot()
    ros.spin_until(lambda: one.call("reset").success, what="ours to be back")
    one.engaged()


def test_a_robot_that_is_driven_is_not_reset(rig, fake_robot):
    fake_robot()
    one = rig().engaged()
    answer = one.call("reset")
    assert not answer.success
    assert "engage with false" in answer.message
    assert one.gate[-1] == "active"


def ros_seconds(ros, one, seconds):
    """Let the body's own time pass."""
    end = time.monotonic() + seconds
    ros.spin_until(lambda: time.monotonic() > end, what="time to pass")


def test_what_a_silent_robot_said_last_is_not_published_as_of_now(ros, rig, fake_robot):
    """Else a policy would see, and a bag would keep, a robot that stands still while it moves."""
    robot = fake_robot()
    one = rig(hold_time=0.2).engaged()
    robot.process.send_signal(signal.SIGSTOP)
    one.wait_for("disengaged")
    heard = len(one.joints)
    ros_seconds(ros, one, 0.5)
    assert len(one.joints) == heard
    robot.process.send_signal(signal.SIGCONT)
    one.hear(50)
    stamps = np.array([reading.stamp_ns for reading in one.joints])
    assert (np.diff(stamps) > 0).all()  # when it was measured, and nothing twice


DRIVER = """
import sys, time
from firsthand.robot.bodies.h1_2 import H12Body, H12Settings
from firsthand.robot.bodies.interface import TICK, MotorCommand
from firsthand.robot.model import RobotModel

body = H12Body(RobotModel.load(), H12Settings(domain=int(sys.argv[1]), weight_time=0.1, connect_timeout=20.0))
start = body.reset().positions
for tick in range(100_000):
    body.step(MotorCommand(start))
    if tick == 100:
        print("drives", flush=True)
    time.sleep(TICK)
"""


def test_a_driver_that_is_killed_leaves_the_arms_to_the_robot(dds_domain, fake_robot):
    robot = fake_robot("--strict")
    command = [sys.executable, "-c", DRIVER, str(dds_domain)]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert driver.stdout.readline() == "drives\n"
    driver.kill()
    driver.communicate(timeout=30)
    deadline = time.monotonic() + 30.0
    line = ""
    while "weight 0.00" not in line or " 0 commands obeyed" in line:  # it reports every five seconds
        assert time.monotonic() < deadline, line
        line = robot.process.stdout.readline()
