"""What the robot and its hands say, as 26 joints: newest first, bad messages dropped and counted, ages kept.

Ages are measured on the monotonic clock, so that a computer whose wall clock jumps does not take old for new.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import RobotError, WireError
from firsthand.robot.joints import ARMS_SLICE, COUNT, HANDS_SLICE
from firsthand.robot.unitree import wire
from firsthand.robot.unitree.dds import Link
from firsthand.robot.unitree.inspire import Hands
from firsthand.robot.unitree.motors import ARM_SLOTS, MOTOR_COUNT, MOTORS
from firsthand.robot.unitree.topics import LOW_STATE

Array = NDArray[np.floating]

NEVER = float("-inf")
SHORTEST = 0.001  # [s]; two hand states closer than this give no speed
HOT = 85  # [°C], worth a warning
MOST_REASONS = 20  # to drop messages that are told apart: who sends rubbish does not fill the memory


@dataclass(frozen=True)
class ListenerSettings:
    """What to bear from the robot. Times in seconds."""

    state_timeout: float = 0.02
    hand_state_timeout: float = 0.5
    check_crc: bool = True


class Listener:
    """The robot's side of the conversation.

    Attributes:
        positions: (26,) [rad], in the order of `joints.JOINTS`.
        velocities: (26,) [rad/s]; those of the hands from their positions.
        motors: (27,) [rad], in the order of `MOTORS`.
        mode_machine: What kind of robot it says it is.
        mode_pr: In which coordinates it tells its ankles: 0 pitch and roll, 1 the two motors.
        stamp_ns: When the body was heard last, on the system's clock.
        states: How many usable messages of the body came.
        dropped: How many were not, by reason.
    """

    def __init__(self, link: Link, hands: Hands | None, settings: ListenerSettings) -> None:
        self._settings, self._hands = settings, hands
        self._reader = link.reader(LOW_STATE)
        self._hand_readers = [link.reader(topic) for topic in hands.state_topics] if hands else []
        self.positions, self.velocities = np.zeros(COUNT), np.zeros(COUNT)
        self.motors = np.zeros(MOTOR_COUNT)
        self.mode_machine, self.mode_pr, self.stamp_ns, self.states = 0, 0, 0, 0
        self.dropped: Counter[str] = Counter()
        self._expected_mode: int | None = None
        self._fault = ""
        self._heard_at = NEVER
        self._hands_heard_at = [NEVER for _ in self._hand_readers]
        self._temperatures = np.zeros(MOTOR_COUNT, dtype=int)
        self._errors = np.zeros(MOTOR_COUNT, dtype=int)

    def listen(self) -> None:
        """Take what has come; never waits."""
        with self._dropping_what_is_wrong():
            payload = self._reader.latest()
            if payload is not None:
                self._read_state(read_low_state(payload, self._settings.check_crc))
        for index, reader in enumerate(self._hand_readers):
            with self._dropping_what_is_wrong():
                payload = reader.latest()
                if payload is not None:
                    self._read_hand(index, payload)

    def accept_mode(self) -> None:
        """From here on a change of `mode_machine` is a fault, until this is called again."""
        self._expected_mode, self._fault = self.mode_machine, ""

    def silent(self) -> list[str]:
        """The topics from which nothing usable has ever come."""
        topics = self._hands.state_topics if self._hands else ()
        heard = zip(topics, self._hands_heard_at, strict=True)
        return ([] if self.states else [LOW_STATE.name]) + [topic.name for topic, at in heard if at == NEVER]

    def missing(self) -> str:
        """Why positions are not to be relied on now; empty while they are."""
        now = time.monotonic()
        if self._fault:
            return self._fault
        if now - self._heard_at > self._settings.state_timeout:
            return f"{LOW_STATE.name} has been silent for {now - self._heard_at:.2f} s"
        topics = self._hands.state_topics if self._hands else ()
        for topic, at in zip(topics, self._hands_heard_at, strict=True):
            if now - at > self._settings.hand_state_timeout:
                return f"{topic.name} has been silent for {now - at:.2f} s"
        return ""

    def motor_problem(self) -> str:
        """What is wrong with the motors, by name; empty if nothing is."""
        if self._errors.any():
            bad = [f"{MOTORS[i].name} ({self._errors[i]})" for i in np.flatnonzero(self._errors)]
            return f"motors report errors: {', '.join(bad)}"
        name, temperature = self.hottest_motor()
        return f"{name} is at {temperature} °C" if temperature > HOT else ""

    def hottest_motor(self) -> tuple[str, int]:
        """Its name and temperature [°C]."""
        index = int(np.argmax(self._temperatures))
        return MOTORS[index].name, int(self._temperatures[index])

    def ages(self) -> tuple[float, float | None]:
        """Of what is known of the body and of the hands, [s]; None without hands."""
        now = time.monotonic()
        return now - self._heard_at, now - min(self._hands_heard_at) if self._hands_heard_at else None

    def _read_state(self, state: wire.Record) -> None:
        motors = state["motor_state"][:MOTOR_COUNT]
        positions, velocities = motors["q"].astype(float), motors["dq"].astype(float)
        self.motors = positions
        self.positions[ARMS_SLICE], self.velocities[ARMS_SLICE] = positions[ARM_SLOTS], velocities[ARM_SLOTS]
        self._temperatures, self._errors = motors["temperature"].max(axis=1), motors["motorstate"]
        self._heard_at, self.stamp_ns = time.monotonic(), time.time_ns()
        self.states += 1
        self.mode_machine, self.mode_pr = int(state["mode_machine"]), int(state["mode_pr"])
        if self._expected_mode not in (None, self.mode_machine) and not self._fault:
            self._fault = (
                f"mode_machine changed from {self._expected_mode} to {self.mode_machine}: another robot, or another "
                "mode; the service reset accepts it"
            )

    def _read_hand(self, index: int, payload: bytes) -> None:
        if self._hands is None:
            return
        angles = self._hands.read_state(index, payload)
        part, now = self._hands.parts[index], time.monotonic()
        positions, velocities = self.positions[HANDS_SLICE], self.velocities[HANDS_SLICE]  # views
        velocities[part] = (angles - positions[part]) / max(now - self._hands_heard_at[index], SHORTEST)
        positions[part] = angles
        self._hands_heard_at[index] = now

    @contextlib.contextmanager
    def _dropping_what_is_wrong(self) -> Iterator[None]:
        try:
            yield
        except RobotError as error:
            reason = str(error)[:80]
            known = reason in self.dropped or len(self.dropped) < MOST_REASONS
            self.dropped[reason if known else "other reasons"] += 1


def read_low_state(payload: bytes, check_crc: bool = True) -> wire.Record:
    """What the body says, if it can be believed.

    Args:
        payload: As DDS carried it.
        check_crc: Whether its checksum has to be right.

    Raises:
        WireError: It is no such message, damaged, or has motors at places that are no numbers.
    """
    state = wire.decode(payload, wire.LOW_STATE)
    if check_crc and wire.checksum(state) != state["crc"]:
        raise WireError(f"{LOW_STATE.name} with a wrong checksum")
    motors = state["motor_state"][:MOTOR_COUNT]
    if not (np.isfinite(motors["q"]).all() and np.isfinite(motors["dq"]).all()):
        raise WireError(f"{LOW_STATE.name} with positions that are not finite")
    return state
