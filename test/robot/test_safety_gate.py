import itertools

import numpy as np
import pytest

from firsthand.robot.collision import SelfCollision
from firsthand.robot.limits import JointLimits
from firsthand.robot.model import RobotModel
from firsthand.robot.safety_gate import Command, GateState, SafetyGate, SafetyGateSettings

N = 3
TICK_NS = 4_000_000
MS = 1_000_000
LIMITS = JointLimits(
    lower=np.array([-1.0, -0.4, 0.0]),
    upper=np.array([1.0, 0.5, 1.7]),
    velocity=np.array([2.0, 6.0, 3.0]),
    acceleration=np.array([40.0, 100.0, 60.0]),
)
REST = np.array([-0.5, 0.1, 0.6])
GOAL = np.array([0.7, -0.2, 1.2])


class Rig:
    """A gate with a clock and motors that follow perfectly; keeps every output."""

    def __init__(self, **settings):
        self.gate = SafetyGate(LIMITS, SafetyGateSettings(**settings))
        self.now_ns = 10_000_000_000
        self.measured = REST
        self.outputs = []
        self.given = []  # measured joints of each tick

    def tick(self, positions=None, age_ns=0, measured="same"):
        self.now_ns += TICK_NS
        command = None if positions is None else Command(self.now_ns - age_ns, np.asarray(positions))
        self.given.append(self.measured if isinstance(measured, str) else measured)
        output = self.gate.step(self.now_ns, command, self.given[-1])
        self.outputs.append(output)
        return output

    def run(self, seconds, positions=None, **kwargs):
        for _ in range(round(seconds * 250)):
            output = self.tick(positions, **kwargs)
        return output

    def engaged(self):
        assert self.gate.engage().success
        assert self.run(2.1, GOAL).state is GateState.ACTIVE
        return self

    @property
    def state(self):
        return self.gate.status.state


def assert_motion_within_limits(outputs, start):
    """Position always; velocity and acceleration from the pose at rest in which motion began."""
    positions = np.array([start, start, *(output.positions for output in outputs)])
    velocities = np.diff(positions, axis=0) * 250
    accelerations = np.diff(velocities, axis=0) * 250
    assert np.all((positions >= LIMITS.lower) & (positions <= LIMITS.upper))
    assert np.all(np.abs(velocities) <= LIMITS.velocity * (1 + 1e-9))
    assert np.all(np.abs(accelerations) <= LIMITS.acceleration * (1 + 1e-6))


# Transitions, in the order of the table


def test_disengaged_at_first_and_whatever_is_commanded():
    rig = Rig()
    output = rig.run(1.0, GOAL)
    assert output.state is GateState.DISENGAGED
    assert output.stiffness == 0.0
    np.testing.assert_array_equal(output.positions, REST)


def test_engaging_does_not_follow_a_command_of_long_ago():
    rig = Rig(engage_time=0.1)
    rig.tick(GOAL)
    rig.run(10.0)
    rig.gate.engage()
    output = rig.run(0.5)
    assert output.state is GateState.HOLDING
    np.testing.assert_allclose([o.positions for o in rig.outputs], np.tile(REST, (len(rig.outputs), 1)))
    assert rig.run(2.0, GOAL).state is GateState.ACTIVE


def test_engaging_starts_from_the_measured_pose_softly_and_becomes_active():
    rig = Rig()
    rig.gate.engage()
    first = rig.tick(GOAL)
    assert first.state is GateState.ENGAGING
    np.testing.assert_allclose(first.positions, REST, atol=1e-5)
    assert first.stiffness < 0.01
    rig.run(1.0, GOAL)
    assert rig.state is GateState.ENGAGING
    assert rig.outputs[-1].stiffness == pytest.approx(0.5, abs=0.01)
    rig.run(1.1, GOAL)
    assert rig.state is GateState.ACTIVE
    np.testing.assert_allclose(rig.outputs[-1].positions, GOAL, atol=1e-3)
    stiffness = [output.stiffness for output in rig.outputs]
    assert stiffness == sorted(stiffness)
    assert stiffness[-1] == 1.0
    assert_motion_within_limits(rig.outputs, REST)
    # Blended over two seconds: slower than a free run at the limits would be.
    velocities = np.diff([output.positions for output in rig.outputs], axis=0) * 250
    assert np.abs(velocities).max() < 1.1 * 1.5 * np.abs(GOAL - REST).max() / 2.0


