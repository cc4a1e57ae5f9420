import numpy as np
import pytest

from firsthand.errors import HeadsetError
from firsthand.headset.hand_model import FIST, OPEN, pinch
from firsthand.headset.hand_motion import EYES, WRISTS
from firsthand.robot.model import RobotModel
from firsthand.space.frames import pose
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import angle_between, matrix_from_rpy
from firsthand.teleoperation.session import Request, TeleopState
from firsthand.teleoperation.settings import TeleoperationSettings
from firsthand.teleoperation.smoothing import SmoothingSettings

MODEL = RobotModel.load()
HOME = MODEL.hand_state(MODEL.neutral)
SLOW = 0.55  # [m/s]
FAR = [0.5, 0.0, 0.0]


def state(rig):
    return rig.output.state.value


def test_nothing_is_asked_for_before_the_clutch_is_taken(rig):
    one = rig()
    one.shift(1, [0.1, 0.0, 0.0])
    assert state(one) == "ready"
    assert all(output.target is None for output in one.outputs)
    assert "touch thumb and little finger" in one.output.message


def test_the_clutch_takes_a_gesture_held_and_let_go(rig):
    one = rig()
    before = one.fingers
    one.fingers = [pinch((3,), others=0.2)] * 2
    one.run(0.4)
    one.fingers = before
    one.run(0.2)
    assert state(one) == "ready"  # too short
    one.fingers = [pinch((3,), others=0.2), before[1]]
    one.run(1.0)
    assert state(one) == "ready"  # one hand
    one.fingers = [FIST, FIST]
    one.run(1.0)
    one.fingers = before
    one.run(0.2)
    assert state(one) == "ready"  # a fist is none
    one.clutch()
    assert state(one) == "following"


def test_the_robot_starts_where_it_is_and_comes_to_where_the_hands_are_seen(rig):
    one = rig()
    one.clutch()
    first = next(output.target for output in one.outputs if output.target is not None)
    np.testing.assert_allclose(first, HOME.to_vector(), atol=1e-6)
    one.run(4.0)
    np.testing.assert_allclose(one.target.wrist_positions, WRISTS, atol=1e-3)
    np.testing.assert_allclose(one.target.wrist_rotations, np.tile(np.eye(3), (2, 1, 1)), atol=1e-3)
    assert one.fastest() < SLOW


