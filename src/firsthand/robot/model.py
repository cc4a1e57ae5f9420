"""Forward kinematics of the H1-2: from 26 joint angles to link poses and to the 54 numbers.

Pinocchio knows every joint of the description; callers only know the 26 with a motor (`joints.py`). What follows a
motor is resolved here, once, into one matrix; what does neither (a waist or legs built as revolute) stays at zero.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pinocchio as pin
from numpy.typing import NDArray

from firsthand.errors import FrameNotFound, ModelError, ShapeError
from firsthand.robot.description import urdf as describe
from firsthand.robot.joints import COUNT, HANDS_KNOWN, Mimic, hand_names, joint_names
from firsthand.space.frames import inverse, pose
from firsthand.space.hand_state import SIDES, HandState

Array = NDArray[np.floating]

# A natural ready posture at a table 0.95 m high: see `RobotModel.neutral`.
NEUTRAL_LEFT_ARM = (-0.165, 0.112, -0.234, 0.116, 0.195, 0.37, -0.043)  # [rad]
NEUTRAL_HAND = (0.60, 0.10, 0.25, 0.25, 0.25, 0.25)  # [rad] slightly curled
MIRROR_ARM = (1, -1, -1, 1, -1, 1, -1)  # roll and yaw change sign between the sides


class RobotModel:
    """The robot's kinematics and limits. Arrays with 26 entries are in the order of `joints`.

    The evaluations share Pinocchio's scratch data, so a model belongs to one thread: load one per thread.

    Attributes:
        joints: 26 names.
        lower: (26,) [rad].
        upper: (26,) [rad].
        velocity_limits: (26,) [rad/s].
        effort_limits: (26,) [N m].
        hand: "dfx" or "ftp".
        urdf: The description that all this was read from.
        pin_model: Pinocchio's model, with one degree of freedom for every joint, followers included.
        columns: (26,) which of those degrees of freedom each joint is.
        torso_from_eyes: (4, 4), where the description mounts the eyes.
    """

    def __init__(self, urdf: str) -> None:
        self.urdf = urdf
        self.pin_model = pin.buildModelFromXML(urdf)
        self._data = self.pin_model.createData()
        self.hand = _which_hand(self.pin_model)
        self.joints = joint_names(self.hand)
        self.columns = np.array([self._column(name) for name in self.joints])
        self.lower = self.pin_model.lowerPositionLimit[self.columns].copy()
        self.upper = self.pin_model.upperPositionLimit[self.columns].copy()
        self.velocity_limits = self.pin_model.velocityLimit[self.columns].copy()
        self.effort_limits = self.pin_model.effortLimit[self.columns].copy()
        self._spread, self._offset = self._mimic_map(resolve_mimics(urdf))
        names = hand_names(self.hand)
        self._wrist_ids = [self.frame_id(f"{side}_wrist") for side in SIDES]
        self._tip_ids = [[self.frame_id(tip) for tip in tips] for tips in names.tips]
        self._torso_id = self.frame_id("torso_link")
        self.torso_from_eyes = inverse(self.link_pose("torso_link", self.zero)) @ self.link_pose("eyes", self.zero)

    @classmethod
    def load(cls, urdf: str | None = None) -> "RobotModel":
        """Read a model out of a URDF document, by default our own with DFX hands.

        Raises:
            ModelError: It is not a URDF, or not of an H1-2 with Inspire hands and our frames.
        """
        try:
            return cls(describe() if urdf is None else urdf)
        except (ValueError, RuntimeError, ElementTree.ParseError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(f"expected the URDF of an H1-2 with Inspire hands: {error}") from error

    @property
    def zero(self) -> Array:
        """(26,) all joints at zero: forearms level and forward, hands open."""
        return np.zeros(COUNT)

    @cached_property
    def neutral(self) -> Array:
        """(26,) a ready posture: hands in view, open, just above a table 0.95 m high (pelvis at 1.03 m)."""
        left = np.array(NEUTRAL_LEFT_ARM)
        q = np.concatenate([left, left * MIRROR_ARM, NEUTRAL_HAND, NEUTRAL_HAND])
        return np.clip(q, self.lower, self.upper)

    @property
    def robot_from_torso(self) -> Array:
        """(4, 4): the robot frame has the torso's axes and its origin at the eyes."""
        return pose(np.eye(3), -self.torso_from_eyes[:3, 3])

    def configuration(self, q: Array) -> Array:
        """All of Pinocchio's joint angles (nq,) for the 26, followers resolved.

        Raises:
            ShapeError: `q` has another shape than (26,).
        """
        q = np.asarray(q, dtype=float)
        if q.shape != (COUNT,):
            raise ShapeError(f"expected {COUNT} joint angles, got shape {q.shape}")
        return self._spread @ q + self._offset

    def reduce_jacobian(self, jacobian: Array) -> Array:
        """Pinocchio's Jacobian (m, nv) to one for the 26 joints (m, 26), followers folded into their motors."""
        return jacobian @ self._spread

    def frame_id(self, name: str) -> int:
        """Pinocchio's index of a frame.

        Raises:
            FrameNotFound: The model has no such frame.
        """
        if not self.pin_model.existFrame(name):
            raise FrameNotFound(name, self.frame_names)
        return int(self.pin_model.getFrameId(name))

    @property
    def frame_names(self) -> tuple[str, ...]:
        """Every link and frame of the description."""
        return tuple(frame.name for frame in self.pin_model.frames if frame.type == pin.FrameType.BODY)

    def link_pose(self, name: str, q: Array) -> Array:
        """pelvis_from_link, (4, 4), of any link or frame."""
        return self.link_poses([name], q)[0]

    def link_poses(self, names: Sequence[str], q: Array) -> Array:
        """pelvis_from_link of several frames, (n, 4, 4)."""
        ids = [self.frame_id(name) for name in names]
        pin.forwardKinematics(self.pin_model, self._data, self.configuration(q))
        return np.array([self._place(frame_id).homogeneous for frame_id in ids])

    def hand_state(self, q: Array) -> HandState:
        """The 54 numbers' meaning for 26 joint angles (paper, section II-A)."""
        pin.forwardKinematics(self.pin_model, self._data, self.configuration(q))
        robot_from_pelvis = pin.SE3(self.robot_from_torso) * self._place(self._torso_id).inverse()
        wrists = np.empty((2, 4, 4))
        tips = np.empty((2, 5, 3))
        for side in range(2):
            pelvis_from_wrist = self._place(self._wrist_ids[side])
            wrists[side] = (robot_from_pelvis * pelvis_from_wrist).homogeneous
            for finger, frame_id in enumerate(self._tip_ids[side]):
                tips[side, finger] = pelvis_from_wrist.actInv(self._place(frame_id).translation)
        return HandState.from_poses(self.torso_from_eyes[:3, :3], wrists, tips)

    def _place(self, frame_id: int) -> pin.SE3:
        return pin.updateFramePlacement(self.pin_model, self._data, frame_id)

    def _column(self, joint: str) -> int:
        if not self.pin_model.existJointName(joint):
            raise FrameNotFound(joint, self.pin_model.names[1:], kind="joint")
        return int(self.pin_model.joints[self.pin_model.getJointId(joint)].idx_q)

    def _mimic_map(self, mimics: dict[str, Mimic]) -> tuple[Array, Array]:
        """configuration = spread @ q + offset."""
        spread, offset = np.zeros((self.pin_model.nq, COUNT)), np.zeros(self.pin_model.nq)
        spread[self.columns, np.arange(COUNT)] = 1.0
        for follower, mimic in mimics.items():
            row = self._column(follower)
            spread[row, self.joints.index(mimic.leader)] = mimic.multiplier
            offset[row] = mimic.offset
        return spread, offset


