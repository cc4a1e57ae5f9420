"""Many tasks at once: each in a process of its own here, or on the machines of a Ray cluster.

A task that raises, or that takes its process down with it, becomes an outcome with a reason; the others go on.
"""

import resource
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from firsthand.errors import FirsthandError, LabelError

T = TypeVar("T")
R = TypeVar("R")

MIB_PER_KIB = 1 / 1024
LOOPBACK = "127.0.0.1"
PACKAGES = ("firsthand.", "firsthand_training.")
"""Of which the server imports what this process has imported."""
LAST_LINES = 3  # of a traceback


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """What came of one task."""

    task: T
    value: R | None  # what the function returned; None if it failed
    reason: str  # why it failed; empty if it did not
    seconds: float  # of the clock
    memory_mib: float  # largest resident size of its process; 0 if it was killed


def run_locally(function: Callable[[T], R], tasks: Sequence[T], workers: int) -> Iterator[Outcome[T, R]]:
    """Outcomes as they come, `workers` tasks at a time, each in a fresh process.

    Importing what labels need takes longer than a short clip does, so it is imported once, by a server of whose memory
    every process gets a copy. However this process ends, the others end with it.

    Args:
        function: Of a module, so that another process finds it.
        tasks: Its arguments, one each; they can be pickled.
        workers: How many at a time.
    """
    if workers < 1:
        raise LabelError(f"expected at least one worker, got {workers}")
    waiting, running = deque(tasks), dict[Connection, tuple[T, BaseProcess]]()
    get_context("forkserver").set_forkserver_preload([name for name in list(sys.modules) if name.startswith(PACKAGES)])
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                task = waiting.popleft()
                receiver, process = _start(function, task)
                running[receiver] = task, process
            for ready in connection.wait(list(running)):
                assert isinstance(ready, Connection)
                yield _receive(ready, *running.pop(ready))
    finally:
        for receiver, (_, process) in running.items():
            process.terminate()
            process.join()
            receiver.close()


def run_on_ray(function: Callable[[T], R], tasks: Sequence[T], address: str | None = None) -> Iterator[Outcome[T, R]]:
    """The same on a Ray cluster, one core a task; every machine sees the same files under the same paths.

    Args:
        function: As above; `firsthand_training` is installed on every machine.
        tasks: As above.
        address: Of the cluster; None starts one on this machine, for this machine.

    Raises:
        LabelError: Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise LabelError("Ray is not installed: pip install 'firsthand[cluster]'") from None
    where = {"address": address} if address else {"_node_ip_address": LOOPBACK, "include_dashboard": False}
    ray.init(log_to_driver=False, **where)
    try:
        remote = ray.remote(num_cpus=1, max_retries=0, max_calls=1)(_work)
        running = {remote.remote(function, task): task for task in tasks}
        while running:
            ready, _ = ray.wait(list(running))
            task = running.pop(ready[0])
            try:
                yield Outcome(task, *ray.get(ready[0]))
            except ray.exceptions.RayError as error:
                yield Outcome(task, None, f"its process on the cluster died: {_first_line(error)}", 0.0, 0.0)
    finally:
        ray.shutdown()


def _start(function: Callable[[T], R], task: T) -> tuple[Connection, BaseProcess]:
    context = get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, function, task), daemon=True)
    process.start()
    sender.close()  # so that the end of the process is the end of the pipe
    return receiver, process


def _receive(receiver: Connection, task: T, process: BaseProcess) -> Outcome[T, R]:
    try:
        outcome = Outcome[T, R](task, *receiver.recv())
        process.join()
    except EOFError:
        process.join()
        outcome = Outcome(task, None, _how_it_ended(process.exitcode), 0.0, 0.0)
    receiver.close()
    return outcome


def _answer(sender: Connection, function: Callable[[T], R], task: T) -> None:
    """In the new process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the first one ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sender.send(_work(function, task))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    signal.raise_signal(signal.SIGKILL)


def _work(function: Callable[[T], R], task: T) -> tuple[R | None, str, float, float]:
    """Value, reason, seconds and memory, as in `Outcome`."""
    began, value, reason = time.monotonic(), None, ""
    try:
        value = function(task)
    except FirsthandError as error:
        reason = str(error)
    except Exception:
        reason = " ".join(traceback.format_exc().strip().splitlines()[-LAST_LINES:])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MIB_PER_KIB
    return value, reason, time.monotonic() - began, memory


def _how_it_ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its process ended without a word, exit status {code}"
    name = signal.Signals(-code).name
    return f"its process was ended by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")


def _first_line(error: Any) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
