import numpy as np
import pytest

from firsthand.robot.description import urdf
from firsthand.robot.gravity import ArmGravity
from firsthand.robot.joints import ARMS
from firsthand.robot.model import RobotModel


def test_it_is_the_torque_of_the_official_description_with_level_forearms():
    """Published for q = 0 with the official hands of 192 g: shoulder -3.80, elbow -3.66, wrist pitch -0.456 Nm."""
    model = RobotModel.load(urdf(hand_mass=0.1918))
    torque = dict(zip(ARMS, ArmGravity(model).torque(model.zero).tolist(), strict=True))
    for side in ("left", "right"):
        assert torque[f"{side}_shoulder_pitch_joint"] == pytest.approx(-3.80, abs=0.02)
        assert torque[f"{side}_elbow_joint"] == pytest.approx(-3.66, abs=0.02)
        assert torque[f"{side}_wrist_pitch_joint"] == pytest.approx(-0.456, abs=0.01)


def test_it_is_the_slope_of_the_height_of_the_mass():
    import pinocchio as pin

    model = RobotModel.load()
    q = model.neutral
    data = model.pin_model.createData()

    def energy(q):
        return pin.computePotentialEnergy(model.pin_model, data, model.configuration(q))

    torque = ArmGravity(model).torque(q)
    for joint in range(14):
        step = np.zeros(26)
        step[joint] = 1e-6
        assert torque[joint] == pytest.approx((energy(q + step) - energy(q - step)) / 2e-6, abs=1e-5)
