"""Where the robot's wrists may be asked to go: as far as its arms reach, and not below the table, without a step.

A wish inside is left as it is. From `margin` before the border on it is bent back, smoothly and ever more, so that the
wrist comes to rest on the border however far the person reaches: no stop, no jump, and the way back begins at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.robot.model import RobotModel
from firsthand.space.hand_state import SIDES

Array = NDArray[np.floating]

ARM_REACH = 0.60  # [m] from shoulder roll to hand base; the stretched arm measures 0.612
SMALL = 1e-9


@dataclass(frozen=True)
class Reach:
    """Borders of both wrists in the robot frame F_R."""

    shoulders: Array  # (2, 3), [m], left then right
    radius: float  # [m], around the shoulders
    lowest: float  # [m], z of the wrists; -inf for none
    nearest: float  # [m], x of the wrists: not into the robot's own chest
    margin: float = 0.06  # [m] before a border in which a wish is bent

    @classmethod
    def of(cls, model: RobotModel, lowest: float = -np.inf, nearest: float = 0.05) -> "Reach":
        """The reach of a robot; `lowest` and `nearest` in F_R, [m]."""
        links = [f"{side}_shoulder_roll_link" for side in SIDES]
        torso = model.link_pose("torso_link", model.zero)
        robot_from_pelvis = model.robot_from_torso @ np.linalg.inv(torso)
        shoulders = [(robot_from_pelvis @ model.link_pose(link, model.zero))[:3, 3] for link in links]
        return cls(np.array(shoulders), ARM_REACH, lowest, nearest)

    def limit(self, positions: Array) -> Array:
        """The nearest places (2, 3) that are within reach, for wishes (2, 3), [m] in F_R."""
        limited = positions.copy()
        limited[:, 2] = (
            self.lowest + self._above(limited[:, 2] - self.lowest) if np.isfinite(self.lowest) else limited[:, 2]
        )
        limited[:, 0] = self.nearest + self._above(limited[:, 0] - self.nearest)
        from_shoulder = limited - self.shoulders
        distance = np.linalg.norm(from_shoulder, axis=1)
        allowed = self.radius - self._above(self.radius - distance)
        return self.shoulders + from_shoulder * (allowed / np.maximum(distance, SMALL))[:, None]

    def _above(self, room: Array) -> Array:
        """Room to the border (n,), kept positive: as it is from `margin` on, falling to zero below, with one slope."""
        inside = np.minimum(room - self.margin, 0.0) / self.margin
        return np.where(room >= self.margin, room, self.margin * np.exp(inside))
