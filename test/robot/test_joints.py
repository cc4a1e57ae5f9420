import pytest

from firsthand.errors import ModelError
from firsthand.robot import joints
from firsthand.robot.joints import JOINTS, MIMIC, Mimic, hand_names, joint_names, mimic_joints


def test_twenty_six_joints_in_the_documented_order():
    assert len(JOINTS) == len(set(JOINTS)) == joints.COUNT == 26
    assert JOINTS[joints.LEFT_ARM_SLICE] == joints.LEFT_ARM
    assert JOINTS[joints.RIGHT_ARM_SLICE] == joints.RIGHT_ARM
    assert JOINTS[joints.ARMS_SLICE] == joints.ARMS
    assert JOINTS[joints.LEFT_HAND_SLICE] == joints.LEFT_HAND
    assert JOINTS[joints.RIGHT_HAND_SLICE] == joints.RIGHT_HAND
    assert JOINTS[joints.HANDS_SLICE] == joints.HANDS
    assert JOINTS[14:16] == ("L_thumb_proximal_yaw_joint", "L_thumb_proximal_pitch_joint")
    assert JOINTS[25] == "R_pinky_proximal_joint"


@pytest.mark.parametrize("hand", ["dfx", "ftp"])
def test_every_name_is_one_of_the_official_ones(official, hand):
    for name in joint_names(hand):
        assert official.joints[name]["type"] == "revolute"
        assert not official.joints[name]["mimic_joint"]


@pytest.mark.parametrize("hand", ["dfx", "ftp"])
def test_followers_are_the_official_ones_resolved_to_their_motors(official, hand):
    mimics = mimic_joints(hand)
    motors = {motor for side in hand_names(hand).joints for motor in side}
    assert len(mimics) == 12
    for follower, mimic in mimics.items():
        assert mimic.leader in motors
        assert mimic.multiplier == pytest.approx(official.angle_of(follower, {mimic.leader: 1.0}))


def test_the_nested_thumb():
    assert mimic_joints("ftp")["left_thumb_4_joint"] == Mimic("left_thumb_2_joint", 0.8024 * 0.9487)
    assert MIMIC["R_thumb_distal_joint"] == Mimic("R_thumb_proximal_pitch_joint", 2.4)


def test_an_unknown_hand_is_refused():
    with pytest.raises(ModelError, match="no hand 'shadow'; choose dfx or ftp"):
        joint_names("shadow")
