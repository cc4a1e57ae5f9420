import json

import numpy as np
import pytest

from firsthand.errors import HeadsetError
from firsthand.headset.hand_frames import MIRROR
from firsthand.headset.hand_model import FIST, OPEN, fingertips
from firsthand.robot.model import RobotModel
from firsthand.space.hand_state import HandState
from firsthand.teleoperation.operator import AVERAGE, Operator, load_operator, measure_operator, save_operator

POSE = np.array([[0.46, 0.18, -0.25], [0.46, -0.18, -0.25]])


def states(hand=OPEN, places=POSE, moving=0.0, count=60):
    right = fingertips(hand)
    tips = np.stack([right * MIRROR, right])
    made = []
    for k in range(count):
        wrists = np.tile(np.eye(4), (2, 1, 1))
        wrists[:, :3, 3] = places + moving * k / count
        made.append(HandState.from_poses(np.eye(3), wrists, tips))
    return made


def test_hands_and_arms_are_measured():
    operator = measure_operator(states())
    right = fingertips(OPEN)
    np.testing.assert_allclose(operator.open_fingertips, np.stack([right * MIRROR, right]), atol=1e-5)
    assert operator.arm_reach == pytest.approx(0.55)


def test_a_longer_hand_moves_the_robots_fingers_as_far_as_a_shorter_one():
    model = RobotModel.load()
    long = Operator(tuple(tuple(tuple(1.1 * x for x in tip) for tip in hand) for hand in AVERAGE.open_fingertips), 0.6)
    np.testing.assert_allclose(long.tip_calibration(model).scale * 1.1, AVERAGE.tip_calibration(model).scale, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"hand": FIST}, "not flat"),
        ({"moving": 0.05}, "moved by 49 mm; keep still"),
        ({"places": POSE - [0.3, 0.0, 0.0]}, r"arms reached 0.25 m"),
        ({"places": POSE * np.nan}, "out of sight"),
        ({"count": 3}, "got 3 samples"),
    ],
)
def test_a_pose_that_is_not_held_is_refused_with_the_reason(wrong, why):
    with pytest.raises(HeadsetError, match=why):
        measure_operator(states(**wrong))


def test_an_operator_is_kept_in_a_file(tmp_path):
    operator = measure_operator(states())
    assert load_operator(save_operator(operator, tmp_path / "a" / "ada.json")) == operator


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"open_fingertips": [1], "arm_reach": 0.5, "touch": 0.01}',
                json.dumps({"open_fingertips": AVERAGE.open_fingertips, "arm_reach": 5.0, "touch": 0.01})],
)  # fmt: skip
def test_a_file_that_says_something_else_is_refused(tmp_path, content):
    path = tmp_path / "ada.json"
    path.write_text(content)
    with pytest.raises(HeadsetError, match="expected"):
        load_operator(path)
