"""The body of the real robot, against a peer on the robot's own wire that says what the test wants it to say."""

import contextlib
import threading
import time

import numpy as np
import pytest

from firsthand.errors import CalibrationError, FirsthandError, RobotError
from firsthand.robot.bodies import h1_2
from firsthand.robot.bodies.h1_2 import H12Body, H12Settings
from firsthand.robot.bodies.interface import TICK, MotorCommand
from firsthand.robot.description import urdf
from firsthand.robot.gravity import ArmGravity
from firsthand.robot.hand_strokes import HandStrokes
from firsthand.robot.joints import ARMS_SLICE, HANDS_SLICE, JOINTS
from firsthand.robot.limits import JointLimits
from firsthand.robot.model import RobotModel
from firsthand.robot.safety_gate import Command, GateState, SafetyGate, SafetyGateSettings
from firsthand.robot.unitree import wire
from firsthand.robot.unitree.motors import ARM_SLOTS, DAMPING, MOTORS, STIFFNESS, WEIGHT_SLOT
from firsthand.robot.unitree.topics import ARM_SDK, DFX_CMD, DFX_STATE, FTP_CMD, FTP_STATE, LOW_CMD, LOW_STATE

MOTOR_POSITIONS = np.linspace(-0.3, 0.3, 27)
TIMEOUT = 20.0


class Peer:
    """The robot's end of the wire: speaks when told to, keeps what it hears."""

    def __init__(self, domain, hand="dfx"):
        from firsthand.robot.unitree.dds import Link

        self.link = Link("", domain)
        self.state = self.link.writer(LOW_STATE)
        self.heard = {topic: self.link.reader(topic, depth=1000) for topic in (ARM_SDK, LOW_CMD)}
        states, commands = {"dfx": ((DFX_STATE,), (DFX_CMD,)), "ftp": (FTP_STATE, FTP_CMD), "none": ((), ())}[hand]
        self.hands = [self.link.writer(topic) for topic in states]
        self.hand_commands = [self.link.reader(topic, depth=1000) for topic in commands]
        self.hand = hand
        self.message = wire.blank(wire.LOW_STATE)
        self.message["mode_machine"] = 6
        self.message["motor_state"]["q"][:27] = MOTOR_POSITIONS
        self.message["motor_state"]["temperature"][:27] = 40
        self.openness = np.linspace(0.1, 0.95, 12)  # on the wire: right hand, then left

    def speak(self, seal=True, hands=True):
        self.message["tick"] += 1
        self.state.write(wire.encode(wire.seal(self.message) if seal else self.message))
        if hands and self.hand == "dfx":
            states = np.zeros(12, wire.HAND_MOTOR_STATE)
            states["q"] = self.openness
            self.hands[0].write(wire.encode_sequence(states))
        if hands and self.hand == "ftp":
            for writer, angles in zip(self.hands, (self.openness[6:], self.openness[:6]), strict=True):
                fields = {"angle_act": np.rint(1000 * angles).astype(int)}
                writer.write(wire.encode_touch_hand(fields, wire.TOUCH_HAND_STATE, None))

    def commands(self, topic=ARM_SDK):
        return [wire.decode(payload, wire.LOW_CMD) for payload in self.heard[topic].take(1000)]


@contextlib.contextmanager
def speaking(peer, **how):
    """The robot says how it is a hundred times a second."""
    stop = threading.Event()

    def speak():
        while not stop.wait(0.01):
            peer.speak(**how)

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        yield
    finally:
        stop.set()
        speaker.join()