def test_engaging_without_commands_holds_the_measured_pose_then_damps():
    rig = Rig()
    rig.gate.engage()
    rig.run(0.09)
    assert rig.state is GateState.ENGAGING
    rig.run(0.05)
    assert rig.state is GateState.HOLDING
    np.testing.assert_array_equal(rig.outputs[-1].positions, REST)
    rig.run(2.1)
    assert rig.state is GateState.DAMPING


def test_engaging_that_lost_its_commands_goes_on_where_it_was():
    rig = Rig()
    rig.gate.engage()
    rig.run(1.0, GOAL)
    rig.run(0.3)
    assert rig.state is GateState.HOLDING
    held = rig.outputs[-1].positions
    resumed = rig.tick(GOAL)
    assert resumed.state is GateState.ENGAGING
    np.testing.assert_allclose(resumed.positions, held, atol=0.01)
    rig.run(1.1, GOAL)
    assert rig.state is GateState.ACTIVE
    assert_motion_within_limits(rig.outputs, REST)


def test_active_holds_when_commands_end_by_braking():
    rig = Rig().engaged()
    moving = [GOAL - np.array([0.004, 0.0, 0.006]) * i for i in range(60)]
    for positions in moving:
        rig.tick(positions)
    rig.run(0.09)
    assert rig.state is GateState.ACTIVE
    rig.run(0.02)
    assert rig.state is GateState.HOLDING
    assert "no command for 0.1 s" in rig.gate.status.reason
    held = rig.run(0.2)
    np.testing.assert_array_equal(held.positions, rig.outputs[-2].positions)
    assert held.stiffness == 1.0
    assert_motion_within_limits(rig.outputs, REST)


def test_active_holds_when_measured_joints_end():
    rig = Rig().engaged()
    rig.run(0.2, GOAL, measured=None)
    assert rig.state is GateState.HOLDING
    assert "no measured joints for 0.1 s" in rig.gate.status.reason
    rig.run(0.1, GOAL, measured=np.full(N, np.nan))
    assert rig.state is GateState.HOLDING
    assert rig.tick(GOAL).state is GateState.ACTIVE


def test_holding_returns_to_active_without_a_jump():
    rig = Rig().engaged()
    rig.run(1.0)
    rig.run(1.0, REST)
    assert rig.state is GateState.ACTIVE
    np.testing.assert_allclose(rig.outputs[-1].positions, REST, atol=1e-6)
    assert_motion_within_limits(rig.outputs, REST)


def test_holding_for_too_long_damps_then_disengages_and_stays_so():
    rig = Rig().engaged()
    rig.run(0.1 + 1.99)
    assert rig.state is GateState.HOLDING
    rig.run(0.03)
    assert rig.state is GateState.DAMPING
    held = rig.outputs[-1].positions
    rig.run(0.25, GOAL)  # commands do not bring it back
    assert rig.state is GateState.DAMPING
    assert rig.outputs[-1].stiffness == pytest.approx(0.5, abs=0.05)
    np.testing.assert_array_equal(rig.outputs[-1].positions, held)
    rig.run(0.3, GOAL)
    assert rig.state is GateState.DISENGAGED
    assert "held for 2 s: no command for 0.1 s" in rig.gate.status.reason
    stiffness = [output.stiffness for output in rig.outputs]
    assert max(abs(b - a) for a, b in itertools.pairwise(stiffness)) < 0.01


@pytest.mark.parametrize("seconds", [0.5, 2.5])
def test_disengage_lets_go_from_engaging_and_active(seconds):
    rig = Rig()
    rig.gate.engage()
    rig.run(seconds, GOAL)
    assert rig.gate.disengage().success
    assert rig.tick(GOAL).state is GateState.DAMPING
    assert rig.run(0.6, GOAL).state is GateState.DISENGAGED
    assert_motion_within_limits([o for o in rig.outputs if o.state is not GateState.DISENGAGED], REST)


def test_disengage_lets_go_from_holding():
    rig = Rig().engaged()
    rig.run(0.5)
    rig.gate.disengage()
    assert rig.tick().state is GateState.DAMPING


@pytest.mark.parametrize("prepare", ["disengaged", "engaging", "active", "holding", "damping"])
def test_stop_is_immediate_and_latched_from_everywhere(prepare):
    rig = Rig()
    if prepare != "disengaged":
        rig.gate.engage()
        rig.run(0.5 if prepare == "engaging" else 2.1, GOAL)
    if prepare in {"holding", "damping"}:
        rig.run(0.5 if prepare == "holding" else 2.2)
    assert rig.state.value == prepare
    rig.gate.stop("button")
    output = rig.tick(GOAL)
    assert output.state is GateState.STOPPED
    assert output.stiffness == 0.0
    answer = rig.gate.engage()
    assert not answer.success
    assert "clear_stop first" in answer.message
    rig.gate.disengage()
    assert rig.run(5.0, GOAL).state is GateState.STOPPED
    assert rig.gate.status.reason == "button"


