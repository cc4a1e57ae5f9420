"""What every node's process needs, once: transport, allocator, signals, an orderly end, and threads at a fixed rate.

A node's module ends in

    def main() -> int:
        return run(Camera)

where `Camera` is a `RunnableNode`. `run` keeps the ROS context alive until the node has said its last words: rclpy's
own signal handlers tear it down first, and a hand would keep its last command.
"""

import ctypes
import faulthandler
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import rclpy
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from firsthand.errors import FirsthandError
from firsthand.realtime import take_more_time, take_precedence
from firsthand.share import share_directory

SPIN_TIMEOUT = 0.2  # [s], how soon a signal is noticed
WINDOW = 4096  # ticks that a RatedThread's statistics look back on
STOP_TIMEOUT = 2.0  # [s]
STDERR = 2  # the file itself: another thread may hold sys.stderr
TEARDOWN_LIMIT = 3.0  # [s] of real time, less than a launcher waits between its signals
MEGABYTE = 1 << 20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class RunnableNode(Node):  # type: ignore[misc]  # rclpy is untyped
    """A node that `run` can end in an orderly way."""

    moves_robot = False  # whether this process comes before those who look on and write down, where the system lets it

    def __init__(self, name: str, **options: object) -> None:
        """As rclpy's Node; tests pass `context` and `parameter_overrides` through the options."""
        self.finished = threading.Event()
        self.failure: BaseException | None = None
        super().__init__(name, **options)

    def fail(self, error: BaseException) -> None:
        """End the process with an error; from any thread."""
        self.get_logger().fatal(f"{type(error).__name__}: {error}")
        self.failure = error
        self.finished.set()

    def shutdown(self) -> None:
        """Say the last words (hold, close files, join threads); called once, while topics still work."""