class Rig:
    """A body and its peer, stepped by the test."""

    def __init__(self, domain, hand="dfx", strokes=None, says=(6, 0), **settings):
        self.model = RobotModel.load(urdf("ftp" if hand == "ftp" else "dfx"))
        self.peer = Peer(domain, hand)
        self.peer.message["mode_machine"], self.peer.message["mode_pr"] = says
        settings = {"weight_time": 0.1, "state_timeout": 0.5, "hands": hand != "none"} | settings
        with speaking(self.peer):
            self.body = H12Body(self.model, H12Settings(domain=domain, **settings), strokes)

    def step(self, command):
        self.peer.speak()
        time.sleep(0.001)
        return self.body.step(command)

    def heard_after(self, command, wanted=lambda c: True, topic=ARM_SDK):
        """The first command of the body that is as wanted, while it is stepped."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            self.step(command)
            found = [one for one in self.peer.commands(topic) if wanted(one)]
            if found:
                return found[0]
            assert time.monotonic() < deadline, "the body did not say it"

    def until(self, condition, command=None):
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            self.step(command or self.idle())

    def idle(self):
        return MotorCommand(self.body.reset().positions, 0.0, released=True)

    def close(self):
        self.body.close()
        self.peer.link.close()


@pytest.fixture
def rig(dds_domain):
    rigs = []

    def make(**options):
        rigs.append(Rig(dds_domain, **options))
        return rigs[-1]

    yield make
    for one in rigs:
        one.close()


def ramp(model, offset=0.0):
    """26 positions, each another one."""
    return np.clip(model.neutral + offset + np.linspace(0.0, 0.2, 26), model.lower, model.upper)


# What it reads


def test_the_arms_are_read_from_their_motors_and_no_others(rig):
    body = rig()
    positions = dict(zip(JOINTS, body.body.reset().positions, strict=True))
    for slot, motor in enumerate(MOTORS[ARM_SLOTS], start=13):
        assert positions[motor.name] == pytest.approx(MOTOR_POSITIONS[slot], abs=1e-6), motor.name


def test_the_hands_are_read_from_their_own_side(rig):
    """The first six numbers on the wire are the right hand's; openness 1 is the lower limit."""
    one = rig()
    positions = dict(zip(JOINTS, one.body.reset().positions, strict=True))
    assert positions["R_pinky_proximal_joint"] == pytest.approx(1.7 * (1 - one.peer.openness[0]), abs=1e-5)
    assert positions["R_index_proximal_joint"] == pytest.approx(1.7 * (1 - one.peer.openness[3]), abs=1e-5)
    assert positions["L_index_proximal_joint"] == pytest.approx(1.7 * (1 - one.peer.openness[9]), abs=1e-5)
    assert positions["L_thumb_proximal_yaw_joint"] == pytest.approx(1.3 - 1.4 * one.peer.openness[11], abs=1e-5)


def test_hands_with_touch_are_read_from_their_own_side(rig):
    one = rig(hand="ftp")
    positions = one.body.reset().positions
    assert positions[14 + 5] == pytest.approx(1.4381 * (1 - one.peer.openness[6]), abs=2e-3)  # left little finger
    assert positions[20 + 5] == pytest.approx(1.4381 * (1 - one.peer.openness[0]), abs=2e-3)  # right little finger


# What it says


def test_it_says_nothing_before_it_is_to_drive(rig):
    one = rig()
    for _ in range(50):
        one.step(one.idle())
        one.step(MotorCommand(one.body.reset().positions, stiffness=0.0))  # an e-stop before anything was driven
    assert one.peer.commands(ARM_SDK) == []
    assert one.peer.commands(LOW_CMD) == []
    assert all(reader.take() == [] for reader in one.peer.hand_commands)


def test_a_command_reaches_the_motors_of_its_joints(rig):
    one = rig()
    goal = ramp(one.model)
    said = one.heard_after(MotorCommand(goal), lambda c: c["motor_cmd"]["q"][WEIGHT_SLOT] == 1.0)
    motors = said["motor_cmd"]
    for name, slot in {"left_shoulder_pitch_joint": 13, "left_wrist_yaw_joint": 19, "right_elbow_joint": 23}.items():
        assert motors["q"][slot] == pytest.approx(goal[JOINTS.index(name)], abs=1e-6)
    np.testing.assert_allclose(motors["q"][ARM_SLOTS], goal[ARMS_SLICE], atol=1e-6)
    np.testing.assert_allclose(motors["kp"][ARM_SLOTS], STIFFNESS[ARM_SLOTS])
    np.testing.assert_allclose(motors["kd"][ARM_SLOTS], DAMPING[ARM_SLOTS])
    assert (motors["mode"][12:27] == 1).all()
    assert said["mode_machine"] == 6
    assert said["crc"] == wire.checksum(said)
    assert motors["q"][12] == pytest.approx(MOTOR_POSITIONS[12], abs=1e-6)  # the waist stays where it was found
    assert not motors[:12].tobytes().strip(b"\0")  # the legs are not arm_sdk's


