"""Hands from a headset's browser: what the page (`page.html`) packs of a WebXR frame, checked like any other source.

A message is 51 matrices of 16 little-endian float32, column by column: the head, 25 joints of the left hand, 25 of the
right, in a space with y up whose origin is on the floor; NaN for a hand that is not tracked. Head and hands are of one
instant: WebXR predicts both for the time at which the frame is shown.
"""

import time
from collections.abc import Callable

import numpy as np

from firsthand.errors import HeadsetError
from firsthand.headset.hand_frames import head_from_headset, joints_from_headset
from firsthand.headset.hands_sample import BODIES, JOINTS, WRIST, HandsSample
from firsthand.headset.tracking_watch import TrackingWatch, WatchSettings

SIZE = len(BODIES) * 16 * 4  # [bytes]


class WebHands:
    """Hands every believed sample to a function; whoever has messages calls `take`.

    Attributes:
        watch: What was refused and which hands were not tracked, counted.
        connections: Always 0: viewers come and go.
        messages: How many came in all.
        state: What the source is doing, in words.
    """

    def __init__(
        self,
        on_sample: Callable[[HandsSample], None],
        *,
        now_ns: Callable[[], int] = time.time_ns,
        settings: WatchSettings | None = None,
    ) -> None:
        self.watch = TrackingWatch(settings)
        self.connections = self.messages = 0
        self.state = "waits for a headset to open the page"
        self._on_sample, self._now_ns = on_sample, now_ns

    def take(self, message: bytes) -> None:
        """Look at a message."""
        stamp_ns = self._now_ns()
        self.messages += 1
        self.state = "listening"
        if len(message) != SIZE:
            self.watch.refuse("no message", f"expected {SIZE} bytes of hands from the page, got {len(message)}")
            return
        matrices = np.frombuffer(message, "<f4").reshape(len(BODIES), 4, 4).swapaxes(1, 2).astype(float)
        with np.errstate(all="ignore"):  # numbers of any size may come; the watch looks at what they give
            head = head_from_headset(matrices[0])
            joints = joints_from_headset(matrices[1:].reshape(2, len(JOINTS), 4, 4))
        try:
            sample = self.watch.look(stamp_ns, head, joints[:, WRIST], joints)
        except HeadsetError:
            return  # counted by the watch
        if sample is not None:
            self._on_sample(sample)
