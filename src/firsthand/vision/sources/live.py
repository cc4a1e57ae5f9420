"""A camera kept alive: read on a thread of its own, reopened when it falls silent or goes away, and measured.

    source = LiveSource(lambda: UvcCamera(settings), on_capture)
    source.start()
    source.health()          from any thread, also while the driver hangs
    source.stop()

What a silent camera means to the robot is not decided here: every picture carries the time at which it was taken, and
those who act on pictures refuse old ones.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from firsthand.errors import CameraError
from firsthand.vision.intrinsics import Intrinsics
from firsthand.vision.sources.interface import Capture, RecordingEnded, StereoCamera

SECOND = 1_000_000_000  # [ns]
POLL = 0.1  # [s] after which reading looks up, to be stopped or to notice silence
WINDOW = 120  # stamps that the rate is measured over
LOST_AFTER = 1.5  # periods between two stamps that mean a picture is missing
STOP_TIMEOUT = 3.0  # [s]


@dataclass(frozen=True)
class LiveSettings:
    """When a camera counts as silent, and how to get it back."""

    stall_after: float = 0.5  # [s] of silence after which the camera is opened again
    first_picture: float = 5.0  # [s] that a camera may take from opening to its first picture
    max_age: float = 0.5  # [s]; older pictures are dropped and counted: a driver's queue after a hiccup
    retry: float = 0.2  # [s] before the first try to reopen; doubled each time ...
    longest_retry: float = 2.0  # [s] ... up to this

    def __post_init__(self) -> None:
        if not min(self.stall_after, self.first_picture, self.max_age) > 0:
            raise CameraError(f"expected times above 0 s, got {self}")
        if not 0 < self.retry <= self.longest_retry:
            raise CameraError(f"expected 0 < retry <= longest_retry, got {self.retry} and {self.longest_retry} s")


@dataclass(frozen=True)
class CameraHealth:
    """How a camera does."""

    state: str = "opening"  # opening, streaming, silent or ended
    reason: str = "opening the camera"  # one line for people
    received: int = 0  # pairs
    lost: int = 0  # pairs that the stamps say are missing
    late: int = 0  # pairs that were too old when they came
    disordered: int = 0  # pairs whose stamp did not rise
    opened: int = 0  # times
    rate: float = 0.0  # [Hz], by the stamps
    silence: float = 0.0  # [s] since the last pair that was of use


class LiveSource:
    """One camera, whatever happens to it.

    Args:
        open_camera: Opens the device; raises CameraError where it is not there.
        on_capture: Gets every pair with the calibration, on the reading thread; keep it short.
        settings: Times.
        on_end: Called once when a recording is over, or after an error that opening again does not mend.
        now_ns: The system's clock, [ns].
    """

    def __init__(
        self,
        open_camera: Callable[[], StereoCamera],
        on_capture: Callable[[Capture, Intrinsics], None],
        settings: LiveSettings | None = None,
        on_end: Callable[[BaseException | None], None] = lambda error: None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._open, self._on_capture, self._on_end, self._now_ns = open_camera, on_capture, on_end, now_ns
        self._settings = settings or LiveSettings()
        self._health = CameraHealth()
        self._stamps: deque[int] = deque(maxlen=WINDOW)
        self._heard_at = self._taken_at = time.monotonic()  # the last pair, and the last that was young enough
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def start(self) -> None:
        """Begin to open and read."""
        self._heard_at = self._taken_at = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Close the camera and end; a driver that hangs is left behind after 3 s."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT)

    def health(self) -> CameraHealth:
        """How the camera does; also true while the driver does not return."""
        health = self._health
        silence = time.monotonic() - self._taken_at
        if health.state == "streaming" and silence > self._settings.stall_after:
            late = health.reason if health.reason.endswith("late") else f"no picture for {silence:.1f} s"
            health = replace(health, state="silent", reason=late)
        return replace(health, silence=silence, rate=self._rate() if health.state == "streaming" else 0.0)

    # The reading thread

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._keep_reading()
        except RecordingEnded as end:
            self._note(state="ended", reason=str(end))
        except BaseException as caught:  # nothing may end this thread unnoticed
            error = caught
            self._note(state="ended", reason=str(caught))
        if not self._stop.is_set():
            self._on_end(error)

    def _keep_reading(self) -> None:
        pause = self._settings.retry
        while not self._stop.is_set():
            received = self._health.received
            try:
                self._read_until_silent()
            except RecordingEnded:
                raise
            except CameraError as error:
                self._note(state="silent", reason=str(error))
            pause = self._settings.retry if self._health.received > received else pause
            self._stop.wait(pause)
            pause = min(2 * pause, self._settings.longest_retry)

    def _read_until_silent(self) -> None:
        camera = self._open()
        try:
            self._note(opened=self._health.opened + 1)
            opened_at, fresh = time.monotonic(), False
            self._stamps.clear()
            while not self._stop.is_set():
                capture = camera.read(POLL)
                if capture is not None:
                    fresh = True
                    self._take(capture, camera.intrinsics)
                    continue
                silence = time.monotonic() - (self._heard_at if fresh else opened_at)
                if silence > (self._settings.stall_after if fresh else self._settings.first_picture):
                    raise CameraError(f"no picture for {silence:.1f} s; opening the camera again")
        finally:
            camera.close()

    def _take(self, capture: Capture, intrinsics: Intrinsics) -> None:
        self._heard_at = time.monotonic()
        if self._stamps and capture.time_ns <= self._stamps[-1]:
            self._note(disordered=self._health.disordered + 1)
            if self._stamps[-1] - capture.time_ns > SECOND:  # the system's clock was put back: the past is over
                self._stamps.clear()
            return
        lost = self._missing_before(capture.time_ns)
        self._stamps.append(capture.time_ns)
        age = (self._now_ns() - capture.time_ns) / SECOND
        if age > self._settings.max_age:
            self._note(late=self._health.late + 1, reason=f"pictures come {age:.2f} s late")
            return
        self._taken_at = self._heard_at
        self._note(
            state="streaming", reason="pictures come", received=self._health.received + 1,
            lost=self._health.lost + lost,
        )  # fmt: skip
        self._on_capture(capture, intrinsics)

    def _missing_before(self, stamp_ns: int) -> int:
        period = self._period_ns()
        if not period or stamp_ns - self._stamps[-1] < LOST_AFTER * period:
            return 0
        return round((stamp_ns - self._stamps[-1]) / period) - 1

    def _period_ns(self) -> float:
        stamps = list(self._stamps)
        gaps = [after - before for before, after in pairwise(stamps)]
        return float(median(gaps)) if len(gaps) >= 5 else 0.0

    def _rate(self) -> float:
        stamps = tuple(self._stamps)
        return (len(stamps) - 1) * SECOND / (stamps[-1] - stamps[0]) if len(stamps) > 1 else 0.0

    def _note(self, **changes: object) -> None:
        self._health = replace(self._health, **changes)  # type: ignore[arg-type]