def test_gravity_is_carried_at_the_measured_posture(rig):
    one = rig()
    said = one.heard_after(MotorCommand(ramp(one.model)))
    expected = ArmGravity(one.model).torque(one.body.reset().positions)
    np.testing.assert_allclose(said["motor_cmd"]["tau"][ARM_SLOTS], expected, atol=1e-4)
    assert np.abs(expected).max() > 2.0


def test_stiffness_scales_the_spring_alone(rig):
    one = rig()
    goal = ramp(one.model)
    one.heard_after(MotorCommand(goal))
    for stiffness in (0.25, 0.0):
        said = one.heard_after(
            MotorCommand(goal, stiffness), lambda c, s=stiffness: c["motor_cmd"]["kp"][13] == 140 * s
        )
        np.testing.assert_allclose(said["motor_cmd"]["kp"][ARM_SLOTS], stiffness * STIFFNESS[ARM_SLOTS])
        np.testing.assert_allclose(said["motor_cmd"]["kd"][ARM_SLOTS], DAMPING[ARM_SLOTS])
        assert np.abs(said["motor_cmd"]["tau"][ARM_SLOTS]).max() > 2.0  # damped, never limp


@pytest.mark.parametrize(("hand", "joint"), [("dfx", 16), ("dfx", 22), ("ftp", 16), ("ftp", 22)])
def test_one_finger_is_one_number_on_its_own_side(rig, hand, joint):
    """16 is the left index finger, 22 the right one."""
    one = rig(hand=hand)
    goal = one.model.lower.copy()
    goal[joint] = one.model.upper[joint]
    one.heard_after(MotorCommand(goal))
    deadline = time.monotonic() + TIMEOUT
    said = [None] * len(one.peer.hand_commands)
    while any(payload is None for payload in said):
        assert time.monotonic() < deadline
        one.step(MotorCommand(goal))
        said = [reader.latest() or old for reader, old in zip(one.peer.hand_commands, said, strict=True)]
    if hand == "dfx":
        closed = np.flatnonzero(wire.decode_sequence(said[0], wire.HAND_MOTOR_CMD, 12)["q"] < 0.5)
        assert closed.tolist() == [9 if joint == 16 else 3]
    else:
        angles = [wire.decode_touch_hand(one, wire.TOUCH_HAND_CMD)[0]["angle_set"] for one in said]
        left, right = (np.flatnonzero(one < 500).tolist() for one in angles)
        assert (left, right) == (([3], []) if joint == 16 else ([], [3]))


STROKES = (np.linspace(0.9, 0.99, 12), np.linspace(0.02, 0.13, 12))
"""Where twelve fingers are open and closed, in the order of our joints."""


@pytest.mark.parametrize("hand", ["dfx", "ftp"])
def test_strokes_change_what_the_fingers_are_sent(rig, hand):
    one = rig(hand=hand, strokes=HandStrokes(hand, *STROKES))
    for end, expected in ((one.model.lower, STROKES[0]), (one.model.upper, STROKES[1])):
        one.heard_after(MotorCommand(end))
        [reader.take() for reader in one.peer.hand_commands]
        said = [None] * len(one.peer.hand_commands)
        deadline = time.monotonic() + TIMEOUT
        while any(payload is None for payload in said):
            assert time.monotonic() < deadline
            one.step(MotorCommand(end))
            said = [reader.latest() or old for reader, old in zip(one.peer.hand_commands, said, strict=True)]
        np.testing.assert_allclose(fingers_told(said, hand), expected, atol=1e-3)


