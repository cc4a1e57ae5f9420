"""Left and right hands by what a rendered robot's eyes see."""

import importlib.util

import numpy as np
import pytest

from firsthand.calibration.hand_sides import vote_on_hands
from firsthand.calibration.recording import Sample
from firsthand.robot.joints import LEFT_ARM_SLICE, LEFT_HAND_SLICE, RIGHT_ARM_SLICE, RIGHT_HAND_SLICE
from firsthand.robot.model import RobotModel
from firsthand.vision.intrinsics import Intrinsics


@pytest.fixture(scope="module")
def wiggle():
    """Each hand moves alone, three times; (joints, pictures) of every instant."""
    if importlib.util.find_spec("mujoco") is None:
        pytest.skip("needs MuJoCo (the [sim] extra)")
    from firsthand.robot.description import urdf
    from firsthand.simulation.calibration_scene import CalibrationScene

    scene, model = CalibrationScene(urdf(), width=320, height=180), RobotModel.load()
    instants, q = [], model.neutral.copy()
    for arm, hand in ((LEFT_ARM_SLICE, LEFT_HAND_SLICE), (RIGHT_ARM_SLICE, RIGHT_HAND_SLICE)) * 3:
        for step in (0.15, -0.15):
            q = q.copy()
            q[arm.start + 3] += step
            q[hand.start + 2 : hand.stop] += 2 * step
            instants.append((q, scene.render(q)))
    intrinsics = Intrinsics(320, 180, *scene.intrinsics)
    scene.close()
    return model, intrinsics, instants


def swapped(q):
    q = q.copy()
    for left, right in ((LEFT_ARM_SLICE, RIGHT_ARM_SLICE), (LEFT_HAND_SLICE, RIGHT_HAND_SLICE)):
        q[left], q[right] = q[right].copy(), q[left].copy()
    return q


def test_hands_are_known_and_a_swap_is_noticed(wiggle):
    model, intrinsics, instants = wiggle
    right_way = vote_on_hands([Sample(0, q, images) for q, images in instants], model, intrinsics)
    assert right_way.answer == "right way round", str(right_way)
    assert min(right_way.left, right_way.right) >= 3
    wrong = [Sample(0, _mirrored(model, swapped(q)), images) for q, images in instants]
    assert vote_on_hands(wrong, model, intrinsics).answer == "swapped"


def _mirrored(model, q):
    """Joints of the other side move the mirrored way: roll and yaw change sign."""
    q = q.copy()
    for arm in (LEFT_ARM_SLICE, RIGHT_ARM_SLICE):
        q[arm] = q[arm] * np.array([1, -1, -1, 1, -1, 1, -1])
    return np.clip(q, model.lower, model.upper)


def test_both_hands_at_once_or_none_tell_nothing(wiggle):
    model, intrinsics, instants = wiggle
    still = [Sample(0, instants[0][0], images) for _, images in instants]
    assert vote_on_hands(still, model, intrinsics).answer == "unsure"
    one_side = [Sample(0, q, images) for q, images in instants[:3]]
    assert vote_on_hands(one_side, model, intrinsics).answer == "unsure"
