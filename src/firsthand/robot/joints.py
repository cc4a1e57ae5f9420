"""Names and order of the joints that move: 14 of the arms, 12 of the hands; and the finger links that follow them.

A joint vector holds, in this order, the left arm (7), the right arm (7), the left hand (6) and the right hand (6),
a hand being thumb yaw, thumb pitch, index, middle, ring, little. The order is the same for both kinds of Inspire hand;
the names of the hand joints differ and say which hand a message is about. Where a name is needed without a model it is
the DFX hand's.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from firsthand.errors import ModelError

HANDS_KNOWN = ("dfx", "ftp")
"""The Inspire hands that the description can carry."""
HAND_CHOICES = (*HANDS_KNOWN, "none")
"""What a robot may carry; nodes have a parameter `hand` with these, and a launch file gives all of them the same."""


@dataclass(frozen=True)
class Mimic:
    """A joint without a motor: its angle is `multiplier * leader + offset`."""

    leader: str
    multiplier: float
    offset: float = 0.0  # [rad]


@dataclass(frozen=True)
class HandNames:
    """What one kind of hand calls its parts, left then right."""

    joints: tuple[tuple[str, ...], tuple[str, ...]]  # 6 each, thumb yaw to little
    tips: tuple[tuple[str, ...], tuple[str, ...]]  # 5 each, thumb to little
    bases: tuple[str, str]


def _arm(side: str) -> tuple[str, ...]:
    parts = ("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow", "wrist_roll", "wrist_pitch", "wrist_yaw")
    return tuple(f"{side}_{part}_joint" for part in parts)


def _dfx_joints(side: str) -> tuple[str, ...]:
    parts = ("thumb_proximal_yaw", "thumb_proximal_pitch", *(f"{finger}_proximal" for finger in _DFX_FINGERS[1:]))
    return tuple(f"{side}_{part}_joint" for part in parts)


def _ftp_joints(side: str) -> tuple[str, ...]:
    return tuple(f"{side}_{part}_joint" for part in ("thumb_1", "thumb_2", "index_1", "middle_1", "ring_1", "little_1"))


def _tips(side: str, fingers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{side}_{finger}_tip" for finger in fingers)


_DFX_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_FTP_FINGERS = ("thumb", "index", "middle", "ring", "little")

HAND_NAMES = {
    "dfx": HandNames(
        joints=(_dfx_joints("L"), _dfx_joints("R")),
        tips=(_tips("L", _DFX_FINGERS), _tips("R", _DFX_FINGERS)),
        bases=("L_hand_base_link", "R_hand_base_link"),
    ),
    "ftp": HandNames(
        joints=(_ftp_joints("left"), _ftp_joints("right")),
        tips=(_tips("left", _FTP_FINGERS), _tips("right", _FTP_FINGERS)),
        bases=("left_base_link", "right_base_link"),
    ),
}

LEFT_ARM = _arm("left")
RIGHT_ARM = _arm("right")
ARMS = LEFT_ARM + RIGHT_ARM
LEFT_HAND, RIGHT_HAND = HAND_NAMES["dfx"].joints
HANDS = LEFT_HAND + RIGHT_HAND
JOINTS = ARMS + HANDS
"""The 26 joints of the H1-2 with DFX hands."""

COUNT = len(JOINTS)
LEFT_ARM_SLICE = slice(0, 7)
RIGHT_ARM_SLICE = slice(7, 14)
ARMS_SLICE = slice(0, 14)
LEFT_HAND_SLICE = slice(14, 20)
RIGHT_HAND_SLICE = slice(20, 26)
HANDS_SLICE = slice(14, 26)


def joint_names(hand: str = "dfx") -> tuple[str, ...]:
    """The 26 joint names of the robot with this kind of hand.

    Raises:
        ModelError: There is no such hand.
    """
    left, right = hand_names(hand).joints
    return ARMS + left + right


def hand_names(hand: str) -> HandNames:
    """What the parts of this kind of hand are called.

    Raises:
        ModelError: There is no such hand.
    """
    if hand not in HAND_NAMES:
        raise ModelError(f"no hand {hand!r}; choose {' or '.join(HANDS_KNOWN)}")
    return HAND_NAMES[hand]


def described_hand(choice: str) -> str:
    """The hand in the description of a robot that carries `choice`: without hands it is described with DFX ones."""
    return "dfx" if choice == "none" else choice


def hand_of(names: Collection[str]) -> str | None:
    """Whose six motors a hand are all among these joint names; None if it is neither's."""
    for hand, parts in HAND_NAMES.items():
        if set(parts.joints[0] + parts.joints[1]) <= set(names):
            return hand
    return None


def check_hand(wanted: Sequence[str], came: Sequence[str]) -> None:
    """Refuse joints of a robot with the other kind of hand: same order, other angles.

    Raises:
        ModelError: Names both hands, and what to do.
    """
    ours, theirs = hand_of(wanted), hand_of(came)
    if ours and theirs and ours != theirs:
        raise ModelError(
            f"joints of a robot with {theirs} hands came, {ours} hands were expected; give every node the same hand "
            f"(hand:={theirs} if those are mounted)"
        )


def mimic_joints(hand: str = "dfx") -> dict[str, Mimic]:
    """The joints that follow a motor, each with its motor (never another follower)."""
    return {
        follower: Mimic(leader, multiplier)
        for motors in hand_names(hand).joints
        for leader in motors
        for follower, multiplier in _followers(leader, hand)
    }


def _followers(leader: str, hand: str) -> list[tuple[str, float]]:
    if hand == "ftp":
        if "thumb" in leader:  # the official thumb_4 follows thumb_3, which follows thumb_2
            third, fourth = leader.replace("_2", "_3"), leader.replace("_2", "_4")
            return [(third, 0.8024), (fourth, 0.8024 * 0.9487)] if "_2" in leader else []
        return [(leader.replace("_1_", "_2_"), 1.0843)]
    if "thumb" in leader:
        side = leader[0]
        followers = [(f"{side}_thumb_intermediate_joint", 1.6), (f"{side}_thumb_distal_joint", 2.4)]
        return followers if "pitch" in leader else []
    return [(leader.replace("proximal", "intermediate"), 1.0)]


MIMIC = mimic_joints("dfx")
"""The 12 followers of the DFX hands."""