def fingers_told(payloads, hand):
    """(12,) on the wire's scale, in the order of our joints."""
    if hand == "dfx":
        return wire.decode_sequence(payloads[0], wire.HAND_MOTOR_CMD, 12)["q"][::-1]
    angles = [wire.decode_touch_hand(one, wire.TOUCH_HAND_CMD)[0]["angle_set"][::-1] for one in payloads]
    return np.concatenate(angles) / 1000


@pytest.mark.parametrize("hand", ["dfx", "ftp"])
def test_what_fingers_report_is_read_between_their_own_ends(rig, hand):
    """A finger that reports its own open end is at the lower limit of its joint, whatever number that is."""
    one = rig(hand=hand, strokes=HandStrokes(hand, *STROKES))
    for ends, limit in ((STROKES[0], one.model.lower), (STROKES[1], one.model.upper)):
        one.peer.openness = ends[::-1]
        one.until(
            lambda limit=limit: np.allclose(one.body.reset().positions[HANDS_SLICE], limit[HANDS_SLICE], atol=5e-3)
        )


def test_strokes_of_the_other_hand_are_refused(cyclonedds, dds_domain):
    with pytest.raises(CalibrationError, match="strokes of ftp hands for a robot with dfx hands"):
        H12Body(RobotModel.load(), H12Settings(domain=dds_domain), HandStrokes("ftp", *STROKES))


def test_the_weight_fades_in_and_out(rig):
    one = rig(weight_time=0.2)
    goal = MotorCommand(one.body.reset().positions)
    weights = []

    def drive(command):
        one.step(command)
        weights.extend(float(c["motor_cmd"]["q"][WEIGHT_SLOT]) for c in one.peer.commands())

    deadline = time.monotonic() + TIMEOUT
    while not weights or weights[-1] < 1.0:
        assert time.monotonic() < deadline
        drive(goal)
    while weights[-1] > 0.0:
        assert time.monotonic() < deadline
        drive(one.idle())
    steps = np.diff([0.0, *weights])
    assert np.abs(steps).max() <= 2 * TICK / 0.2 * 3  # of messages on the wire one or two may be missed
    top = int(np.argmax(weights))
    assert (np.diff(weights[: top + 1]) >= 0).all()
    one.until(lambda: not one.body._claimed)
    one.peer.commands()
    for _ in range(20):
        one.step(one.idle())
    assert one.peer.commands() == []  # it has let go


def test_a_stop_keeps_the_weight_where_it_is(rig):
    one = rig(weight_time=2.0)
    driven = MotorCommand(one.body.reset().positions)
    for _ in range(20):
        one.heard_after(driven)
    stopped = MotorCommand(driven.positions, stiffness=0.0)
    first = one.heard_after(stopped, lambda c: c["motor_cmd"]["kp"][13] == 0)["motor_cmd"]["q"][WEIGHT_SLOT]
    assert 0.0 < first < 1.0
    for _ in range(20):
        last = one.heard_after(stopped)["motor_cmd"]["q"][WEIGHT_SLOT]
    assert last == first


def test_close_gives_the_arms_back(rig):
    one = rig()
    one.heard_after(MotorCommand(ramp(one.model)), lambda c: c["motor_cmd"]["q"][WEIGHT_SLOT] == 1.0)
    one.body.close()
    last = one.peer.commands()[-1]["motor_cmd"]
    assert last["q"][WEIGHT_SLOT] == 0.0
    with pytest.raises(FirsthandError, match="this body is closed"):
        one.body.step(MotorCommand(ramp(one.model)))