def run(node_class: Callable[[], RunnableNode], arguments: Sequence[str] | None = None) -> int:
    """Run one node until SIGINT, SIGTERM, or its own end.

    Args:
        node_class: Makes the node.
        arguments: ROS arguments; the process's own if None.

    Returns:
        The exit code: 0 after a signal or a planned end, 1 after a failure.
    """
    stop = _stop_on_signals()
    prepare_process()
    if getattr(node_class, "moves_robot", False):
        take_more_time()  # before there are threads, which inherit it
    rclpy.init(args=None if arguments is None else list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = node_class()
    except FirsthandError as error:
        get_logger("firsthand").fatal(f"{type(error).__name__}: {error}")
        return 1
    else:
        return _spin(node, stop)
    finally:
        rclpy.try_shutdown()


def prepare_process() -> None:
    """Set transport, discovery and allocator for this process; before `rclpy.init`. What the user set stays."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")  # robots in one lab must not hear each other
    profile = str(share_directory() / "config" / "fastdds.xml")
    os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", profile)
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", profile)  # the name that Fast DDS 2 (Jazzy) reads
    _keep_large_blocks()


def _keep_large_blocks() -> None:
    """Let malloc reuse image-sized blocks; handing each back to the system costs as much as copying it."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc only
        libc.mallopt(M_MMAP_THRESHOLD, 32 * MEGABYTE)
        libc.mallopt(M_TRIM_THRESHOLD, 256 * MEGABYTE)


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    return stop


def _make_executor() -> Executor:
    """Three streams of joints at 250 Hz cost 28 % of a core in the classic executor, 12 % in the event-driven one.

    In Jazzy the latter cannot call back with a MessageInfo: subscriptions of ours take the message alone.
    """
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:  # Humble
        return SingleThreadedExecutor()
    return EventsExecutor()


def _spin(node: RunnableNode, stop: threading.Event) -> int:
    executor = _make_executor()
    executor.add_node(node)
    gc.freeze()  # what is there now stays: looking through it again and again stops all threads for 30 ms
    try:
        # Never `spin()`: the EventsExecutor of the PyPI wheels hangs in it. `spin_once` costs a fifth more a message.
        while not stop.is_set() and not node.finished.is_set():
            executor.spin_until_future_complete(Future(), timeout_sec=SPIN_TIMEOUT)
    finally:
        for number in STOP_SIGNALS:  # a terminal and a launcher both send one; the second must not cut the end short
            signal.signal(number, signal.SIG_IGN)
        node.shutdown()
        _limit_teardown(node)
        executor.shutdown()
        node.destroy_node()
    return 0 if node.failure is None else 1


def _limit_teardown(node: RunnableNode) -> None:
    """From here to the end of the process there is nothing left to lose, and the middleware may hang.

    It waits for locks of its own while it holds the interpreter's, now and then for ever (rclpy #1722; once in some
    hundred ends of ours). No Python can run then, so the system ends the process, and faulthandler says where it stood:
    by SIGALRM, which our launcher takes for a good end, or with exit code 1 after a failure.
    """
    if node.failure is None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        faulthandler.register(signal.SIGALRM, file=STDERR, chain=True)
        signal.setitimer(signal.ITIMER_REAL, TEARDOWN_LIMIT)
    else:
        faulthandler.dump_traceback_later(TEARDOWN_LIMIT, file=STDERR, exit=True)


@dataclass(frozen=True)
class TickStatistics:
    """How well a RatedThread kept its times, over its last ticks."""

    ticks: int  # since the start
    missed: int  # ticks left out since the start, because work took longer than a period
    lateness_p50: float  # [s], after the time a tick was due
    lateness_p99: float  # [s]
    lateness_max: float  # [s]
    work_p50: float  # [s], inside the tick
    work_p99: float  # [s]
    realtime: bool  # whether the system granted SCHED_FIFO


class RatedThread:
    """Calls a function at a fixed rate, at absolute times, on a thread of its own.

    A control stream belongs here and not on a ROS timer: those were up to 3 ms late at 250 Hz, this is 0.1 ms late.
    A tick that overruns does not shift those after it; whole periods lost are left out and counted.
    """

    def __init__(
        self,
        period: float,
        tick: Callable[[], None],
        *,
        on_error: Callable[[BaseException], None],
        name: str = "control",
        priority: int = 40,
    ) -> None:
        """Prepare the thread; `start` starts it.

        Args:
            period: Time between two ticks, [s]; may be changed while running.
            tick: What to do.
            on_error: Gets what `tick` raised, after which the thread has ended: `RunnableNode.fail`.
            name: Of the thread, in debuggers.
            priority: Of SCHED_FIFO where the system grants it, 1 to 99; 0 does not ask.
        """
        self.period = period
        self._tick, self._on_error, self._priority = tick, on_error, priority
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._times = np.zeros((WINDOW, 2))  # lateness, work, [ns]
        self._ticks = self._missed = 0
        self._realtime = False

    def start(self) -> None:
        """Begin ticking."""
        self._thread.start()

    def stop(self) -> None:
        """Let the tick in progress finish and end; safe to call twice, or before `start`."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=STOP_TIMEOUT)

    def statistics(self) -> TickStatistics:
        """How well the last ticks kept their times; from any thread."""
        seconds = self._times[: max(min(self._ticks, WINDOW), 1)] / 1e9
        (late_p50, work_p50), (late_p99, work_p99) = np.percentile(seconds, [50, 99], axis=0).tolist()
        return TickStatistics(
            ticks=self._ticks,
            missed=self._missed,
            lateness_p50=late_p50,
            lateness_p99=late_p99,
            lateness_max=float(seconds[:, 0].max()),
            work_p50=work_p50,
            work_p99=work_p99,
            realtime=self._realtime,
        )

    def _run(self) -> None:
        self._realtime = take_precedence(self._priority)
        try:
            self._tick_until_stopped()
        except BaseException as error:  # nothing may end this thread unnoticed
            self._on_error(error)

    def _tick_until_stopped(self) -> None:
        due = time.monotonic_ns()
        while not self._stop.is_set():
            time.sleep(max(due - time.monotonic_ns(), 0) / 1e9)
            started = time.monotonic_ns()
            self._tick()
            finished = time.monotonic_ns()
            self._times[self._ticks % WINDOW] = started - due, finished - started
            self._ticks += 1
            period = int(self.period * 1e9)
            lost = max(finished - due - period, 0) // period
            self._missed += lost
            due += (1 + lost) * period
