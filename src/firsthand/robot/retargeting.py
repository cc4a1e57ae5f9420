"""From the 54 numbers to the 26 joints: arm IK for the wrists, hand retargeting for the fingertips.

The head's rotation is not followed: the H1-2 has no neck.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ShapeError
from firsthand.robot.arm_ik import ArmIk, ArmIkResult
from firsthand.robot.hand_retargeting import HandRetargeting, HandRetargetingResult, TipCalibration
from firsthand.robot.joints import ARMS_SLICE, HANDS_SLICE, JOINTS
from firsthand.robot.model import RobotModel
from firsthand.space.hand_state import SIZE, HandState, check_vector

Array = NDArray[np.floating]


@dataclass(frozen=True)
class RetargetingResult:
    """The joints after one step towards a hand state, and what is still missing."""

    q: Array  # (26,), [rad], inside the joint limits
    arms: ArmIkResult
    hands: HandRetargetingResult


class Retargeting:
    """Solves arms and hands, one tick at a time, from the joints of the tick before.

    Args:
        model: The robot.
        calibration: The operator's fingertips, for targets that come from a person; None for the robot's own.
    """

    def __init__(self, model: RobotModel, calibration: TipCalibration | None = None) -> None:
        self.arm_ik = ArmIk(model)
        self.hand_retargeting = HandRetargeting(model, calibration)

    def solve(self, hand_state: Array, q: Array, dt: float) -> RetargetingResult:
        """Step towards a hand state.

        A wrist or a fingertip that is not finite stays where it is, and its error says so.

        Args:
            hand_state: (54,), the target, in the robot frame.
            q: (26,), [rad], the solution of the tick before.
            dt: Length of the tick, [s].

        Raises:
            ShapeError: Other shapes, or `q` is not finite.
        """
        if np.shape(hand_state) != (SIZE,) or np.shape(q) != (len(JOINTS),):
            raise ShapeError(
                f"expected one hand state ({SIZE},) and {len(JOINTS)} joints, "
                f"got shapes {np.shape(hand_state)} and {np.shape(q)}"
            )
        target = HandState.from_vector(check_vector(hand_state))
        arms = self.arm_ik.solve(target.wrist_poses, q[ARMS_SLICE], dt)
        hands = self.hand_retargeting.solve(target.fingertips_in_wrist, q[HANDS_SLICE])
        solution = np.empty(len(JOINTS))
        solution[ARMS_SLICE], solution[HANDS_SLICE] = arms.q, hands.q
        return RetargetingResult(solution, arms, hands)
