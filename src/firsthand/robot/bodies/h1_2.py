"""The real H1-2 with Inspire hands, over the DDS that its own computers speak; or the one of `firsthand fake-robot`.

control    topic        needs                           who moves the rest
arm_sdk    rt/arm_sdk   the robot's own controller      that controller; ours is blended over it by a weight, 0 to 1,
                                                        for arms and waist
lowcmd     rt/lowcmd    debug mode (L2+R2 on the        nobody: legs and waist are held where they are found, so the
                        remote), a robot that hangs     robot hangs or stands in a frame

Nothing is sent before somebody engages. From then on every tick sends all motors:

    torque = gravity(measured) + stiffness k (command - measured) + d (speed of the command - measured)

with the gains of `unitree/motors.py`. At stiffness 0 the arms are damped and carry their own weight, never limp.
Released, the weight of arm_sdk falls to 0 over `weight_time` and the robot has its arms back; `close` waits for that.

The robot only obeys who echoes its `mode_machine`, and that says which kind of robot it is: a change while we drive
means another robot or another mode, so the body reports nothing measured from then on and the gate lets go.
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import FirsthandError, RobotError
from firsthand.robot.bodies.interface import TICK, BodyHealth, BodyState, MotorCommand
from firsthand.robot.gravity import ArmGravity
from firsthand.robot.joints import ARMS_SLICE, COUNT, HANDS_SLICE
from firsthand.robot.model import RobotModel
from firsthand.robot.unitree import wire
from firsthand.robot.unitree.dds import Link
from firsthand.robot.unitree.inspire import Hands, make_hands
from firsthand.robot.unitree.listener import NEVER, Listener, ListenerSettings
from firsthand.robot.unitree.motors import ARM_SDK_SLOTS, ARM_SLOTS, DAMPING, MOTOR_COUNT, STIFFNESS, WEIGHT_SLOT
from firsthand.robot.unitree.topics import ARM_SDK, LOW_CMD, LOW_STATE

Array = NDArray[np.floating]

CONTROLS = {"arm_sdk": ARM_SDK, "lowcmd": LOW_CMD}
HAND_TICKS = 2  # hands get every second command: 125 Hz is more than their serial lines carry
LONGEST_STEP = 2  # ticks; a late tick must not make a ramp steeper
WINDOW = 1024  # ticks that the jitter of the stream is measured over
SOFTENING = 0.5  # [s], of legs and waist at the end of `lowcmd`


@dataclass(frozen=True)
class H12Settings:
    """How to reach the robot and what to bear from it. Times in seconds."""

    interface: str = ""  # network interface that leads to the robot; empty: loopback
    domain: int = 0  # DDS domain: 0 on a robot, 1 in simulators
    control: str = "arm_sdk"
    hands: bool = True  # False: there are none, or somebody else drives them
    weight_time: float = 2.0  # of rt/arm_sdk, from 0 to 1 and back
    connect_timeout: float = 10.0
    state_timeout: float = 0.02  # five ticks; robots report at 500 Hz
    hand_state_timeout: float = 0.5  # over serial lines they are late by 0.3 s
    check_crc: bool = True  # of what the robot says; Unitree's own simulator leaves it empty
    tick: float = TICK  # between two steps by the clock; longer for a fake robot in slow motion

    def __post_init__(self) -> None:
        if self.control not in CONTROLS:
            raise ValueError(f"control is {self.control!r}; choose {' or '.join(CONTROLS)}")
        times = (self.weight_time, self.connect_timeout, self.state_timeout, self.hand_state_timeout, self.tick)
        if not all(np.isfinite(one) and one > 0 for one in times):
            raise ValueError(f"times must be positive, got {times}")
        if not 0 <= self.domain <= 230:
            raise ValueError(f"DDS domains go from 0 to 230, got {self.domain}")


DEFAULT = H12Settings()


class H12Body:
    """The H1-2 behind the interface that every body has.

    Args:
        model: The description with the hands that the robot carries; used by the thread that calls `step` only.
        settings: Where the robot is and how to drive it.

    Raises:
        RobotError: No DDS, or nothing that can be used came from the robot in time; says what did.
    """

    def __init__(self, model: RobotModel, settings: H12Settings = DEFAULT) -> None:
        self.settings = settings
        self._gravity = ArmGravity(model)
        self._link = Link(settings.interface, settings.domain)
        self._hands: Hands | None = make_hands(model) if settings.hands else None
        about = ListenerSettings(settings.state_timeout, settings.hand_state_timeout, settings.check_crc)
        self._robot = Listener(self._link, self._hands, about)
        self._robot.positions[HANDS_SLICE] = model.neutral[HANDS_SLICE]  # for a robot without
        self._writer = self._link.writer(CONTROLS[settings.control])
        self._hand_writers = [self._link.writer(one) for one in self._hands.command_topics] if self._hands else []
        self._message = wire.blank(wire.LOW_CMD)
        self._mode_machine = 0
        self._held: Array = np.zeros(MOTOR_COUNT)  # [rad], of legs and waist
        self._last_command: Array = np.zeros(COUNT)
        self._claimed = self._closed = False
        self._weight = self._softness = 0.0
        self._last_tick = self._last_sent = NEVER
        self._sent, self._sent_at, self._not_sent = 0, np.zeros(WINDOW), 0
        self._connect()

    def reset(self, seed: int | None = None) -> BodyState:
        """A robot stays where it is: says where, and accepts the mode that it is in now."""
        self._check_open()
        self._robot.listen()
        self._robot.accept_mode()
        self._mode_machine = self._robot.mode_machine
        return self._state()

    def step(self, command: MotorCommand) -> BodyState:
        """Send one command, take what the robot says; never waits."""
        self._check_open()
        self._robot.listen()
        self._claim(command)
        self._move_weight(command)
        if self._claimed:
            self._speak(command)
        return self._state()

    def close(self) -> None:
        """Give the robot its arms back: the weight falls to 0, or, in debug mode, legs and waist soften."""
        if self._closed:
            return
        self._closed = True
        while self._claimed:
            self._let_go()
            time.sleep(TICK)
        self._link.close()

    def health(self) -> BodyHealth:
        """Rates, jitter, what was dropped; from any thread."""
        robot = self._robot
        age, hands_age = robot.ages()
        name, temperature = robot.hottest_motor()
        values = {
            "topic": CONTROLS[self.settings.control].name,
            "interface": self._link.interface,
            "domain": self._link.domain,
            "mode_machine": robot.mode_machine,
            "weight": self._weight,
            "state age [ms]": 1e3 * age,
            "states": robot.states,
            "hand state age [ms]": "no hands" if hands_age is None else 1e3 * hands_age,
            "hottest motor": f"{name} {temperature} °C",
            "commands": self._sent,
            "commands not sent": self._not_sent,
            **self._jitter(),
            **{f"dropped: {reason}": count for reason, count in robot.dropped.items()},
        }
        problem = robot.missing() or robot.motor_problem()
        doing = "drives" if self._claimed else "listens"
        return BodyHealth(problem or f"{doing}, {values['topic']}, weight {self._weight:.2f}", not problem, values)

    def _connect(self) -> None:
        """Wait until body and hands have said something that can be used.

        Raises:
            RobotError: They have not in time.
        """
        deadline = time.monotonic() + self.settings.connect_timeout
        while self._robot.silent():
            if time.monotonic() > deadline:
                why = self._why_not_connected()
                self._link.close()
                raise RobotError(why)
            time.sleep(TICK)
            self._robot.listen()
        self.reset()

    def _why_not_connected(self) -> str:
        s, silent = self.settings, self._robot.silent()
        dropped = ", ".join(f"{count} x {reason}" for reason, count in self._robot.dropped.items())
        where = f"interface {self._link.interface!r}, DDS domain {s.domain}"
        advice = (
            "Look at the robot's power, the cable, this computer's address on that interface (192.168.123.x), and the "
            "domain (0 on a robot, 1 in simulators)."
            if LOW_STATE.name in silent
            else "The body answers: is the hands' own service running on the robot?"
        )
        return (
            f"nothing {f'usable (dropped: {dropped}) ' if dropped else ''}on {' and '.join(silent)} within "
            f"{s.connect_timeout:g} s over {where}. {advice}"
        )

    def _state(self) -> BodyState:
        robot = self._robot
        return BodyState(robot.stamp_ns, robot.positions.copy(), robot.velocities.copy(), robot.missing())

    def _claim(self, command: MotorCommand) -> None:
        """Take over at the first command that means to drive; legs and waist are held where they are then."""
        drives = not command.released and command.stiffness > 0.0  # a stop before that has nothing to take over
        if not self._claimed and drives and not self._robot.missing():
            self._claimed = True
            self._held = self._robot.motors.copy()

    def _move_weight(self, command: MotorCommand) -> None:
        """Up while we drive, down when released; where it is while stopped: a stop hands nothing over."""
        now = time.monotonic()
        step = min(now - self._last_tick, LONGEST_STEP * self.settings.tick) / self.settings.weight_time
        self._last_tick = now
        direction = -1.0 if command.released else float(command.stiffness > 0.0)
        if self._claimed:
            self._weight = float(np.clip(self._weight + direction * step, 0.0, 1.0))

    def _speak(self, command: MotorCommand) -> None:
        """Send it; one that DDS refuses is counted and lost, the next is tried all the same."""
        self._fill(command)
        try:
            self._writer.write(wire.encode(wire.seal(self._message)))
            if self._hands and self._sent % HAND_TICKS == 0:
                payloads = self._hands.write_command(command.positions[HANDS_SLICE])
                for writer, payload in zip(self._hand_writers, payloads, strict=True):
                    writer.write(payload)
        except RobotError:
            self._not_sent += 1
        self._last_sent = time.monotonic()
        self._sent_at[self._sent % WINDOW] = self._last_sent
        self._sent += 1
        self._last_command = command.positions
        if self.settings.control == "arm_sdk" and command.released and self._weight == 0.0:
            self._claimed = False  # this message said weight 0: the robot has its arms back

    def _fill(self, command: MotorCommand) -> None:
        """The message for all motors that are ours."""
        motors = self._message["motor_cmd"]
        arm_sdk = self.settings.control == "arm_sdk"
        ours = ARM_SDK_SLOTS if arm_sdk else slice(0, MOTOR_COUNT)
        self._message["mode_machine"] = self._mode_machine
        motors["mode"][ours] = 1
        motors["q"][ours] = self._held[ours]
        motors["kp"][ours] = (1.0 - self._softness) * STIFFNESS[ours]
        motors["kd"][ours] = DAMPING[ours]
        motors["q"][ARM_SLOTS] = command.positions[ARMS_SLICE]
        motors["dq"][ARM_SLOTS] = command.stiffness * self._commanded_velocity(command)[ARMS_SLICE]
        motors["kp"][ARM_SLOTS] = command.stiffness * STIFFNESS[ARM_SLOTS]
        motors["tau"][ARM_SLOTS] = self._gravity.torque(self._robot.positions)
        if arm_sdk:
            motors["q"][WEIGHT_SLOT] = self._weight

    def _commanded_velocity(self, command: MotorCommand) -> Array:
        """How fast the commands move [rad/s]; zero after a pause."""
        if time.monotonic() - self._last_sent > LONGEST_STEP * self.settings.tick:
            return np.zeros(COUNT)
        return np.asarray((command.positions - self._last_command) / TICK)

    def _let_go(self) -> None:
        """One tick of the end."""
        self._robot.listen()
        here = MotorCommand(self._robot.positions.copy(), stiffness=0.0, released=True)
        self._move_weight(here)
        self._softness = min(1.0, self._softness + TICK / SOFTENING)
        self._speak(here)
        if self.settings.control == "lowcmd" and self._softness == 1.0:
            self._claimed = False

    def _jitter(self) -> dict[str, object]:
        """How evenly the commands of the last seconds were sent."""
        periods = np.diff(np.sort(self._sent_at[: min(self._sent, WINDOW)]))
        if not len(periods):
            return {}
        p50, p99, longest = (1e3 * np.percentile(periods, [50, 99, 100])).tolist()
        return {
            "stream [Hz]": float(1.0 / periods.mean()),
            "period p50 [ms]": p50,
            "period p99 [ms]": p99,
            "period max [ms]": longest,
        }

    def _check_open(self) -> None:
        if self._closed:
            raise FirsthandError("this body is closed; make a new H12Body")
