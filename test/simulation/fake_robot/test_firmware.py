"""What the fake robot obeys. No DDS: bytes go in, gains come out."""

import json

import numpy as np
import pytest

pytest.importorskip("firsthand.simulation.gl")  # chooses the backend before MuJoCo is imported

from firsthand.robot.unitree import wire
from firsthand.robot.unitree.motors import ARM_SDK_SLOTS, DAMPING, STIFFNESS, WAIST_SLOT, WEIGHT_SLOT
from firsthand.robot.unitree.topics import ARM_SDK, LOW_CMD
from firsthand.simulation.fake_robot.firmware import Firmware, FirmwareSettings
from firsthand.simulation.fake_robot.motion_switcher import BAD_PARAMETER, OK, UNKNOWN_API, decide

POSTURE = np.linspace(-0.2, 0.2, 27)


def firmware(**settings):
    return Firmware(FirmwareSettings(**settings), POSTURE)


def command(q=0.5, mode=1, mode_machine=6, weight=0.0, kp=100.0, kd=2.0, tau=1.0, dq=0.25, seal=True):
    message = wire.blank(wire.LOW_CMD)
    message["mode_machine"] = mode_machine
    motors = message["motor_cmd"][:27]
    for name, value in {"mode": mode, "q": q, "dq": dq, "tau": tau, "kp": kp, "kd": kd}.items():
        motors[name] = value
    message["motor_cmd"]["q"][WEIGHT_SLOT] = weight
    return wire.encode(wire.seal(message) if seal else message)


def torque(gains, q=0.0, dq=0.0):
    return gains.offset - gains.stiffness * q - gains.damping * dq


def test_debug_mode_obeys_the_motors_law():
    robot = firmware(mode="debug")
    robot.hear(LOW_CMD, command(), 0.0)
    expected = 1.0 + 100.0 * (0.5 - 0.1) + 2.0 * (0.25 - 0.3)
    np.testing.assert_allclose(torque(robot.gains(0.01), q=0.1, dq=0.3), expected, rtol=1e-6)
    assert robot.accepted == 1


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (command(seal=False), "wrong checksum"),
        (command(mode_machine=4), "mode_machine is 6, not 4"),
        (command(mode_machine=0), "mode_machine is 6, not 0"),
        (command(q=np.nan), "not finite"),
        (command(kp=np.inf), "not finite"),
        (command()[:-8], "bytes where"),
        (b"hello", "encoding"),
    ],
)
def test_debug_mode_drops_what_the_robot_drops(payload, why):
    robot = firmware(mode="debug")
    robot.hear(LOW_CMD, payload, 0.0)
    assert robot.accepted == 0
    assert any(why in reason for reason in robot.rejected), robot.rejected
    np.testing.assert_array_equal(torque(robot.gains(0.0), q=1.0, dq=1.0), 0.0)


def test_a_motor_of_mode_0_is_limp():
    robot = firmware(mode="debug")
    modes = np.ones(27)
    modes[13] = 0
    robot.hear(LOW_CMD, command(mode=modes), 0.0)
    result = torque(robot.gains(0.0), q=1.0, dq=1.0)
    assert result[13] == 0.0
    assert (result[np.arange(27) != 13] != 0.0).all()


def test_debug_mode_is_limp_before_the_first_command_and_damped_when_they_stop():
    robot = firmware(mode="debug", silence=0.5)
    np.testing.assert_array_equal(torque(robot.gains(0.0), q=1.0, dq=1.0), 0.0)
    robot.hear(LOW_CMD, command(), 1.0)
    assert (robot.gains(1.4).stiffness == 100.0).all()
    gains = robot.gains(1.6)
    np.testing.assert_array_equal(gains.stiffness, 0.0)
    np.testing.assert_array_equal(gains.damping, DAMPING)


