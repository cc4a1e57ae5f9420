import numpy as np
import pytest

pytest.importorskip("rclpy")

from firsthand.errors import ShapeError
from firsthand.nodes.command_stream import HAND_OVER_TURN, CommandStream, solve_chunk
from firsthand.nodes.messages import Chunk, JointReading, StampedHandState, due_times_ns
from firsthand.robot.bodies.interface import TICK, TICK_NS
from firsthand.robot.limits import JointLimits
from firsthand.robot.model import RobotModel
from firsthand.robot.retargeting import Retargeting
from firsthand.space.hand_state import WRIST_POSITIONS, WRIST_ROTATIONS, HandState
from firsthand.space.rotations import angle_between, matrix_from_rpy, rotation_6d_from_matrix

RATE, HORIZON = 25.0, 28
STEP_NS = 40_000_000
RIGHT_Y = WRIST_POSITIONS.start + 4


@pytest.fixture(scope="module")
def model():
    return RobotModel.load()


@pytest.fixture(scope="module")
def home(model):
    """The hand state of the neutral posture."""
    return model.hand_state(model.neutral).to_vector()


def chunk(home, stamp_ns=0, step=0.003, start=0.0):
    """The right wrist goes left by `step` [m] an action."""
    actions = np.tile(home, (HORIZON, 1))
    actions[:, RIGHT_Y] += start + step * np.arange(1, HORIZON + 1)
    return Chunk(stamp_ns, actions, due_times_ns(HORIZON, RATE))


def run(stream, joints, ticks, every=1):
    """Commands of some ticks; `joints` are measured at every one of them."""
    commands = []
    for tick in range(*ticks, every):
        stream.set_joints(JointReading(tick * TICK_NS, joints, None))
        commands.append(stream.step(tick * TICK_NS))
    return commands


def test_the_wrist_follows_the_chunk_and_the_joints_keep_to_their_limits(model, home):
    stream = CommandStream(model)
    stream.set_joints(JointReading(0, model.neutral, None))
    assert stream.add_chunk(chunk(home), 0)
    commands = run(stream, model.neutral, (0, 250))
    assert [c.stamp_ns for c in commands] == [tick * TICK_NS for tick in range(250)]
    joints = np.array([c.positions for c in commands])
    reached = model.hand_state(joints[-1]).to_vector()[RIGHT_Y] - home[RIGHT_Y]
    wanted = 0.003 * 249 * TICK_NS / STEP_NS
    assert 0 < wanted - reached < 0.003  # the governor trails by some 20 ms of 75 mm/s
    limits = JointLimits.from_model(model)
    velocity = np.diff(joints, axis=0) / TICK
    assert np.all(np.abs(velocity) <= limits.velocity + 1e-9)
    assert np.all(np.abs(np.diff(velocity, axis=0)) / TICK <= limits.acceleration + 1e-6)


def test_a_chunk_that_is_over_is_not_followed_any_longer(model, home):
    stream = CommandStream(model)
    stream.set_joints(JointReading(0, model.neutral, None))
    stream.add_chunk(chunk(home), 0)
    end = HORIZON * STEP_NS // TICK_NS
    commands = run(stream, model.neutral, (end - 3, end + 3))
    assert [c is None for c in commands] == [False] * 4 + [True] * 2
    assert stream.idle == "no chunk covers this time"
    assert not stream.add_chunk(chunk(home, stamp_ns=-2 * HORIZON * STEP_NS), 0)


def test_the_reasons_for_silence(model, home):
    stream = CommandStream(model)
    assert stream.step(0) is None
    assert stream.idle == "no joint_states yet"
    stream.set_joints(JointReading(0, model.neutral, None))
    assert stream.step(0) is None
    assert stream.idle == "no chunk covers this time"
    stream.add_chunk(chunk(home), 0)
    assert stream.step(0) is not None
    assert stream.step(200 * 1_000_000) is None
    assert stream.idle == "joint_states are 0.20 s old"


