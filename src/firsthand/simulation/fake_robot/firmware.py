"""What the robot's computers make of commands: which they obey, which they drop, and the gains the motors end up with.

mode     rt/lowcmd                                        rt/arm_sdk
debug    obeyed: checksum and mode_machine must be        dropped
         right; a motor of mode 0 is limp
sport    dropped                                          waist and arms, blended over the robot's own controller by
                                                          the weight in slot 27; that controller holds a posture

Unitree's own clients send neither mode_machine nor motor modes, in C++ not even a checksum, on rt/arm_sdk; so those are
asked for there only where `strict`. What the real robot does when commands stop is not published. Here it is assumed:
after `silence` the motors of debug mode are damped, and the weight of arm_sdk falls to 0.

Time comes from the caller; there is no DDS in this file.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import WireError
from firsthand.robot.unitree import wire
from firsthand.robot.unitree.motors import ARM_SDK_SLOTS, DAMPING, MOTOR_COUNT, STIFFNESS, WEIGHT_SLOT
from firsthand.robot.unitree.topics import ARM_SDK, LOW_CMD, Topic

Array = NDArray[np.floating]

MODES = ("sport", "debug")
OBEYED_IN = {ARM_SDK: "sport", LOW_CMD: "debug"}
COMMAND_FIELDS = ("q", "dq", "tau", "kp", "kd")


@dataclass(frozen=True)
class FirmwareSettings:
    """What kind of robot it is and how it is set."""

    mode: str = "sport"
    mode_machine: int = 6  # an H1-2 says 6
    strict: bool = False  # ask on rt/arm_sdk for checksum and mode_machine as well
    silence: float = 0.5  # [s] without commands
    fade: float = 1.0  # [s], of the weight after that

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}; choose {' or '.join(MODES)}")
        if not 0 <= self.mode_machine <= 255:
            raise ValueError(f"mode_machine is one byte, got {self.mode_machine}")


@dataclass(frozen=True)
class MotorGains:
    """What 27 motors do until told otherwise: torque = offset - stiffness q - damping dq + carried * gravity."""

    offset: Array  # (27,), [Nm]
    stiffness: Array  # (27,), [Nm/rad]
    damping: Array  # (27,), [Nm s/rad]
    carried: Array  # (27,), 0 to 1: how much of its load the robot's own controller carries

    def blended(self, other: "MotorGains", weight: Array) -> "MotorGains":
        """This, with a share (27,) of the other: torques add up in these shares."""
        return MotorGains(
            *((1.0 - weight) * mine + weight * theirs for mine, theirs in zip(_parts(self), _parts(other), strict=True))
        )


class Firmware:
    """The state of the robot's computers.

    Args:
        settings: See there.
        posture: (27,) where the robot's own controller keeps the motors in sport mode, [rad].
    """

    def __init__(self, settings: FirmwareSettings, posture: Array) -> None:
        self.settings, self.mode = settings, settings.mode
        self.mode_machine = settings.mode_machine
        self.accepted = 0
        self.rejected: Counter[str] = Counter()
        self.mode_pr = 0
        self.weight = 0.0
        self.hold(posture)
        self._command: MotorGains | None = None
        self._heard_at = self._faded_at = float("-inf")

    def hear(self, topic: Topic, payload: bytes, now: float) -> None:
        """Obey a command, or drop and count it.

        Args:
            topic: Where it came from: `ARM_SDK` or `LOW_CMD`.
            payload: As DDS carried it.
            now: [s].
        """
        try:
            command = wire.decode(payload, wire.LOW_CMD)
            self._check(topic, command)
        except WireError as error:
            self.rejected[f"{topic.name}: {error}"] += 1
            return
        self.accepted += 1
        self.mode_pr = int(command["mode_pr"])
        self._heard_at = self._faded_at = now
        self._command = _gains(command["motor_cmd"][:MOTOR_COUNT], modes_count=topic is LOW_CMD)
        if topic is ARM_SDK:
            self.weight = float(np.clip(command["motor_cmd"][WEIGHT_SLOT]["q"], 0.0, 1.0))

    def gains(self, now: float) -> MotorGains:
        """What the motors do at this time [s]."""
        silent = now - self._heard_at > self.settings.silence
        if self.mode == "debug":
            return (_DAMPED if silent else self._command) if self._command else _LIMP
        if silent:
            self.weight = max(
                0.0,
                self.weight - (now - max(self._faded_at, self._heard_at + self.settings.silence)) / self.settings.fade,
            )
            self._faded_at = now
        share = np.zeros(MOTOR_COUNT)
        share[ARM_SDK_SLOTS] = self.weight
        return self._own.blended(self._command, share) if self._command else self._own

    def driven(self, now: float) -> bool:
        """Whether somebody else moves the arms at this time [s]: weighs in, or has just commanded in debug mode."""
        if self.mode == "sport":
            return self.weight > 0.0
        return self._command is not None and now - self._heard_at <= self.settings.silence

    def hold(self, posture: Array) -> None:
        """Let the robot's own controller keep the motors elsewhere: (27,), [rad]."""
        self._own = MotorGains(STIFFNESS * posture, STIFFNESS, DAMPING, np.ones(MOTOR_COUNT))

    def switch(self, mode: str) -> None:
        """Change between sport and debug mode, as the remote does; commands of the other mode are forgotten."""
        self.mode, self._command, self.weight = mode, None, 0.0

    def _check(self, topic: Topic, command: wire.Record) -> None:
        """See that a command is one to obey.

        Raises:
            WireError: It is not; says why.
        """
        if OBEYED_IN[topic] != self.mode:
            raise WireError(f"not in {self.mode} mode")
        given = np.array([command["motor_cmd"][name] for name in COMMAND_FIELDS])
        if topic is LOW_CMD or self.settings.strict:
            if wire.checksum(command) != command["crc"]:
                raise WireError("wrong checksum")
            if command["mode_machine"] != self.mode_machine:
                raise WireError(f"mode_machine is {self.mode_machine}, not {command['mode_machine']}")
        elif command["crc"] not in (0, wire.checksum(command)):
            raise WireError("wrong checksum")
        if not np.isfinite(given).all():
            raise WireError("not finite")


def _parts(gains: MotorGains) -> tuple[Array, Array, Array, Array]:
    return gains.offset, gains.stiffness, gains.damping, gains.carried


def _gains(motors: wire.Record, modes_count: bool) -> MotorGains:
    q, dq, tau, kp, kd = (motors[name].astype(float) for name in COMMAND_FIELDS)
    alive = motors["mode"] == 1 if modes_count else np.ones(MOTOR_COUNT, bool)
    nothing = np.zeros(MOTOR_COUNT)
    return MotorGains(alive * (tau + kp * q + kd * dq), alive * kp, alive * kd, nothing)


_NOTHING = np.zeros(MOTOR_COUNT)
_LIMP = MotorGains(_NOTHING, _NOTHING, _NOTHING, _NOTHING)
_DAMPED = MotorGains(_NOTHING, _NOTHING, DAMPING, _NOTHING)