def test_with_a_relative_clutch_the_robot_goes_as_far_as_the_hand(rig):
    one = rig(absolute=False).follow()
    np.testing.assert_allclose(one.target.wrist_positions, HOME.wrist_positions, atol=1e-6)
    one.shift(0, [0.05, -0.02, 0.08])
    expected = HOME.wrist_positions + np.array([[0.05, -0.02, 0.08], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(one.target.wrist_positions, expected, atol=1e-6)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_hand_moves_its_own_arm_the_way_it_goes(rig, side, axis):
    one = rig().follow()
    before = one.target
    one.shift(side, 0.05 * np.eye(3)[axis])
    moved = one.target.wrist_positions - before.wrist_positions
    np.testing.assert_allclose(moved[side], 0.05 * np.eye(3)[axis], atol=2e-3)
    np.testing.assert_allclose(moved[1 - side], 0.0, atol=1e-6)


@pytest.mark.parametrize("side", [0, 1])
def test_smoothed_hands_move_their_own_arm_to_the_same_place(rig, side):
    one = rig(smoothing=SmoothingSettings()).follow()
    before = one.target
    one.shift(side, [0.05, 0.0, 0.03])
    one.run(0.5)
    moved = one.target.wrist_positions - before.wrist_positions
    np.testing.assert_allclose(moved[side], [0.05, 0.0, 0.03], atol=2e-3)
    np.testing.assert_allclose(moved[1 - side], 0.0, atol=1e-6)


@pytest.mark.parametrize("side", [0, 1])
def test_each_hand_closes_its_own_fingers(rig, side):
    one = rig().follow()
    before = one.target.fingertips_in_wrist
    one.fingers = [FIST if k == side else finger for k, finger in enumerate(one.fingers)]
    one.run(0.5)
    moved = np.linalg.norm(one.target.fingertips_in_wrist - before, axis=-1)
    assert np.all(moved[side, 1:] > 0.03)
    assert np.all(moved[1 - side] < 0.002)


def test_a_pinch_arrives_as_a_pinch_of_the_robots_own_fingertips(rig):
    one = rig().follow()
    one.fingers = [pinch((0,)), pinch((0,))]
    one.run(0.5)
    tips = one.target.fingertips_in_wrist
    assert np.all(np.linalg.norm(tips[:, 0] - tips[:, 1], axis=1) < 0.012)


def test_who_turns_the_head_or_looks_down_does_not_move_the_robot(rig, turned):
    one = rig().follow()
    before = one.output.target

    def turn(share):
        one.head = pose(turned(share * 0.8) @ matrix_from_rpy(0.0, share * 0.7, 0.0), EYES + share * np.full(3, 0.1))

    one.run(0.3, turn)
    np.testing.assert_allclose(one.output.target, before, atol=1e-6)


def test_the_clutch_ties_the_hands_anew_in_the_frame_of_the_eyes_then(rig, turned):
    one = rig().follow()
    one.clutch()
    assert state(one) == "ready"
    about = turned(1.2)
    one.wrists = EYES + WRISTS @ about.T
    one.turns = np.stack([about, about])
    one.head = pose(about, EYES)
    one.run(0.2)
    begun = len(one.outputs)
    one.follow()
    np.testing.assert_allclose(one.target.wrist_positions, WRISTS, atol=2e-3)
    assert one.fastest(begun) < SLOW


def test_letting_go_of_the_clutch_in_motion_stops_at_once_and_holds(rig):
    one = rig().follow()
    begun = len(one.outputs)
    start, before = one.wrists.copy(), one.fingers
    one.fingers = [pinch((3,), others=0.2)] * 2
    step = 0.005  # [m] in a sample
    opened = None
    for k in range(80):
        one.wrists = start + np.array([step * (k if k < 40 else 80 - k), 0.0, 0.0])
        one.step()
        if opened is None and state(one) == "ready":
            opened = len(one.outputs) - 1
    assert opened is not None
    held = one.outputs[opened].target
    assert all(np.array_equal(output.target, held) for output in one.outputs[opened:])
    assert one.fastest(begun) < 1.3 * step * 40
    one.fingers = before
    one.run(0.1)
    assert state(one) == "ready"  # opening the fingers does not take it again


@pytest.mark.parametrize("side", [0, 1])
def test_a_hand_out_of_sight_stays_and_comes_back_without_a_jump(rig, side):
    one = rig().follow()
    one.shift(1 - side, [0.0, 0.0, 0.02])
    before, begun = one.target, len(one.outputs)
    one.tracked[side] = False
    one.shift(1 - side, [0.03, 0.0, 0.0])
    assert state(one) == "following"
    assert f"{('left', 'right')[side]} hand not seen" in one.output.message
    np.testing.assert_array_equal(one.target.wrist_positions[side], before.wrist_positions[side])
    assert abs(one.target.wrist_positions[1 - side, 0] - before.wrist_positions[1 - side, 0] - 0.03) < 2e-3
    one.wrists[side] += [0.08, 0.08, 0.0]  # where nobody saw it go
    one.tracked[side] = True
    one.run(3.0)
    assert one.fastest(begun) < SLOW
    np.testing.assert_allclose(one.target.wrist_positions[side], (one.wrists - EYES)[side], atol=3e-3)


def test_a_hand_that_stays_lost_ends_the_following_and_the_robot_holds(rig):
    one = rig().follow()
    held = one.output.target
    one.tracked = [True, False]
    one.run(TeleoperationSettings().lost_time + 0.1)
    assert state(one) == "ready"
    np.testing.assert_allclose(one.output.target, held, atol=1e-4)


def test_a_short_silence_pauses_and_is_taken_up_without_a_jump(rig):
    one = rig().follow()
    begun, held = len(one.outputs), one.output.target
    one.silence(0.6)
    assert state(one) == "paused"
    assert one.output.target is None
    one.wrists = one.wrists + np.array([0.1, 0.0, 0.0])  # meanwhile
    one.step()
    assert one.output.target is None
    one.run(0.1)
    assert state(one) == "following"
    np.testing.assert_allclose(one.output.target, held, atol=1e-4)
    one.run(3.0)
    assert one.fastest(begun) < SLOW


def test_a_gap_between_samples_counts_as_silence_even_if_nobody_looked_at_the_clock(rig):
    one = rig().follow()
    held = one.output.target
    one.now_ns += 600_000_000
    one.wrists = one.wrists + np.array([0.2, 0.0, 0.0])
    one.run(0.15)
    np.testing.assert_allclose(one.output.target, held, atol=1e-3)


def test_after_a_long_silence_the_clutch_is_needed_again(rig):
    one = rig().follow()
    one.silence(1.5)
    assert state(one) == "waiting"
    one.run(0.5)
    assert state(one) == "ready"
    assert one.output.target is None


def test_after_a_silence_what_waited_on_the_way_is_not_followed(rig):
    one = rig().follow()
    held = one.target.wrist_positions
    one.silence(0.6)
    start = one.wrists.copy()
    for k in range(30):  # 0.6 s of a hand that moves, all at once
        one.now_ns += 100_000
        one.wrists = start + np.array([0.01 * k, 0.0, 0.0])
        output = one.session.take(one.sample(), one.now_ns)
        if output.target is not None:
            assert np.abs(HandState.from_vector(output.target).wrist_positions - held).max() < 0.01
    one.run(0.15)
    assert state(one) == "following"
    assert np.abs(one.target.wrist_positions - held).max() < 0.01


def test_while_the_clutch_is_open_a_short_silence_lets_nothing_fall(rig):
    one = rig().follow()
    one.clutch()
    held = one.output.target
    one.silence(0.6)
    assert "fell silent" in one.output.message
    one.step()
    assert state(one) == "ready"
    np.testing.assert_array_equal(one.output.target, held)


def test_a_gesture_made_before_the_headset_fell_silent_takes_nothing(rig):
    one = rig()
    before, one.fingers = one.fingers, [pinch((3,), others=0.2)] * 2
    one.run(0.7)
    one.silence(5.0)  # the headset is taken off, and put on again
    one.fingers = before
    one.run(0.5)
    assert state(one) == "ready"


def test_a_gesture_is_not_made_of_two_moments_with_silence_between(rig):
    one = rig()
    before, one.fingers = one.fingers, [pinch((3,), others=0.2)] * 2
    one.run(0.1)
    one.silence(2.0)
    one.run(0.1)
    one.fingers = before
    one.run(0.1)
    assert state(one) == "ready"


@pytest.mark.parametrize("side", [0, 1])
def test_a_gesture_that_opened_the_clutch_does_not_take_it_again_when_a_hand_was_hidden_meanwhile(rig, side):
    one = rig().follow()
    before, one.fingers = one.fingers, [pinch((3,), others=0.2)] * 2
    one.run(0.7)
    assert state(one) == "ready"
    for hidden in (0.05, 0.6):
        one.tracked[side] = False
        one.run(hidden)
        one.tracked[side] = True
        one.run(0.8)
    one.fingers = before
    one.run(0.2)
    assert state(one) == "ready"


def test_a_hand_that_flickers_does_not_keep_the_gesture_from_opening_the_clutch(rig):
    one = rig().follow()
    one.fingers = [pinch((3,), others=0.2)] * 2
    for k in range(28):
        one.tracked[0] = k % 4 != 3
        one.step()
    assert state(one) == "ready"


def test_when_the_headset_moves_its_world_the_clutch_opens(rig, turned):
    one = rig().follow()
    held = one.output.target
    moved = pose(turned(1.0), np.array([0.4, -0.3, 0.1]))
    one.head = moved @ one.head
    one.wrists = one.wrists @ moved[:3, :3].T + moved[:3, 3]
    one.turns = moved[:3, :3] @ one.turns
    one.run(3.0)
    assert state(one) == "ready"
    assert "moved its world" in one.output.message
    np.testing.assert_allclose(one.output.target, held, atol=1e-9)
    one.follow()
    np.testing.assert_allclose(one.target.wrist_positions, WRISTS, atol=2e-3)


def test_a_world_that_moved_during_a_silence_is_taken_as_it_is(rig, turned):
    one = rig().follow()
    begun = len(one.outputs)
    one.silence(0.6)
    moved = pose(turned(1.0), np.array([0.4, -0.3, 0.1]))
    one.head = moved @ one.head
    one.wrists = one.wrists @ moved[:3, :3].T + moved[:3, 3]
    one.turns = moved[:3, :3] @ one.turns
    one.run(3.0)
    assert state(one) == "following"
    assert one.fastest(begun) < SLOW
    np.testing.assert_allclose(one.target.wrist_positions, WRISTS, atol=2e-3)


def test_a_clock_that_goes_back_moves_nothing(rig):
    one = rig().follow()
    begun, held = len(one.outputs), one.output.target
    one.now_ns -= 100_000_000_000
    one.run(3.0)
    assert state(one) == "following"
    assert one.fastest(begun) < 0.01
    np.testing.assert_allclose(one.output.target, held, atol=1e-3)


@pytest.mark.parametrize("side", [0, 1])
def test_fingers_of_a_hand_that_comes_back_do_not_jump(rig, side):
    one = rig().follow()
    one.tracked[side] = False
    one.run(0.3)
    before = one.target.fingertips_in_wrist[side]
    one.tracked[side], one.fingers[side] = True, FIST
    one.run(0.1)
    assert np.abs(one.target.fingertips_in_wrist[side] - before).max() < 0.005
    one.run(2.0)
    assert np.abs(one.target.fingertips_in_wrist[side] - before).max() > 0.03


def test_hands_thrown_up_ask_for_the_stop_until_the_gate_has_stopped(rig):
    one = rig().follow()
    one.wrists = EYES + np.array([[0.25, 0.25, 0.2], [0.25, -0.25, 0.2]])
    one.run(0.15)
    assert Request.STOP not in one.output.requests
    one.run(0.15)
    assert one.output.requests == {Request.STOP}
    assert one.output.target is None
    one.wrists = EYES + WRISTS
    one.run(0.3)
    assert one.output.requests == {Request.STOP}
    one.session.hear_gate("stopped")
    one.run(0.1)
    assert not one.output.requests
    assert "estop with false" in one.output.message
    one.clutch()
    assert state(one) == "ready"  # stopped is stopped


@pytest.mark.parametrize("side", [0, 1])
def test_a_hand_that_leaves_the_cameras_sight_while_it_is_thrown_up_still_stops(rig, side):
    one = rig().follow()
    one.wrists = EYES + np.array([[0.25, 0.25, 0.2], [0.25, -0.25, 0.2]])
    one.run(0.1)
    one.tracked[side] = False
    one.run(0.2)
    assert one.output.requests == {Request.STOP}


def test_one_hand_up_stops_nothing(rig):
    one = rig().follow()
    one.shift(0, [-0.1, 0.05, 0.56])
    one.tracked[0] = False
    one.run(0.5)
    assert Request.STOP not in one.output.requests
    assert state(one) == "following"


def test_a_stop_before_the_motors_engage_is_not_followed_by_their_engaging_when_it_is_cleared(rig):
    one = rig(gate="disengaged")
    one.clutch()
    assert state(one) == "engaging"
    one.session.hear_gate("stopped")
    one.run(0.1)
    assert state(one) == "ready"
    one.session.hear_gate("disengaged")
    one.run(1.0)
    assert state(one) == "ready"
    assert not any(output.requests for output in one.outputs[-44:])


def test_motors_that_do_not_engage_are_not_waited_for_all_day(rig):
    one = rig(gate="disengaged")
    one.clutch()
    one.run(5.2)
    assert state(one) == "ready"
    assert "did not engage" in one.output.message
    assert not one.output.requests


def test_a_robot_that_sags_while_it_is_waited_for_begins_where_it_is_then(rig):
    one = rig(gate="disengaged")
    one.clutch()
    one.robot = one.robot.copy()
    one.robot[18:24] -= 0.04
    sagged = one.robot.copy()
    one.step()
    one.session.hear_gate("engaging")
    one.step()
    assert state(one) == "following"
    np.testing.assert_allclose(one.output.target, sagged, atol=1e-6)


def test_a_robot_that_falls_silent_while_it_is_waited_for_is_not_begun_with(rig):
    one = rig(gate="disengaged")
    one.clutch()
    one.session.hear_robot = lambda *_: None
    one.run(0.4)
    one.session.hear_gate("engaging")
    one.step()
    assert state(one) == "ready"


@pytest.mark.parametrize("gate", ["damping", "disengaged", "stopped"])
def test_when_the_gate_lets_go_the_clutch_opens(rig, gate):
    one = rig().follow()
    one.session.hear_gate(gate)
    one.run(0.1)
    assert state(one) == "ready"
    assert one.output.target is None


def test_the_gate_is_engaged_at_the_measured_hands_and_followed_then(rig):
    one = rig(gate="disengaged")
    one.clutch()
    assert state(one) == "engaging"
    assert one.output.requests == {Request.ENGAGE}
    np.testing.assert_allclose(one.output.target, HOME.to_vector(), atol=1e-9)
    one.session.hear_gate("engaging")
    one.step()
    assert state(one) == "following"
    assert not one.output.requests


def test_the_person_takes_the_robot_from_the_policy_where_it_is_then(rig):
    one = rig(source="policy")
    one.clutch()
    assert state(one) == "engaging"
    assert one.output.requests == {Request.TAKE}
    one.robot = one.robot.copy()
    one.robot[18:24] += 0.03  # the policy moves it
    one.step()
    one.session.hear_source("teleop")
    one.step()
    assert state(one) == "following"
    np.testing.assert_allclose(one.output.target, one.robot, atol=1e-6)


def test_the_gate_opens_only_after_the_policy_has_given_up_the_robot(rig):
    one = rig(gate="disengaged", source="policy")
    one.clutch()
    assert one.output.requests == {Request.TAKE}
    one.session.hear_source("teleop")
    one.step()
    assert one.output.requests == {Request.ENGAGE}


def test_when_the_policy_is_given_the_robot_the_person_asks_for_nothing(rig):
    one = rig().follow()
    one.session.hear_source("policy")
    one.run(0.2)
    assert state(one) == "ready"
    assert one.output.target is None
    assert "the policy drives" in one.output.message


def test_without_the_robots_hands_nothing_begins(rig):
    one = rig()
    one.session.hear_robot = lambda *_: None
    one.run(0.4)
    one.clutch()
    assert state(one) == "ready"
    assert "hand_state is silent" in one.output.message


def test_a_pedal_is_a_deadman(rig):
    one = rig(clutch="pedal")
    pressed = one.session.hear_pedal
    for _ in range(60):
        pressed(one.now_ns, True)
        one.step()
    assert state(one) == "following"
    held = one.output.target
    pressed(one.now_ns, False)
    one.shift(0, [0.1, 0.0, 0.0])
    assert state(one) == "ready"
    np.testing.assert_allclose(one.output.target, held, atol=0.005)


@pytest.mark.parametrize("silent", [False, True])
def test_a_pedal_that_is_down_already_begins_nothing(rig, silent):
    one = rig(clutch="pedal")
    if silent:
        one.silence(3.0)
    else:
        one = type(one)(clutch="pedal")
        one.session.state = type(one.session.state).WAITING
        one.session._pedal.forget()
    for _ in range(20):
        one.session.hear_pedal(one.now_ns, True)
        one.step()
    assert state(one) == "ready"
    assert "release the pedal" in one.output.message


def test_a_pedal_that_falls_silent_is_released(rig):
    one = rig(clutch="pedal")
    for _ in range(60):
        one.session.hear_pedal(one.now_ns, True)
        one.step()
    one.run(0.5)
    assert state(one) == "ready"


@pytest.mark.parametrize("side", [0, 1])
def test_beyond_the_reach_the_arm_rests_on_the_border_and_comes_back_at_once(rig, side):
    one = rig().follow()
    begun = len(one.outputs)
    one.shift(side, FAR, seconds=2.0)
    reach = one.session.reach
    distance = np.linalg.norm(one.target.wrist_positions[side] - reach.shoulders[side])
    assert reach.radius - 0.02 < distance < reach.radius
    assert f"{('left', 'right')[side]} arm at the end of its reach" in one.output.message
    assert one.fastest(begun) < 1.05 * 0.5 / 2.0  # never faster than the hand
    at_border = one.target.wrist_positions[side, 0]
    one.shift(side, [-0.45, 0.0, 0.0], seconds=1.0)
    assert one.target.wrist_positions[side, 0] < at_border - 0.05


def test_an_operator_is_measured_and_then_followed_with_their_own_hands(rig):
    one = rig()
    one.fingers = [OPEN, OPEN]
    one.wrists = EYES + np.array([[0.46, 0.18, -0.25], [0.46, -0.18, -0.25]])
    one.run(1.2)
    operator = one.session.measure_operator()
    assert abs(operator.arm_reach - 0.55) < 1e-3
    assert abs(operator.motion_scale - 0.60 / 0.55) < 1e-3
    one.follow()
    open_robot = MODEL.hand_state(MODEL.zero).fingertips_in_wrist
    np.testing.assert_allclose(one.target.fingertips_in_wrist, open_robot, atol=2e-3)
    with pytest.raises(HeadsetError, match="open the clutch first"):
        one.session.measure_operator()


def test_an_operator_is_not_measured_from_a_headset_that_has_gone(rig):
    one = rig()
    one.fingers = [OPEN, OPEN]
    one.wrists = EYES + np.array([[0.46, 0.18, -0.25], [0.46, -0.18, -0.25]])
    one.run(1.2)
    one.silence(5.0)
    with pytest.raises(HeadsetError, match="is the headset sending"):
        one.session.measure_operator()


def test_both_thumbs_up_record_and_end_the_recording(rig):
    one = rig()
    one.session.hear_recorder("ready: nothing recorded yet")
    one.step()
    assert one.output.message.endswith("; not recording, both thumbs up begin it")
    assert one.thumbs(1, 0.9) == []
    assert one.thumbs(1, 1.5) == [Request.RECORD]
    one.session.hear_recorder("recording: bag (push)")
    assert one.thumbs(1, 1.5) == [Request.END_RECORDING]


def test_both_thumbs_down_discard(rig):
    one = rig()
    one.session.hear_recorder("recording: bag (push)")
    one.step()
    assert one.thumbs(-1, 1.4) == []
    assert one.thumbs(-1, 2.0) == [Request.DISCARD]
    one.session.hear_recorder("ready: discarded bag; it is in x")
    one.step()
    assert "; discarded, not recording" in one.output.message


def test_while_thumbs_are_up_it_is_said_what_comes_of_it(rig):
    one = rig()
    one.session.hear_recorder("recording: bag (push)")
    one.step()
    one.thumbs(1, 0.5)
    assert any("hold the thumbs up to end the recording" in output.message for output in one.outputs)
    one.thumbs(-1, 0.5)
    assert any("hold the thumbs down to discard" in output.message for output in one.outputs)


def test_thumbs_say_nothing_while_the_robot_follows_or_nobody_records(rig):
    one = rig()
    assert one.thumbs(1, 1.5) == []
    one.session.hear_recorder("ready: nothing recorded yet")
    one.follow()
    assert one.thumbs(1, 1.5) == []
    assert one.output.message.endswith("; not recording")


@pytest.mark.parametrize("side", [0, 1])
def test_one_thumb_says_nothing(rig, side):
    one = rig()
    one.session.hear_recorder("ready: nothing recorded yet")
    assert one.thumbs(1, 1.5, only=side) == []


def test_a_recording_that_failed_is_told_in_the_headset(rig):
    one = rig().follow()
    one.session.hear_recorder("failed: only 12 MB were left on the disk: finished bag: 3 messages")
    one.step()
    assert one.output.message.endswith("; RECORDING FAILED: only 12 MB were left on the disk")


def test_numbers_that_are_asked_for_are_always_finite_and_rotations(rig):
    one = rig().follow()
    rng = np.random.default_rng(0)
    for _ in range(150):
        one.tracked = list(rng.uniform(size=2) > 0.2)
        one.wrists = EYES + WRISTS + 0.05 * rng.normal(size=(2, 3))
        one.turns = np.stack([matrix_from_rpy(*rng.uniform(-3, 3, 3)) for _ in range(2)])
        one.step()
        if one.output.target is not None:
            assert np.isfinite(one.output.target).all()
            rotations = HandState.from_vector(one.output.target).wrist_rotations
            assert np.all(angle_between(rotations, rotations) < 1e-6)


@pytest.mark.parametrize(
    "wrong", [{"clutch": "voice"}, {"lost_time": 0.0}, {"motion_scale": -1.0}, {"motion_scale": 2.0, "absolute": True}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        TeleoperationSettings(**wrong)


def test_states_are_those_of_the_table():
    assert [one.value for one in TeleopState] == ["waiting", "ready", "engaging", "following", "paused"]
