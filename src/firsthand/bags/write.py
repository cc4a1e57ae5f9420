"""Record serialized messages into a rosbag2 MCAP, on a thread of its own.

`write` never waits for the disk: when the bounded queue is full the message is dropped and counted.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

from firsthand.bags.message_types import define
from firsthand.bags.storage import BagFile, BagSettings, StoredTopic
from firsthand.errors import BagError

GATHER = 0.05  # [s] between two looks at the queue: to wake for each message takes five times as long as to write it


@dataclass(frozen=True)
class Topic:
    """A topic to record."""

    name: str  # resolved, such as "/joint_states"
    type: str  # such as "sensor_msgs/msg/JointState"
    latched: bool = False  # published once for all who come (robot_description, tf_static)


@dataclass(frozen=True)
class BagSummary:
    """What a writer has done so far."""

    path: Path
    written: dict[str, int]  # messages on disk or in the chunk that is being filled, by topic
    dropped: dict[str, int]  # by topic
    bytes: int  # of messages


@dataclass(frozen=True)
class _Item:
    topic: str
    stamp_ns: int
    sequence: int
    data: bytes


class BagWriter:
    """A bag that is being recorded; use it as a context manager or call `close`.

    Args:
        path: The folder to make.
        topics: Everything that will be written.
        settings: Layout, flush times and the size of the queue.

    Raises:
        BagError: The folder exists, a topic is named twice, or its type is unknown.
    """

    def __init__(self, path: Path | str, topics: Sequence[Topic], settings: BagSettings | None = None) -> None:
        self._settings = settings or BagSettings()
        self._sequence = _unique(topics)
        self._dropped = dict.fromkeys(self._sequence, 0)
        stored = [StoredTopic(topic.name, define(topic.type), topic.latched) for topic in topics]
        self._file = BagFile(Path(path), stored, self._settings)
        self._queue: SimpleQueue[_Item] = SimpleQueue()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._queued_bytes = 0
        self._written_bytes = 0
        self._failure: BaseException | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="bag writer", daemon=True)
        self._thread.start()

    def write(self, topic: str, stamp_ns: int, data: bytes) -> bool:
        """Hand over one serialized message; callable from any thread.

        Args:
            topic: One of the topics given at the start.
            stamp_ns: When it was received, the bag's own time line.
            data: CDR bytes with their 4 bytes of encapsulation.

        Returns:
            False if the queue was full: the message is dropped and counted.

        Raises:
            BagError: Unknown topic, a closed bag, or a disk that failed.
        """
        with self._lock:
            self._check_writable(topic)
            sequence = self._sequence[topic]
            self._sequence[topic] = sequence + 1  # a dropped message leaves a hole that survives in the file
            if self._queued_bytes + len(data) > self._settings.queue_bytes:
                self._dropped[topic] += 1
                return False
            self._queued_bytes += len(data)
            self._queue.put(_Item(topic, stamp_ns, sequence, data))
        return True

    @property
    def failure(self) -> BaseException | None:
        """What the disk said when it failed; None while all is well."""
        return self._failure

    @property
    def unsaved(self) -> int:
        """Messages taken that are not in a whole chunk of the file yet: lost, once the disk has failed."""
        with self._lock:
            taken = sum(self._sequence.values()) - sum(self._dropped.values())
        return taken - self._file.flushed

    def summary(self) -> BagSummary:
        """Counts so far."""
        with self._lock:
            dropped = dict(self._dropped)
        return BagSummary(self._file.path, dict(self._file.extent.counts), dropped, self._written_bytes)

    def close(self) -> BagSummary:
        """Write what is queued, finish the bag, and say what is in it.

        Raises:
            BagError: The disk failed; what reached it can be recovered.
        """
        if not self._closed:
            with self._lock:
                self._closed = True
            self._ended.set()
            self._thread.join()
            if self._failure is None:
                self._finish()
        if self._failure is not None:
            raise BagError(f"writing {self._file.path} failed: {self._failure}; `firsthand recover` saves the rest")
        return self.summary()

    def __enter__(self) -> "BagWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _finish(self) -> None:
        try:
            self._file.close({topic: count for topic, count in self._dropped.items() if count})
        except OSError as error:
            self._failure = error
            self._file.abandon()

    def _check_writable(self, topic: str) -> None:
        if self._failure is not None:
            raise BagError(f"writing {self._file.path} failed: {self._failure}; `firsthand recover` saves the rest")
        if self._closed:
            raise BagError(f"{self._file.path} is closed")
        if topic not in self._sequence:
            raise BagError(f"topic {topic!r} was not announced; this bag records {', '.join(self._sequence)}")

    def _run(self) -> None:
        try:
            while not self._ended.wait(min(self._file.tick(), GATHER)):
                self._write_queued()
            self._write_queued()
        except Exception as error:  # any failure of the disk must reach the thread that calls write()
            self._failure = error
            self._file.abandon()

    def _write_queued(self) -> None:
        for _ in range(self._queue.qsize()):
            item = self._queue.get()
            self._file.add(item.topic, item.stamp_ns, item.sequence, item.data)
            with self._lock:
                self._queued_bytes -= len(item.data)
                self._written_bytes += len(item.data)


def _unique(topics: Sequence[Topic]) -> dict[str, int]:
    """The next sequence number of each topic, all zero."""
    names = [topic.name for topic in topics]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise BagError(f"a bag needs topics, each named once; got {names or 'none'}")
    return dict.fromkeys(names, 0)
