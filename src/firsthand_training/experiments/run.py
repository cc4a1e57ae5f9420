"""Carrying a plan out: step after step, skipping what is done, ending in time."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from firsthand.errors import FirsthandError
from firsthand_training.experiments.plan import Command, Step
from firsthand_training.experiments.provenance import remember

PROGRAM = (sys.executable, "-m", "firsthand_training.command")
GRACE = 120.0  # [s], for a command to save what it has after it was asked to stop: a trial in progress is finished


def carry_out(
    steps: Sequence[Step],
    locks: Path,
    minutes: float | None = None,
    program: Sequence[str] = PROGRAM,
    history: Path | None = None,
) -> bool:
    """Run every step that is not done, each command in a process of its own.

    A step that fails ends nothing but what needs it. Several calls may share the work: what one is at, others leave.

    Args:
        steps: In order.
        locks: Folder in which calls tell each other what they are at.
        minutes: Stop after so long, in the middle of a command if need be; the next call goes on there.
        program: What the commands are arguments of.
        history: File in which to note what was finished, and by which code.

    Returns:
        Whether every step is done.

    Raises:
        FirsthandError: Steps failed, which are named; everything that does not need them has been tried.
        KeyboardInterrupt: Ctrl-C, SIGTERM or a lost terminal, after the running command has saved what it has.
    """
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    failures: list[str] = []
    with _ended_gently():
        for number, step in enumerate(steps, start=1):
            if step.done or not all(need.exists() for need in step.needs):
                continue
            if deadline is not None and time.monotonic() >= deadline:
                break
            with _alone_at(step, locks) as descriptor:
                if descriptor is None:
                    print(f"[{number}/{len(steps)}] {step.name}: another call is at it", flush=True)
                    continue
                print(f"[{number}/{len(steps)}] {step.name}", flush=True)
                failures += _try(step, program, deadline, descriptor)
                _note(step, history)
    if failures:
        raise FirsthandError("; ".join(failures))
    return all(step.done for step in steps)


def shown(command: Command) -> str:
    """A command as one would type it."""
    return " ".join(["firsthand-lab", *command])


def _try(step: Step, program: Sequence[str], deadline: float | None, lock: int) -> list[str]:
    """Run the commands of a step; what went wrong, in words."""
    for command in step.commands:
        print(f"  {shown(command)}", flush=True)
        code = _run([*program, *command], deadline, lock)
        if code is None:
            return []
        if code != 0:
            return [f"{step.name} failed: exit status {code} of {shown(command)}"]
    return [] if step.done else [f"{step.name} ended well without {step.product}; its commands do not fit it"]


def _note(step: Step, history: Path | None) -> None:
    if step.done and history is not None:
        remember(history, step)


def _run(command: Sequence[str], deadline: float | None, lock: int) -> int | None:
    """The exit status of a command; None if time was up before it ended."""
    remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
    # A group of its own is asked to stop as a whole, by a deadline as by Ctrl-C; it keeps the lock if this one dies.
    process = subprocess.Popen(command, start_new_session=True, pass_fds=(lock,), preexec_fn=_hear_interrupts)
    try:
        return process.wait(remaining)
    except subprocess.TimeoutExpired:
        _stop(process)
        return None
    except KeyboardInterrupt:
        _stop(process)
        raise


def _hear_interrupts() -> None:
    """In the new process: shells have what they start in the background ignore SIGINT, and that is inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask a command and its workers to save what they have and end; end them if they do not."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _alone_at(step: Step, locks: Path) -> Iterator[int | None]:
    """A lock on a step that ends with the process that holds it; None if another one does."""
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / step.name.replace("/", ".")).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file.fileno()


@contextmanager
def _ended_gently() -> Iterator[None]:
    """SIGTERM, and SIGHUP when a connection is lost, are as good as Ctrl-C: nobody is left behind at work.

    What is ignored stays so: under `nohup` the work goes on without a terminal.
    """
    signals = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is not signal.SIG_IGN]
    before = [signal.signal(each, signal.default_int_handler) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)
