"""Episode after episode into bags of their own: start, stop, discard, label. No ROS needed.

ready ──start──▶ recording ──stop──▶ ready
                     ├──discard──▶ ready       the bag is moved to discarded/, never deleted
                     └──disk fails or fills──▶ failed ──start──▶ recording
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from firsthand.bags.card import EpisodeCard, write_card
from firsthand.bags.storage import BagSettings
from firsthand.bags.write import BagSummary, BagWriter, Topic
from firsthand.errors import BagError

DISCARDED = "discarded"
"""The folder beside the bags that discarded ones are moved to."""

MEGABYTE = 1e6
Word = Literal["ready", "recording", "failed"]


@dataclass(frozen=True)
class SessionState:
    """Where a session stands: one word for programs, the rest for people."""

    word: Word
    text: str

    def __str__(self) -> str:
        return f"{self.word}: {self.text}"


def free_bytes(folder: Path) -> int:
    """What is left on the disk that a folder is on, or would be on, [bytes]."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


class RecordingSession:
    """The episodes that one recorder makes.

    Args:
        topics: What each bag records.
        folder: Where bags go, each named by the time of day.
        bag: The first bag's own path instead; those after it get a number.
        settings: Of the bags.
        reserve: Bytes of the disk that recording leaves free: a bag is finished in good order before it is full.
        free: Measures the disk.
    """

    def __init__(
        self,
        topics: Sequence[Topic],
        folder: Path,
        bag: Path | None = None,
        settings: BagSettings | None = None,
        reserve: int = 0,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self.task = ""
        self.lost = 0  # messages that came after the disk had failed
        self.state = SessionState("ready", "nothing recorded yet")
        self._topics, self._folder, self._bag = tuple(topics), folder, bag
        self._settings, self._reserve, self._free = settings, reserve, free
        self._writer: BagWriter | None = None
        self._last: Path | None = None  # the episode in progress, or the one before
        self._card = EpisodeCard()
        self._count = 0

    @property
    def last(self) -> Path | None:
        """The bag in progress, or the last one; None if there is none or it was discarded."""
        return self._last

    @property
    def is_recording(self) -> bool:
        """Whether there is a bag in progress."""
        return self._writer is not None

    def start(self) -> Path:
        """Open the next bag.

        Raises:
            BagError: One is being recorded, its folder exists, or the disk is full.
        """
        if self._writer is not None:
            raise BagError(f"already recording to {self._writer.summary().path}")
        path = self._next_path()
        self._check_disk(path)
        card = EpisodeCard(task=self.task)
        self._writer = BagWriter(path, self._topics, self._settings)
        self._last, self._card, self._count, self.lost = path, card, self._count + 1, 0
        try:
            write_card(path, card)
        except OSError as error:
            self._end(str(error))
            raise BagError(f"{path} cannot be written: {error}") from error
        self.state = SessionState("recording", f"{path}{_quoted(self.task)}")
        return path

    def write(self, topic: str, stamp_ns: int, data: bytes) -> None:
        """Hand one message to the bag in progress; counted as lost if its disk has failed. See `BagWriter.write`."""
        if self._writer is None:
            return
        try:
            self._writer.write(topic, stamp_ns, data)
        except BagError:
            self.lost += 1  # `watch` says so within its period

    def watch(self) -> bool:
        """Look after the disk; call it a few times a second.

        Returns:
            Whether the recording had to end: `state` says why.
        """
        if self._writer is None:
            return False
        path = self._writer.summary().path
        if self._writer.failure is not None:
            self._end(str(self._writer.failure))
            return True
        try:
            free = self._free(path)
        except OSError as error:
            self._end(f"the disk has gone: {error.strerror}")
            return True
        if free >= self._reserve:
            return False
        self._end(f"only {free / MEGABYTE:.0f} MB were left on the disk")
        return True

    def stop(self) -> BagSummary | None:
        """Finish the bag in progress; None if there is none.

        Raises:
            BagError: The disk failed; `state` says what to do.
        """
        if self._writer is None:
            return None
        summary = self._end("")
        if summary is None:
            raise BagError(self.state.text)
        return summary

    def discard(self) -> Path:
        """Move the bag in progress, or the last one, out of the way.

        Returns:
            Where it is now.

        Raises:
            BagError: There is none, or it cannot be moved.
        """
        if self._last is None:
            raise BagError("no episode to discard: none was recorded, or the last one is discarded already")
        if self._writer is not None:
            self._end("")
        path = self._last
        target = _unused(path.parent / DISCARDED / path.name)
        try:
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
        except OSError as error:
            raise BagError(f"{path} cannot be moved to {target}: {error.strerror}") from error
        self._last = None
        self.state = SessionState("ready", f"discarded {path.name}; it is in {target.parent}")
        return target

    def set_task(self, text: str) -> None:
        """What the operator is about to show: of the bag in progress and all after it.

        Raises:
            BagError: The text is none that a card can hold.
        """
        text = EpisodeCard(task=text.strip()).task
        self.task = text
        if self._writer is not None:
            self._write_card(replace(self._card, task=text))
            self.state = SessionState("recording", f"{self._last}{_quoted(text)}")

    def set_label(self, text: str) -> Path:
        """Say how the episode in progress, or the last one, went.

        Returns:
            Its bag.

        Raises:
            BagError: There is no such episode, or the text is none that a card can hold.
        """
        if self._last is None:
            raise BagError("no episode to label: none was recorded, or the last one is discarded")
        self._write_card(replace(self._card, label=text.strip()))
        return self._last

    def judge(self, bag: Path, verdict: str) -> bool:
        """Add to the state what a report says of a bag; False if the session has gone on since."""
        if self._writer is not None or bag != self._last:
            return False
        self.state = replace(self.state, text=f"{self.state.text}; {verdict}")
        return True

    def summary(self) -> BagSummary | None:
        """Counts of the bag in progress."""
        return self._writer.summary() if self._writer is not None else None

    def _end(self, problem: str) -> BagSummary | None:
        """Close the bag in progress; None if its disk failed."""
        writer, self._writer = self._writer, None
        assert writer is not None
        try:
            summary = writer.close()
        except BagError as error:
            self.state = SessionState("failed", f"{error}; {self.lost + writer.unsaved} messages are lost")
            self._note(problem or str(error))
            return None
        lines = f"{summary.path}{_quoted(self._card.task)}: {summary_in_words(summary)}"
        self.state = SessionState("failed", f"{problem}: finished {lines}") if problem else SessionState("ready", lines)
        self._note(problem)
        return summary

    def _note(self, problem: str) -> None:
        """Keep why a recording ended, if the disk lets us."""
        if problem:
            try:
                self._write_card(replace(self._card, problem=EpisodeCard(problem=problem[:300]).problem))
            except BagError:
                return  # the disk is full, which the state says already

    def _write_card(self, card: EpisodeCard) -> None:
        assert self._last is not None
        try:
            write_card(self._last, card)
        except OSError as error:
            raise BagError(f"{self._last} cannot be written: {error.strerror}") from error
        self._card = card

    def _check_disk(self, path: Path) -> None:
        free = self._free(path)
        if free < self._reserve:
            raise BagError(
                f"only {free / MEGABYTE:.0f} MB are left for {path}, recording keeps {self._reserve / MEGABYTE:.0f}; "
                "free some, or record to another disk"
            )

    def _next_path(self) -> Path:
        if self._bag is None:
            return _unused(self._folder / f"{datetime.now():%Y-%m-%d_%H-%M-%S}")
        return self._bag if self._count == 0 else _unused(self._bag)


def summary_in_words(summary: BagSummary) -> str:
    """Messages, megabytes, drops."""
    dropped = sum(summary.dropped.values())
    text = f"{sum(summary.written.values())} messages, {summary.bytes / MEGABYTE:.1f} MB"
    return f"{text}, {dropped} dropped because the disk was too slow" if dropped else text


def _unused(path: Path) -> Path:
    """This path, or the first with a number behind it that does not exist."""
    number, free = 2, path
    while free.exists():
        free, number = path.with_name(f"{path.name}_{number}"), number + 1
    return free


def _quoted(task: str) -> str:
    return f" ({task})" if task else ""
