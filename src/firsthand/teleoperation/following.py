"""The robot's hands do what the person's do, from the moment at which they are tied to each other.

A hand is tied where the robot's is wanted just then, its fingers too, and comes to agree from there: nothing jumps. A
hand that is not seen stays where it was last wanted, and is tied anew when it is seen again.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from firsthand.headset.hand_frames import world_from_robot
from firsthand.headset.hands_sample import HandsSample
from firsthand.robot.fingertips import Fingertips
from firsthand.robot.hand_retargeting import HandRetargeting
from firsthand.robot.joints import HANDS_SLICE
from firsthand.robot.model import RobotModel
from firsthand.space.frames import inverse
from firsthand.space.hand_state import SIDES, HandState
from firsthand.teleoperation.anchor import SECOND, Anchor, smooth
from firsthand.teleoperation.operator import Operator
from firsthand.teleoperation.reach import Reach
from firsthand.teleoperation.settings import TeleoperationSettings
from firsthand.teleoperation.smoothing import HandsFilter

Array = NDArray[np.floating]

NEAR_BORDER = 0.01  # [m] that a wish is bent back before the operator is told


class Following:
    """Both hands of one person and one robot.

    Args:
        model: The robot.
        settings: Times and choices.
        operator: Who is in the headset.
        reach: Borders of the robot's wrists.

    Attributes:
        target: What is wanted of the robot's hands; None before `begin`.
        at_border: Whether each arm is at the end of its reach.
    """

    def __init__(self, model: RobotModel, settings: TeleoperationSettings, operator: Operator, reach: Reach) -> None:
        self.target: HandState | None = None
        self.at_border = (False, False)
        self.reach = reach
        self._settings, self._model = settings, model
        self._fingertips = Fingertips(model)
        self._plain = HandRetargeting(model)
        self._retargeting = HandRetargeting(model)
        self.set_operator(operator)
        self._q_hands = model.neutral[HANDS_SLICE].copy()
        self._filter = HandsFilter(settings.smoothing) if settings.smoothing else None
        self._frame: Array = np.eye(4)  # world_from_robot of the person when the hands were tied
        self._anchors: list[Anchor | None] = [None, None]
        self._tied_ns = [0, 0]
        self._tips_then: Array = np.zeros((2, 5, 3))  # [m], of the robot when its hands were tied
        self._beyond: Array = np.zeros((2, 3))  # [m], how far outside of the reach the robot's hands were tied
        # Wrists before the reach is looked at; of lost hands, the last.
        self._wishes: Array = np.tile(np.eye(4), (2, 1, 1))
        self._lost_since_ns: list[int | None] = [None, None]

    def set_operator(self, operator: Operator) -> None:
        """Work with another person's measures."""
        self._scale = self._settings.motion_scale or (1.0 if self._settings.absolute else operator.motion_scale)
        self._retargeting.calibration = operator.tip_calibration(self._model)

    def begin(self, sample: HandsSample, robot: HandState) -> None:
        """Follow from here on: the robot's hands are at `robot`, and each is tied at its first sight."""
        self.target = robot
        q = self._q_hands
        for _ in range(20):
            q = self._plain.solve(robot.fingertips_in_wrist, q).q
        self._q_hands = q
        self.resume(sample)

    def resume(self, sample: HandsSample) -> None:
        """Follow again after a break, from the target on, in the frame that the eyes have now."""
        self._frame = world_from_robot(sample.world_from_head)
        self._anchors, self._lost_since_ns, self.at_border = [None, None], [None, None], (False, False)
        if self._filter is not None:
            self._filter.reset()

    def follow(self, sample: HandsSample, own: HandState, now_ns: int) -> None:
        """Move the target as the person moves, whose hands are `own` in the F_R of this sample's head."""
        assert self.target is not None, "begun with one"
        person: Array = inverse(self._frame) @ world_from_robot(sample.world_from_head) @ own.wrist_poses
        tips = own.fingertips_in_wrist
        if self._filter is not None:
            person, tips = self._filter.smooth(sample.stamp_ns, person, tips, sample.tracked)
        for side, anchor in enumerate(self._anchors):
            if not sample.tracked[side]:
                self._lost_since_ns[side] = self._lost_since_ns[side] or now_ns
                continue
            if anchor is None or self._lost_since_ns[side] is not None:
                anchor = self._tie(side, person[side], now_ns)
            self._wishes[side] = anchor.follow(person[side], now_ns)
        wrists = self._wishes.copy()
        wrists[:, :3, 3] = self._within_reach(wrists[:, :3, 3], now_ns)
        head = np.array(self.target.head_rotation)
        self.target = HandState.from_poses(head, wrists, self._follow_fingers(tips, now_ns))

    def lost(self, now_ns: int) -> Sequence[str]:
        """The hands that have been out of sight for too long."""
        longest_ns = self._settings.lost_time * SECOND
        return [
            side
            for side, since in zip(SIDES, self._lost_since_ns, strict=True)
            if since is not None and now_ns - since > longest_ns
        ]

    def _tie(self, side: int, person: Array, now_ns: int) -> Anchor:
        """Tie a hand where the robot's is wanted just now."""
        assert self.target is not None, "begun with one"
        robot = self._wishes[side] = self.target.wrist_poses[side]
        anchor = Anchor(robot, person, now_ns, self._settings.engage_time, self._scale, self._settings.absolute)
        self._anchors[side] = anchor
        self._beyond[side] = robot[:3, 3] - self.reach.limit(self.target.wrist_positions)[side]
        self._tips_then[side], self._tied_ns[side] = self.target.fingertips_in_wrist[side], now_ns
        self._lost_since_ns[side] = None
        return anchor

    def _within_reach(self, wishes: Array, now_ns: int) -> Array:
        """Places (2, 3) for wishes; a hand that was tied outside of the reach comes inside slowly."""
        assert self.target is not None, "begun with one"
        limited = self.reach.limit(wishes)
        bent = np.linalg.norm(wishes - limited, axis=1) > NEAR_BORDER
        self.at_border = bool(bent[0]), bool(bent[1])
        for side, anchor in enumerate(self._anchors):
            if anchor is None:
                limited[side] = self.target.wrist_positions[side]  # not seen since the break
            else:
                limited[side] += anchor.remainder(now_ns, self._beyond[side])
        return limited

    def _follow_fingers(self, tips: Array, now_ns: int) -> Array:
        """The robot's own fingertips (2, 5, 3) that come nearest to a person's; NaN stays where it is.

        Those of a hand that was just tied are on their way there from where they were then.
        """
        self._q_hands = self._retargeting.solve(tips, self._q_hands).q
        reached = self._fingertips.at(self._q_hands)
        shares = [smooth((now_ns - tied_ns) / SECOND / self._settings.engage_time) for tied_ns in self._tied_ns]
        share = np.array(shares)[:, None, None]
        return (1 - share) * self._tips_then + share * reached
