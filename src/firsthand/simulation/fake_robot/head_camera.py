"""The fake robot's camera as the robot knows it: a process that asks for a state when it can render the next picture.

A picture is due at fixed times. If the camera has asked by then, it gets how the scene stands and when; if not, it gets
that as soon as it asks, and whole periods that have passed without a picture are counted as dropped.
"""

import subprocess
import sys
import time

from firsthand.errors import SimulationError
from firsthand.simulation.fake_robot.camera_pipe import Array, LineReader, scene_record, state_record
from firsthand.simulation.fake_robot.camera_settings import HeadCameraSettings
from firsthand.simulation.scene_name import SceneName

PATIENCE = 120.0  # [s] for the camera to start: on a busy computer that takes half a minute
END = 10.0  # [s] that it may take to end
MODULE = "firsthand.simulation.fake_robot.camera_process"


class HeadCamera:
    """Starts the camera and waits until it is ready.

    Args:
        settings: Where, how often.
        scene: What stands before the robot.
        speed: Of the robot's time; pictures come so much slower.

    Attributes:
        address: What a reader opens.
        calibration_file: The factory's file.
        taken: Pictures so far.
        dropped: Periods without a picture while somebody looked.

    Raises:
        SimulationError: It does not start; says why.
    """

    def __init__(self, settings: HeadCameraSettings, scene: SceneName, speed: float = 1.0) -> None:
        self.settings = settings
        self._period = 1.0 / (settings.rate * speed)
        self.address = self.calibration_file = ""
        self.taken = self.dropped = 0
        self._asked: int | None = None  # the number of the request that waits for a state
        self._looked_at = False
        self._due = time.monotonic()
        self._seconds = 0.0
        self._failure = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE, settings.to_json()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        assert self._process.stdout is not None
        self._reports = LineReader(self._process.stdout)  # type: ignore[arg-type]
        self.show(scene)
        self._wait_until_ready()

    def tick(self, now: float, qpos: Array) -> None:
        """Give the camera a state if it is time and it has asked; takes some ten microseconds, and never waits.

        Args:
            now: On the monotonic clock, [s].
            qpos: Every joint of the scene, now.

        Raises:
            SimulationError: The camera has ended.
        """
        if now < self._due:
            return
        self._hear()
        if not self._looked_at:
            self._due = now + self._period
        if self._asked is None or now < self._due:
            return
        lost = int((now - self._due) / self._period)
        self.dropped += lost
        self.taken += 1
        self._due += (1 + lost) * self._period
        self._send(state_record(self._asked, round(now * 1e6), qpos))
        self._asked = None

    def show(self, scene: SceneName) -> None:
        """Another scene stands before the robot from now on."""
        self._send(scene_record(str(scene)))

    def describe(self) -> str:
        """A few words on how it does."""
        looked = f"{1e3 * self._seconds:.0f} ms each" if self._looked_at else "nobody looks"
        return f"{self.taken} pictures, {self.dropped} dropped, {looked}"

    def close(self) -> None:
        """End it."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + PATIENCE
        try:
            while not self.address:
                if time.monotonic() > end:
                    raise SimulationError(f"the fake robot's camera was not ready within {PATIENCE:g} s")
                self._reports.wait(0.1)
                self._hear()
        except BaseException:
            self.close()
            raise

    def _hear(self) -> None:
        for word, *rest in self._reports.lines():
            if word == "want":
                self._asked, self._looked_at, self._seconds = int(rest[0]), True, float(rest[2])
            elif word == "idle":
                self._asked, self._looked_at = None, False
            elif word == "ready":
                self.address, self.calibration_file = rest[0], " ".join(rest[1:])
            elif word == "failed":
                self._failure = " ".join(rest)
        if self._reports.ended:
            raise SimulationError(f"the fake robot's camera has ended: {self._failure or 'see what it printed'}")

    def _send(self, record: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(record)
        except BrokenPipeError:
            self._reports.wait(1.0)
            self._hear()  # says why
