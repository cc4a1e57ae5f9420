import numpy as np
import pytest

from firsthand.headset import hand_frames
from firsthand.headset.fake_tracking_streamer import device_update
from firsthand.headset.hand_frames import back_bends, hand_state, hands, world_from_robot, wrist_rotations
from firsthand.headset.hand_model import FIST, GRASP, OPEN, POINT, RELAXED, joints, left_hand, pinch
from firsthand.headset.hand_motion import GeneratedMotion
from firsthand.headset.hands_sample import TIPS, HandsSample
from firsthand.space.frames import pose
from firsthand.space.rotations import angle_between, matrix_from_rotation_vector, matrix_from_rpy
from firsthand_training.hand_bones import BASES

POSES = [OPEN, RELAXED, FIST, POINT, GRASP, pinch((0,)), pinch((3,))]
RANDOM = np.random.default_rng(0)


def sample_of(person, stamp_ns=0, tracked=(True, True)):
    """What a reader makes of the device's message, without the wire."""
    update = device_update(person)
    wrists = hand_frames.joints_from_headset(update.wrists)
    return HandsSample(stamp_ns, hand_frames.head_from_headset(update.head), wrists[:, None] @ update.joints, tracked)


def test_a_hand_flat_palm_down_and_forward_has_the_worlds_axes():
    flat = np.stack([left_hand(joints(OPEN)), joints(OPEN)])
    np.testing.assert_allclose(wrist_rotations(flat[:, :, :3, 3]), [np.eye(3)] * 2, atol=1e-9)


def test_the_palm_is_that_of_labelled_people():
    np.testing.assert_array_equal(hand_frames.PALM, BASES[1:])


@pytest.mark.parametrize("side", [0, 1])
def test_the_wrist_frame_does_not_depend_on_how_a_device_turns_its_axes(side):
    right = joints(GRASP)
    truth = pose(matrix_from_rotation_vector(RANDOM.normal(size=3)), RANDOM.normal(size=3))
    in_world = truth @ (right if side else left_hand(right))
    for turned in (in_world, in_world @ pose(matrix_from_rotation_vector(RANDOM.normal(size=3)), np.zeros(3))):
        wrists = np.stack([turned, turned])
        sample = HandsSample(0, np.eye(4), wrists, (True, True))
        world_from_wrist, tips = (both[side] for both in hands(sample))
        np.testing.assert_allclose(world_from_wrist, truth, atol=1e-9)
        np.testing.assert_allclose(tips, (right if side else left_hand(right))[list(TIPS), :3, 3], atol=1e-9)


def test_what_the_wearer_does_comes_through_the_devices_axes_unchanged():
    person = GeneratedMotion("reach").at(1.3)
    sample = sample_of(person)
    np.testing.assert_allclose(sample.world_from_head, person.head, atol=1e-9)
    for side in (0, 1):
        world_from_wrist, tips = (both[side] for both in hands(sample))
        np.testing.assert_allclose(world_from_wrist, person.wrists[side], atol=1e-9)
        np.testing.assert_allclose(tips, person.joints[side][list(TIPS), :3, 3], atol=1e-9)


def test_the_left_hand_is_on_the_left_and_its_thumb_points_to_the_right():
    state = hand_state(sample_of(GeneratedMotion("still").at(0.0)))
    left, right = state.wrist_positions
    assert left[1] > 0.15
    assert right[1] < -0.15
    assert state.fingertips_in_wrist[0, 0, 1] < -0.02  # the left thumb's tip lies towards the right
    assert state.fingertips_in_wrist[1, 0, 1] > 0.02
    assert np.all(state.fingertips_in_wrist[:, 1:, 0] > 0.1)  # fingers point forward


def test_the_state_is_seen_from_the_head_wherever_it_turns():
    person = GeneratedMotion("still").at(0.0)
    state = hand_state(sample_of(person))
    turn = pose(matrix_from_rpy(0.0, 0.0, 2.0), np.array([3.0, -1.0, 0.2]))
    moved = type(person)(turn @ person.head, turn @ person.wrists, person.joints)
    np.testing.assert_allclose(hand_state(sample_of(moved)).to_vector(), state.to_vector(), atol=1e-9)


@pytest.mark.parametrize("pitch", [-1.5, -0.9, 0.0, 0.9, 1.5])
@pytest.mark.parametrize("yaw", [-2.0, 0.4])
def test_the_heading_does_not_depend_on_where_the_head_looks_up_or_down(pitch, yaw):
    frame = world_from_robot(pose(matrix_from_rpy(0.0, pitch, yaw), np.array([1.0, 2.0, 3.0])))
    np.testing.assert_allclose(frame, pose(matrix_from_rpy(0.0, 0.0, yaw), np.array([1.0, 2.0, 3.0])), atol=1e-9)


def test_a_hand_that_is_not_tracked_has_no_numbers():
    state = hand_state(sample_of(GeneratedMotion("still").at(0.0), tracked=(False, True)))
    assert np.isnan(state.wrist_positions[0]).all()
    assert np.isnan(state.fingertips_in_wrist[0]).all()
    assert np.isfinite(state.wrist_positions[1]).all()


@pytest.mark.parametrize("bend", POSES)
def test_fingers_bend_to_the_palm_and_those_of_the_other_hand_to_its_back(bend):
    right = joints(bend)[:, :3, 3]
    left = left_hand(joints(bend))[:, :3, 3]
    assert (back_bends(np.stack([left, right])) < 0.005).all()
    if bend is not OPEN:
        assert (back_bends(np.stack([right, left])) > 0.025).all()


def test_rotations_of_a_swapped_hand_are_upside_down():
    right = joints(GRASP)[:, :3, 3]
    assert angle_between(*wrist_rotations(np.stack([right, right]))) > 2.8
