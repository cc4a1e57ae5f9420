"""What the operator closes and opens the tie to the robot with: a gesture of both hands, or a pedal.

Either says `Move.CLOSE` once, at the moment at which the robot may begin to follow, and `Move.OPEN` when it has to end.
What was begun before the headset fell silent is forgotten: who puts it on again has not asked for anything yet.
"""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from firsthand.teleoperation.gestures import SECOND, UNSEEN, Held, LittleFingerTouch

Array = NDArray[np.floating]


class Move(Enum):
    """What a clutch says."""

    NOTHING = 0
    CLOSE = 1
    OPEN = 2


class GestureClutch:
    """Thumb and little finger of both hands, held: opens at once, closes when they are let go.

    Args:
        seconds: How long the gesture is held.
    """

    def __init__(self, seconds: float) -> None:
        self._touch, self._held = LittleFingerTouch(), Held(seconds)
        self._armed = False  # held for long enough; closes when it is let go
        self._spent = False  # it has done what it does, or was forgotten; to be let go first
        self._seen_ns = 0

    @property
    def advice(self) -> str:
        """What the operator is to do next to close it."""
        if self._armed:
            return "let go to begin"
        return "touch thumb and little finger of both hands, then let go, to begin"

    def look(self, now_ns: int, fingertips_in_wrist: Array, is_closed: bool) -> Move:
        """Look at fingertips (2, 5, 3), [m], NaN of a hand that is not seen; `is_closed`: the robot is tied."""
        made = self._touch.look(fingertips_in_wrist)
        held = self._held.update(now_ns, made)
        if made is None:
            if now_ns - self._seen_ns > UNSEEN * SECOND:
                self.forget()
            return Move.NOTHING
        self._seen_ns = now_ns
        if not made:
            closes, self._armed, self._spent = self._armed, False, False
            return Move.CLOSE if closes else Move.NOTHING
        if held and is_closed:
            self._armed, self._spent = False, True
            return Move.OPEN
        self._armed |= held and not self._spent
        return Move.NOTHING

    def forget(self) -> None:
        """A gesture in progress is void; it has to be let go, in sight, before another counts."""
        self._spent |= self._touch.made
        self._armed = False
        self._held.forget()


class PedalClutch:
    """A deadman: closes when the pedal is pressed, opens when it is released or falls silent.

    Args:
        timeout: Silence that counts as released, [s].
    """

    def __init__(self, timeout: float) -> None:
        self._timeout_ns = int(timeout * SECOND)
        self._heard_ns, self._pressed = 0, False
        self._was_pressed = True  # when last looked at; what is down at the beginning has not been pressed

    @property
    def advice(self) -> str:
        """What the operator is to do next to close it."""
        return "release the pedal, then press it, to begin" if self._was_pressed else "press the pedal to begin"

    def hear(self, now_ns: int, pressed: bool) -> None:
        """The pedal's state, again and again."""
        self._heard_ns, self._pressed = now_ns, pressed

    def look(self, now_ns: int) -> Move:
        """Look at the clock."""
        pressed = self._pressed and 0 <= now_ns - self._heard_ns <= self._timeout_ns
        was, self._was_pressed = self._was_pressed, pressed
        if not pressed:
            return Move.OPEN
        return Move.NOTHING if was else Move.CLOSE

    def forget(self) -> None:
        """A pedal that is down counts only when it is pressed again."""
        self._was_pressed = True
