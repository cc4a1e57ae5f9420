"""Make a readable bag out of one whose recorder was killed.

An MCAP file that was cut off lacks its index and metadata.yaml, but every chunk before the cut is whole. They are
copied into a new bag; the old one is left alone.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from mcap.records import Channel, Chunk, Header, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

from firsthand.bags.card import CARD
from firsthand.bags.message_types import Definition
from firsthand.bags.storage import BagFile, BagSettings, StoredTopic
from firsthand.errors import BagError


@dataclass(frozen=True)
class Recovery:
    """What was saved."""

    path: Path  # the new bag
    counts: dict[str, int]  # messages by topic
    duration_ns: int
    damaged_chunks: int  # left out: their checksum was wrong
    lost_bytes: int  # behind the last whole record, in all files together
    was_whole: bool  # nothing was wrong with the old one

    def __str__(self) -> str:
        lines = [f"{count:8d}  {topic}" for topic, count in sorted(self.counts.items())]
        lines.append(f"{sum(self.counts.values())} messages over {self.duration_ns / 1e9:.2f} s kept")
        lines.append(
            "nothing was missing"
            if self.was_whole
            else f"{self.lost_bytes} bytes at the end and {self.damaged_chunks} damaged chunks given up"
        )
        return "\n".join([*lines, str(self.path)])


def recover_bag(source: Path | str, output: Path | str | None = None, settings: BagSettings | None = None) -> Recovery:
    """Copy every whole chunk of `source` into a new bag with index and metadata.yaml.

    Args:
        source: A rosbag2 folder or an .mcap file.
        output: The folder to make; `<source>_recovered` if not given.
        settings: Layout of the new bag.

    Raises:
        BagError: Nothing readable in `source`, or `output` exists.
    """
    source = Path(source).resolve()
    name = source.stem if source.is_file() else source.name
    output = Path(output) if output is not None else source.with_name(f"{name}_recovered")
    files = [_OldFile(path) for path in _mcap_files(source)]
    topics = {topic.name: topic for file in files for topic in file.topics()}
    if not topics:
        raise BagError(f"{source} was cut off before its first chunk; there is nothing to recover")
    new = BagFile(output, list(topics.values()), settings or BagSettings())
    try:
        for file in files:
            file.copy_into(new)
        new.close({topic: count for file in files for topic, count in file.dropped.items() if count})
    except BaseException:
        new.abandon()
        shutil.rmtree(output)
        raise
    if (source / CARD).is_file():
        shutil.copy(source / CARD, output / CARD)
    lost_bytes = sum(file.lost_bytes for file in files)
    damaged = sum(file.damaged_chunks for file in files)
    extent = new.extent
    whole = not lost_bytes and not damaged and all(file.finished for file in files)
    return Recovery(output, dict(extent.counts), extent.end_ns - extent.start_ns, damaged, lost_bytes, whole)


class _OldFile:
    """One MCAP file, read record by record until it ends or makes no more sense."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped: dict[str, int] = {}  # by the recorder: holes in the sequence numbers
        self.damaged_chunks = 0
        self.lost_bytes = 0
        self.finished = False
        self._ours = False
        self._channels: dict[int, Channel] = {}

    def topics(self) -> list[StoredTopic]:
        """Every topic that a whole chunk describes."""
        schemas: dict[int, Schema] = {}
        for record in self._records():
            if isinstance(record, Header):
                self._ours = record.library == "firsthand"
            elif isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                self._channels[record.id] = record
        # ROS 2 messages always have a schema; MCAP itself can do without.
        self._channels = {id: channel for id, channel in self._channels.items() if channel.schema_id in schemas}
        return [_stored(channel, schemas) for channel in self._channels.values()]

    def copy_into(self, new: BagFile) -> None:
        """Copy every message."""
        expected: dict[int, int] = {}
        for record in self._records():
            if isinstance(record, Message) and record.channel_id in self._channels:
                topic = self._channels[record.channel_id].topic
                new.add(topic, record.log_time, record.sequence, record.data)
                if self._ours:
                    hole = record.sequence - expected.get(record.channel_id, 0)
                    self.dropped[topic] = self.dropped.get(topic, 0) + hole
                    expected[record.channel_id] = record.sequence + 1

    def _records(self) -> Iterator[McapRecord]:
        """All records, those inside of chunks too; also finds out how the file ends."""
        self.damaged_chunks = 0
        with open(self.path, "rb") as stream:
            reader = StreamReader(stream, emit_chunks=True, record_size_limit=None)
            good_until = 0
            try:
                for record in reader.records:
                    good_until = stream.tell()
                    yield from self._unpacked(record)
                self.finished = True
                good_until = self.path.stat().st_size
            except GeneratorExit:
                raise
            except Exception:  # the end of a cut file can look like anything; that it is one is what we report
                self.finished = False
            self.lost_bytes = self.path.stat().st_size - good_until

    def _unpacked(self, record: McapRecord) -> list[McapRecord]:
        if not isinstance(record, Chunk):
            return [record]
        try:
            return breakup_chunk(record, validate_crc=True)
        except Exception:  # wrong checksum or broken compression: this chunk is lost, the next may be fine
            self.damaged_chunks += 1
            return []


def _mcap_files(source: Path) -> list[Path]:
    if not source.exists():
        raise BagError(f"no bag at {source}")
    files = [source] if source.is_file() else sorted(source.glob("*.mcap"))
    if not files or files[0].suffix != ".mcap":
        raise BagError(f"no .mcap file in {source}; only MCAP bags survive a crash, SQLite ones do not")
    return files


def _stored(channel: Channel, schemas: dict[int, Schema]) -> StoredTopic:
    schema = schemas[channel.schema_id]
    text = schema.data.decode("utf-8", errors="replace")
    definition = Definition(schema.name, text, schema.encoding, channel.metadata.get("topic_type_hash", ""))
    return StoredTopic(channel.topic, definition, _was_latched(channel.metadata.get("offered_qos_profiles", "")))


def _was_latched(qos: str) -> bool:
    profiles = yaml.safe_load(qos) if qos else None
    return any(profile.get("durability") in ("transient_local", 1) for profile in profiles or [])
