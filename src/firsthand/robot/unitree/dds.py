"""The one DDS that an H1-2 bears, and readers and writers of raw messages on it.

A robot's computers run CycloneDDS 0.10.2. A participant of the 11.x wheels on PyPI crashes every 0.10.2 peer that hears
of its topics, the robot's included, so any other version is refused before it is even imported.
"""

import importlib
import importlib.metadata
import re
import threading
from pathlib import Path
from typing import Any

from firsthand.errors import RobotError
from firsthand.robot.unitree.topics import Topic

VERSION = "0.10.2"
RECIPE = f"""Build it from your system's library; in the source tree: `make robot`. By hand:
  sudo apt-get install cyclonedds-dev     # must be {VERSION}, as on Debian 12; else build that tag from source
  mkdir -p dds/lib dds/include dds/bin
  ln -s /usr/lib/$(uname -m)-linux-gnu/libddsc.so* /usr/lib/$(uname -m)-linux-gnu/libcycloneddsidl.so* dds/lib
  ln -s /usr/include/dds /usr/include/idl dds/include
  CYCLONEDDS_HOME=$PWD/dds pip install --no-cache-dir cyclonedds=={VERSION}"""

LOOPBACK = "lo"
ANY_COUNT = 64

_LIBRARY = re.compile(r"/libddsc(?:-[0-9a-f]+)?\.so[.\w]*$")
_RELEASE = re.compile(r"\.so\.(\d+\.\d+\.\d+)$")
_domains: dict[int, tuple[str, Any]] = {}
_lock = threading.Lock()


def require_cyclonedds() -> None:
    """Make sure that this process can speak to a robot without harming it.

    Raises:
        RobotError: CycloneDDS is missing, is another version, or is in this process twice. Says how to get it.
    """
    try:
        found = importlib.metadata.version("cyclonedds")
    except importlib.metadata.PackageNotFoundError:
        raise RobotError(f"the robot speaks CycloneDDS {VERSION}, and there is none here.\n{RECIPE}") from None
    if found != VERSION:
        raise RobotError(
            f"the robot speaks CycloneDDS {VERSION}; here is {found}, and versions from 11 on crash a robot's "
            f"computers as soon as they announce a topic.\n{RECIPE}"
        )
    try:
        importlib.import_module("cyclonedds.domain")
    except Exception as error:  # its loader raises a bare Exception of its own
        raise RobotError(f"CycloneDDS {VERSION} is installed, but does not load: {error}\n{RECIPE}") from error
    check_libraries(loaded_libraries())


def check_libraries(paths: list[str]) -> None:
    """See that the C libraries behind the binding are one, and the right one.

    Raises:
        RobotError: There are two, or it is of another version.
    """
    if len(paths) > 1:
        raise RobotError(
            f"two CycloneDDS libraries in one process: {' and '.join(paths)}. With ROS's rmw_cyclonedds set "
            "RMW_IMPLEMENTATION=rmw_fastrtps_cpp for this node; an SDK that brings its own needs a process of its own."
        )
    release = _RELEASE.search(paths[0]) if paths else None
    if release and release.group(1) != VERSION:
        raise RobotError(f"the robot speaks CycloneDDS {VERSION}; the library loaded is {paths[0]}.\n{RECIPE}")


def loaded_libraries() -> list[str]:
    """The CycloneDDS libraries mapped into this process."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text(encoding="utf-8").splitlines() if maps.exists() else []
    paths = {line[line.index("/") :] for line in lines if "/" in line}
    return sorted(path for path in paths if _LIBRARY.search(path))


def configuration(interface: str) -> str:
    """CycloneDDS's own settings for one network interface; on loopback nothing leaves this machine."""
    if interface == LOOPBACK:
        general = "<AllowMulticast>false</AllowMulticast>"
        discovery = (
            "<Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>32</MaxAutoParticipantIndex>"
            "<SPDPInterval>1s</SPDPInterval>"  # by itself 30 s, if a first greeting is lost on a busy computer
            '<Peers><Peer address="127.0.0.1"/></Peers></Discovery>'
        )
    else:
        general, discovery = "", ""
    return (
        f'<CycloneDDS><Domain Id="any"><General><Interfaces><NetworkInterface name="{interface}" priority="default" '
        f'multicast="default"/></Interfaces>{general}</General>{discovery}</Domain></CycloneDDS>'
    )


