"""Simulated time that waits for a policy, or for kinematics, that computes slower than real time.

A robot does not wait; a simulation on a busy computer may, and then its result does not depend on the computer. Time
stands still while

    the newest chunk comes from an observation older than a limit: pictures on their way become the chunk to go on with
    there is a camera, and its last picture is some periods old: a robot's camera loses none, whatever renders it
    commands have been coming, and the last one is some ticks old: the next one is on its way

What stays away for too long is not waited for again until it is heard.
"""

import time
from dataclasses import dataclass

from firsthand.nodes.diagnostics import OK, Status

PICTURE_LIMIT = 2.5  # periods of the camera: one picture in the making and one to go on with, so that none is lost
COMMAND_LIMIT_NS = 20_000_000  # far inside the safety gate's time-out
LONGEST_WAIT = 5.0  # [s] of real time: a picture may be lost, and without time there is no next one; or a node is dead


@dataclass
class _Input:
    """One thing that time waits for."""

    limit_ns: int
    stamp_ns: int | None = None  # of the newest; None: waited for from now on, or not at all
    given_up: bool = False  # waited for too long, and not heard since

    def hear(self, stamp_ns: int) -> None:
        self.stamp_ns, self.given_up = stamp_ns, False

    def is_late(self, now_ns: int) -> bool:
        return not self.given_up and self.stamp_ns is not None and now_ns - self.stamp_ns > self.limit_ns


class Pacing:
    """Says whether simulated time may pass.

    Args:
        limit: Age of the newest chunk's observation at which time stops, [s]; 0 never stops it.
        picture_period: Between two pictures, [s].
    """

    def __init__(self, limit: float, picture_period: float = 0.04) -> None:
        self.waited = 0.0  # [s] of real time in all
        self._waits = limit > 0
        self._chunk = _Input(int(limit * 1e9))
        self._picture = _Input(round(PICTURE_LIMIT * picture_period * 1e9))
        self._command = _Input(COMMAND_LIMIT_NS)
        self._expects_chunks = self._expects_pictures = False
        self._waiting_since: float | None = None

    def expect(self, chunks: bool, pictures: bool) -> None:
        """Say whether there are a policy and a camera; without a policy time passes."""
        self._expects_chunks, self._expects_pictures = chunks, pictures

    def hear_chunk(self, observation_ns: int) -> None:
        """Take note of a chunk and of the observation that it comes from."""
        self._chunk.hear(observation_ns)

    def hear_picture(self, stamp_ns: int) -> None:
        """Take note of a picture."""
        self._picture.hear(stamp_ns)

    def hear_command(self, stamp_ns: int) -> None:
        """Take note of a joint command."""
        self._command.hear(stamp_ns)

    def forget(self) -> None:
        """Begin anew: there are no commands, the first chunk and the first picture are waited for from now on."""
        self._chunk.stamp_ns = self._picture.stamp_ns = self._command.stamp_ns = None

    def may_pass(self, now_ns: int) -> bool:
        """Whether the tick after `now_ns` may happen; asked again and again while it may not."""
        if not self._expects_chunks:
            self.forget()
        for each in (self._chunk, self._picture):
            if each.stamp_ns is None:
                each.stamp_ns = now_ns
        late = self._late(now_ns)
        if late and self._waited_too_long():
            for each in late:
                each.given_up = True
            late = []
        self._note(waiting=bool(late))
        return not late

    def _late(self, now_ns: int) -> list[_Input]:
        if not self._waits or not self._expects_chunks:
            return []
        expected = [self._chunk, self._command, *([self._picture] if self._expects_pictures else [])]
        return [each for each in expected if each.is_late(now_ns)]

    def status(self) -> Status:
        """For diagnostics."""
        waits = self._waiting_since is not None
        message = "waits" if waits else f"waited {self.waited:.1f} s in all"
        return Status(OK, message, {"waits": waits, "waited [s]": self.waited})

    def _waited_too_long(self) -> bool:
        return self._waiting_since is not None and time.monotonic() - self._waiting_since >= LONGEST_WAIT

    def _note(self, waiting: bool) -> None:
        if waiting and self._waiting_since is None:
            self._waiting_since = time.monotonic()
        if not waiting and self._waiting_since is not None:
            self.waited += time.monotonic() - self._waiting_since
            self._waiting_since = None