def test_the_end_is_said_until_dds_takes_it_and_more_than_once(rig, monkeypatch):
    """One datagram may be lost: a robot that missed the last word would wait for us with a weight of its own."""
    one = rig()
    one.heard_after(MotorCommand(ramp(one.model)), lambda c: c["motor_cmd"]["q"][WEIGHT_SLOT] == 1.0)
    write, refused = one.body._writer.write, iter([True] * 40)

    def refuse_at_the_end(payload):
        if wire.decode(payload, wire.LOW_CMD)["motor_cmd"]["q"][WEIGHT_SLOT] == 0.0 and next(refused, False):
            raise RobotError("DDS cannot write a message: error -3")
        write(payload)

    monkeypatch.setattr(one.body._writer, "write", refuse_at_the_end)
    one.body.close()
    last = [float(c["motor_cmd"]["q"][WEIGHT_SLOT]) for c in one.peer.commands()]
    assert len(last) - np.flatnonzero(last)[-1] > 5


def test_a_robot_that_cannot_be_told_that_it_has_its_arms_back_is_an_error(rig, monkeypatch):
    one = rig()
    one.heard_after(MotorCommand(ramp(one.model)))

    def refuse(payload):
        raise RobotError("DDS cannot write a message: error -3")

    monkeypatch.setattr(one.body._writer, "write", refuse)
    monkeypatch.setattr(h1_2, "FAREWELL_TIME", 0.1)
    with pytest.raises(RobotError, match=r"refuses messages on rt/arm_sdk.*was not told"):
        one.body.close()


@pytest.mark.parametrize("control", ["arm_sdk", "lowcmd"])
def test_ankles_are_held_in_the_coordinates_that_they_were_read_in(rig, control):
    one = rig(control=control, says=(6, 1))
    said = one.heard_after(MotorCommand(ramp(one.model)), topic={"arm_sdk": ARM_SDK, "lowcmd": LOW_CMD}[control])
    assert said["mode_pr"] == (1 if control == "lowcmd" else 0)  # arm_sdk has no say in ankles


def test_debug_mode_holds_legs_and_waist_where_they_are_and_softens_them_at_the_end(rig):
    one = rig(control="lowcmd")
    said = one.heard_after(MotorCommand(ramp(one.model)), topic=LOW_CMD)["motor_cmd"]
    np.testing.assert_allclose(said["q"][:13], MOTOR_POSITIONS[:13], atol=1e-6)
    np.testing.assert_allclose(said["kp"][:13], STIFFNESS[:13])
    assert (said["mode"][:27] == 1).all()
    assert not said[27:].tobytes().strip(b"\0")
    assert one.peer.commands(ARM_SDK) == []
    one.body.close()
    last = one.peer.commands(LOW_CMD)[-1]["motor_cmd"]
    np.testing.assert_array_equal(last["kp"][:27], 0.0)
    np.testing.assert_allclose(last["kd"][:27], DAMPING)


# Faults


def test_a_robot_that_says_nothing_is_named(cyclonedds, dds_domain):
    with pytest.raises(
        RobotError, match=rf"nothing on rt/lowstate and rt/inspire/state within 0.1 s.*domain {dds_domain}"
    ):
        H12Body(RobotModel.load(), H12Settings(domain=dds_domain, connect_timeout=0.1))


@pytest.mark.parametrize(
    ("hand", "how", "why"),
    [
        ("none", {}, r"nothing on rt/inspire/state within.*hands' own service"),
        ("dfx", {"seal": False}, r"nothing usable \(dropped: \d+ x rt/lowstate with a wrong checksum\)"),
    ],
)
def test_what_keeps_it_from_the_robot_is_said(dds_domain, hand, how, why):
    peer = Peer(dds_domain, hand)
    with speaking(peer, **how), pytest.raises(RobotError, match=why):
        H12Body(RobotModel.load(), H12Settings(domain=dds_domain, connect_timeout=1.0))
    peer.link.close()


@pytest.mark.parametrize("mode_machine", [4, 0])
def test_another_kind_of_robot_is_never_driven(dds_domain, mode_machine):
    """A G1 has other joints in the same slots; echoing its own number back would make it obey."""
    peer = Peer(dds_domain)
    peer.message["mode_machine"] = mode_machine
    with speaking(peer), pytest.raises(RobotError, match=rf"says mode_machine {mode_machine}, expected 6"):
        H12Body(RobotModel.load(), H12Settings(domain=dds_domain, connect_timeout=0.5))
    assert peer.commands() == []
    peer.link.close()


