import numpy as np
import pytest

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import MultiDOFJointTrajectory

from firsthand.errors import LaunchError
from firsthand.nodes import body, pacing
from firsthand.nodes.body import BodyNode
from firsthand.nodes.messages import SECOND, ns_from_stamp, read_joint_state, write_chunk, write_joint_state
from firsthand.nodes.qos import CLOCK, LATCHED, PUBLISH
from firsthand.nodes.scene_messages import read_scene_state
from firsthand.robot.collision import SelfCollision
from firsthand.robot.joints import JOINTS
from firsthand.robot.limits import JointLimits
from firsthand.robot.model import RobotModel

pytestmark = pytest.mark.ros

ALL = QoSProfile(depth=5000)
EVERY_CHANGE = QoSProfile(depth=100, durability=LATCHED.durability)
QUICK = {"command_timeout": 0.5, "engage_time": 0.1, "hold_time": 0.1, "damping_time": 0.1}
"""Short ramps; a long time-out, for the commander shares the interpreter with the body, and may be kept waiting."""


class Rig:
    """A body node between a commander that answers every joint state, and a listener."""

    def __init__(self, ros, **parameters):
        self.ros, self.node = ros, ros.node("commander")
        self.joints, self.motors, self.gate, self.clock = [], [], [], []
        self.scenes, self.trials, self.health = [], [], {}
        self.answer = None  # positions to send in answer to each joint state; None is silence
        self.stamp_offset_ns = 0
        self.commands = self.node.create_publisher(JointState, "joint_command", PUBLISH)
        subscribe = self.node.create_subscription
        subscribe(JointState, "joint_states", self.on_joints, ALL)
        subscribe(JointState, "motor_command", self.motors.append, ALL)
        subscribe(String, "gate_state", lambda m: self.gate.append(m.data), EVERY_CHANGE)
        subscribe(Clock, "/clock", self.clock.append, CLOCK)
        subscribe(JointState, "simulation/state", self.scenes.append, ALL)
        subscribe(DiagnosticArray, "simulation/status", self.trials.append, ALL)
        subscribe(DiagnosticArray, "/diagnostics", self.on_health, ALL)
        self.body = ros.make(BodyNode, **(QUICK | parameters))
        ros.spin_until(lambda: self.joints and self.commands.get_subscription_count(), what="joint states")

    def on_joints(self, message):
        self.joints.append(read_joint_state(message, JOINTS))
        if self.answer is not None:
            stamp_ns = self.body._now_ns() + self.stamp_offset_ns  # not of the message: it may have had to queue
            self.commands.publish(write_joint_state(JOINTS, self.answer, stamp_ns))

    def on_health(self, message):
        self.health |= {s.name: {"level": s.level, **{v.key: v.value for v in s.values}} for s in message.status}

    def call(self, service, data=None):
        kind = SetBool if data is not None else Trigger
        client = self.node.create_client(kind, service)
        return self.ros.call(client, SetBool.Request(data=data) if data is not None else Trigger.Request())

    def wait_for(self, state):
        self.ros.spin_until(lambda: self.gate and self.gate[-1] == state, what=f"the gate to be {state}")

    def engaged(self, target=None):
        """Engage, following `target` (the neutral posture)."""
        self.answer = RobotModel.load().neutral if target is None else target
        assert self.call("engage", True).success
        self.wait_for("active")
        return self


@pytest.fixture
def mock(ros):
    return lambda **parameters: Rig(ros, body="mock", publish_clock=False, **parameters)


def positions(messages):
    return np.array([read_joint_state(message, JOINTS).positions for message in messages])


