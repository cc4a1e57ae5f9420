"""The fake robot's limbs: arms and hands in a MuJoCo scene, with real weight; waist and legs as rotors beside it.

The pelvis hangs in the air, so what the legs do changes nothing above them: 13 second-order joints without load.
"""

import numpy as np
from numpy.typing import NDArray

from firsthand.robot.joints import ARMS, ARMS_SLICE, HANDS, HANDS_SLICE
from firsthand.robot.model import RobotModel
from firsthand.robot.unitree.motors import ARM_SLOTS, MOTOR_COUNT
from firsthand.simulation.fake_robot.firmware import MotorGains
from firsthand.simulation.gl import mujoco
from firsthand.simulation.scene import PHYSICS_STEP, build_scene

Array = NDArray[np.floating]

LOWER = slice(0, 13)
LOWER_LIMITS = (
    (-0.43, -3.14, -0.43, -0.12, -0.897334, -0.261799, -0.43, -3.14, -3.14, -0.12, -0.897334, -0.261799, -2.35),
    (0.43, 2.5, 3.14, 2.19, 0.523598, 0.261799, 0.43, 2.5, 0.43, 2.19, 0.523598, 0.261799, 2.35),
)
"""[rad], legs and waist in the order of the motors."""
LOWER_TORQUE = np.array([200.0, 200, 200, 300, 60, 40, 200, 200, 200, 300, 60, 40, 200])  # [Nm]
INERTIA = 0.5  # [kg m2], of such a rotor
FRICTION = 1.0  # [Nm s/rad], so that a limp one comes to rest
ARM_FRICTION, WRIST_FRICTION = 2.0, 0.5  # [Nm s/rad], of gears: limp arms sink instead of swinging


class Physics:
    """Arms, hands and what lies on the table.

    Args:
        task: A task of the simulation: what stands before the robot.
        variant: Of the task.
        seed: Of the task.
    """

    def __init__(self, task: str, variant: str, seed: int) -> None:
        self.scene = build_scene(task, variant, seed)
        model = self._model = self.scene.model
        self._data = self.scene.data
        model.body_gravcomp[:] = 0.0  # carrying its own weight is the robot's business here
        self._arms = np.array([model.actuator(name).id for name in ARMS])
        self._hands = np.array([model.actuator(name).id for name in HANDS])
        self._arm_qpos, self._hand_qpos = self.scene.joint_qpos[ARMS_SLICE], self.scene.joint_qpos[HANDS_SLICE]
        self._arm_dof, self._hand_dof = self.scene.joint_qvel[ARMS_SLICE], self.scene.joint_qvel[HANDS_SLICE]
        model.actuator_gainprm[self._arms, 0] = 1.0  # the offset of MotorGains goes in as it is
        model.dof_damping[self._arm_dof] = [WRIST_FRICTION if "wrist" in name else ARM_FRICTION for name in ARMS]
        robot = RobotModel.load()
        self._finger_step = robot.velocity_limits[HANDS_SLICE] * PHYSICS_STEP
        self._finger_limits = robot.lower[HANDS_SLICE], robot.upper[HANDS_SLICE]
        self._lower, self._lower_velocity = np.zeros(13), np.zeros(13)
        self._lower_torque = np.zeros(13)
        self.finger_targets: Array = self._data.qpos[self._hand_qpos].copy()  # (12,), [rad]

    def step(self, gains: MotorGains) -> None:
        """Let 2 ms pass."""
        arms = ARM_SLOTS
        self._model.actuator_biasprm[self._arms, 1] = -gains.stiffness[arms]
        self._model.actuator_biasprm[self._arms, 2] = -gains.damping[arms]
        self._data.ctrl[self._arms] = gains.offset[arms]
        self._data.qfrc_applied[self._arm_dof] = gains.carried[arms] * self._data.qfrc_bias[self._arm_dof]
        fingers = self._data.ctrl[self._hands]
        wanted = np.clip(self.finger_targets, *self._finger_limits)
        self._data.ctrl[self._hands] = fingers + np.clip(wanted - fingers, -self._finger_step, self._finger_step)
        mujoco.mj_step(self._model, self._data)
        self._step_lower(gains)

    def positions(self) -> Array:
        """(27,) [rad], in the order of the motors."""
        return np.concatenate((self._lower, self._data.qpos[self._arm_qpos]))

    def velocities(self) -> Array:
        """(27,) [rad/s]."""
        return np.concatenate((self._lower_velocity, self._data.qvel[self._arm_dof]))

    def torques(self) -> Array:
        """(27,) [Nm], what the motors give."""
        return np.concatenate((self._lower_torque, self._data.actuator_force[self._arms]))

    def fingers(self) -> Array:
        """(12,) [rad], in the order of `joints.HANDS`."""
        return self._data.qpos[self._hand_qpos]

    def _step_lower(self, gains: MotorGains) -> None:
        """One implicit step of J q'' = offset - k q - d q', so that no gain makes it unstable."""
        k, d = gains.stiffness[LOWER], gains.damping[LOWER] + FRICTION
        push = np.clip(gains.offset[LOWER] - k * self._lower, -LOWER_TORQUE, LOWER_TORQUE)
        dt = PHYSICS_STEP
        velocity = (self._lower_velocity + dt / INERTIA * push) / (1.0 + dt / INERTIA * (d + dt * k))
        positions = np.clip(self._lower + dt * velocity, *LOWER_LIMITS)
        self._lower_torque = push - d * velocity
        self._lower_velocity = (positions - self._lower) / dt
        self._lower = positions


def standing_posture(physics: Physics) -> Array:
    """(27,) where the robot's own controller keeps everything: as it stands."""
    posture = np.zeros(MOTOR_COUNT)
    posture[:] = physics.positions()
    return posture
