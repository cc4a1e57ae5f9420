"""What bare hands say besides moving: stop, take the clutch, record, discard.

    stop      both wrists above the eyes, as people throw up their hands
    clutch    thumb and little finger touch, on both hands at once, index and middle finger stay long
    record    both hands closed, both thumbs up; starts a recording, or ends it
    discard   both hands closed, both thumbs down

None of them happens in work on a table. A gesture counts once it has been held for a while. A hand that goes out of
sight for a moment neither begins a gesture nor ends it: hands hide each other, and most of all when fingers touch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.space.hand_state import HandState

Array = NDArray[np.floating]

SECOND = 1_000_000_000  # [ns]
TOUCHING, APART = 0.028, 0.045  # [m] between the bones' ends: closer is a touch, farther is none, between as before
LONG_FINGERS = 0.115  # [m] along x, from the wrist to the tips of index and middle finger; a fist has less
SHORT_FINGERS = 0.105  # [m] along x, of all four in a fist
THUMB_OUT = 0.07  # [m] from the middle of the other tips to the thumb's; folded in, it has less
UPRIGHT = 0.82  # share of the way from there to the thumb's tip that is vertical: 35 deg
ABOVE_EYES = 0.05  # [m]
UNSEEN = 0.3  # [s] that a hand may be out of sight in a gesture
UP_UNSEEN = 1.0  # [s] that a hand counts as thrown up after it left the cameras' sight that way
THUMB, INDEX, MIDDLE, LITTLE = 0, 1, 2, 4


class HandsUp:
    """Whether both hands are thrown up; one that is lost from sight up there stays up for a while."""

    def __init__(self) -> None:
        self._seen_up_ns: list[int | None] = [None, None]

    def look(self, now_ns: int, wrist_positions: Array) -> bool:
        """Whether both wrists (2, 3), [m] in F_R, NaN of a hand that is not seen, are above the eyes."""
        for side, height in enumerate(wrist_positions[:, 2]):
            if np.isfinite(height):
                self._seen_up_ns[side] = now_ns if height > ABOVE_EYES else None
        return all(seen is not None and now_ns - seen <= UP_UNSEEN * SECOND for seen in self._seen_up_ns)


class LittleFingerTouch:
    """Whether both thumbs touch the little fingers, with a hysteresis."""

    def __init__(self) -> None:
        self.made = False

    def look(self, fingertips_in_wrist: Array) -> bool | None:
        """Whether the gesture is made by fingertips (2, 5, 3), [m]; None if a hand is not seen (NaN)."""
        if not np.isfinite(fingertips_in_wrist).all():
            return None
        gap = np.linalg.norm(fingertips_in_wrist[:, THUMB] - fingertips_in_wrist[:, LITTLE], axis=1)
        long = (fingertips_in_wrist[:, [INDEX, MIDDLE], 0] > LONG_FINGERS).all()
        self.made = bool(long and (gap < (APART if self.made else TOUCHING)).all())
        return self.made


def thumbs(hands: HandState) -> int | None:
    """1 with both hands closed and the thumbs up, -1 with the thumbs down, 0 if neither; None if a hand is not seen."""
    if not np.isfinite(hands.fingertips_in_wrist).all():
        return None
    if (hands.fingertips_in_wrist[:, INDEX:, 0] > SHORT_FINGERS).any():
        return 0
    tips = hands.fingertips_in_robot
    out = tips[:, THUMB] - tips[:, INDEX:].mean(axis=1)
    length = np.linalg.norm(out, axis=1)
    if (length < THUMB_OUT).any():
        return 0
    upright = out[:, 2] / length
    return int((upright > UPRIGHT).all()) - int((upright < -UPRIGHT).all())


@dataclass
class Held:
    """Says whether something has been so for long enough.

    Args:
        seconds: How long it must be so to count.
    """

    seconds: float
    _since_ns: int | None = None
    _known_ns: int = 0

    def update(self, now_ns: int, is_so: bool | None) -> bool:
        """Whether it has been so for long enough; None, not known, is as before for `UNSEEN`, then it is not so."""
        if is_so is None:
            is_so = self._since_ns is not None and now_ns - self._known_ns <= UNSEEN * SECOND
        else:
            self._known_ns = now_ns
        if not is_so:
            self._since_ns = None
        elif self._since_ns is None or now_ns < self._since_ns:
            self._since_ns = now_ns
        return self._since_ns is not None and now_ns - self._since_ns >= self.seconds * SECOND

    def forget(self) -> None:
        """Begin anew."""
        self._since_ns = None


class RecordingGestures:
    """Both thumbs up, or down, held: says it once, and again only after the thumbs have been elsewhere.

    Args:
        record_time: For which thumbs are held up, [s].
        discard_time: And down: that takes something away.
    """

    def __init__(self, record_time: float, discard_time: float) -> None:
        self.pending = 0  # 1 while thumbs are up and not yet for long enough, -1 down
        self._up, self._down = Held(record_time), Held(discard_time)
        self._spent = False

    def look(self, now_ns: int, hands: HandState) -> int:
        """1 when thumbs have been held up, -1 when they have been held down, else 0."""
        way = thumbs(hands)
        if way is None:
            self._up.update(now_ns, None)
            self._down.update(now_ns, None)
            return 0
        up, down = self._up.update(now_ns, way > 0), self._down.update(now_ns, way < 0)
        self._spent &= way != 0
        said = 0 if self._spent else int(up) - int(down)
        self._spent |= said != 0
        self.pending = 0 if self._spent else way
        return said

    def forget(self) -> None:
        """What has been made until now is not counted; thumbs that are held must be elsewhere first."""
        self._up.forget()
        self._down.forget()
        self.pending, self._spent = 0, True