def test_a_simulator_that_says_nothing_of_its_kind_is_driven_where_that_was_asked_for(rig):
    one = rig(says=(0, 0), mode_machine=0)
    assert one.heard_after(MotorCommand(ramp(one.model)))["mode_machine"] == 0


def test_a_reset_does_not_take_another_kind_of_robot_for_ours(rig):
    one = rig()
    one.peer.message["mode_machine"] = 4
    command = MotorCommand(one.body.reset().positions)
    one.until(lambda: one.step(command).missing, command)
    with pytest.raises(RobotError, match="says mode_machine 4, expected 6"):
        one.body.reset()


def test_a_body_that_does_not_connect_leaves_the_network(cyclonedds, dds_domain, monkeypatch):
    left = []
    monkeypatch.setattr(h1_2.Link, "close", lambda self: left.append(self.domain))
    monkeypatch.setattr(h1_2.Link, "writer", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        H12Body(RobotModel.load(), H12Settings(domain=dds_domain))
    assert left == [dds_domain]


@pytest.mark.parametrize("openness", [1000.0, -3.0])
@pytest.mark.parametrize("hand", ["dfx", "ftp"])
def test_fingers_that_report_what_no_finger_can_are_dropped_and_counted(rig, hand, openness):
    one = rig(hand=hand)
    before = one.body.reset().positions
    one.peer.openness = one.peer.openness.copy()
    one.peer.openness[3] = openness if hand == "dfx" else np.sign(openness) * 30.0
    one.until(lambda: any("expected 0 to 1" in key for key in one.body.health().values))
    np.testing.assert_array_equal(one.body.reset().positions, before)


def test_who_sends_rubbish_of_ever_new_kinds_does_not_fill_the_memory(rig):
    one = rig()
    states, bad = one.peer.hands[0], 0
    while sum(one.body._robot.dropped.values()) < 60:
        bad += 1
        states.write(wire.encode_sequence(np.zeros(13 + bad, wire.HAND_MOTOR_STATE)))
        one.peer.speak(hands=False)
        time.sleep(0.001)
        one.body.step(one.idle())
    assert len(one.body._robot.dropped) <= 21
    assert one.body._robot.dropped["other reasons"] > 10


def test_positions_that_are_not_finite_are_dropped_and_counted(rig):
    one = rig()
    before = one.body.reset().positions
    one.peer.message["motor_state"]["q"][15] = np.nan
    one.until(lambda: any("not finite" in key for key in one.body.health().values))
    np.testing.assert_array_equal(one.body.reset().positions, before)


def test_a_silent_robot_is_missing_and_back_when_it_speaks(rig):
    one = rig(state_timeout=0.05)
    command = MotorCommand(one.body.reset().positions)
    one.until(lambda: not one.step(command).missing, command)
    deadline = time.monotonic() + TIMEOUT
    while not (state := one.body.step(command)).missing:
        assert time.monotonic() < deadline
        time.sleep(TICK)
    assert "rt/lowstate has been silent for 0.0" in state.missing
    assert not one.body.health().well
    one.until(lambda: not one.step(command).missing, command)


def test_silent_hands_are_missing_too(rig):
    one = rig(hand_state_timeout=0.05, state_timeout=5.0)
    command = MotorCommand(one.body.reset().positions)
    deadline = time.monotonic() + TIMEOUT
    while "rt/inspire/state has been silent" not in one.body.step(command).missing:
        assert time.monotonic() < deadline
        one.peer.speak(hands=False)
        time.sleep(TICK)


def test_another_mode_machine_is_another_robot_until_it_is_accepted(rig):
    one = rig()
    command = MotorCommand(one.body.reset().positions)
    one.heard_after(command)
    one.peer.message["mode_machine"] = 4
    one.until(lambda: one.step(command).missing, command)
    assert "mode_machine changed from 6 to 4" in one.step(command).missing
    assert one.heard_after(command)["mode_machine"] == 6  # which the other robot ignores
    one.peer.message["mode_machine"] = 6
    for _ in range(20):
        assert one.step(command).missing  # latched
    one.body.reset()
    assert not one.step(command).missing


def test_motors_that_report_errors_or_heat_are_named(rig):
    one = rig()
    one.peer.message["motor_state"]["temperature"][16] = (50, 95)
    one.until(lambda: "left_elbow_joint is at 95 °C" in one.body.health().message)
    one.peer.message["motor_state"]["motorstate"][20] = 3
    one.until(lambda: "right_shoulder_pitch_joint (3)" in one.body.health().message)


def test_a_command_that_dds_refuses_is_counted_and_the_next_is_sent(rig, monkeypatch):
    one = rig()
    command = MotorCommand(one.body.reset().positions)
    one.heard_after(command)
    write, refusals = one.body._writer.write, iter([True, True])

    def refuse_twice(payload):
        if next(refusals, False):
            raise RobotError("DDS cannot write a message: error -3")
        write(payload)

    monkeypatch.setattr(one.body._writer, "write", refuse_twice)
    one.heard_after(command)
    assert one.body.health().values["commands not sent"] == 2


def test_the_stream_is_measured(rig):
    one = rig()
    command = MotorCommand(one.body.reset().positions)
    for _ in range(50):
        one.step(command)
    values = one.body.health().values
    assert values["commands"] == 50
    assert 0 < values["period p50 [ms]"] <= values["period p99 [ms]"] <= values["period max [ms]"]


def test_a_pause_between_two_drives_is_no_jitter(rig):
    one = rig()
    command = MotorCommand(one.body.reset().positions)
    for _ in range(20):
        one.step(command)
    one.until(lambda: not one.body._claimed)
    time.sleep(1.0)
    for _ in range(20):
        one.step(command)
    assert one.body.health().values["period max [ms]"] < 900


def test_a_clock_that_jumps_changes_no_age(rig, monkeypatch):
    one = rig()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert not one.step(MotorCommand(one.body.reset().positions)).missing


def test_the_gate_in_front_holds_then_damps_then_releases_when_the_robot_falls_silent(rig):
    one = rig(state_timeout=0.02)
    gate = SafetyGate(
        JointLimits.from_model(one.model), SafetyGateSettings(engage_time=0.02, hold_time=0.2, damping_time=0.05)
    )
    state, now, seen = one.body.reset(), 0, []
    goal = np.clip(state.positions, one.model.lower, one.model.upper)

    def tick(speak):
        nonlocal state, now
        now += round(TICK * 1e9)
        output = gate.step(now, Command(now, goal), None if state.missing else state.positions)
        command = MotorCommand(output.positions, output.stiffness, output.state is GateState.DISENGAGED)
        state = one.step(command) if speak else one.body.step(command)
        if output.state not in seen[-1:]:
            seen.append(output.state)
        time.sleep(TICK)

    one.until(lambda: not one.step(one.idle()).missing)
    gate.engage()
    deadline = time.monotonic() + TIMEOUT
    while GateState.ACTIVE not in seen:
        assert time.monotonic() < deadline
        tick(speak=True)
        if seen[-1] is GateState.DISENGAGED:
            gate.engage()
    while seen[-1] is not GateState.DISENGAGED:
        assert time.monotonic() < deadline
        tick(speak=False)
    after = seen[len(seen) - seen[::-1].index(GateState.ACTIVE) :]
    assert after == [GateState.HOLDING, GateState.DAMPING, GateState.DISENGAGED]


@pytest.mark.parametrize(
    "settings",
    [
        {"control": "walk"},
        {"weight_time": 0.0},
        {"domain": 400},
        {"state_timeout": float("nan")},
        {"mode_machine": 300},
    ],
)
def test_settings_are_checked(settings):
    with pytest.raises(ValueError, match=r"control|times|domains|one byte"):
        H12Settings(**settings)
