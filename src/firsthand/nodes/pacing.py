"""Simulated time that waits for a policy which computes slower than real time.

A robot does not wait; a simulation on a busy computer may, and then its result does not depend on the computer. Time
stands still while the newest chunk comes from an observation older than a limit: pictures already on their way become
the chunk that lets it go on.
"""

import time

from firsthand.nodes.diagnostics import OK, Status

LONGEST_WAIT = 3.0  # [s] of real time; whoever is silent for longer is not coming, and time goes on without them


class Pacing:
    """Says whether simulated time may pass.

    Args:
        limit: Age of the newest chunk's observation at which time stops, [s]; 0 never stops it.
    """

    def __init__(self, limit: float) -> None:
        self.waited = 0.0  # [s] of real time in all
        self._limit_ns = int(limit * 1e9)
        self._observation_ns: int | None = None  # None: no chunks come
        self._waiting_since: float | None = None

    def hear(self, observation_ns: int) -> None:
        """Take note of a chunk and of the observation that it comes from."""
        self._observation_ns = observation_ns

    def may_pass(self, now_ns: int) -> bool:
        """Whether the tick after `now_ns` may happen; asked again and again while it may not."""
        heard = self._observation_ns
        if self._limit_ns == 0 or heard is None or now_ns - heard <= self._limit_ns:
            self._end_wait()
            return True
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        if time.monotonic() - self._waiting_since < LONGEST_WAIT:
            return False
        self._observation_ns = None
        return self.may_pass(now_ns)

    def status(self) -> Status:
        """For diagnostics."""
        waits = self._waiting_since is not None
        message = "waits for a chunk" if waits else f"waited {self.waited:.1f} s in all"
        return Status(OK, message, {"waits": waits, "waited [s]": self.waited})

    def _end_wait(self) -> None:
        if self._waiting_since is not None:
            self.waited += time.monotonic() - self._waiting_since
            self._waiting_since = None
