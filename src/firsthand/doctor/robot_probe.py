"""Listens to the robot for a while and prints what came as JSON; a process of its own, which a crashing DDS may take.

python -m firsthand.doctor.robot_probe INTERFACE DOMAIN HAND SECONDS
"""

import json
import sys
import time
from dataclasses import asdict, dataclass

from firsthand.errors import FirsthandError
from firsthand.robot.unitree import wire
from firsthand.robot.unitree.dds import Link
from firsthand.robot.unitree.topics import DFX_STATE, FTP_STATE, LOW_STATE

POLL = 0.002  # [s]
DEPTH = 64  # messages kept between two looks
HANDS = {"dfx": (DFX_STATE,), "ftp": FTP_STATE, "none": ()}


@dataclass
class Heard:
    """What the robot said."""

    states: int = 0  # messages of the body
    unreadable: int = 0
    mode_machine: int = 0
    hands: dict[str, int] | None = None  # messages by topic
    error: str = ""


def listen(interface: str, domain: int, hand: str, seconds: float) -> Heard:
    """Count what comes.

    Raises:
        RobotError: No DDS here, or no such interface.
    """
    link = Link(interface, domain)
    body, heard = link.reader(LOW_STATE, DEPTH), Heard(hands={})
    assert heard.hands is not None
    readers = {topic.name: link.reader(topic, DEPTH) for topic in HANDS[hand]}
    heard.hands = dict.fromkeys(readers, 0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for payload in body.take():
            try:
                heard.mode_machine = int(wire.decode(payload, wire.LOW_STATE)["mode_machine"])
                heard.states += 1
            except FirsthandError:
                heard.unreadable += 1
        for name, reader in readers.items():
            heard.hands[name] += len(reader.take())
        time.sleep(POLL)
    link.close()
    return heard


def main() -> int:
    """Print one line of JSON."""
    interface, domain, hand, seconds = sys.argv[1:]
    try:
        heard = listen(interface, int(domain), hand, float(seconds))
    except FirsthandError as error:
        heard = Heard(error=str(error))
    print(json.dumps(asdict(heard)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
