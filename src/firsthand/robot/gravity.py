"""The torque that holds the arms up, for motors that are to be soft and still carry their own weight."""

import numpy as np
import pinocchio as pin
from numpy.typing import NDArray

from firsthand.robot.joints import ARMS_SLICE
from firsthand.robot.model import RobotModel

Array = NDArray[np.floating]


class ArmGravity:
    """Gravity of arms and hands at a posture, the torso upright. Belongs to one thread, like every model."""

    def __init__(self, model: RobotModel) -> None:
        self._model, self._data = model, model.pin_model.createData()
        self._columns = model.columns[ARMS_SLICE]
        self._limits = model.effort_limits[ARMS_SLICE]

    def torque(self, q: Array) -> Array:
        """(14,) [Nm] that keeps the arms at rest at the 26 joint angles, within what the motors can give."""
        torque = pin.computeGeneralizedGravity(self._model.pin_model, self._data, self._model.configuration(q))
        return np.clip(torque[self._columns], -self._limits, self._limits)
