"""Runs the processes of a launch together, and ends them together.

Each process leads a group of its own, so that a Ctrl-C in the terminal reaches only the launcher, which then asks all
groups to end: SIGINT, after some seconds SIGTERM, then SIGKILL. A second Ctrl-C does not wait. Nothing outlives the
launcher: groups are swept when their leader has ended, and should the launcher itself be killed, the system sends
SIGTERM to its children.
"""

import contextlib
import ctypes
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from firsthand.launching.plan import InlineParameter, Process

GRACE = 5.0  # [s] between one signal and the next, stronger one, as ros2 launch has it
LADDER = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
COLORS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)  # ANSI, one after the other
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def run_processes(
    processes: Sequence[Process],
    output: TextIO = sys.stdout,
    grace: float = GRACE,
    failure_ends_all: bool = False,
) -> int:
    """Start all processes and wait until all have ended.

    Args:
        processes: From `plan`.
        output: Gets every line, with the process's name before it.
        grace: [s] between one signal and the next, stronger one.
        failure_ends_all: Whether a process that ends in failure ends the others, too.

    Returns:
        0 if every process ended well, by our SIGINT or SIGTERM, or by a SIGALRM of its own; 1 otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="launch_params_") as folder:
        return _Supervisor(output, grace, failure_ends_all).run(processes, Path(folder))


def command_line(process: Process, folder: Path) -> list[str]:
    """The words to execute; parameters of the launch file are written to files in `folder`, as ros2 launch does it."""
    words = []
    for index, word in enumerate(process.command):
        if isinstance(word, InlineParameter):
            path = folder / f"{process.name}_{index}_{word.name}.yaml"
            path.write_text(word.to_yaml(), encoding="utf-8")
            word = str(path)
        words.append(word)
    return words


class _Supervisor:
    """The processes of one launch; events come in through one queue, from signals and from the readers' threads."""

    def __init__(self, output: TextIO, grace: float, failure_ends_all: bool) -> None:
        self._output, self._grace, self._failure_ends_all = output, grace, failure_ends_all
        self._print_lock = threading.Lock()
        self._events: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._readers: dict[str, threading.Thread] = {}
        self._processes: dict[str, Process] = {}
        self._failed = False
        self._rung = -1  # on LADDER; -1 while nobody has asked to end
        self._climb_at = float("inf")

    def run(self, processes: Sequence[Process], folder: Path) -> int:
        self._processes = {process.name: process for process in processes}
        with self._signals():
            try:
                for process in processes:
                    self._running[process.name] = _start(command_line(process, folder))
                for name, color in zip(self._running, _cycle(COLORS, len(processes)), strict=True):
                    self._follow(name, color)
                while self._running:
                    self._step()
            finally:  # an error of ours must not leave programs behind either
                for name, child in self._running.items():
                    _signal_group(child, signal.SIGKILL)
                    child.wait()
                    if child.stdout and name not in self._readers:
                        child.stdout.close()
        return 1 if self._failed else 0

    def _step(self) -> None:
        """Wait for one event and act on it."""
        try:
            event = self._events.get(timeout=max(min(self._climb_at - time.monotonic(), 3600.0), 0.0))
        except queue.Empty:
            self._climb("did not end in time")
            return
        if event in self._running:
            self._ended(event)
        elif event not in self._processes:
            self._climb(event)

    def _ended(self, name: str) -> None:
        child = self._running.pop(name)
        code = child.wait()
        _signal_group(child, signal.SIGKILL)  # whatever it started and left behind
        self._readers[name].join(timeout=self._grace)  # its last lines first
        asked = self._rung >= 0 and -code in (signal.SIGINT, signal.SIGTERM)
        well = code in (0, -signal.SIGALRM)  # SIGALRM: `nodes.process` cut a teardown that hung short
        failed = not well and not asked
        self._failed |= failed
        self._say(f"{name} ended {'well' if code == 0 else f'with exit code {code}'}")
        if not self._running or self._rung >= 0:
            return
        if failed and self._failure_ends_all:
            self._climb(f"{name} failed")
        elif self._processes[name].ends_all:
            self._climb(f"{name} was the one to wait for")

    def _climb(self, why: str) -> None:
        """Send the next stronger signal to all that still run."""
        self._rung = min(self._rung + 1, len(LADDER) - 1)
        self._climb_at = time.monotonic() + self._grace
        number = LADDER[self._rung]
        if self._running:
            self._say(f"{why}: {number.name} to {', '.join(self._running)}")
        for child in self._running.values():
            _signal_group(child, number)

    def _follow(self, name: str, color: int) -> None:
        """Print a process's lines as they come; its end is an event."""
        child = self._running[name]
        stdout = child.stdout
        assert stdout is not None  # _start pipes it
        prefix = f"\x1b[{color}m[{name}]\x1b[0m " if self._output.isatty() else f"[{name}] "

        def read() -> None:
            with stdout:
                for line in stdout:
                    self._print(prefix + line.rstrip("\n"))

        def wait() -> None:
            child.wait()
            self._events.put(name)

        # Two threads: what a process leaves behind may hold its output open for ever.
        self._readers[name] = threading.Thread(target=read, name=f"{name} output", daemon=True)
        self._readers[name].start()
        threading.Thread(target=wait, name=f"{name} end", daemon=True).start()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn Ctrl-C and SIGTERM into events."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        # SimpleQueue.put is the one that may be called from a signal handler.
        before = {
            number: signal.signal(number, lambda n, _: self._events.put(signal.Signals(n).name)) for number in numbers
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _say(self, text: str) -> None:
        self._print(f"[launch] {text}")

    def _print(self, line: str) -> None:
        with self._print_lock:
            print(line, file=self._output, flush=True)


def _start(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        bufsize=1,
        start_new_session=True,
        preexec_fn=_end_with_parent,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def _end_with_parent() -> None:
    """In the child, before it becomes the program: SIGTERM when the launcher dies, however it dies (Linux)."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal_group(child: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # all of the group have ended
        os.killpg(child.pid, number)


def _cycle(items: Sequence[int], count: int) -> list[int]:
    return [items[index % len(items)] for index in range(count)]