def test_clear_stop_disengages_and_only_engage_moves_again():
    rig = Rig().engaged()
    assert not rig.gate.clear_stop().success
    rig.gate.stop()
    rig.measured = REST + 0.05  # the arm sank
    rig.run(0.1, GOAL)
    assert rig.gate.clear_stop().success
    assert rig.run(1.0, GOAL).state is GateState.DISENGAGED
    rig.gate.engage()
    first = rig.tick(GOAL)
    assert first.state is GateState.ENGAGING
    np.testing.assert_allclose(first.positions, REST + 0.05, atol=1e-5)


def test_a_stop_between_engage_and_the_next_tick_wins():
    rig = Rig()
    rig.gate.engage()
    rig.gate.stop()
    assert rig.run(0.1, GOAL).state is GateState.STOPPED
    rig.gate.clear_stop()
    assert rig.run(0.1, GOAL).state is GateState.DISENGAGED


# Refusals


@pytest.mark.parametrize(
    ("measured", "reason"),
    [
        (None, "no measured joints"),
        (np.full(N, np.nan), "measured joints: not finite"),
        (np.zeros(N + 1), "measured joints: wrong size"),
        (np.array([0.0, 0.9, 0.5]), "joint 1 measured at 0.900 rad, allowed -0.400 to 0.500"),
    ],
)
def test_engage_is_refused_without_a_pose_to_start_from(measured, reason):
    rig = Rig()
    rig.gate.engage()
    assert rig.tick(GOAL, measured=measured).state is GateState.DISENGAGED
    assert reason in rig.gate.status.reason
    assert rig.tick(GOAL).state is GateState.DISENGAGED, "a refused request must not linger"


def test_engage_starts_inside_the_limits_from_a_pose_just_outside():
    rig = Rig()
    rig.measured = np.array([0.0, 0.55, 0.5])
    rig.gate.engage()
    assert rig.tick(GOAL).positions[1] <= 0.5
    assert rig.state is GateState.ENGAGING


def test_engage_twice_is_refused():
    rig = Rig().engaged()
    assert rig.gate.engage().message == "cannot engage while active"


# Commands


@pytest.mark.parametrize(
    ("positions", "age_ns", "reason"),
    [
        (np.zeros(N + 1), 0, "wrong size"),
        (np.array([0.0, np.nan, 0.0]), 0, "not finite"),
        (np.array([0.0, np.inf, 0.0]), 0, "not finite"),
        (REST, 101 * MS, "stale"),
        (REST, -21 * MS, "from the future"),
        (REST, 5 * MS, "out of order"),
    ],
)
def test_a_bad_command_is_rejected_counted_and_not_followed(positions, age_ns, reason):
    rig = Rig().engaged()
    before = rig.gate.status
    output = rig.tick(positions, age_ns)
    np.testing.assert_allclose(output.positions, GOAL, atol=1e-3)
    assert rig.gate.status.rejected == {reason: 1}
    assert rig.gate.status.accepted == before.accepted
    rig.run(0.2, positions, age_ns=age_ns + 500 * MS if reason == "out of order" else age_ns)
    assert rig.state is GateState.HOLDING, "rejected commands do not feed the watchdog"


def test_a_command_a_little_from_the_future_and_a_little_old_are_followed():
    rig = Rig().engaged()
    accepted = rig.gate.status.accepted
    rig.tick(GOAL, age_ns=-19 * MS)
    rig.run(0.04)
    rig.tick(GOAL, age_ns=20 * MS)
    assert rig.gate.status.accepted == accepted + 2


def test_the_same_command_given_again_ages_by_its_stamp():
    rig = Rig().engaged()
    command = Command(rig.now_ns + TICK_NS, GOAL)
    for _ in range(40):
        rig.now_ns += TICK_NS
        output = rig.gate.step(rig.now_ns, command, REST)
    assert output.state is GateState.HOLDING
    assert rig.gate.status.rejected == {}
    assert rig.gate.status.command_age_ns == 39 * TICK_NS


