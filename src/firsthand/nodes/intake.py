"""What a node takes in: bad messages refused and counted, slow work done on the newest only, latencies kept."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import numpy as np
from rclpy.node import Node

from firsthand.errors import FirsthandError
from firsthand.nodes.diagnostics import OK, STALE, WARN, Status
from firsthand.nodes.messages import SECOND
from firsthand.nodes.process import TickStatistics

T = TypeVar("T")

FUTURE = 0.1  # [s]
LOG_PERIOD = 1.0  # [s]; a camera of the wrong size would otherwise fill the log at its own rate
WINDOW = 1000  # samples that percentiles look back on


class StaleInput(FirsthandError):  # noqa: N818 -- reads as what happened
    """Something is too old to act on, or claims to come from the future."""


def check_age(what: str, stamp_ns: int, now_ns: int, limit: float) -> None:
    """Let only fresh input through.

    Args:
        what: As the error calls it.
        stamp_ns: When it was measured.
        now_ns: The node's time.
        limit: The oldest that will do, [s].

    Raises:
        StaleInput: It is older, or is stamped later than now by more than clocks in one machine differ.
    """
    age = (now_ns - stamp_ns) / SECOND
    if age > limit:
        raise StaleInput(f"{what} of {age:.3f} s ago, older than the limit of {limit} s")
    if age < -FUTURE:
        raise StaleInput(
            f"{what} stamped {-age:.3f} s ahead of this node's time: does one of the two use /clock and not the other?"
        )


class Intake:
    """One input of a node: reads what comes, refuses what is wrong without ending the node, and reports both.

        with self._commands.reading():
            self._command = read_joint_state(message, JOINTS)

    What raises a FirsthandError is counted, logged at most once a second, and dropped.
    """

    def __init__(self, node: Node, topic: str, stale_after: float = 1.0) -> None:
        """Watch an input.

        Args:
            node: Logs the refusals.
            topic: As errors and diagnostics call it.
            stale_after: Silence that counts as such, [s].
        """
        self.taken = self.refused = 0
        self.last_error = ""
        self._logger, self._topic, self._stale_after = node.get_logger(), topic, stale_after
        self._taken_at = self._logged_at = self._reported_at = float("-inf")
        self._reported = (0, 0)  # taken, refused at the last report

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count what is read inside, or refuse it if reading raises a FirsthandError."""
        try:
            yield
        except FirsthandError as error:
            self.refuse(str(error))
        else:
            self.taken += 1
            self._taken_at = time.monotonic()

    def refuse(self, why: str) -> None:
        """Count one that is of no use."""
        self.refused += 1
        self.last_error = why
        if time.monotonic() - self._logged_at >= LOG_PERIOD:
            self._logged_at = time.monotonic()
            self._logger.warning(f"{self._topic}: refused ({self.refused} so far): {why}")

    def status(self) -> Status:
        """How the input does, for diagnostics; call it at a steady pace."""
        now = time.monotonic()
        taken, refused = self.taken - self._reported[0], self.refused - self._reported[1]
        values = {
            "rate [Hz]": taken / (now - self._reported_at),
            "taken": self.taken,
            "refused": self.refused,
            "last error": self.last_error,
        }
        self._reported, self._reported_at = (self.taken, self.refused), now
        if refused:
            return Status(WARN, f"refuses what comes: {self.last_error}", values)
        if now - self._taken_at > self._stale_after:
            silence = f"nothing for {now - self._taken_at:.1f} s" if self.taken else "nothing yet"
            return Status(STALE, silence, values)
        return Status(OK, "comes in", values)


class LatestWorker(Generic[T]):
    """Does slow work on a thread of its own, always on the newest item: nothing queues, so nothing gets old."""

    def __init__(
        self,
        work: Callable[[T], None],
        on_error: Callable[[BaseException], None],
        name: str,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Start waiting for items.

        Args:
            work: What to do with one.
            on_error: Gets what `work` raised, after which the thread has ended: `RunnableNode.fail`.
            name: Of the thread, in debuggers.
            at_end: The last thing that the thread does, for what no other thread may give back.
        """
        self.skipped = 0  # items that a newer one replaced before their turn
        self._work, self._on_error, self._at_end = work, on_error, at_end
        self._item: T | None = None
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, item: T) -> None:
        """Hand over the newest item."""
        with self._changed:
            self.skipped += self._item is not None
            self._item = item
            self._changed.notify()

    def stop(self, timeout: float = 5.0) -> None:
        """Let the work in progress finish, [s], and end."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            try:
                while (item := self._next()) is not None:
                    self._work(item)
            finally:
                self._at_end()
        except BaseException as error:  # nothing may end this thread unnoticed
            self._on_error(error)

    def _next(self) -> T | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._item is not None)
            item, self._item = self._item, None
            return None if self._stopped else item


class Latencies:
    """The last thousand durations."""

    def __init__(self) -> None:
        self.count = 0
        self._seconds: deque[float] = deque(maxlen=WINDOW)

    def add(self, seconds: float) -> None:
        """Keep one, [s]."""
        self.count += 1
        self._seconds.append(seconds)

    def values(self, name: str) -> dict[str, object]:
        """p50, p95 and p99 in milliseconds, as diagnostics show them; nothing before the first."""
        if not self._seconds:
            return {}
        percentiles = np.percentile(tuple(self._seconds), [50, 95, 99]) * 1e3
        return {f"{name} p{p} [ms]": float(value) for p, value in zip((50, 95, 99), percentiles, strict=True)}


def thread_status(statistics: TickStatistics) -> Status:
    """How well a control thread keeps its times, for diagnostics."""
    s = statistics
    values = {
        "ticks": s.ticks,
        "missed": s.missed,
        "late p50 [ms]": s.lateness_p50 * 1e3,
        "late p99 [ms]": s.lateness_p99 * 1e3,
        "late max [ms]": s.lateness_max * 1e3,
        "work p50 [ms]": s.work_p50 * 1e3,
        "work p99 [ms]": s.work_p99 * 1e3,
        "realtime priority": s.realtime,
    }
    return Status(
        OK, f"p99 {s.lateness_p99 * 1e3:.2f} ms late, {s.missed} of {s.ticks + s.missed} ticks missed", values
    )
