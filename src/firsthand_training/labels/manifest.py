"""What has been done, one JSON object a line: videos, clips, and those that failed with their reasons.

A line is added when a task ends and is on disk before the next begins, so that a call that was interrupted goes on
behind it. The last line on a clip counts.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from firsthand.errors import LabelError
from firsthand_training.episodes.durable import write_text

Status = Literal["trimmed", "labelled", "failed"]


@dataclass(frozen=True)
class Row:
    """What became of a video, or of one of its clips."""

    video: str  # its folder of work
    source: str  # its file
    clip: int | None  # number of the clip; None: the video itself
    status: Status
    reason: str = ""  # why it failed, or why there are no clips
    first: int = 0  # frames of the clip, or of the video; the last not included
    last: int = 0
    labelled: int = 0  # of them, those with two measured hands
    seconds: float = 0.0  # of the clock
    stages: dict[str, float] = field(default_factory=dict)  # [s], by stage
    memory_mib: float = 0.0

    @property
    def key(self) -> tuple[str, int | None]:
        """What the row is about."""
        return self.video, self.clip


class Manifest:
    """The rows of a folder of work."""

    def __init__(self, path: Path) -> None:
        """Read what there is; a line that a crash cut short is passed over.

        Raises:
            LabelError: A line is of something else.
        """
        self.path = path
        lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
        self._rows = {row.key: row for row in (_row(line, path) for line in lines[:-1] if line)}
        if lines and lines[-1]:
            write_text(path, "".join(f"{line}\n" for line in lines[:-1]))

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def find(self, video: str, clip: int | None = None) -> Row | None:
        """The row of a video or of a clip, if it has ended."""
        return self._rows.get((video, clip))

    def add(self, row: Row) -> None:
        """Note an end."""
        self._rows[row.key] = row
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def failures(self) -> Counter[str]:
        """How many videos and clips came to nothing, by reason."""
        return Counter(row.reason for row in self if row.reason)


def _row(line: str, path: Path) -> Row:
    known = {each.name for each in fields(Row)}
    try:
        values = json.loads(line)
        return Row(**{name: value for name, value in values.items() if name in known})
    except (ValueError, TypeError, AttributeError) as error:
        raise LabelError(f"{path} has a line that is no row of a manifest ({error}): {line[:80]!r}") from error
