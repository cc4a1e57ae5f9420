"""Listens to the robot for a while and prints what came as JSON; a process of its own, which a crashing DDS may take.

python -m firsthand.doctor.robot_probe INTERFACE DOMAIN HAND SECONDS

No command is sent. The robot is asked which controller it runs, and everything that it says is judged by the code that
will drive it: a message that the body would drop counts as none here.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np

from firsthand.errors import FirsthandError, WireError
from firsthand.robot.unitree.dds import Link, Reader
from firsthand.robot.unitree.inspire import read_dfx_state, read_ftp_state
from firsthand.robot.unitree.listener import HOT, MOST_REASONS, read_low_state
from firsthand.robot.unitree.motion_switcher import ask_controller
from firsthand.robot.unitree.motors import MOTOR_COUNT, MOTORS
from firsthand.robot.unitree.topics import ARM_SDK, DFX_CMD, DFX_STATE, FTP_CMD, FTP_STATE, LOW_CMD, LOW_STATE

POLL = 0.002  # [s]
DEPTH = 64  # messages kept between two looks
ASK_FOR = 1.0  # [s] an answer
ELSEWHERE = 1.5  # [s] for a look into the other domain
OTHER_DOMAIN = {0: 1, 1: 0}
"""Where a robot, or a simulator, is that was looked for in the wrong domain."""
HAND_STATES = {"dfx": (DFX_STATE,), "ftp": FTP_STATE, "none": ()}
READ_STATE: dict[str, Callable[[bytes], object]] = {"dfx": read_dfx_state, "ftp": read_ftp_state}
COMMANDS = (ARM_SDK, LOW_CMD, DFX_CMD, *FTP_CMD)


@dataclass
class Stream:
    """One topic, as it came."""

    good: int = 0  # messages that the body would take
    bad: dict[str, int] = field(default_factory=dict)  # and those that it would drop, by reason
    rate: float = 0.0  # [Hz] of the good ones, between the first and the last
    pause: float = 0.0  # [s], the longest without one, since the first


@dataclass
class Heard:
    """What the robot said."""

    body: Stream = field(default_factory=Stream)
    mode_machines: list[int] = field(default_factory=list)  # all that came: more than one is more than one robot
    hands: dict[str, Stream] = field(default_factory=dict)  # by topic
    other_hands: list[str] = field(default_factory=list)  # topics of the kind of hand that was not asked for
    commands: dict[str, int] = field(default_factory=dict)  # how many somebody else sent, by topic
    controller: str | None = None  # that the robot runs; empty in debug mode, None if it did not say
    motors: str = ""  # what is wrong with them
    other_domain: int | None = None  # where the body was heard instead
    error: str = ""


class _Listening:
    """Takes one topic and times what is good."""

    def __init__(self, reader: Reader, judge: Callable[[bytes], object]) -> None:
        self.stream, self._reader, self._judge = Stream(), reader, judge
        self._times: list[float] = []

    def take(self) -> None:
        """Count what came; what raises WireError is what the body would drop."""
        for payload in self._reader.take():
            try:
                self._judge(payload)
            except WireError as error:
                reason = str(error)[:80]
                known = reason if reason in self.stream.bad or len(self.stream.bad) < MOST_REASONS else "other reasons"
                self.stream.bad[known] = self.stream.bad.get(known, 0) + 1
            else:
                self.stream.good += 1
                self._times.append(time.monotonic())

    def end(self) -> Stream:
        """With rate and longest pause."""
        times = self._times
        if times:
            self.stream.pause = max(after - before for before, after in pairwise([*times, time.monotonic()]))
            self.stream.rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0
        return self.stream


def listen(interface: str, domain: int, hand: str, seconds: float) -> Heard:
    """Hear everything out.

    Raises:
        RobotError: No DDS here, or no such interface.
    """
    link, heard = Link(interface, domain), Heard()
    body = _Listening(link.reader(LOW_STATE, DEPTH), partial(_judge_body, heard))
    fingers = {t.name: _Listening(link.reader(t, DEPTH), READ_STATE[hand]) for t in HAND_STATES[hand]}
    strangers = [link.reader(topic) for kind, topics in HAND_STATES.items() if kind != hand for topic in topics]
    commands = [link.reader(topic, DEPTH) for topic in COMMANDS]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for one in (body, *fingers.values()):
            one.take()
        time.sleep(POLL)
    heard.body, heard.hands = body.end(), {name: one.end() for name, one in fingers.items()}
    names = [topic.name for kind, topics in HAND_STATES.items() if kind != hand for topic in topics]
    heard.other_hands = [name for name, reader in zip(names, strangers, strict=True) if reader.take()]
    heard.commands = {t.name: count for t, r in zip(COMMANDS, commands, strict=True) if (count := len(r.take()))}
    heard.controller = ask_controller(link, ASK_FOR) if heard.body.good else None
    link.close()
    if not heard.body.good and not heard.body.bad:
        heard.other_domain = _elsewhere(interface, domain)
    return heard


def _judge_body(heard: Heard, payload: bytes) -> None:
    state = read_low_state(payload)
    mode = int(state["mode_machine"])
    if mode not in heard.mode_machines:
        heard.mode_machines.append(mode)
    motors = state["motor_state"][:MOTOR_COUNT]
    temperatures = motors["temperature"].max(axis=1)
    bad = [f"{MOTORS[i].name} reports error {motors['motorstate'][i]}" for i in np.flatnonzero(motors["motorstate"])]
    hot = [f"{MOTORS[i].name} is at {temperatures[i]} °C" for i in np.flatnonzero(temperatures > HOT)]
    heard.motors = ", ".join(bad + hot)


def _elsewhere(interface: str, domain: int) -> int | None:
    """The other domain that a robot may be in, if it is heard there."""
    other = OTHER_DOMAIN.get(domain)
    if other is None:
        return None
    link = Link(interface, other)
    reader, end = link.reader(LOW_STATE), time.monotonic() + ELSEWHERE
    found = False
    while not found and time.monotonic() < end:
        time.sleep(POLL)
        found = bool(reader.take())
    link.close()
    return other if found else None


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
