"""Is what a headset says true? Duplicates dropped, hostile numbers refused, hands that are not seen found out.

Headsets go on sending when they lose sight of a hand: the wrist stands still to the last bit while the fingers play on,
or jumps when it is found again. A sample is refused as a whole where its head is none; a hand is marked as not tracked

    absent       its numbers are missing, not finite or no rigid transforms
    far away     its wrist is farther from the head than arms are long, or a joint farther from the wrist than hands are
    frozen       its wrist has not changed in a single bit for `frozen_after`
    jumped       its wrist moved faster than `fastest` lately
    backwards    its fingers bend over the back of the hand: left and right are swapped somewhere. It is believed again
                 once they have clearly bent the right way: flat hands look alike
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import HeadsetError
from firsthand.headset.hand_frames import back_bends
from firsthand.headset.hands_sample import WRIST, HandsSample

Array = NDArray[np.floating]

SECOND = 1_000_000_000  # [ns]


@dataclass(frozen=True)
class WatchSettings:
    """Times in seconds, lengths in metres."""

    frozen_after: float = 0.15
    fastest: float = 8.0  # [m/s]; people throw at 5
    settling: float = 0.1  # how long a hand that has jumped is not believed
    reach: float = 1.4  # head to wrist
    hand: float = 0.30  # wrist to any joint
    back_bend: float = 0.020  # of the fingertips behind the back of the hand, mean of four fingers
    rigid: float = 0.02  # how far a rotation may be from orthonormal

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < 100:
                raise ValueError(f"expected {name} above 0, got {value}")


@dataclass
class _Hand:
    """What is known of one hand from the samples before."""

    wrist: Array | None = None  # (4, 4), as it last changed
    changed_ns: int = 0
    trusted_ns: int = 0  # not before
    backwards: bool = False  # its fingers have bent over its back, and not to its palm since


class TrackingWatch:
    """Looks at every sample of one stream, in order.

    Attributes:
        refused: How many samples were refused, by reason.
        untracked: For each hand, how many samples it was not tracked in, by reason.
        duplicates: How many samples said the same as the one before.
        last_error: Of the sample refused last.
    """

    def __init__(self, settings: WatchSettings | None = None) -> None:
        self.settings = settings or WatchSettings()
        self.refused: Counter[str] = Counter()
        self.untracked: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self.duplicates = 0
        self.last_error = ""
        self._last: tuple[Array, Array] | None = None
        self._hands = (_Hand(), _Hand())

    def look(
        self, stamp_ns: int, world_from_head: Array, world_from_wrists: Array, world_from_joints: Array
    ) -> HandsSample | None:
        """What is believed of a sample, or None if it says nothing new.

        Args:
            stamp_ns: When it arrived.
            world_from_head: (4, 4).
            world_from_wrists: (2, 4, 4), left then right, as the device sent them: what stands still if it is lost.
            world_from_joints: (2, 25, 4, 4); NaN where there is nothing.

        Raises:
            HeadsetError: The head is none; counted.
        """
        if self._is_duplicate(world_from_head, world_from_joints):
            self.duplicates += 1
            return None
        self._last = world_from_head, world_from_joints
        matrices = np.concatenate([world_from_head[None], world_from_wrists, world_from_joints.reshape(-1, 4, 4)])
        rigid = _rigid(matrices, self.settings.rigid)
        if not rigid[0]:
            raise self.refuse("head", _why_no_head(world_from_head))
        present = rigid[1:3] & rigid[3:].reshape(2, -1).all(axis=1)
        bends = back_bends(np.where(present[:, None, None], world_from_joints[:, :, :3, 3], 0.0))
        joints = world_from_joints.copy()
        tracked = [True, True]
        for side in (0, 1):
            if present[side]:
                points, wrist = world_from_joints[side, :, :3, 3], world_from_wrists[side]
                fault = self._fault(stamp_ns, world_from_head, wrist, points, float(bends[side]), self._hands[side])
            else:
                fault, self._hands[side].wrist = "absent", None
            if fault:
                tracked[side], joints[side] = False, np.nan
                self.untracked[side][fault] += 1
        return HandsSample(stamp_ns, world_from_head, joints, (tracked[0], tracked[1]))

    def refuse(self, reason: str, message: str) -> HeadsetError:
        """Count a sample that is of no use; returns the error to raise."""
        self.refused[reason] += 1
        self.last_error = message
        return HeadsetError(message)

    def _is_duplicate(self, head: Array, joints: Array) -> bool:
        if self._last is None:
            return False
        same_head, same_joints = self._last
        return np.array_equal(head, same_head, equal_nan=True) and np.array_equal(joints, same_joints, equal_nan=True)

    def _fault(self, stamp_ns: int, head: Array, wrist: Array, points: Array, bend: float, hand: _Hand) -> str:
        """Why a hand, its joints at points (25, 3), is not to be believed; empty if it is."""
        s = self.settings
        from_head = float(np.linalg.norm(points[WRIST] - head[:3, 3]))
        from_wrist = float(np.linalg.norm(points - points[WRIST], axis=1).max())
        motion = self._motion_fault(stamp_ns, wrist, hand)
        if from_head > s.reach or from_wrist > s.hand:
            return "far away"
        if motion:
            return motion
        hand.backwards = bend > (-s.back_bend if hand.backwards else s.back_bend)
        return "backwards" if hand.backwards else ""

    def _motion_fault(self, stamp_ns: int, wrist: Array, hand: _Hand) -> str:
        s = self.settings
        if hand.wrist is None:
            hand.wrist, hand.changed_ns, hand.trusted_ns = wrist, stamp_ns, stamp_ns
            return ""
        if np.array_equal(wrist, hand.wrist):
            return "frozen" if stamp_ns - hand.changed_ns > s.frozen_after * SECOND else ""
        elapsed = max(stamp_ns - hand.changed_ns, 1) / SECOND
        distance = float(np.linalg.norm(wrist[:3, 3] - hand.wrist[:3, 3]))
        if distance > s.fastest * max(elapsed, 1 / 90):  # messages that wait on the way arrive in a bunch
            hand.trusted_ns = stamp_ns + int(s.settling * SECOND)
        hand.wrist, hand.changed_ns = wrist, stamp_ns
        return "jumped" if stamp_ns < hand.trusted_ns else ""


def _rigid(matrices: Array, tolerance: float) -> NDArray[np.bool_]:
    """Which of (n, 4, 4) are finite rotations and places within 1 km; a lower row is not looked at."""
    plausible = np.isfinite(matrices).all(axis=(1, 2)) & (np.abs(matrices[:, :3]).max(axis=(1, 2)) <= 1e3)
    rotations = np.where(plausible[:, None, None], matrices[:, :3, :3], 0.0)
    squares = rotations @ np.swapaxes(rotations, 1, 2) - np.eye(3)
    return (np.abs(squares).max(axis=(1, 2)) < tolerance) & (np.linalg.det(rotations) > 0)


def _why_no_head(head: Array) -> str:
    if not head[:3].any():
        return "the headset sends zeros: its app wants another library version, or tracking was not started in it"
    if not np.isfinite(head).all():
        return "the headset sends a head that is not finite"
    return f"the headset sends a head that is no rigid transform: {np.round(head[:3], 3).tolist()}"
