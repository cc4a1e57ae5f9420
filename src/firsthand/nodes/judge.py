"""Quality reports on finished bags, made by a process of its own: reading a bag takes a core for a while.

The process is `firsthand report BAG --save`, at low priority, one at a time; it leaves the report in the bag's folder.
"""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

NICENESS = 10
TIME_LIMIT = 600.0  # [s] for one report
LAST_WAIT = 3.0  # [s] that an ending recorder waits for the reports that are missing


class Judge:
    """Asks for a report on one bag after the other.

    Args:
        tell: Gets each bag and the last line of its report, on the judge's thread.
    """

    def __init__(self, tell: Callable[[Path, str], None]) -> None:
        self._tell = tell
        self._bags: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[str] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="judge", daemon=True)
        self._thread.start()

    def ask(self, bag: Path) -> None:
        """Have a report made when those before it are done."""
        self._bags.put(bag)

    def close(self) -> None:
        """Wait for a moment, then give up what is not done: `firsthand report BAG --save` makes it later."""
        self._bags.put(None)
        self._thread.join(LAST_WAIT)
        self._closing.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
        self._thread.join(LAST_WAIT)

    def _run(self) -> None:
        while (bag := self._bags.get()) is not None and not self._closing.is_set():
            self._tell(bag, self._verdict(bag))

    def _verdict(self, bag: Path) -> str:
        command = [sys.executable, "-m", "firsthand.command", "report", str(bag), "--save"]
        self._process = process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        try:
            said, _ = process.communicate(timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
        lines = said.strip().splitlines() or [f"no report, exit code {process.returncode}"]
        return lines[-1]