def test_it_starts_disengaged_and_follows_after_engage(ros, mock):
    rig = mock()
    rig.answer = rig.joints[-1].positions + 0.1 * np.sign(RobotModel.load().neutral + 1e-9)
    start = rig.joints[-1].positions
    ros.spin_until(lambda: len(rig.motors) > 25)
    assert rig.gate == ["disengaged"]
    np.testing.assert_allclose(positions(rig.motors), np.tile(start, (len(rig.motors), 1)), atol=1e-3)
    rig.engaged(rig.answer)
    limits = JointLimits.from_model(RobotModel.load())
    goal = limits.clip(rig.answer)
    ros.spin_until(lambda: np.abs(rig.joints[-1].positions - goal).max() < 0.01, what="the joints to arrive")
    assert rig.gate == ["disengaged", "engaging", "active"]


def test_silence_is_held_then_damped(mock):
    rig = mock().engaged()
    rig.answer = None
    rig.wait_for("disengaged")
    assert rig.gate[-4:] == ["active", "holding", "damping", "disengaged"]


def test_the_estop_is_latched(ros, mock):
    rig = mock().engaged()
    assert rig.call("estop", True).success
    rig.wait_for("stopped")
    refusal = rig.call("engage", True)
    assert not refusal.success
    assert "stopped" in refusal.message
    assert rig.call("estop", False).success
    rig.wait_for("disengaged")
    rig.engaged()
    assert rig.call("engage", False).success
    rig.wait_for("disengaged")


@pytest.mark.parametrize("reliability", ["best effort", "reliable"])
def test_the_estop_topic_stops_and_never_clears(ros, mock, reliability):
    rig = mock().engaged()
    policy = ReliabilityPolicy.BEST_EFFORT if reliability == "best effort" else ReliabilityPolicy.RELIABLE
    publisher = rig.node.create_publisher(Bool, "estop", QoSProfile(depth=1, reliability=policy))
    ros.spin_until(publisher.get_subscription_count, what="the body to listen")
    publisher.publish(Bool(data=False))
    assert rig.gate[-1] == "active"
    publisher.publish(Bool(data=True))
    rig.wait_for("stopped")
    publisher.publish(Bool(data=False))
    assert not rig.call("engage", True).success
    assert rig.call("estop", False).success
    rig.wait_for("disengaged")


def test_bad_commands_are_refused_and_the_gate_holds(ros, mock):
    rig = mock(hold_time=30.0).engaged()
    good, rig.answer = rig.answer, None
    stamp = rig.node.get_clock().now().to_msg()
    nan = JointState(name=list(JOINTS), position=[float("nan")] * 26)
    strangers = JointState(name=["elbow"] * 26, position=[0.0] * 26)
    short = JointState(name=list(JOINTS), position=[0.0] * 25)
    fewer = JointState(name=list(JOINTS[:25]), position=[0.0] * 25)
    for message, why in [(nan, "NaN"), (strangers, "more than once"), (short, "26 positions"), (fewer, JOINTS[25])]:
        refused = rig.body._commands.refused
        message.header.stamp = stamp
        rig.commands.publish(message)
        ros.spin_until(lambda before=refused: rig.body._commands.refused > before, what="a refusal")
        assert why in rig.body._commands.last_error
    rig.wait_for("holding")
    rig.answer = good
    rig.wait_for("active")


@pytest.mark.parametrize(("offset", "reason"), [(-5 * SECOND, "stale"), (5 * SECOND, "from the future")])
def test_commands_of_another_time_are_rejected_and_counted(ros, mock, offset, reason):
    rig = mock(hold_time=30.0).engaged()
    rig.stamp_offset_ns = offset
    rig.wait_for("holding")
    key = f"rejected: {reason}"
    ros.spin_until(lambda: key in rig.health.get("body: gate", {}), what="diagnostics")
    assert int(rig.health["body: gate"][key]) > 0


