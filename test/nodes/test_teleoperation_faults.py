"""What goes wrong between a headset and the motors, and what the robot then does: docs/hardware.md has the table."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("grpc")
sys.path.insert(0, str(Path(__file__).parent))

from teleop_loop import TICK, TIMES, TeleopLoop

from firsthand.robot.joints import LEFT_ARM_SLICE, LEFT_HAND_SLICE, RIGHT_ARM_SLICE, RIGHT_HAND_SLICE

pytestmark = pytest.mark.ros

FAULT = 1.3  # [s], when it happens: hands are being followed and move
LASTS = 100.0
END = 2.3
AT_REST = 0.35  # [s]
ARMS = (LEFT_ARM_SLICE, RIGHT_ARM_SLICE)
HANDS = (LEFT_HAND_SLICE, RIGHT_HAND_SLICE)


def follows_before(loop):
    """Whether the robot was being led, and moved, right before the fault."""
    state, session, *_ = loop.log[round(FAULT / TICK) - 5]
    return (state, session) == ("active", "following") and loop.moving()[round(FAULT / TICK) - 50 :][:50].all()


@pytest.mark.parametrize("fault", ["freeze", "silence", "nan", "zeros", "garbage"])
def test_a_headset_that_says_nothing_true_any_more_the_robot_stops_holds_and_lets_go(fault):
    loop = TeleopLoop(faults=[(fault, FAULT, LASTS)]).run(FAULT + 1.3)
    assert follows_before(loop)
    assert loop.time_to_hold(FAULT, FAULT + 0.8) < AT_REST
    assert 0.25 < loop.first(FAULT, "holding") < 0.35
    assert loop.first(FAULT, "damping") == pytest.approx(loop.first(FAULT, "holding") + TIMES.hold_time, abs=0.01)
    assert loop.sessions(FAULT) == ["following", "paused", "waiting"]
    assert loop.within_limits()


def test_a_short_silence_is_bridged_and_taken_up_without_a_jump():
    loop = TeleopLoop(faults=[("silence", FAULT, 0.4)]).run(END + 0.2)
    assert follows_before(loop)
    assert loop.sessions(FAULT) == ["following", "paused", "following"]
    assert "damping" not in [entry[0] for entry in loop.log]
    assert loop.moving()[-50:].all()
    assert loop.within_limits()


@pytest.mark.parametrize("fault", ["lose", "absent"])
@pytest.mark.parametrize("side", [0, 1])
def test_the_arm_of_a_hand_out_of_sight_stands_still_and_the_other_goes_on(fault, side):
    loop = TeleopLoop(faults=[(f"{fault}_{('left', 'right')[side]}", FAULT, LASTS)], lost_time=5.0).run(END)
    assert follows_before(loop)
    assert loop.time_to_hold(FAULT, END, ARMS[side]) < 0.6
    assert loop.time_to_hold(FAULT, END, HANDS[side]) < 0.6
    assert loop.time_to_hold(FAULT, END, ARMS[1 - side]) > 0.98
    assert loop.log[-1][0] == "active"


def test_hands_that_change_places_are_believed_no_more():
    loop = TeleopLoop(faults=[("swap", FAULT, LASTS)]).run(END)
    assert follows_before(loop)
    assert loop.time_to_hold(FAULT, END) < 0.6
    assert loop.sessions(FAULT)[-1] == "ready"
    assert loop.within_limits()


def test_a_wrist_that_is_suddenly_elsewhere_does_not_take_the_arm_along():
    loop = TeleopLoop(faults=[("jump_left", FAULT, LASTS)]).run(END)
    assert follows_before(loop)
    positions = loop.positions()[round(FAULT / TICK) - 1 :, LEFT_ARM_SLICE]
    usual = TeleopLoop().run(END).positions()[round(FAULT / TICK) - 1 :, LEFT_ARM_SLICE]
    fastest, usually = (np.abs(np.diff(path, axis=0)).max() / TICK for path in (positions, usual))
    assert fastest < 1.5 * usually


def test_opening_the_clutch_in_motion_stops_the_robot_and_it_holds_stiffly():
    loop = TeleopLoop(released=FAULT).run(END)
    assert follows_before(loop)
    assert loop.time_to_hold(FAULT, END) < AT_REST
    assert loop.sessions(FAULT) == ["following", "ready"]
    assert [entry[0] for entry in loop.log[round(FAULT / TICK) :]] == ["active"] * round((END - FAULT) / TICK)
    assert loop.log[-1][3] == 1.0
    assert loop.within_limits()


def test_hands_thrown_up_stop_the_robot_for_good():
    loop = TeleopLoop(gestures=[("stop", FAULT)]).run(END)
    assert loop.first(FAULT, "stopped") < 0.6  # 0.3 s up, 0.25 s held
    assert loop.log[-1][3] == 0.0  # damped
    assert {entry[0] for entry in loop.log[-50:]} == {"stopped"}


def test_a_policy_that_is_late_at_its_turn_finds_the_robot_at_rest():
    loop = TeleopLoop().run(FAULT)
    loop.hand_over("policy")
    loop.run(FAULT + 1.0)
    assert follows_before(loop)
    assert loop.time_to_hold(FAULT, FAULT + 1.0) < AT_REST
    assert 0.5 < loop.first(FAULT, "holding") < 0.65
    loop.policy = True
    loop.run(FAULT + 1.3)
    assert loop.log[-1][0] == "active"
    assert loop.within_limits()


def test_a_policy_that_is_there_takes_over_at_once_and_the_clutch_takes_the_robot_back():
    loop = TeleopLoop()
    loop.policy = True
    loop.run(FAULT)
    loop.hand_over("policy")
    loop.released = FAULT
    loop.run(FAULT + 0.5)
    assert follows_before(loop)
    assert loop.stream.source == "policy"
    assert {entry[0] for entry in loop.log[round(FAULT / TICK) :]} == {"active"}
    loop.released = 100.0
    loop.run(END + 0.2)
    assert loop.stream.source == "teleop"
    assert loop.sessions(FAULT)[-1] == "following"
    assert {entry[0] for entry in loop.log[round(FAULT / TICK) :]} == {"active"}
    assert loop.within_limits()
