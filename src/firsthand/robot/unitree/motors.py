"""The 27 motors of the H1-2 in the order of its messages: names and gains. Everything that speaks to motors reads this.

Slots 0-5 left leg, 6-11 right leg, 12 waist, 13-19 left arm, 20-26 right arm. Of the 35 slots of a message 28-34 are
unused; in commands on rt/arm_sdk slot 27 carries the weight, 0 to 1, in its `q`.

Gains are those of Unitree's teleoperation for the H1-2 (250 Hz): arms 140/3, wrists 50/2, waist and legs held at 300/5,
ankles 140/3.
"""

from dataclasses import dataclass

import numpy as np

from firsthand.robot.joints import LEFT_ARM, RIGHT_ARM


@dataclass(frozen=True)
class Motor:
    """One motor: torque = feed-forward + stiffness (wanted - measured) + damping (wanted - measured velocity)."""

    name: str  # of the joint in the description
    stiffness: float  # [Nm/rad]
    damping: float  # [Nm s/rad]


def _arm(names: tuple[str, ...]) -> list[Motor]:
    return [Motor(name, *((50.0, 2.0) if "wrist" in name else (140.0, 3.0))) for name in names]


def _leg(side: str) -> list[Motor]:
    parts = ("hip_yaw", "hip_pitch", "hip_roll", "knee", "ankle_pitch", "ankle_roll")
    return [Motor(f"{side}_{part}_joint", *((140.0, 3.0) if "ankle" in part else (300.0, 5.0))) for part in parts]


MOTORS = (
    *_leg("left"),
    *_leg("right"),
    Motor("torso_joint", 300.0, 5.0),
    *_arm(LEFT_ARM),
    *_arm(RIGHT_ARM),
)

MOTOR_COUNT = len(MOTORS)
STIFFNESS = np.array([motor.stiffness for motor in MOTORS])
DAMPING = np.array([motor.damping for motor in MOTORS])

WAIST_SLOT = 12
WEIGHT_SLOT = 27
ARM_SLOTS = slice(13, 27)
"""The 14 arm motors, in the order of `joints.ARMS`."""
ARM_SDK_SLOTS = slice(12, 27)
"""What rt/arm_sdk moves: waist and arms."""
