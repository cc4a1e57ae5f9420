from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from firsthand.bags.contents import hand_trajectory, joint_positions, picture
from firsthand.errors import BagError
from firsthand.space.hand_state import FRAMES, HandState
from firsthand.space.rotations import matrix_from_rotation_vector


def stamped(**fields):
    header = SimpleNamespace(stamp=SimpleNamespace(sec=3, nanosec=7), frame_id="eyes_gravity")
    return SimpleNamespace(header=header, **fields)


def transform(position=(0.0, 0.0, 0.0), xyzw=(0.0, 0.0, 0.0, 1.0)):
    translation = SimpleNamespace(**dict(zip("xyz", position, strict=True)))
    return SimpleNamespace(translation=translation, rotation=SimpleNamespace(**dict(zip("xyzw", xyzw, strict=True))))


def hand_message(**changes):
    bodies = {name: transform() for name in FRAMES} | changes
    point = SimpleNamespace(transforms=list(bodies.values()), time_from_start=SimpleNamespace(sec=1, nanosec=5))
    return stamped(joint_names=list(bodies), points=[point])


def test_a_hand_state_by_hand():
    quarter_turn_left = (0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5))  # about z, as messages order it
    message = hand_message(
        left_wrist=transform((0.3, 0.2, -0.1), quarter_turn_left), right_little_tip=transform((0.1, 0.2, 0.3))
    )
    trajectory = hand_trajectory(message)
    state = HandState.from_vector(trajectory.vectors[0])
    assert trajectory.stamp_ns == 3_000_000_007
    assert trajectory.times_ns.tolist() == [1_000_000_005]
    turn = matrix_from_rotation_vector(np.array([0.0, 0.0, np.pi / 2]))
    np.testing.assert_allclose(state.wrist_rotations[0], turn, atol=1e-12)
    np.testing.assert_allclose(state.wrist_positions, [[0.3, 0.2, -0.1], [0, 0, 0]])
    np.testing.assert_allclose(state.fingertips_in_wrist[1, 4], [0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (hand_message(left_wrist=transform(xyzw=(0, 0, 0, 2.0))), "unit quaternions"),
        (hand_message(left_wrist=transform((np.nan, 0, 0))), "finite transforms"),
        (stamped(joint_names=list(FRAMES), points=[]), "at least one point"),
        (stamped(joint_names=list(FRAMES)[1:], points=[]), "expected 'head' in the message, got left_wrist"),
    ],
)
def test_what_is_no_hand_state_is_said(message, expected):
    with pytest.raises(BagError, match=expected):
        hand_trajectory(message)


def test_joints_are_sorted_by_name():
    message = stamped(name=["b", "extra", "a"], position=np.array([2.0, 9.0, 1.0]))
    np.testing.assert_array_equal(joint_positions(message, ["a", "b"]), [1.0, 2.0])
    with pytest.raises(BagError, match="expected 'c' in the message, got b, extra, a"):
        joint_positions(message, ["c"])
    with pytest.raises(BagError, match="expected 3 finite positions, one per name, got 2"):
        joint_positions(stamped(name=["b", "extra", "a"], position=np.zeros(2)), ["a"])


def test_pictures_are_rgb():
    _, jpeg = cv2.imencode(".jpg", np.full((8, 16, 3), (0, 0, 200), np.uint8))  # BGR: red
    decoded = picture(stamped(format="jpeg", data=jpeg.reshape(-1)))
    assert decoded.shape == (8, 16, 3)
    np.testing.assert_allclose(decoded[0, 0], [200, 0, 0], atol=3)
    with pytest.raises(BagError, match="got 3 bytes of format 'jpeg' that are none"):
        picture(stamped(format="jpeg", data=np.zeros(3, np.uint8)))
