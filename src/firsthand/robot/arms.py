"""The two arms as Pinocchio sees them: 14 joints, hands and body frozen. `ArmIk` and `SelfCollision` work on it.

Vectors are in the order of `joints.ARMS`; everything is expressed in the pelvis, the root of the description.
"""

import numpy as np
import pinocchio as pin
from numpy.typing import NDArray

from firsthand.errors import ModelError
from firsthand.robot.joints import ARMS
from firsthand.robot.model import RobotModel
from firsthand.space.hand_state import SIDES

Array = NDArray[np.floating]


class Arms:
    """Forward kinematics and Jacobians of both wrists at the joints of the last `update`."""

    def __init__(self, model: RobotModel) -> None:
        full = model.pin_model
        frozen = [index for index, name in enumerate(full.names) if index > 0 and name not in ARMS]
        self.model = pin.buildReducedModel(full, frozen, model.configuration(model.zero))
        if tuple(self.model.names)[1:] != ARMS:
            raise ModelError(f"expected the arm joints {', '.join(ARMS)}, got {', '.join(self.model.names)}")
        self.data = self.model.createData()
        self.lower, self.upper = self.model.lowerPositionLimit, self.model.upperPositionLimit
        self.torso_placement = model.link_pose("torso_link", model.zero)
        """pelvis_from_torso, (4, 4); the waist does not move."""
        self._wrists = tuple(self.model.getFrameId(f"{side}_wrist") for side in SIDES)
        # Pinocchio hands out views of its own memory: fetched once, they show the wrists of every later update.
        self.wrist_rotations = tuple(self.data.oMf[wrist].rotation for wrist in self._wrists)
        """pelvis_from_wrist, left then right, (3, 3)."""
        self.wrist_positions = tuple(self.data.oMf[wrist].translation for wrist in self._wrists)
        """pelvis_from_wrist, left then right, (3,), [m]."""
        self.world_jacobian = self.data.J
        """(6, 14): column j is the twist, at the origin of the pelvis, that joint j gives to all that hangs on it."""
        self.update(np.zeros(len(ARMS)))

    def update(self, q: Array) -> None:
        """Move to the joint positions (14,), [rad]."""
        pin.computeJointJacobians(self.model, self.data, q)
        for wrist in self._wrists:
            pin.updateFramePlacement(self.model, self.data, wrist)

    def wrist_jacobian(self, side: int) -> Array:
        """d(position, rotation) / dq, (6, 14), of the left (0) or right (1) wrist along the axes of the pelvis."""
        return pin.getFrameJacobian(self.model, self.data, self._wrists[side], pin.LOCAL_WORLD_ALIGNED)
