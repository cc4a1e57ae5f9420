"""The fake robot as a whole: DDS in and out, in real time.

500 times a second, or as often as the computer lets it, it takes commands, lets physics catch up with the clock in
steps of 2 ms, and publishes rt/lowstate; its hands answer 100 times a second. Its camera is a process of its own, which
gets no more than the state of the scene. At a `speed` below 1 all of that happens so much slower: physics, rates,
pictures; what is said and drawn is the same.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from firsthand.errors import WireError
from firsthand.robot.joints import HANDS_KNOWN
from firsthand.robot.model import RobotModel
from firsthand.robot.unitree import wire
from firsthand.robot.unitree.dds import Link
from firsthand.robot.unitree.inspire import DfxHands, FtpHands, Hands
from firsthand.robot.unitree.motors import MOTOR_COUNT
from firsthand.robot.unitree.topics import ARM_SDK, LOW_CMD, LOW_STATE
from firsthand.simulation.fake_robot.camera_settings import HeadCameraSettings
from firsthand.simulation.fake_robot.firmware import Firmware, FirmwareSettings
from firsthand.simulation.fake_robot.head_camera import HeadCamera
from firsthand.simulation.fake_robot.motion_switcher import MotionSwitcher
from firsthand.simulation.fake_robot.physics import Physics, standing_posture
from firsthand.simulation.fake_robot.trials import FakeRobotTrial
from firsthand.simulation.scene import PHYSICS_STEP
from firsthand.simulation.scene_name import SceneName

PERIOD = PHYSICS_STEP  # here and below in the robot's own time
HAND_PERIOD = 0.01  # [s]
SWITCHER_PERIOD = 0.05  # [s]
WINDOW = 4096  # ticks that the evenness of the loop is measured over
LONGEST_LEAP = 0.1  # [s], what physics makes up for at most; the rest of a longer pause never happened
TEMPERATURE = (35, 33)  # [°C], of a motor's shell and winding
VOLTAGE = 48.0
STANDARD_GRAVITY = 9.81
UPRIGHT = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class FakeRobotSettings:
    """Where it listens and what stands before it."""

    interface: str = ""  # network interface; empty: loopback
    domain: int = 1  # 1 by custom for simulators; 0 is a real robot's
    hand: str = "dfx"  # dfx, ftp, or none
    task: str = "push"
    variant: str = "id"
    seed: int = 0
    speed: float = 1.0  # of its time; below 1 for computers that are too slow for a policy
    trials: int = 0  # end after so many, each in the scene of the next seed; 0: stay in the one

    def __post_init__(self) -> None:
        if self.hand not in (*HANDS_KNOWN, "none"):
            raise ValueError(f"hand is {self.hand!r}; choose dfx, ftp or none")
        if not 0.01 <= self.speed <= 1.0:
            raise ValueError(f"speed goes from 0.01 to 1, got {self.speed:g}: nothing here is faster than the clock")
        if self.trials < 0:
            raise ValueError(f"expected 0 trials or more, got {self.trials}")


class FakeRobot:
    """An H1-2 that other programs cannot tell from a real one by its messages.

    Args:
        settings: Where it is.
        firmware: What kind of robot it is.
        camera: What its head sees with; None: it is blind.
        tell: Gets how each trial went, and which scene is up next, in words.

    Attributes:
        finished: Whether as many trials are over as were wanted.

    Raises:
        RobotError: No DDS.
        SimulationError: No such task, or the camera does not start.
    """

    def __init__(
        self,
        settings: FakeRobotSettings,
        firmware: FirmwareSettings | None = None,
        camera: HeadCameraSettings | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.settings, self._tell = settings, tell
        self._seed, self._trials_done, self.finished = settings.seed, 0, False
        self._wants_next = threading.Event()
        self._stand_before_it()
        self.firmware = Firmware(firmware or FirmwareSettings(), standing_posture(self.physics))
        self._link = Link(settings.interface, settings.domain)
        self._commands = [(topic, self._link.reader(topic)) for topic in (ARM_SDK, LOW_CMD)]
        self._states = self._link.writer(LOW_STATE)
        self._hands = _hands(settings.hand)
        hands = self._hands
        self._hand_readers = [self._link.reader(topic) for topic in hands.command_topics] if hands else []
        self._hand_writers = [self._link.writer(topic) for topic in hands.state_topics] if hands else []
        self._switcher = MotionSwitcher(self._link, self.firmware)
        self._state = _first_state()
        self.camera = HeadCamera(camera, self.scene_name, settings.speed) if camera else None
        self._started = time.monotonic()
        self._passed = 0  # steps of physics since then
        self._hands_due = self._switcher_due = 0.0
        self.published = 0
        self._ticks, self._ticked_at = 0, np.zeros(WINDOW)  # [s], of the last ticks

    @property
    def scene_name(self) -> SceneName:
        """What stands before it."""
        return SceneName(self.settings.task, self.settings.variant, self._seed)

    def tick(self) -> None:
        """Take commands, let physics catch up, say how things are."""
        if self._wants_next.is_set():
            self._wants_next.clear()
            self._go_on()
        clock = time.monotonic()
        now = self._own_time(clock)
        self._listen(now)
        self._catch_up(now)
        self._publish(now)
        if self.camera is not None:
            self.camera.tick(clock, self.physics.scene.data.qpos)
        self._judge(now)

    def ticks(self, stop: threading.Event) -> Iterator[None]:
        """Tick in real time until told to stop, or until all trials are over."""
        period = PERIOD / self.settings.speed
        due = time.monotonic()
        while not (stop.is_set() or self.finished):
            time.sleep(max(due - time.monotonic(), 0.0))
            self._ticked_at[self._ticks % WINDOW] = time.monotonic()
            self._ticks += 1
            self.tick()
            yield
            due = max(due + period, time.monotonic() - period)  # lost periods are lost

    def ask_for_next_scene(self) -> None:
        """Put up the scene of the next seed at the next tick, the robot as it starts there; from anywhere."""
        self._wants_next.set()

    def close(self) -> None:
        """Leave the network: to its clients it is as if the cable were pulled."""
        self._link.close()
        if self.camera is not None:
            self.camera.close()

    def describe(self) -> str:
        """One line on how it does."""
        firmware = self.firmware
        seconds = time.monotonic() - self._started
        dropped = ", ".join(f"{count} x {why}" for why, count in firmware.rejected.items()) or "none"
        periods = 1e3 * np.diff(np.sort(self._ticked_at[: min(self._ticks, WINDOW)]))
        p50, p99, longest = np.percentile(periods, [50, 99, 100]) if len(periods) else (0.0, 0.0, 0.0)
        eyes = f", camera: {self.camera.describe()}" if self.camera else ""
        return (
            f"{firmware.mode} mode, {LOW_STATE.name} {self.published / max(seconds, 1e-3):.0f} Hz, "
            f"weight {firmware.weight:.2f}, "
            f"{firmware.accepted} commands obeyed, dropped: {dropped}, "
            f"period p50 {p50:.2f} p99 {p99:.2f} max {longest:.1f} ms{eyes}"
        )

    def _own_time(self, clock: float) -> float:
        """Its time [s], which runs slower than the monotonic clock at a `speed` below 1."""
        return (clock - self._started) * self.settings.speed

    def _stand_before_it(self) -> None:
        self.physics = Physics(self.settings.task, self.settings.variant, self._seed)
        self._trial = FakeRobotTrial(self.physics.scene)

    def _go_on(self) -> None:
        """The scene of the next seed, with the robot where it starts in it. Takes a second: the robot is silent."""
        self._seed += 1
        self._stand_before_it()
        self.firmware.hold(standing_posture(self.physics))
        if self.camera is not None:
            self.camera.show(self.scene_name)
        self._tell(f"scene {self.scene_name}")

    def _judge(self, now: float) -> None:
        driven = self.firmware.driven(now)
        if self._trial.look(driven):
            self._trials_done += 1
            self._tell(str(self._trial.outcome))
        if self.settings.trials and self._trial.outcome is not None and not driven:
            self.finished = self._trials_done == self.settings.trials
            if not self.finished:
                self._go_on()

    def _listen(self, now: float) -> None:
        for topic, reader in self._commands:
            payload = reader.latest()
            if payload is not None:
                self.firmware.hear(topic, payload, now)
        for index, reader in enumerate(self._hand_readers):
            payload = reader.latest()
            if payload is not None:
                self._obey_hand(index, payload)
        if now >= self._switcher_due:
            self._switcher_due = now + SWITCHER_PERIOD
            self._switcher.answer()

    def _obey_hand(self, index: int, payload: bytes) -> None:
        if self._hands is None:
            return
        try:
            wanted = self._hands.read_command(index, payload)
        except WireError as error:
            self.firmware.rejected[f"{self._hands.command_topics[index].name}: {error}"] += 1
            return
        targets = self.physics.finger_targets[self._hands.parts[index]]  # a view
        targets[:] = np.where(np.isnan(wanted), targets, wanted)

    def _catch_up(self, now: float) -> None:
        due = int(now / PHYSICS_STEP) - self._passed
        self._passed += due
        gains = self.firmware.gains(now)
        for _ in range(min(due, round(LONGEST_LEAP / PHYSICS_STEP))):
            self.physics.step(gains)

    def _publish(self, now: float) -> None:
        state, motors = self._state, self._state["motor_state"]
        state["tick"] = int(1e3 * now) % 2**32
        state["mode_pr"], state["mode_machine"] = self.firmware.mode_pr, self.firmware.mode_machine
        motors["q"][:MOTOR_COUNT] = self.physics.positions()
        velocities = self.physics.velocities()
        motors["ddq"][:MOTOR_COUNT] = (velocities - motors["dq"][:MOTOR_COUNT]) / PERIOD
        motors["dq"][:MOTOR_COUNT] = velocities
        motors["tau_est"][:MOTOR_COUNT] = self.physics.torques()
        self._states.write(wire.encode(wire.seal(state)))
        self.published += 1
        if self._hands and now >= self._hands_due:
            self._hands_due = now + HAND_PERIOD
            for writer, payload in zip(
                self._hand_writers, self._hands.write_state(self.physics.fingers()), strict=True
            ):
                writer.write(payload)


def _hands(kind: str) -> Hands | None:
    """The wire of the hands; the scene's fingers are DFX ones, an FTP hand's counts open and close them as far."""
    if kind == "none":
        return None
    model = RobotModel.load()
    return DfxHands(model) if kind == "dfx" else FtpHands(model)


def _first_state() -> wire.Record:
    """What does not change: an upright pelvis, warm motors."""
    state = wire.blank(wire.LOW_STATE)
    state["imu_state"]["quaternion"] = UPRIGHT
    state["imu_state"]["accelerometer"] = (0.0, 0.0, STANDARD_GRAVITY)
    motors = state["motor_state"]
    motors["mode"][:MOTOR_COUNT] = 1
    motors["temperature"][:MOTOR_COUNT] = TEMPERATURE
    motors["vol"][:MOTOR_COUNT] = VOLTAGE
    return state