class Link:
    """A participant on one DDS domain, on one network interface.

    Args:
        interface: Network interface that leads to the robot; empty for loopback.
        domain: 0 on a real robot, 1 by custom in simulators.

    Raises:
        RobotError: CycloneDDS is not the one, the interface does not exist, or this process already uses the domain
            over another interface.
    """

    def __init__(self, interface: str = "", domain: int = 0) -> None:
        require_cyclonedds()
        from cyclonedds.domain import DomainParticipant

        self.interface, self.domain = interface or LOOPBACK, domain
        self._entities: list[Any] = []
        try:
            self._keep_domain()
            self._participant = DomainParticipant(domain)
        except Exception as error:  # DDSException derives from nothing narrower
            if isinstance(error, RobotError):
                raise
            raise RobotError(
                f"no DDS on interface {self.interface!r}, domain {domain}: {error} Interfaces here: {_interfaces()}."
            ) from error

    def reader(self, topic: Topic, depth: int = 1) -> "Reader":
        """Listen to a topic; what is not taken in time is replaced by what is newer, `depth` messages are kept."""
        from cyclonedds.core import Policy, Qos
        from cyclonedds.sub import DataReader

        qos = Qos(Policy.History.KeepLast(depth))
        return Reader(self._keep(DataReader(self._participant, self._topic(topic), qos)))

    def writer(self, topic: Topic) -> "Writer":
        """Speak on a topic."""
        from cyclonedds.pub import DataWriter

        return Writer(self._keep(DataWriter(self._participant, self._topic(topic))))

    def close(self) -> None:
        """Leave the domain; readers and writers are of no use afterwards."""
        for entity in (*reversed(self._entities), self._participant):
            entity.__del__()  # the binding's one public way to delete an entity now
        self._entities.clear()

    def _keep_domain(self) -> None:
        """CycloneDDS takes the settings of a domain once a process."""
        from cyclonedds.domain import Domain

        with _lock:
            if self.domain not in _domains:
                _domains[self.domain] = (self.interface, Domain(self.domain, configuration(self.interface)))
            used = _domains[self.domain][0]
        if used != self.interface:
            raise RobotError(f"this process already uses domain {self.domain} over {used!r}, not {self.interface!r}")

    def _topic(self, topic: Topic) -> Any:
        from cyclonedds.topic import Topic as DdsTopic

        from firsthand.robot.unitree.idl import TYPES  # only now: it needs CycloneDDS

        return self._keep(DdsTopic(self._participant, topic.name, TYPES[topic.type]))

    def _keep(self, entity: Any) -> Any:
        self._entities.append(entity)
        return entity


class Reader:
    """Takes messages as bytes; the binding's own reader would build a Python object of every motor."""

    def __init__(self, reader: Any) -> None:
        from cyclonedds._clayer import ddspy_take  # private, of the one version that there is

        self._reader, self._take = reader, ddspy_take

    def take(self, most: int = ANY_COUNT) -> list[bytes]:
        """What has come since the last call, oldest first.

        Raises:
            RobotError: DDS refuses.
        """
        taken = self._take(self._reader._ref, most)
        if isinstance(taken, int):
            raise RobotError(f"DDS cannot take a message: error {taken}")
        return [data for data, info in taken if info.valid_data]

    def latest(self) -> bytes | None:
        """The newest message since the last call, or None."""
        taken = self.take()
        return taken[-1] if taken else None


class Writer:
    """Sends messages that are bytes already."""

    def __init__(self, writer: Any) -> None:
        from cyclonedds._clayer import ddspy_write  # private, of the one version that there is

        self._writer, self._write = writer, ddspy_write

    def write(self, payload: bytes) -> None:
        """Send one.

        Raises:
            RobotError: DDS refuses.
        """
        result = self._write(self._writer._ref, payload + bytes(-len(payload) % 4))
        if result is not None and result < 0:
            raise RobotError(f"DDS cannot write a message: error {result}")


def _interfaces() -> str:
    folder = Path("/sys/class/net")
    return ", ".join(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else "unknown"
