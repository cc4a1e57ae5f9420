"""Read a bag in time order, whoever wrote it: rosbag2 folders (MCAP or SQLite) and bare .mcap files."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore
from tqdm import tqdm

from firsthand.bags.message_types import header_stamp_ns, starts_with_header
from firsthand.bags.storage import DROPPED, METADATA
from firsthand.errors import BagError

BAR_AFTER = 1.0  # [s]


@dataclass(frozen=True)
class RawMessage:
    """A message as it lies in the bag."""

    topic: str
    type: str
    stamp_ns: int  # when it was recorded
    data: bytes  # CDR


@dataclass(frozen=True)
class BagMessage:
    """A decoded message; sequences of numbers are numpy arrays."""

    topic: str
    type: str
    stamp_ns: int  # when it was recorded
    message: Any


@dataclass(frozen=True)
class TopicInfo:
    """A topic of a bag."""

    name: str
    type: str
    count: int
    dropped: int  # by the recorder, where it said so
    latched: bool


def open_bag(path: Path | str, show_progress: bool = False) -> "Bag":
    """Open a bag for reading; use the result as a context manager.

    Args:
        path: A rosbag2 folder or an .mcap file.
        show_progress: Draw a bar on stderr while many messages are read.

    Raises:
        BagError: There is no bag, it was cut off, or it is in a form that cannot be read.
    """
    return Bag(Path(path), show_progress)


class Bag:
    """An open bag."""

    def __init__(self, path: Path, show_progress: bool = False) -> None:
        self.path, self._show_progress = path, show_progress
        self._reader: Any = _opened(path)
        self._typestore: Typestore | None = None
        dropped = _dropped(path)
        self.topics = {
            name: TopicInfo(name, info.msgtype or "", info.msgcount, dropped.get(name, 0), _latched(info.connections))
            for name, info in self._reader.topics.items()
        }

    @property
    def start_ns(self) -> int:
        """When the first message was recorded; 0 if there is none."""
        return int(self._reader.start_time) if self.message_count else 0

    @property
    def end_ns(self) -> int:
        """When the last message was recorded; 0 if there is none."""
        return int(self._reader.end_time) - 1 if self.message_count else 0

    @property
    def message_count(self) -> int:
        """Messages on all topics."""
        return int(self._reader.message_count)

    @property
    def bytes(self) -> int:
        """Size on disk."""
        files = [self.path] if self.path.is_file() else self.path.iterdir()
        return sum(file.stat().st_size for file in files)

    def find_topic(self, name: str) -> str:
        """The full name of a topic, given with or without leading slash or namespace.

        Raises:
            BagError: No topic, or more than one, ends like that.
        """
        relative = "/" + name.lstrip("/")
        found = [topic for topic in self.topics if topic == relative] or [
            topic for topic in self.topics if topic.endswith(relative)
        ]
        if len(found) == 1:
            return found[0]
        problem = f"has {len(found)} topics" if found else "has no topic"
        raise BagError(f"{self.path} {problem} {name!r}; it has {', '.join(sorted(self.topics)) or 'none at all'}")

    def raw_messages(
        self, topics: Iterable[str] = (), start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[RawMessage]:
        """Messages in the order in which they were recorded, not decoded.

        Args:
            topics: Full names; all topics if empty.
            start_ns: Leave out what was recorded before.
            end_ns: Leave out what was recorded then or later.

        Raises:
            BagError: An unknown topic, or damage in the middle of the file.
        """
        connections = self._connections(topics)
        if not connections:
            return
        with _named(self.path):
            messages = self._reader.messages(connections, start_ns, end_ns)
            for connection, stamp_ns, data in tqdm(
                messages,
                desc="all topics" if not topics else " ".join(one.topic for one in connections),
                total=sum(one.msgcount for one in connections),
                unit="message",
                delay=BAR_AFTER,
                leave=False,
                disable=not self._show_progress,
            ):
                yield RawMessage(connection.topic, connection.msgtype, stamp_ns, bytes(data))

    def messages(
        self, topics: Iterable[str] = (), start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[BagMessage]:
        """The same, decoded."""
        for raw in self.raw_messages(topics, start_ns, end_ns):
            yield BagMessage(raw.topic, raw.type, raw.stamp_ns, self.decode(raw))

    def decode(self, raw: RawMessage) -> Any:
        """The message as an object with the fields of its type.

        Raises:
            BagError: The bytes are not a message of that type.
        """
        try:
            return self.typestore.deserialize_cdr(raw.data, raw.type)
        except Exception as error:  # rosbags' generated code raises whatever the bytes lead it to
            raise BagError(f"{self.path}: {len(raw.data)} bytes on {raw.topic} are no {raw.type}: {error!r}") from error

    def header_stamp_ns(self, raw: RawMessage) -> int | None:
        """The capture time in a message's header, without decoding it; None if it has none."""
        return header_stamp_ns(raw.data) if starts_with_header(raw.type, self.typestore) else None

    @property
    def typestore(self) -> Typestore:
        """Jazzy's messages and those that the bag defines itself."""
        if self._typestore is None:
            self._typestore = _typestore(self._reader.connections)
        return self._typestore

    def close(self) -> None:
        """Let go of the files."""
        self._reader.close()

    def __enter__(self) -> "Bag":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connections(self, topics: Iterable[str]) -> list[Connection]:
        wanted = set(topics)
        unknown = sorted(wanted - set(self.topics))
        if unknown:
            raise BagError(f"{self.path} has no topic {unknown[0]!r}; it has {', '.join(sorted(self.topics))}")
        return [connection for connection in self._reader.connections if not wanted or connection.topic in wanted]


