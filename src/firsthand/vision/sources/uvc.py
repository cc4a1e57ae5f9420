"""A stereo camera that sends both views side by side: a ZED on USB without its SDK, or any other UVC pair.

FFmpeg (through PyAV) reads the device, because it hands out the kernel's stamp of every buffer, on the system's
monotonic clock; uvcvideo puts it at the beginning of the frame. A packet is converted only if its picture is wanted.

The same code reads a network stream of the same pictures, `tcp://127.0.0.1:5600` in NUT with monotonic stamps, which is
what `firsthand fake-camera` sends.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import CameraError, ImageError
from firsthand.vision.intrinsics import Intrinsics
from firsthand.vision.rectification import Rectifier, check_shape
from firsthand.vision.sources.interface import Capture
from firsthand.vision.zed_calibration import read_zed_calibration

Picture = NDArray[np.uint8]

FORMATS = ("yuyv422", "mjpeg")
NEAR = 10.0  # [s]; a stamp so near to a clock's time is of that clock
POLL = 0.002  # [s]
NETWORK_OPEN, NETWORK_SILENCE = 3.0, 0.5  # [s] that a stream may take: half a packet read cannot be gone on with
LONGEST_GAP = 4  # pictures that may be missing from a stream that is slower than that
CLOCKS: tuple[tuple[str, Callable[[], int]], ...] = (("monotonic", time.monotonic_ns), ("system", time.time_ns))


@dataclass(frozen=True)
class UvcSettings:
    """Which camera, and what it should send."""

    device: str = "/dev/video0"  # or the URL of a stream
    width: int = 1280  # [px], of one view as it is taken; the device sends twice that
    height: int = 720  # [px]
    rate: float = 60.0  # [Hz]
    pixel_format: str = "yuyv422"  # or mjpeg
    calibration: str = ""  # Stereolabs' SN<serial>.conf; without one pictures are taken as rectified
    field_of_view: float = 90.0  # [deg] of one view across, without a calibration
    baseline: float = 0.063  # [m], without a calibration
    output: tuple[int, int] = (640, 360)  # [px] width and height of one view as it comes out
    delay: float = 0.0  # [s] that the stamp is behind the middle of the exposure, where that was measured

    def __post_init__(self) -> None:
        if self.pixel_format not in FORMATS:
            raise CameraError(f"expected a pixel format of {', '.join(FORMATS)}, got {self.pixel_format!r}")
        if min(self.width, self.height, *self.output) < 2 or not 0 < self.rate <= 240:
            raise CameraError(f"expected views of at least 2x2 px at up to 240 Hz, got {self}")
        check_shape((self.width, self.height), self.output)


class UvcCamera:
    """An open device.

    Raises:
        CameraError: It is not there, or does not send what was asked for.
        CalibrationError: The calibration file cannot be used.
    """

    def __init__(self, settings: UvcSettings) -> None:
        self._settings = s = settings
        self._rectifier = None
        if s.calibration:
            self._rectifier = Rectifier(read_zed_calibration(Path(s.calibration), s.width, s.height), *s.output)
        self._container = _open(s)
        try:
            self._stream = _check_stream(self._container, s)
        except CameraError:
            self._container.close()
            raise
        self._tick = float(self._stream.time_base)  # [s]
        self._clock: Callable[[], int] | None = None

    @property
    def intrinsics(self) -> Intrinsics:
        """Of what comes out."""
        return self._rectifier.intrinsics if self._rectifier else _assumed(self._settings)

    @property
    def stamps(self) -> str:
        """Whose clock the device stamps with: monotonic, system, or arrival where it does not stamp."""
        return next((name for name, clock in CLOCKS if clock is self._clock), "arrival")

    def read(self, timeout: float) -> Capture | None:
        """The next pair, or None after `timeout`, [s].

        Raises:
            CameraError: The device is gone or the stream is damaged.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                packet = next(self._container.demux(self._stream), None)
            except BlockingIOError:
                pass  # nothing in the driver's queue
            except av.error.ExitError as error:
                raise CameraError(f"{self._settings.device} sent nothing for {_silence(self._settings):g} s") from error
            except (OSError, av.FFmpegError, ValueError) as error:
                raise CameraError(f"{self._settings.device} is gone: {error}") from error
            else:
                if packet is None or not packet.size:
                    raise CameraError(f"{self._settings.device} has ended its stream")
                return self._capture(packet)
            if time.monotonic() > deadline:
                return None
            time.sleep(POLL)

    def close(self) -> None:
        """Give the device back."""
        self._container.close()

    def _capture(self, packet: "av.Packet") -> Capture:
        stamp_ns = self._stamp(packet.pts) - round(self._settings.delay * 1e9)
        return Capture(stamp_ns, lambda: self._convert(packet))

    def _stamp(self, ticks: int | None) -> int:
        """A buffer's stamp on the system's clock, [ns]; the time of arrival if the device has none."""
        if ticks is None:
            return time.time_ns()
        stamp_ns = round(ticks * self._tick * 1e9)
        if self._clock is None:
            self._clock = next((clock for _, clock in CLOCKS if abs(clock() - stamp_ns) < NEAR * 1e9), _never)
        if self._clock is _never:
            return time.time_ns()
        return time.time_ns() - (self._clock() - stamp_ns)

    def _convert(self, packet: "av.Packet") -> Picture:
        s = self._settings
        both = _decode(packet, s)
        left, right = both[:, : s.width], both[:, s.width :]
        if s.pixel_format == "yuyv422":
            left, right = (cv2.cvtColor(view, cv2.COLOR_YUV2RGB_YUYV) for view in (left, right))
        else:
            left, right = (cv2.cvtColor(view, cv2.COLOR_BGR2RGB) for view in (left, right))
        if self._rectifier is not None:
            return self._rectifier.rectify(left, right)
        if (s.width, s.height) != s.output:
            left, right = (cv2.resize(view, s.output, interpolation=cv2.INTER_AREA) for view in (left, right))
        return np.stack([left, right])


