"""Who stands in the headset: fingers and arms of the operator, measured from one pose and kept in a file.

The pose: both arms stretched out forward at the height of the shoulders, hands flat and open, palms down, still for a
second. It gives the open fingertips, which hand retargeting needs (fingers differ in where they begin), the length of
the hand, and how far the arms reach.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import HeadsetError
from firsthand.headset.hand_frames import MIRROR
from firsthand.headset.hand_model import OPEN, TOUCH, fingertips
from firsthand.robot.hand_retargeting import TipCalibration
from firsthand.robot.model import RobotModel
from firsthand.space.hand_state import HandState
from firsthand.teleoperation.reach import ARM_REACH

Array = NDArray[np.floating]

FINGER_SCALE, HAND_LENGTH = (
    0.9,
    0.186,
)  # the robot's fingers over those of a hand of this length [m], wrist to middle tip
SHOULDERS = np.array([[-0.09, 0.18, -0.25], [-0.09, -0.18, -0.25]])  # [m] from the eyes, of an adult
STILL = 0.015  # [m] that wrists and fingertips may move during the pose
FLAT = 0.045  # [m] that a fingertip may be off the plane of the palm
STRAIGHT = 0.145  # [m] from wrist to the tip of the middle finger, at least: a child's hand
REACHES = (0.40, 0.80)  # [m], of people's arms, shoulder to wrist
SCALES = (0.7, 1.4)


@dataclass(frozen=True)
class Operator:
    """What is known of a person."""

    open_fingertips: tuple[tuple[tuple[float, ...], ...], ...]  # (2, 5, 3), [m], each in its wrist frame
    arm_reach: float  # [m], shoulder to wrist
    touch: float = TOUCH  # [m] between the tracked tips of two fingers that touch

    def __post_init__(self) -> None:
        tips = np.asarray(self.open_fingertips, dtype=float)
        if tips.shape != (2, 5, 3) or not np.isfinite(tips).all() or np.abs(tips).max() > 0.35:
            raise HeadsetError(f"expected open fingertips (2, 5, 3) in metres, got shape {tips.shape}: {tips.tolist()}")
        if not REACHES[0] <= self.arm_reach <= REACHES[1]:
            raise HeadsetError(f"expected arms that reach {REACHES[0]} to {REACHES[1]} m, got {self.arm_reach:.3f} m")
        if not 0 <= self.touch < 0.05:
            raise HeadsetError(f"expected fingertips that touch less than 0.05 m apart, got {self.touch}")

    @property
    def hand_length(self) -> float:
        """Wrist to middle fingertip, mean of both hands, [m]."""
        return float(np.linalg.norm(np.array(self.open_fingertips)[:, 2], axis=1).mean())

    @property
    def motion_scale(self) -> float:
        """The robot's reach over the person's."""
        return float(np.clip(ARM_REACH / self.arm_reach, *SCALES))

    def tip_calibration(self, model: RobotModel) -> TipCalibration:
        """For the hands of a robot."""
        scale = FINGER_SCALE * HAND_LENGTH / self.hand_length
        return TipCalibration.from_open_hands(model, np.array(self.open_fingertips), scale=scale, touch=self.touch)


def _average() -> Operator:
    right = fingertips(OPEN)
    return Operator(_nested(np.stack([right * MIRROR, right])), arm_reach=0.56)


def measure_operator(states: Sequence[HandState]) -> Operator:
    """Measure a person from about a second in the pose at the top of this file.

    Args:
        states: Hand states, each in the F_R of its own head.

    Raises:
        HeadsetError: A hand was not seen, moved, or was not flat; arms of a length that people do not have.
    """
    if len(states) < 20:
        raise HeadsetError(f"expected a second of hands, got {len(states)} samples; is the headset sending?")
    tips = np.array([state.fingertips_in_wrist for state in states])
    wrists = np.array([state.wrist_positions for state in states])
    if not (np.isfinite(tips).all() and np.isfinite(wrists).all()):
        raise HeadsetError("a hand went out of sight; keep both in view")
    for side, name in enumerate(("left", "right")):
        moved = max(np.ptp(wrists[:, side], axis=0).max(), np.ptp(tips[:, side], axis=0).max())
        if moved > STILL:
            raise HeadsetError(f"the {name} hand moved by {moved * 1e3:.0f} mm; keep still for a second")
        bent = float(np.abs(tips[:, side, 1:, 2]).mean(axis=0).max())
        if bent > FLAT or np.linalg.norm(tips[:, side, 2], axis=-1).mean() < STRAIGHT:
            raise HeadsetError(
                f"the {name} hand was not flat (a fingertip {bent * 1e3:.0f} mm off its plane); stretch it"
            )
    reach = float(np.linalg.norm(wrists.mean(axis=0) - SHOULDERS, axis=1).mean())
    if not REACHES[0] <= reach <= REACHES[1]:
        raise HeadsetError(
            f"the arms reached {reach:.2f} m, people's reach {REACHES[0]} to {REACHES[1]}; stretch both out forward"
        )
    return Operator(_nested(tips.mean(axis=0)), reach)


def save_operator(operator: Operator, path: Path) -> Path:
    """Write a person to a JSON file, whole or not at all; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(asdict(operator), indent=2) + "\n", encoding="utf-8")
    return temporary.replace(path)


def load_operator(path: Path) -> Operator:
    """Read a person.

    Raises:
        HeadsetError: There is no such file, or it says something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        tips = _nested(np.array(data["open_fingertips"], dtype=float))
        return Operator(tips, float(data["arm_reach"]), float(data["touch"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HeadsetError(f"expected an operator's file as teleop/calibrate writes it, got {path}: {error}") from error


def _nested(tips: Array) -> tuple[tuple[tuple[float, ...], ...], ...]:
    if tips.shape != (2, 5, 3):
        raise HeadsetError(f"expected open fingertips (2, 5, 3), got shape {tips.shape}")
    return tuple(tuple(tuple(tip) for tip in hand) for hand in tips.round(5).tolist())


AVERAGE = _average()
"""Somebody, until the operator is measured."""