def test_a_new_chunk_takes_over_without_a_step(model, home):
    stream = CommandStream(model)
    stream.set_joints(JointReading(0, model.neutral, None))
    stream.add_chunk(chunk(home), 0)
    before = run(stream, model.neutral, (0, 100))
    stream.add_chunk(chunk(home, stamp_ns=STEP_NS, step=-0.003, start=0.05), 100 * TICK_NS)
    after = run(stream, model.neutral, (100, 200))
    velocity = np.diff([c.positions for c in before + after], axis=0) / TICK
    # Of a step of 5 cm the governor would make its largest acceleration: 0.16 to 0.4 rad/s a tick.
    assert np.abs(np.diff(velocity[95:105], axis=0)).max() < 0.08
    assert after[0].observation_ns == STEP_NS


def test_after_silence_commands_begin_at_the_measured_joints(model, home):
    stream = CommandStream(model)
    stream.set_joints(JointReading(0, model.neutral, None))
    stream.add_chunk(chunk(home), 0)
    run(stream, model.neutral, (0, 50))
    assert stream.step(100 * TICK_NS) is None  # no joints for 200 ms
    moved = np.clip(model.neutral + 0.1, model.lower, model.upper)
    (command,) = run(stream, moved, (101, 102))
    np.testing.assert_allclose(command.positions, moved, atol=2e-3)


def test_while_the_gate_is_shut_commands_stay_at_the_measured_joints(model, home):
    stream = CommandStream(model)
    stream.set_gate_state("disengaged")
    stream.set_joints(JointReading(0, model.neutral, None))
    stream.add_chunk(chunk(home, step=0.01), 0)
    shut = run(stream, model.neutral, (0, 100))
    np.testing.assert_allclose([c.positions for c in shut], np.tile(model.neutral, (100, 1)), atol=2e-3)
    stream.set_gate_state("engaging")
    engaged = run(stream, model.neutral, (100, 200))
    steps = np.abs(np.diff([c.positions for c in shut[-1:] + engaged], axis=0))
    assert np.all(steps <= JointLimits.from_model(model).velocity * TICK + 1e-9)
    assert np.abs(engaged[-1].positions - model.neutral).max() > 0.05
    stream.set_gate_state("stopped")
    assert run(stream, model.neutral, (200, 201)) == [None]  # what was wanted before the stop is forgotten


def test_what_was_observed_before_the_gate_shut_is_not_followed_when_it_opens(model, home):
    stream = CommandStream(model)
    stream.set_joints(JointReading(100 * TICK_NS, model.neutral, None))
    stream.set_gate_state("disengaged")
    assert not stream.add_chunk(chunk(home, stamp_ns=100 * TICK_NS), 101 * TICK_NS)  # it was still on its way
    assert stream.add_chunk(chunk(home, stamp_ns=110 * TICK_NS), 120 * TICK_NS)


def test_ticks_that_were_slept_through_are_made_up_for(model, home):
    streams = [CommandStream(RobotModel.load()) for _ in range(2)]
    for stream in streams:
        stream.set_joints(JointReading(0, model.neutral, None))
        stream.add_chunk(chunk(home), 0)
    every, third = run(streams[0], model.neutral, (0, 91)), run(streams[1], model.neutral, (0, 91), every=3)
    np.testing.assert_allclose([c.positions for c in every[::3]], [c.positions for c in third], atol=1e-12)
    assert streams[0].step(90 * TICK_NS + 1_000_000) is None  # no tick is due yet
    assert streams[0].idle == ""


def test_actions_at_uneven_times_are_refused(model, home):
    good = chunk(home)
    for times_ns in (good.times_ns - STEP_NS, good.times_ns + 5_000_000):
        with pytest.raises(ShapeError, match=r"due at \(i \+ 1\) / rate"):
            CommandStream(model).add_chunk(Chunk(0, good.actions, times_ns), 0)