def test_wild_commands_take_the_motors_neither_out_of_their_limits_nor_into_the_robot(ros):
    rig = Rig(ros, body="mock").engaged()  # on the clock that counts its ticks: a busy computer may lose a message
    random = np.random.default_rng(0)
    limits = JointLimits.from_model(RobotModel.load())
    count = len(rig.motors)
    while len(rig.motors) < count + 400:
        rig.answer = random.uniform(-4.0, 4.0, 26)
        before = len(rig.motors)
        ros.spin_until(lambda b=before: len(rig.motors) > b + 10)
    motors = positions(rig.motors[count:])
    seconds = np.array([ns_from_stamp(message.header.stamp) for message in rig.motors[count:]])[:, None] / SECOND
    ticks = np.diff(seconds, axis=0)  # a busy computer may lose a message
    velocity = np.diff(motors, axis=0) / ticks
    acceleration = np.diff(velocity, axis=0) / (0.5 * (ticks[1:] + ticks[:-1]))
    assert np.all(motors >= limits.lower - 1e-9)
    assert np.all(motors <= limits.upper + 1e-9)
    assert np.all(np.abs(velocity) <= limits.velocity + 1e-6)
    assert np.all(np.abs(acceleration) <= limits.acceleration + 1e-3)
    assert np.ptp(motors, axis=0).min() > 0.05  # and they did move
    collision = SelfCollision(RobotModel.load())
    assert min(collision.distances(q).min() for q in motors) > 0


def test_engage_on_start_waits_for_the_first_command(ros, mock):
    rig = mock(engage_on_start=True)
    ros.spin_until(lambda: len(rig.motors) > 60)
    assert rig.gate == ["disengaged"]
    rig.answer = RobotModel.load().neutral
    rig.wait_for("active")


@pytest.mark.parametrize("service", ["estop", "engage"])
def test_it_does_not_engage_by_itself_after_it_was_told_not_to(ros, mock, service):
    rig = mock(engage_on_start=True)
    if service == "estop":
        assert rig.call("estop", True).success
        rig.wait_for("stopped")
        assert rig.call("estop", False).success
        rig.wait_for("disengaged")
    else:
        assert rig.call("engage", False).success
    rig.answer = RobotModel.load().neutral
    heard = rig.body._commands.taken + 50
    ros.spin_until(lambda: rig.body._commands.taken > heard, what="commands at the measured joints")
    assert rig.gate[-1] == "disengaged"
    assert rig.call("engage", True).success
    rig.wait_for("active")


def test_an_engage_that_was_refused_counts_for_nothing_after_a_reset(ros, simulation):
    rig = Rig(ros, body="simulated", seed=5)
    assert rig.call("estop", True).success
    rig.wait_for("stopped")
    assert not rig.call("engage", True).success
    assert rig.call("reset").success
    assert rig.call("estop", False).success
    rig.wait_for("disengaged")
    rig.answer = rig.joints[-1].positions
    heard = rig.body._commands.taken + 50
    ros.spin_until(lambda: rig.body._commands.taken > heard, what="commands at the measured joints")
    assert rig.gate[-1] == "disengaged"


def test_trials_that_cannot_begin_end_with_a_reason(ros, simulation, monkeypatch):
    monkeypatch.setattr(body, "PATIENCE", 0.5)
    rig = Rig(ros, body="simulated", trials=2, engage_on_start=True)
    ros.spin_until(lambda: rig.body.failure is not None, what="the node to fail")
    assert "the trial did not begin" in str(rig.body.failure)


def test_the_body_makes_the_time_where_it_is_asked_to(ros):
    rig = Rig(ros, body="mock", publish_clock=True, real_time_factor=4.0)
    ros.spin_until(lambda: len(rig.joints) > 50 and len(rig.clock) > 10)
    stamps = np.array([reading.stamp_ns for reading in rig.joints])
    assert np.all(np.diff(stamps) > 0)
    assert np.all(stamps % 4_000_000 == 0)
    assert ns_from_stamp(rig.clock[-1].clock) % 4_000_000 == 0


def test_joint_states_are_thinned_out_evenly(ros, mock):
    rig = Rig(ros, body="mock", publish_clock=True, joint_states_rate=50.0)
    ros.spin_until(lambda: len(rig.joints) > 10)
    np.testing.assert_array_equal(np.diff([reading.stamp_ns for reading in rig.joints]), 20_000_000)