def _never() -> int:
    raise AssertionError("stands for a clock that nobody knows")


def _open(settings: UvcSettings) -> "av.container.InputContainer":
    s = settings
    try:
        if "://" in s.device:
            options = {"fflags": "nobuffer", "probesize": "32", "analyzeduration": "0"}
            return av.open(s.device, format="nut", options=options, timeout=(NETWORK_OPEN, _silence(s)))
        options = {
            "video_size": f"{2 * s.width}x{s.height}",
            "framerate": f"{s.rate:g}",
            "input_format": s.pixel_format,
            "fflags": "nonblock",
        }
        return av.open(s.device, format="video4linux2", options=options)
    except (OSError, av.FFmpegError, ValueError) as error:
        raise CameraError(f"cannot open the camera {s.device}: {error}") from error


def _silence(s: UvcSettings) -> float:
    """How long a stream may say nothing, [s]."""
    return max(NETWORK_SILENCE, LONGEST_GAP / s.rate)


def _check_stream(container: "av.container.InputContainer", s: UvcSettings) -> "av.VideoStream":
    if not container.streams.video:
        raise CameraError(f"{s.device} sends no pictures")
    stream = container.streams.video[0]
    context = stream.codec_context
    sends = "mjpeg" if context.name == "mjpeg" else context.pix_fmt
    if (context.width, context.height, sends) != (2 * s.width, s.height, s.pixel_format):
        raise CameraError(
            f"{s.device} sends {context.width}x{context.height} {context.name} {context.pix_fmt}, expected both views "
            f"side by side, {2 * s.width}x{s.height} {s.pixel_format}; `v4l2-ctl --list-formats-ext` lists what it can"
        )
    return stream


def _decode(packet: "av.Packet", s: UvcSettings) -> Picture:
    """Both views side by side: (H, 2 W, 2) YUYV or (H, 2 W, 3) BGR."""
    data = np.frombuffer(packet, np.uint8)
    if s.pixel_format == "yuyv422":
        if data.size != s.height * 2 * s.width * 2:
            raise ImageError(f"expected {s.height * 4 * s.width} bytes in a picture, got {data.size}")
        return data.reshape(s.height, 2 * s.width, 2)
    try:
        both = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        both = None
    if both is None or both.shape != (s.height, 2 * s.width, 3):
        raise ImageError(f"expected a JPEG of {2 * s.width}x{s.height}, got {data.size} bytes that are none")
    return both


def _assumed(s: UvcSettings) -> Intrinsics:
    """What a camera without a calibration is taken for."""
    focal = s.width / 2 / float(np.tan(np.deg2rad(s.field_of_view) / 2))
    full = Intrinsics(s.width, s.height, focal, focal, (s.width - 1) / 2, (s.height - 1) / 2, s.baseline)
    return full.scaled(*s.output)