def test_only_the_source_in_force_is_followed(model, home):
    stream = CommandStream(model, target_timeout=0.2)
    stream.set_joints(JointReading(0, model.neutral, None))
    stream.set_source("teleop")
    assert stream.add_chunk(chunk(home, start=0.1), 0)
    assert stream.step(0) is None
    assert stream.idle == "no fresh teleop target"
    target = home.copy()
    target[RIGHT_Y] += 0.02
    for tick in range(150):
        stream.set_target(StampedHandState(tick * TICK_NS, target))
        last = run(stream, model.neutral, (tick, tick + 1))[0]
    reached = model.hand_state(last.positions).to_vector()
    assert reached[RIGHT_Y] == pytest.approx(target[RIGHT_Y], abs=2e-3)
    commands = run(stream, model.neutral, (150, 210))
    assert [c is None for c in commands] == [False] * 50 + [True] * 10  # 0.2 s
    with pytest.raises(ValueError, match="a source of policy, teleop, got 'joystick'"):
        stream.set_source("joystick")


class HandOver:
    """A stream between a person whose hands are `apart` from the policy's, both always there; robot as commanded."""

    def __init__(self, model, home, apart=0.08):
        self.model, self.home, self.apart = model, home, apart
        self.stream = CommandStream(model)
        self.tick, self.joints, self.commands = 0, model.neutral, []
        self.person = self.policy = True  # whether they send

    def run(self, ticks):
        for _ in range(ticks):
            now_ns = self.tick * TICK_NS
            self.stream.set_joints(JointReading(now_ns, self.joints, None))
            if self.policy and self.tick % 10 == 0:
                self.stream.add_chunk(chunk(self.home, stamp_ns=now_ns, step=0.0), now_ns)
            if self.person:
                target = self.home.copy()
                target[RIGHT_Y] += self.apart
                self.stream.set_target(StampedHandState(now_ns, target))
            command = self.stream.step(now_ns)
            if command is not None:
                self.joints = command.positions
            self.commands.append(command)
            self.tick += 1
        return self

    def right_y(self):
        """[m] from home, of every command."""
        joints = [c.positions for c in self.commands if c is not None]
        return np.array([self.model.hand_state(q).to_vector()[RIGHT_Y] for q in joints]) - self.home[RIGHT_Y]


@pytest.mark.parametrize("first", ["policy", "teleop"])
def test_the_robot_is_handed_over_without_a_jump(model, home, first):
    one = HandOver(model, home)
    one.stream.set_source(first)
    one.run(250)
    one.stream.set_source({"policy": "teleop", "teleop": "policy"}[first])
    one.run(250)
    path = one.right_y()
    assert None not in one.commands
    begin, end = (0.0, 0.08) if first == "policy" else (0.08, 0.0)
    assert path[249] == pytest.approx(begin, abs=2e-3)
    assert path[-1] == pytest.approx(end, abs=2e-3)
    speed = np.abs(np.diff(path[240:])) / TICK
    assert speed.max() < 2.2 * 0.2  # [m/s]: 80 mm in 0.5 s, with level ends
    assert speed[:12].max() < 0.03  # it begins gently


def test_hands_that_are_turned_half_round_turn_evenly_when_the_robot_is_handed_over(model, home):
    """Palms up and palms down: between the columns of such matrices there is no rotation half-way."""
    stream = CommandStream(model)
    stream.set_joints(JointReading(0, model.neutral, None))
    wrists = HandState.from_vector(home).wrist_rotations
    over = np.array([wrist @ matrix_from_rpy(np.radians(175), 0.0, 0.0) for wrist in wrists])
    target = home.copy()
    target[WRIST_ROTATIONS] = rotation_6d_from_matrix(over).ravel()
    followed = []
    for tick in range(1250):
        now_ns = tick * TICK_NS
        stream.set_joints(JointReading(now_ns, model.neutral, None))
        if tick == 1:
            stream.set_source("teleop")
        stream.add_chunk(chunk(home, stamp_ns=now_ns, step=0.0), now_ns)
        stream.set_target(StampedHandState(now_ns, target))
        stream.step(now_ns)
        followed.append(HandState.from_vector(stream._followed.vector).wrist_rotations)
    speed = angle_between(np.array(followed[:-1]), np.array(followed[1:])) / TICK
    assert speed.max() < 1.6 * HAND_OVER_TURN  # level ends make it half as fast again in the middle
    np.testing.assert_allclose(followed[-1], over, atol=1e-6)


