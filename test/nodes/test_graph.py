"""Real processes on a real network, killed without warning: the body holds in time and never leaves its limits."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from firsthand.nodes.messages import SECOND, read_joint_state
from firsthand.nodes.qos import LATCHED
from firsthand.robot.bodies.interface import TICK
from firsthand.robot.joints import JOINTS
from firsthand.robot.limits import JointLimits
from firsthand.robot.model import RobotModel

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(240)]

COMMAND_TIMEOUT, HOLD_TIME, DAMPING_TIME = 0.1, 1.0, 0.2  # [s]
ACTIONS = 14
HORIZON = ACTIONS / 25  # [s] that a chunk covers
BRAKING = 0.15  # [s] from full speed to rest
GRACE = 0.4  # [s]; the machine that tests is busy, and not real-time
STILL = 1e-6  # [rad] a tick
ALL = QoSProfile(depth=20000)
EVERY_CHANGE = QoSProfile(depth=100, durability=LATCHED.durability)

POLICY = Path(__file__).parents[2] / "benchmarks" / "swinging_policy.py"


class Graph:
    """Body, kinematics and a source of chunks, each a process; and a listener that misses nothing."""

    def __init__(self, ros, hold_time):
        self.ros, self.hold_time, self.processes = ros, hold_time, {}
        self.motors, self.commands, self.gate = [], [], []
        node = ros.node("listener")
        node.create_subscription(JointState, "motor_command", self.motors.append, ALL)
        node.create_subscription(JointState, "joint_command", self.commands.append, ALL)
        node.create_subscription(String, "gate_state", lambda m: self.gate.append(m.data), EVERY_CHANGE)

    def start(self, *names):
        for name in names:
            self.processes[name] = subprocess.Popen(self.command(name))

    def command(self, name):
        times = {"command_timeout": COMMAND_TIMEOUT, "hold_time": self.hold_time, "damping_time": DAMPING_TIME}
        parameters = {
            "body": {"body": "mock", "publish_clock": "false", "engage_on_start": "true", "engage_time": 0.2, **times},
            "kinematics": {},
        }
        if name == "chunks":
            return [sys.executable, str(POLICY), str(ACTIONS)]
        arguments = [part for key, value in parameters[name].items() for part in ("-p", f"{key}:={value}")]
        return [str(Path(sys.executable).parent / name), "--ros-args", *arguments]

    def wait_for(self, state, timeout=30.0):
        self.ros.spin_until(lambda: self.gate and self.gate[-1] == state, timeout, what=f"the gate to be {state}")

    def listen(self, seconds):
        end = time.monotonic() + seconds
        self.ros.spin_until(lambda: time.monotonic() > end, seconds + 5)

    def wait_for_motion(self, since_ns, timeout=20.0):
        """Motors that move after a time, always inside the limits; a busy listener hears of it late."""
        deadline = time.monotonic() + timeout
        while True:
            self.listen(0.5)
            moving = self.check_motors(until_ns=time.time_ns())
            if len(moving) and moving[-1] > since_ns:
                return
            assert time.monotonic() < deadline, f"nothing moved within {timeout} s"

    def kill(self, name):
        """kill -9, and when that was, [ns]."""
        process, killed_ns = self.processes.pop(name), time.time_ns()
        process.kill()
        process.wait()
        return killed_ns

    def close(self):
        self.ros.end(self.processes.values())

    def check_motors(self, until_ns):
        """Position limits ever; velocity and acceleration limits in every tick until the gate lets go.

        Returns:
            When the motors were told to move, [ns], in order.
        """
        limits = JointLimits.from_model(RobotModel.load())
        readings = [read_joint_state(message, JOINTS) for message in self.motors]
        stamps = np.array([reading.stamp_ns for reading in readings])
        positions = np.array([reading.positions for reading in readings])
        assert np.all(positions >= limits.lower - 1e-9)
        assert np.all(positions <= limits.upper + 1e-9)
        stamps, positions = stamps[stamps < until_ns], positions[stamps < until_ns]
        next_tick = np.diff(stamps) < 1.5 * TICK * SECOND  # a tick that was left out, or a message lost, is no jump
        velocity = np.diff(positions, axis=0) / TICK
        acceleration = np.diff(velocity, axis=0) / TICK
        assert next_tick.mean() > 0.5
        assert np.all(np.abs(velocity[next_tick]) <= limits.velocity + 1e-6)
        assert np.all(np.abs(acceleration[next_tick[1:] & next_tick[:-1]]) <= limits.acceleration + 1e-3)
        moving = np.abs(np.diff(positions, axis=0)).max(axis=1) > STILL
        return stamps[1:][moving]


@pytest.fixture
def graph(ros, request):
    one = Graph(ros, hold_time=getattr(request, "param", HOLD_TIME))
    one.start("body", "kinematics", "chunks")
    one.wait_for("active")
    one.listen(1.5)
    yield one
    one.close()


@pytest.mark.parametrize(("victim", "last_words"), [("kinematics", 0.0), ("chunks", HORIZON)])
def test_the_body_holds_in_time_when_a_node_in_front_of_it_is_killed(graph, victim, last_words):
    killed_ns = graph.kill(victim)
    graph.wait_for("disengaged")
    assert graph.gate[-3:] == ["holding", "damping", "disengaged"]
    let_go_ns = killed_ns + (last_words + COMMAND_TIMEOUT + HOLD_TIME / 2) * SECOND
    moved_ns = graph.check_motors(until_ns=let_go_ns)[-1]
    assert moved_ns > killed_ns - 0.1 * SECOND  # it was moving when the node was killed
    assert moved_ns < killed_ns + (last_words + COMMAND_TIMEOUT + BRAKING + GRACE) * SECOND


def test_when_the_body_is_killed_commands_end_and_a_new_body_starts_from_where_it_stands(graph):
    killed_ns = graph.kill("body")
    graph.listen(1.0)
    last_ns = read_joint_state(graph.commands[-1], JOINTS).stamp_ns
    assert last_ns < killed_ns + (0.1 + GRACE) * SECOND  # joints_timeout of the kinematics node
    assert len(graph.check_motors(until_ns=killed_ns))  # it was moving before
    graph.motors.clear()
    graph.start("body")
    graph.ros.spin_until(lambda: graph.motors and graph.gate[-1] == "active", timeout=30.0, what="the new body")
    graph.wait_for_motion(since_ns=time.time_ns())


@pytest.mark.parametrize("graph", [30.0], indirect=True)
def test_a_node_that_comes_back_is_followed_again_without_a_jump(graph):
    graph.kill("kinematics")
    graph.wait_for("holding")
    graph.start("kinematics")
    graph.wait_for("active")
    graph.wait_for_motion(since_ns=time.time_ns())
