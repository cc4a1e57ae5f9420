"""One rosbag2 folder being written: an MCAP file in chunks that reach the disk whole, then metadata.yaml.

bag/bag_0.mcap
bag/metadata.yaml        written last; a folder without it was cut off, see recover.py
"""

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from mcap.writer import CompressionType, Writer

from firsthand.bags.message_types import Definition
from firsthand.errors import BagError

METADATA = "metadata.yaml"
DROPPED = "firsthand.dropped:"
"""Prefix of the keys of metadata.yaml's custom_data that count what a topic lost."""


@dataclass(frozen=True)
class BagSettings:
    """How a bag is laid out and how often it reaches the disk."""

    version: int = 9  # of metadata.yaml: 9 for Jazzy and Kilted, 8 for Humble
    chunk_bytes: int = 1 << 20
    chunk_seconds: float = 0.5  # a killed recorder loses at most this much
    sync_seconds: float = 1.0  # a power cut loses at most this much more
    queue_bytes: int = 64 << 20  # waiting for the disk; beyond it messages are dropped and counted


@dataclass(frozen=True)
class StoredTopic:
    """A topic as a bag describes it."""

    name: str
    definition: Definition
    latched: bool = False


@dataclass
class Extent:
    """Which messages a file has got so far."""

    start_ns: int = 0
    end_ns: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Messages on all topics."""
        return sum(self.counts.values())

    def add(self, topic: str, stamp_ns: int) -> None:
        """Count a message."""
        self.start_ns = min(self.start_ns, stamp_ns) if self.total else stamp_ns
        self.end_ns = max(self.end_ns, stamp_ns)
        self.counts[topic] = self.counts.get(topic, 0) + 1


class BagFile:
    """The file side of a bag, on the thread of its caller.

    Raises:
        BagError: The folder exists.
    """

    def __init__(self, path: Path, topics: Sequence[StoredTopic], settings: BagSettings) -> None:
        self.path = path
        self.topics = tuple(topics)
        self.extent = Extent(counts={topic.name: 0 for topic in topics})
        self.flushed = 0  # messages in chunks that the system has taken whole
        self._settings = settings
        self._stream = _create(path)
        self._writer = Writer(self._stream, chunk_size=1 << 62, compression=CompressionType.NONE)
        self._writer.start(profile="ros2", library="firsthand")
        self._channels = self._register()
        self._pending = 0  # bytes in the chunk that is being filled
        self._flushed_at = self._synced_at = time.monotonic()

    def add(self, topic: str, stamp_ns: int, sequence: int, data: bytes) -> None:
        """Append one serialized message."""
        self._writer.add_message(self._channels[topic], stamp_ns, data, publish_time=stamp_ns, sequence=sequence)
        self.extent.add(topic, stamp_ns)
        self._pending += len(data)
        if self._pending >= self._settings.chunk_bytes:
            self._flush()

    def tick(self) -> float:
        """Put a chunk on disk if its time has come; returns the seconds until the next one is due."""
        now = time.monotonic()
        if now - self._flushed_at >= self._settings.chunk_seconds:
            self._flush()
        if now - self._synced_at >= self._settings.sync_seconds:
            os.fsync(self._stream.fileno())
            self._synced_at = now
        return max(0.0, self._flushed_at + self._settings.chunk_seconds - time.monotonic())

    def close(self, dropped: dict[str, int]) -> Path:
        """Finish the file and write metadata.yaml; returns the folder."""
        description = self._description(dropped)
        text = yaml.safe_dump(description, sort_keys=False)
        self._writer.add_metadata("rosbag2", {"serialized_metadata": text})
        self._writer.finish()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        write_whole(self.path / METADATA, yaml.safe_dump({"rosbag2_bagfile_information": description}, sort_keys=False))
        return self.path

    def abandon(self) -> None:
        """Let go of the file as it is; `recover_bag` can finish it."""
        with contextlib.suppress(OSError):  # what it still holds in memory may not fit on the disk
            self._stream.close()

    def _flush(self) -> None:
        self._writer.flush()
        self.flushed = self.extent.total
        self._pending = 0
        self._flushed_at = time.monotonic()

    def _register(self) -> dict[str, int]:
        schemas: dict[str, int] = {}
        channels = {}
        for topic in self.topics:
            kind = topic.definition
            if kind.type not in schemas:
                schemas[kind.type] = self._writer.register_schema(kind.type, kind.encoding, kind.text.encode())
            qos = yaml.safe_dump(_qos(topic.latched, self._settings.version), sort_keys=False)
            metadata = {"offered_qos_profiles": qos, "topic_type_hash": kind.hash}
            channels[topic.name] = self._writer.register_channel(topic.name, "cdr", schemas[kind.type], metadata)
        return channels

    def _description(self, dropped: dict[str, int]) -> dict[str, Any]:
        extent = self.extent
        span = {
            "duration": {"nanoseconds": extent.end_ns - extent.start_ns},
            "starting_time": {"nanoseconds_since_epoch": extent.start_ns},
            "message_count": extent.total,
        }
        name = Path(self._stream.name).name
        return {
            "version": self._settings.version,
            "storage_identifier": "mcap",
            **span,
            "topics_with_message_count": [self._topic_description(topic) for topic in self.topics],
            "compression_format": "",
            "compression_mode": "",
            "relative_file_paths": [name],
            "files": [{"path": name, **span}],
            "custom_data": {f"{DROPPED}{topic}": str(count) for topic, count in dropped.items()},
            "ros_distro": "jazzy",
        }

    def _topic_description(self, topic: StoredTopic) -> dict[str, Any]:
        qos = _qos(topic.latched, self._settings.version)
        return {
            "topic_metadata": {
                "name": topic.name,
                "type": topic.definition.type,
                "serialization_format": "cdr",
                "offered_qos_profiles": qos if self._settings.version >= 9 else yaml.safe_dump(qos, sort_keys=False),
                "type_description_hash": topic.definition.hash,
            },
            "message_count": self.extent.counts[topic.name],
        }


def _create(path: Path) -> Any:
    try:
        path.mkdir(parents=True)
    except FileExistsError as error:
        raise BagError(f"{path} exists already; bags are never overwritten, choose another name") from error
    except OSError as error:
        raise BagError(f"no bag can be made at {path}: {error.strerror}") from error
    try:
        return open(path / f"{path.name}_0.mcap", "wb")
    except OSError as error:
        with contextlib.suppress(OSError):
            path.rmdir()
        raise BagError(f"no bag can be made at {path}: {error.strerror}") from error


def write_whole(path: Path, text: str) -> None:
    """Replace a small file at once: a crash at any moment leaves the old one or the new one."""
    partial = path.with_suffix(".partial")
    with open(partial, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, path)


def _qos(latched: bool, version: int) -> list[dict[str, Any]]:
    """What the publisher offers: reliable; latched topics also serve those who come late."""
    names = version >= 9  # before, policies were numbers
    infinite = {"sec": 9223372036, "nsec": 854775807}
    durability = ("transient_local", 1) if latched else ("volatile", 2)
    return [
        {
            "history": "keep_last" if names else 1,
            "depth": 1 if latched else 10,
            "reliability": "reliable" if names else 1,
            "durability": durability[0] if names else durability[1],
            "deadline": infinite,
            "lifespan": infinite,
            "liveliness": "automatic" if names else 1,
            "liveliness_lease_duration": infinite,
            "avoid_ros_namespace_conventions": False,
        }
    ]