def test_what_a_new_source_asks_for_meanwhile_is_followed_while_the_step_fades(model, home):
    one = HandOver(model, home, apart=0.5)
    one.run(100)
    one.stream.set_source("teleop")
    one.run(1)
    assert one.stream._hand_over.duration == pytest.approx(0.5 / 0.2)
    one.apart += 0.03  # the person's hand moves on
    one.run(10)
    assert one.right_y()[-1] > 0.015


def test_a_policy_that_is_late_is_waited_for_where_the_robot_stands_and_then_the_stream_falls_silent(model, home):
    one = HandOver(model, home)
    one.policy = False
    one.stream.set_source("teleop")
    one.run(250)
    one.stream.set_source("policy")
    one.run(250)
    heard = [c is not None for c in one.commands[250:]]
    assert heard == [True] * 126 + [False] * 124  # 0.5 s
    assert one.stream.idle == "no chunk covers this time"
    path = one.right_y()
    assert np.abs(path[250:] - path[249]).max() < 2e-3  # it has stopped at once
    one.policy = True
    one.run(250)
    path = one.right_y()
    assert np.abs(np.diff(path)).max() / TICK < 2.2 * 0.2
    assert path[-1] == pytest.approx(0.0, abs=2e-3)


def test_the_same_source_again_changes_nothing(model, home):
    one = HandOver(model, home)
    one.run(100)
    one.stream.set_source("policy")
    one.run(10)
    assert one.stream._hand_over is None
    assert None not in one.commands


def test_when_time_begins_again_old_targets_are_forgotten(model, home):
    stream = CommandStream(model)
    stream.set_joints(JointReading(10_000_000_000, model.neutral, None))
    stream.add_chunk(chunk(home, stamp_ns=10_000_000_000), 10_000_000_000)
    assert stream.step(10_000_000_000) is not None
    stream.set_joints(JointReading(0, model.neutral, None))
    assert stream.step(0) is None
    assert stream.add_chunk(chunk(home), 0)
    assert stream.step(0) is not None


def test_a_chunk_solved_as_a_whole_reaches_its_actions(model, home):
    wanted = chunk(home)
    joints = solve_chunk(Retargeting(model), wanted, model.neutral)
    assert joints.shape == (HORIZON, 26)
    reached = np.array([model.hand_state(q).to_vector() for q in joints])
    np.testing.assert_allclose(reached[:, WRIST_POSITIONS], wanted.actions[:, WRIST_POSITIONS], atol=1e-3)


def test_a_chunk_is_followed_only_while_its_observation_is_young_enough(model, home):
    stream = CommandStream(model, observation_timeout=0.3)
    stream.set_joints(JointReading(0, model.neutral, None))
    assert stream.add_chunk(chunk(home), 0)
    commands = run(stream, model.neutral, (0, 90))
    last = max(tick for tick, command in enumerate(commands) if command is not None)
    assert last == 75  # of the chunk's 280 ticks
    assert "goes back to an observation of 0.36 s ago; do pictures come?" in stream.idle
    fresh = chunk(home, stamp_ns=90 * TICK_NS)
    assert stream.add_chunk(fresh, 90 * TICK_NS)
    assert run(stream, model.neutral, (90, 95))[-1] is not None