def test_a_body_that_does_not_exist_names_those_that_do(ros):
    with pytest.raises(LaunchError, match=r"'body' of body is one of 'simulated', 'mock', 'h1_2'; got 'g1'"):
        ros.make(BodyNode, body="g1")


def test_a_simulation_shows_its_scene_and_reset_begins_the_next_seed(ros, simulation):
    rig = Rig(ros, body="simulated", seed=5, engage_on_start=True, hold_time=30.0)
    rig.answer = rig.joints[-1].positions
    rig.wait_for("active")
    ros.spin_until(lambda: len(rig.scenes) > 3 and rig.trials, what="the scene")
    scene = read_scene_state(rig.scenes[-1])
    assert str(scene.scene) == "push/id/5"
    assert scene.stamp_ns % 40_000_000 == 0
    assert set(JOINTS) <= set(scene.joints)
    assert {v.key: v.value for v in rig.trials[-1].status[0].values}["success"] == "False"
    before_ns, count = rig.joints[-1].stamp_ns, len(rig.joints)
    response = rig.call("reset")
    assert (response.success, response.message) == (True, "trial of seed 6")
    ros.spin_until(lambda: read_scene_state(rig.scenes[-1]).scene.seed == 6, what="the next scene")
    assert rig.joints[-1].stamp_ns > before_ns
    assert np.all(np.diff([reading.stamp_ns for reading in rig.joints[count - 1 :]]) >= 4_000_000)
    later = len(rig.joints) + 100
    ros.spin_until(lambda: len(rig.joints) > later)
    assert rig.gate[-1] == "disengaged"  # the commands still go on where the last trial ended
    rig.answer = rig.joints[-1].positions
    ros.spin_until(lambda: rig.gate[-1] == "active" and rig.gate.count("active") > 1, what="to be engaged again")


def test_simulated_time_waits_for_a_policy_that_is_slow(ros, monkeypatch):
    monkeypatch.setattr(pacing, "LONGEST_WAIT", 1000.0)
    rig = Rig(ros, body="mock", publish_clock=True, wait_for_chunks=0.2)
    chunks = rig.node.create_publisher(MultiDOFJointTrajectory, "action_chunk", PUBLISH)
    ros.spin_until(chunks.get_subscription_count)
    model = RobotModel.load()
    actions = np.tile(model.hand_state(model.neutral).to_vector(), (28, 1))
    stands_still = lambda: rig.body._pacing._waiting_since is not None  # noqa: E731 -- a condition, asked often
    ros.spin_until(stands_still, what="time to wait for the first chunk")
    for _ in range(3):
        observed_ns = rig.body._now_ns()
        stop_ns = observed_ns + 204_000_000  # the first tick after which the observation is too old
        chunks.publish(write_chunk(actions, observed_ns, rate=25.0))
        ros.spin_until(lambda ns=stop_ns: rig.joints[-1].stamp_ns == ns, what="time to come to a stop")
        ros.spin_until(stands_still, what="time to stand still")
        assert rig.body._now_ns() == stop_ns


def test_the_trial_begins_when_the_robot_is_engaged(ros, simulation):
    rig = Rig(ros, body="simulated", seed=5)
    ros.spin_until(lambda: rig.trials, what="a status")
    start = rig.joints[0].positions
    rig.answer = start
    ros.spin_until(lambda: rig.joints[-1].stamp_ns > 0.1 * SECOND)
    before_ns = rig.joints[-1].stamp_ns
    assert rig.call("engage", True).success
    rig.wait_for("active")
    count = len(rig.trials)
    ros.spin_until(lambda: len(rig.trials) > count)
    values = {v.key: v.value for v in rig.trials[-1].status[0].values}
    trial_ns = float(values["seconds"]) * SECOND
    assert trial_ns + before_ns <= ns_from_stamp(rig.trials[-1].header.stamp)
