"""The order of the motors, written out: a table that is read wrong moves another limb."""

import numpy as np
import pytest

from firsthand.robot import joints
from firsthand.robot.unitree.motors import (
    ARM_SDK_SLOTS,
    ARM_SLOTS,
    DAMPING,
    MOTOR_COUNT,
    MOTORS,
    STIFFNESS,
    WAIST_SLOT,
    WEIGHT_SLOT,
)

OFFICIAL = {
    0: "left_hip_yaw_joint", 1: "left_hip_pitch_joint", 2: "left_hip_roll_joint", 3: "left_knee_joint",
    4: "left_ankle_pitch_joint", 5: "left_ankle_roll_joint",
    6: "right_hip_yaw_joint", 11: "right_ankle_roll_joint",
    12: "torso_joint",
    13: "left_shoulder_pitch_joint", 14: "left_shoulder_roll_joint", 15: "left_shoulder_yaw_joint",
    16: "left_elbow_joint", 17: "left_wrist_roll_joint", 18: "left_wrist_pitch_joint", 19: "left_wrist_yaw_joint",
    20: "right_shoulder_pitch_joint", 23: "right_elbow_joint", 26: "right_wrist_yaw_joint",
}  # fmt: skip


@pytest.mark.parametrize(("slot", "name"), OFFICIAL.items())
def test_motors_are_where_the_robot_has_them(slot, name):
    assert MOTORS[slot].name == name


def test_the_arms_are_in_our_order():
    assert tuple(motor.name for motor in MOTORS[ARM_SLOTS]) == joints.ARMS
    assert MOTOR_COUNT == 27
    assert WEIGHT_SLOT == 27
    assert [motor.name for motor in MOTORS[ARM_SDK_SLOTS]] == [MOTORS[WAIST_SLOT].name, *joints.ARMS]


def test_gains_are_those_of_the_teleoperation_of_the_maker():
    arm, wrist = (140.0, 3.0), (50.0, 2.0)
    gains = list(zip(STIFFNESS.tolist(), DAMPING.tolist(), strict=True))
    assert gains[ARM_SLOTS] == ([arm] * 4 + [wrist] * 3) * 2
    assert gains[WAIST_SLOT] == (300.0, 5.0)
    assert gains[:6] == [(300.0, 5.0)] * 4 + [(140.0, 3.0)] * 2
    np.testing.assert_array_equal(STIFFNESS[:6], STIFFNESS[6:12])
