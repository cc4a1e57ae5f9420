import numpy as np
import pytest

pytest.importorskip("rclpy")
from rclpy.serialization import deserialize_message, serialize_message
from trajectory_msgs.msg import MultiDOFJointTrajectory

from firsthand.errors import ShapeError
from firsthand.headset.hand_frames import hand_state
from firsthand.headset.hand_motion import GeneratedMotion
from firsthand.headset.hands_sample import HandsSample
from firsthand.nodes.hands_messages import read_hands, write_hands
from firsthand.nodes.messages import write_hand_state

pytestmark = pytest.mark.ros


def sample(tracked=(True, True)):
    person = GeneratedMotion("reach").at(1.0)
    joints = person.wrists[:, None] @ person.joints
    joints[~np.array(tracked)] = np.nan
    return HandsSample(1_234_567_890_123, person.head, joints, tracked)


@pytest.mark.parametrize("tracked", [(True, True), (True, False), (False, True), (False, False)])
def test_what_is_written_is_read(tracked):
    before = sample(tracked)
    after = read_hands(write_hands(before))
    assert (after.stamp_ns, after.tracked) == (before.stamp_ns, tracked)
    np.testing.assert_allclose(after.world_from_head, before.world_from_head, atol=1e-12)
    np.testing.assert_allclose(after.world_from_joints, before.world_from_joints, atol=1e-12)
    np.testing.assert_allclose(hand_state(after).to_vector(), hand_state(before).to_vector(), atol=1e-9)


def test_any_ros_node_can_read_and_write_them():
    message = deserialize_message(write_hands(sample()), MultiDOFJointTrajectory)
    names = list(message.joint_names)
    assert names[0] == "head"
    assert names[1] == "left_wrist"
    assert names[26 + 9] == "right_index_tip"
    place = message.points[0].transforms[names.index("right_wrist")].translation
    assert place.y < -0.1  # on the right
    again = read_hands(serialize_message(message))
    np.testing.assert_allclose(again.world_from_joints, sample().world_from_joints, atol=1e-12)


def spoilt(change):
    message = deserialize_message(write_hands(sample()), MultiDOFJointTrajectory)
    change(message)
    return message


def nan(message):
    message.points[0].transforms[3].translation.x = float("nan")


def no_rotation(message):
    message.points[0].transforms[3].rotation.w = 5.0


def half_a_hand(message):
    message.joint_names = message.joint_names[:20]
    message.points[0].transforms = message.points[0].transforms[:20]


def swapped_names(message):
    message.joint_names = [message.joint_names[0], *message.joint_names[26:], *message.joint_names[1:26]]


def two_points(message):
    message.points = [message.points[0], message.points[0]]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (nan, "finite"),
        (no_rotation, "unit"),
        (half_a_hand, "20 bodies"),
        (swapped_names, "51 bodies"),
        (two_points, "got 2"),
    ],
)
def test_hostile_messages_are_refused(change, why):
    with pytest.raises(ShapeError, match=why):
        read_hands(spoilt(change))


def test_other_messages_are_refused():
    with pytest.raises(ShapeError, match="headset_world"):
        read_hands(write_hand_state(hand_state(sample()).to_vector(), 0))
    with pytest.raises(ShapeError, match="none"):
        read_hands(b"\0\1\0\0no")