def resolve_mimics(urdf: str) -> dict[str, Mimic]:
    """Every follower of a URDF with the motor at the end of its chain.

    The official FTP hand nests them (thumb_4 follows thumb_3 follows thumb_2); looking one joint up is not enough.
    """
    found = {}
    for joint in ElementTree.fromstring(urdf).iter("joint"):
        mimic = joint.find("mimic")
        if mimic is not None:
            found[joint.get("name", "")] = Mimic(
                mimic.get("joint", ""), float(mimic.get("multiplier", 1)), float(mimic.get("offset", 0))
            )
    return {name: _follow(mimic, found) for name, mimic in found.items()}


def _follow(mimic: Mimic, found: dict[str, Mimic]) -> Mimic:
    for _ in found:  # a chain is never longer than the number of followers
        above = found.get(mimic.leader)
        if above is None:
            return mimic
        mimic = Mimic(above.leader, mimic.multiplier * above.multiplier, mimic.multiplier * above.offset + mimic.offset)
    raise ModelError(f"the joint {mimic.leader!r} follows itself")


def _which_hand(model: pin.Model) -> str:
    for hand in HANDS_KNOWN:
        if all(model.existBodyName(base) for base in hand_names(hand).bases):
            return hand
    expected = " nor ".join(" and ".join(hand_names(hand).bases) for hand in HANDS_KNOWN)
    raise ModelError(f"the description carries no Inspire hands: it has neither {expected}")
