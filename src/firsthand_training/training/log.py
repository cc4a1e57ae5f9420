"""What a run says of itself: metrics.jsonl, TensorBoard if asked, and a progress bar."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from firsthand_training.episodes.durable import write_text

METRICS = "metrics.jsonl"
BAR_PERIOD = 0.1 if sys.stderr.isatty() else 60.0  # [s]; a log file gets a line a minute


class Log:
    """Metrics as one JSON object a line, and for TensorBoard if asked."""

    def __init__(self, output: Path, step: int, tensorboard: bool) -> None:
        """Go on after `step`: lines of later steps are dropped, they will be written again."""
        self.path = output / METRICS
        self._forget_after(step)
        self.writer: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # optional, and slow to import

            self.writer = SummaryWriter(output / "tensorboard", purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append the values of a step."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)
            self.writer.flush()

    def _forget_after(self, step: int) -> None:
        if not self.path.is_file():
            return
        kept = [line for line in self.path.read_text(encoding="utf-8").splitlines() if _step(line) <= step]
        write_text(self.path, "".join(f"{line}\n" for line in kept))


def _step(line: str) -> float:
    """The step of a line; of one that a kill cut short, infinite."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def show(bar: "tqdm[Any]", losses: Mapping[str, float], batch: int) -> None:
    """Advance the progress bar; tqdm itself tells the time left."""
    rate = bar.format_dict.get("rate")
    speed = f"{rate * batch:.0f}/s" if rate else "?"
    bar.set_postfix_str(f"windows {speed} loss {losses['total']:.3f} action {losses['action']:.3f}", refresh=False)
    bar.update()