def _opened(path: Path) -> Reader:
    if not path.exists():
        raise BagError(f"no bag at {path}")
    if path.is_dir() and not (path / METADATA).exists():
        files = sorted(file.name for file in path.glob("*.mcap"))
        if files:
            raise BagError(f"{path} was cut off while recording: no {METADATA}; run `firsthand recover {path}`")
        raise BagError(f"{path} is no bag: neither {METADATA} nor an .mcap file in it")
    with _named(path):
        reader = Reader(path)
        reader.open()
    return reader


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file makes the reader raise into a BagError with advice."""
    try:
        yield
    except (BagError, GeneratorExit):
        raise
    except Exception as error:  # rosbags lets struct, decompression and key errors through
        raise BagError(
            f"{path} cannot be read: {error or type(error).__name__}; "
            f"if it was cut off, `firsthand recover {path}` saves what is there"
        ) from error


def _latched(connections: Iterable[Connection]) -> bool:
    profiles = [
        profile for connection in connections for profile in getattr(connection.ext, "offered_qos_profiles", [])
    ]
    return any(profile.durability.name == "TRANSIENT_LOCAL" for profile in profiles)


def _dropped(path: Path) -> dict[str, int]:
    """What the recorder says that it lost, by topic."""
    if not (path / METADATA).is_file():
        return {}
    information = yaml.safe_load((path / METADATA).read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
    custom = information.get("custom_data") or {}
    return {key[len(DROPPED) :]: int(value) for key, value in custom.items() if key.startswith(DROPPED)}


def _typestore(connections: Iterable[Connection]) -> Typestore:
    store = get_typestore(Stores.ROS2_JAZZY)
    for connection in connections:
        if connection.msgtype not in store.fielddefs:
            store.register(_foreign_types(connection, store))
    return store


def _foreign_types(connection: Connection, store: Typestore) -> dict[str, Any]:
    text = connection.msgdef.data
    if connection.msgdef.format == MessageDefinitionFormat.MSG:
        types = get_types_from_msg(text, connection.msgtype)
    elif connection.msgdef.format == MessageDefinitionFormat.IDL:
        types = get_types_from_idl(text)
    else:
        return {}
    return {name: fields for name, fields in types.items() if name not in store.fielddefs}