def test_sport_mode_holds_its_posture_and_carries_its_weight():
    gains = firmware().gains(0.0)
    np.testing.assert_allclose(torque(gains, q=POSTURE), 0.0, atol=1e-12)
    np.testing.assert_array_equal(gains.stiffness, STIFFNESS)
    np.testing.assert_array_equal(gains.carried, 1.0)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_the_weight_shares_waist_and_arms_between_the_two(weight):
    robot = firmware()
    own = torque(robot.gains(0.0), q=0.1, dq=0.2)
    robot.hear(ARM_SDK, command(weight=weight), 0.0)
    gains = robot.gains(0.0)
    theirs = 1.0 + 100.0 * (0.5 - 0.1) + 2.0 * (0.25 - 0.2)
    shared = (1 - weight) * own + weight * theirs
    result = torque(gains, q=0.1, dq=0.2)
    np.testing.assert_allclose(result[ARM_SDK_SLOTS], shared[ARM_SDK_SLOTS], rtol=1e-6)
    np.testing.assert_allclose(result[:WAIST_SLOT], own[:WAIST_SLOT])
    np.testing.assert_allclose(gains.carried[ARM_SDK_SLOTS], 1 - weight)


def test_the_weight_stays_between_0_and_1():
    robot = firmware()
    for sent, felt in [(7.0, 1.0), (-3.0, 0.0)]:
        robot.hear(ARM_SDK, command(weight=sent), 0.0)
        assert robot.weight == felt


def test_when_arm_sdk_falls_silent_the_robot_takes_its_arms_back():
    robot = firmware(silence=0.5, fade=1.0)
    robot.hear(ARM_SDK, command(weight=1.0), 0.0)
    weights = []
    for tick in range(0, 2000, 2):
        robot.gains(tick / 1000)
        weights.append(robot.weight)
    assert weights[240] == 1.0
    assert weights[500] == pytest.approx(0.5, abs=0.01)
    assert weights[-1] == 0.0


def test_the_makers_own_clients_are_obeyed_on_arm_sdk():
    """They send neither mode_machine nor modes, and one of them no checksum."""
    bare = command(mode=0, mode_machine=0, weight=1.0, seal=False)
    robot = firmware()
    robot.hear(ARM_SDK, bare, 0.0)
    assert robot.accepted == 1
    assert (robot.gains(0.0).stiffness[ARM_SDK_SLOTS] == 100.0).all()
    strict = firmware(strict=True)
    strict.hear(ARM_SDK, bare, 0.0)
    assert strict.accepted == 0


def test_a_checksum_that_is_there_must_be_right():
    robot = firmware()
    payload = bytearray(command(weight=1.0))
    payload[200] ^= 1
    robot.hear(ARM_SDK, bytes(payload), 0.0)
    assert robot.accepted == 0


def test_each_mode_has_its_topic():
    for mode, topic in [("sport", LOW_CMD), ("debug", ARM_SDK)]:
        robot = firmware(mode=mode)
        robot.hear(topic, command(), 0.0)
        assert robot.accepted == 0
        assert f"{topic.name}: not in {mode} mode" in robot.rejected


def test_the_motion_switcher_leads_to_debug_mode_and_back():
    robot = firmware()
    assert json.loads(decide(robot, 1001, "{}").data)["name"] == "ai"
    assert decide(robot, 1003, "{}").code == OK
    assert robot.mode == "debug"
    assert json.loads(decide(robot, 1001, "{}").data)["name"] == ""
    assert decide(robot, 1002, '{"name": "ai"}').code == OK
    assert robot.mode == "sport"


def test_the_motion_switcher_refuses_what_it_does_not_know():
    robot = firmware()
    for parameter in ["", "[]", "{}", '{"name": "dance"}', "not json"]:
        assert decide(robot, 1002, parameter).code == BAD_PARAMETER
    assert decide(robot, 4711, "{}").code == UNKNOWN_API
    assert robot.mode == "sport"


@pytest.mark.parametrize("settings", [{"mode": "dance"}, {"mode_machine": 256}])
def test_settings_are_checked(settings):
    with pytest.raises(ValueError, match="mode"):
        FirmwareSettings(**settings)
