"""Who judges a trial over the wire: the fake robot, from the moment its arms are taken."""

import numpy as np
import pytest

pytest.importorskip("firsthand.simulation.gl")  # chooses the backend before MuJoCo is imported

from firsthand.robot.unitree import wire
from firsthand.robot.unitree.motors import ARM_SDK_SLOTS, DAMPING, STIFFNESS, WEIGHT_SLOT
from firsthand.robot.unitree.topics import ARM_SDK
from firsthand.simulation.fake_robot.firmware import MotorGains
from firsthand.simulation.fake_robot.physics import Physics, standing_posture
from firsthand.simulation.fake_robot.trials import FakeRobotTrial
from firsthand.simulation.tasks.push import GOAL_CENTER


def put_into_the_zone(physics):
    """As if somebody had pushed it there."""
    physics.scene.data.joint("object").qpos[:2] = GOAL_CENTER


class Rig:
    """Physics that hold still, and their trial."""

    def __init__(self):
        self.physics = Physics("push", "id", 3)
        self.trial = FakeRobotTrial(self.physics.scene)
        posture = standing_posture(self.physics)
        self.gains = MotorGains(STIFFNESS * posture, STIFFNESS, DAMPING, np.ones(27))

    def run(self, seconds, driven):
        """Whether the trial was over at any time."""
        over = False
        for _ in range(round(seconds / 0.002)):
            self.physics.step(self.gains)
            over |= self.trial.look(driven)
        return over


def test_a_trial_begins_when_the_arms_are_taken_and_ends_a_second_after_success():
    rig = Rig()
    assert not rig.run(0.5, driven=False)
    assert not rig.run(0.4, driven=True)
    put_into_the_zone(rig.physics)
    assert not rig.run(1.0, driven=True)
    assert rig.run(0.6, driven=True)
    assert str(rig.trial.outcome).startswith("trial push/id/3: success after ")
    assert 0.7 <= rig.trial.outcome.seconds < 1.0  # 0.4, and what it takes to lie still


def test_what_lies_in_the_zone_before_anybody_drives_is_nobody_s_success():
    rig = Rig()
    put_into_the_zone(rig.physics)
    assert not rig.run(2.0, driven=False)
    assert rig.trial.outcome is None
    assert not rig.trial.success()


def test_time_runs_out():
    rig = Rig()
    assert not rig.run(9.9, driven=True)
    assert rig.run(0.3, driven=True)
    assert str(rig.trial.outcome).startswith("trial push/id/3: no success within 10.0")


def test_over_the_wire_trials_follow_one_another_when_the_arms_are_given_back(dds_domain):
    from firsthand.robot.unitree.dds import Link
    from firsthand.simulation.fake_robot.robot import FakeRobot, FakeRobotSettings

    told = []
    robot = FakeRobot(FakeRobotSettings(domain=dds_domain, hand="none", seed=3, trials=2), tell=told.append)
    link = Link("", dds_domain)
    arms = link.writer(ARM_SDK)

    def drive(weight, done):
        """Ask for the arms as they are, with a weight, until something is so."""
        command = wire.blank(wire.LOW_CMD)
        motors = command["motor_cmd"]
        motors["q"][ARM_SDK_SLOTS] = robot.physics.positions()[ARM_SDK_SLOTS]
        motors["kp"][ARM_SDK_SLOTS], motors["kd"][ARM_SDK_SLOTS] = STIFFNESS[ARM_SDK_SLOTS], DAMPING[ARM_SDK_SLOTS]
        motors["q"][WEIGHT_SLOT] = weight
        for _ in range(20000):
            arms.write(wire.encode(wire.seal(command)))
            robot.tick()
            if done():
                return
        pytest.fail("in vain")

    try:
        for seed, trials in ((3, 1), (4, 2)):
            assert robot.scene_name.seed == seed
            start = robot.physics.positions()
            drive(1.0, lambda: robot.firmware.weight == 1.0)
            put_into_the_zone(robot.physics)
            drive(1.0, lambda count=trials: len(told) == 2 * count - 1)
            assert told[-1].startswith(f"trial push/id/{seed}: success after ")
            drive(0.0, lambda before=seed: robot.finished or robot.scene_name.seed > before)
        assert robot.finished
        assert told[1] == "scene push/id/4"
        assert robot.scene_name.seed == 4
        assert np.abs(robot.firmware.gains(1e9).offset[13:] - STIFFNESS[13:] * start[13:]).max() < 1.0
    finally:
        link.close()
        robot.close()
