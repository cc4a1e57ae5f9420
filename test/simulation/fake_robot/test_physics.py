"""The fake robot's limbs: they weigh something, and each motor moves the limb whose name it has."""

import numpy as np
import pytest

pytest.importorskip("firsthand.simulation.gl")  # chooses the backend before MuJoCo is imported

from firsthand.robot.unitree.motors import DAMPING, MOTORS, STIFFNESS
from firsthand.simulation.fake_robot.firmware import MotorGains
from firsthand.simulation.fake_robot.physics import Physics, standing_posture


@pytest.fixture
def physics():
    return Physics("push", "id", 0)


def holding(posture, carried=1.0):
    return MotorGains(STIFFNESS * posture, STIFFNESS, DAMPING, np.full(27, carried))


def run(physics, gains, seconds):
    for _ in range(round(seconds / 0.002)):
        physics.step(gains)


def test_held_it_stays(physics):
    posture = standing_posture(physics)
    run(physics, holding(posture), 0.5)
    np.testing.assert_allclose(physics.positions(), posture, atol=5e-3)


def test_limp_the_arms_fall(physics):
    posture = standing_posture(physics)
    nothing = np.zeros(27)
    run(physics, MotorGains(nothing, nothing, nothing, nothing), 1.0)
    assert np.abs(physics.positions() - posture)[13:].max() > 0.1


def test_without_feed_forward_the_arms_sag_by_their_weight(physics):
    posture = standing_posture(physics)
    run(physics, holding(posture, carried=0.0), 1.0)
    sag = (physics.positions() - posture)[20]  # right shoulder pitch, 140 Nm/rad
    assert 0.01 < abs(sag) < 0.1


@pytest.mark.parametrize("slot", [0, 7, 12, 13, 16, 19, 20, 23, 26])
def test_each_motor_moves_the_joint_of_its_name(physics, slot):
    posture = standing_posture(physics)
    wanted = posture.copy()
    wanted[slot] += -0.15 if slot in (13, 16, 20, 23) else 0.15  # up: the table is below
    run(physics, holding(wanted), 0.5)
    moved = physics.positions() - posture
    assert moved[slot] == pytest.approx(wanted[slot] - posture[slot], abs=0.03)
    assert np.abs(np.delete(moved, slot)).max() < 0.03
    if slot >= 13:
        name = MOTORS[slot].name
        assert physics.scene.data.joint(name).qpos[0] == physics.positions()[slot]


def test_fingers_go_where_they_are_told_at_the_speed_of_the_hand(physics):
    goal = physics.fingers().copy()
    goal[2] += 0.5  # the left index finger
    physics.finger_targets = goal
    posture = holding(standing_posture(physics))
    run(physics, posture, 0.05)
    assert physics.scene.data.joint("L_index_proximal_joint").qpos[0] < goal[2] - 0.1
    run(physics, posture, 0.45)
    assert physics.scene.data.joint("L_index_proximal_joint").qpos[0] == pytest.approx(goal[2], abs=0.03)
    assert physics.scene.data.joint("R_index_proximal_joint").qpos[0] == pytest.approx(goal[8], abs=0.03)