def test_commands_outside_the_limits_are_clipped_and_far_ones_governed():
    rig = Rig().engaged()
    far = np.array([1e9, -1e9, 1e9])
    rig.run(2.0, far)
    np.testing.assert_allclose(rig.outputs[-1].positions, [1.0, -0.4, 1.7], atol=1e-9)
    assert rig.gate.status.clipped == 500
    assert rig.gate.status.large_jumps > 0
    assert_motion_within_limits(rig.outputs, REST)


def test_a_clock_that_goes_backwards_makes_everything_old():
    rig = Rig().engaged()
    rig.now_ns = 0
    output = rig.tick()
    assert output.state is GateState.HOLDING
    assert rig.tick(REST).state is GateState.ACTIVE
    assert_motion_within_limits(rig.outputs, REST)


@pytest.fixture(scope="module")
def body():
    """The real robot's limits and capsules, and its natural posture."""
    model = RobotModel.load()
    return JointLimits.from_model(model), SelfCollision(model), model.neutral


def drive(gate, positions, measured, begin, seconds):
    """Every output while commanding the same positions from `begin` [s] on."""
    first = round(begin * 250)
    stamps = [tick * TICK_NS for tick in range(first, first + round(seconds * 250))]
    return [gate.step(now_ns, Command(now_ns, positions), measured) for now_ns in stamps]


def test_a_command_into_the_own_body_is_braked_before_it_and_the_way_out_is_free(body):
    limits, collision, neutral = body
    gate = SafetyGate(limits, SafetyGateSettings(engage_time=0.05), collision)
    inwards = neutral.copy()
    inwards[[2, 9]] = -1.2, 1.2  # hands through each other
    assert collision.distances(inwards).min() < -0.02
    gate.engage()
    outputs = drive(gate, inwards, neutral, 1.0, 3.0)
    assert gate.status.state is GateState.ACTIVE
    assert min(collision.distances(output.positions).min() for output in outputs) > 0.0
    assert gate.status.braked > 100
    np.testing.assert_array_equal(outputs[-1].positions, outputs[-2].positions)
    back = drive(gate, neutral, neutral, 4.0, 5.0)
    np.testing.assert_allclose(back[-1].positions, neutral, atol=1e-3)


def test_a_robot_engaged_in_contact_may_leave_it_but_go_no_deeper(body):
    limits, collision, neutral = body
    inwards = neutral.copy()
    inwards[[2, 9]] = -1.2, 1.2
    ways = [neutral + fraction * (inwards - neutral) for fraction in np.linspace(0, 1, 200)]
    touching = next(q for q in ways if collision.distances(q).min() < 0.0)
    gate = SafetyGate(limits, SafetyGateSettings(engage_time=0.05), collision)
    gate.engage()
    outputs = drive(gate, inwards, touching, 1.0, 1.0)
    assert min(collision.distances(output.positions).min() for output in outputs) > -0.008
    out = drive(gate, neutral, touching, 2.0, 5.0)
    np.testing.assert_allclose(out[-1].positions, neutral, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_outputs_stay_within_limits(seed):
    """Random commands, ages, dropouts and requests; motion is checked between the engagements."""
    rng = np.random.default_rng(seed)
    rig = Rig(engage_time=0.2, hold_time=0.3, damping_time=0.1)
    pieces, seen = [], set()
    for _ in range(3000):
        request = rng.random()
        if request < 0.004:
            rig.gate.stop()
        elif request < 0.01:
            rig.gate.clear_stop()
        elif request < 0.05:
            rig.gate.engage()
        elif request < 0.055:
            rig.gate.disengage()
        scale = rng.choice([0.1, 1.0, 1e8, np.nan])
        positions = None if rng.random() < 0.3 else scale * rng.normal(size=N)
        measured = None if rng.random() < 0.1 else rng.uniform(LIMITS.lower, LIMITS.upper)
        output = rig.tick(positions, int(rng.integers(-30, 130)) * MS, measured)
        if rng.random() < 0.01:
            rig.run(float(rng.uniform(0.0, 0.8)))
        seen.add(output.state)
    ticks = zip(rig.outputs, rig.given, strict=True)
    for moves, ticks_of_piece in itertools.groupby(ticks, lambda tick: tick[0].stiffness > 0.0):
        piece, measured = zip(*ticks_of_piece, strict=True)
        assert all(0.0 <= output.stiffness <= 1.0 for output in piece)
        if moves:
            pieces.append(piece)
            assert_motion_within_limits(piece, start=measured[0])
        else:
            assert all(output.stiffness == 0.0 for output in piece)
    assert seen == set(GateState)
    assert len(pieces) > 5
