"""How far each finger of these very hands really goes, on the wire's scale: 1 is open and 0 is closed.

A hand that was assembled a little differently reports 0.97 when it is open and 0.04 when it is closed. What
`firsthand calibrate hands` measures of that is kept in

    format: firsthand/hand_strokes/1
    hand: dfx
    left:                               what the finger reports when it is fully open, and fully closed
      thumb_yaw: {open: 0.97, closed: 0.04}
      thumb_pitch: ...                  index, middle, ring, little
    right: ...

DFX hands carry this number in `q`, FTP hands 1000 times it. Between the ends it is linear in the joint angle, from the
lower limit (open) to the upper (closed).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import CalibrationError
from firsthand.robot.joints import HANDS_KNOWN
from firsthand.robot.mount_file import read_calibration_file, write_calibration_file

Array = NDArray[np.floating]

FORMAT = "firsthand/hand_strokes/1"
SIDES = ("left", "right")
ALL = slice(None)
FINGERS = ("thumb_yaw", "thumb_pitch", "index", "middle", "ring", "little")
IN_USE, NOT_IN_USE = "hand strokes", "none"
"""The body's diagnostics, and so a bag's, say under this name which file its fingers' angles are made with."""
SHORTEST = 0.3  # of the whole scale, that a finger which is not stuck goes
MARGIN = 0.2  # beyond the scale that an end may lie


@dataclass(frozen=True)
class HandStrokes:
    """Both hands' ends, in the order of `joints.HANDS`: left, then right, thumb yaw to little.

    Raises:
        CalibrationError: An end that no hand has, or a finger that hardly moves.
    """

    hand: str  # dfx or ftp
    open: Array  # (12,), reported when open
    closed: Array  # (12,), reported when closed

    def __post_init__(self) -> None:
        if self.hand not in HANDS_KNOWN:
            raise CalibrationError(f"no hand {self.hand!r}; choose {' or '.join(HANDS_KNOWN)}")
        for number, (top, bottom) in enumerate(zip(self.open, self.closed, strict=True)):
            name = finger_name(number)
            if not (-MARGIN <= bottom <= 1 + MARGIN and -MARGIN <= top <= 1 + MARGIN):
                raise CalibrationError(f"{name} reports {top:.3g} open and {bottom:.3g} closed, expected 0 to 1")
            if top - bottom < SHORTEST:
                why = "are open and closed swapped?" if bottom - top > SHORTEST else "is it stuck, or not connected?"
                raise CalibrationError(f"{name} reports {top:.3g} open and {bottom:.3g} closed: {why}")

    @classmethod
    def nominal(cls, hand: str = "dfx") -> "HandStrokes":
        """Hands that go from 1 to 0."""
        return cls(hand, np.ones(12), np.zeros(12))

    def openness(self, reported: Array, part: slice = ALL) -> Array:
        """Reported numbers (..., 12) to how open the fingers are, 1 to 0; of a part of them where one is named."""
        return (np.asarray(reported, float) - self.closed[part]) / (self.open - self.closed)[part]

    def command(self, openness: Array, part: slice = ALL) -> Array:
        """How open the fingers should be (..., 12), 1 to 0, to numbers that they take as that; or of a part of them."""
        return np.clip(self.closed[part] + np.asarray(openness, float) * (self.open - self.closed)[part], 0.0, 1.0)


def finger_name(number: int) -> str:
    """Which of the twelve a number is: "left index"."""
    return f"{SIDES[number // 6]} {FINGERS[number % 6]}"


def read_strokes(path: str | Path) -> HandStrokes:
    """Read such a file.

    Raises:
        CalibrationError: There is none, or it lacks a finger, or no hand is like that.
    """
    content = read_calibration_file(Path(path), FORMAT)
    ends = np.empty((12, 2))
    for number in range(12):
        side, finger = SIDES[number // 6], FINGERS[number % 6]
        hand = content.get(side)
        entry = hand.get(finger) if isinstance(hand, dict) else None
        values = [entry.get(end) for end in ("open", "closed")] if isinstance(entry, dict) else [None]
        if not all(isinstance(v, int | float) and not isinstance(v, bool) and np.isfinite(v) for v in values):
            raise CalibrationError(f"{path}: {side} {finger} is {entry!r}, expected {{open: 1.0, closed: 0.0}}")
        ends[number] = values
    try:
        return HandStrokes(str(content.get("hand")), ends[:, 0], ends[:, 1])
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error


def write_strokes(path: Path, strokes: HandStrokes) -> Path:
    """Write the file whole, or not at all."""
    content: dict[str, object] = {"hand": strokes.hand}
    for side, start in zip(SIDES, (0, 6), strict=True):
        content[side] = {
            finger: {"open": round(float(strokes.open[n]), 4), "closed": round(float(strokes.closed[n]), 4)}
            for n, finger in enumerate(FINGERS, start=start)
        }
    return write_calibration_file(path, FORMAT, content)
