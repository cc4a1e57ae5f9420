"""Carrying a plan out: step after step, skipping what is done, ending in time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from firsthand.errors import FirsthandError
from firsthand_training.experiments.plan import Command, Step

PROGRAM = (sys.executable, "-m", "firsthand_training.command")
GRACE = 60.0  # [s], for a command to save what it has after it was asked to stop


def carry_out(steps: Sequence[Step], minutes: float | None = None, program: Sequence[str] = PROGRAM) -> bool:
    """Run every step that is not done, each command in a process of its own.

    Args:
        steps: In order.
        minutes: Stop after so long, in the middle of a command if need be; the next call goes on there.
        program: What the commands are arguments of.

    Returns:
        Whether every step is done.

    Raises:
        FirsthandError: A command failed, or said it went well and left no product.
        KeyboardInterrupt: Passed on, after the running command has saved what it has.
    """
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    for number, step in enumerate(steps, start=1):
        if step.done:
            continue
        print(f"[{number}/{len(steps)}] {step.name}", flush=True)
        for command in step.commands:
            if not _run(program, command, deadline):
                return False
        if not step.done:
            raise FirsthandError(f"step {step.name!r} ended well without {step.product}; its commands do not fit it")
    return True


def shown(command: Command) -> str:
    """A command as one would type it."""
    return " ".join(["firsthand-lab", *command])


def _run(program: Sequence[str], command: Command, deadline: float | None) -> bool:
    """Whether a command has come to its end before the deadline.

    Raises:
        FirsthandError: It failed.
    """
    remaining = None if deadline is None else deadline - time.monotonic()
    if remaining is not None and remaining <= 0:
        return False
    print(f"  {shown(command)}", flush=True)
    # A group of its own: it is asked to stop as a whole, by a deadline as by Ctrl-C, and this process waits for it.
    process = subprocess.Popen([*program, *command], start_new_session=True)
    try:
        code = process.wait(remaining)
    except subprocess.TimeoutExpired:
        _stop(process)
        return False
    except KeyboardInterrupt:
        _stop(process)
        raise
    if code != 0:
        raise FirsthandError(f"this command failed with exit status {code}: {shown(command)}")
    return True


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask a command and its workers to save what they have and end; end them if they do not."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
