"""A Stereolabs ZED through its SDK (pyzed), or one of its SVO recordings.

Pictures come rectified by the SDK. Depth is computed only if asked for: it takes the GPU that the policy runs on.

The SDK stamps a picture when it has arrived in memory whole; its documentation puts that two or three frame times after
the exposure. `delay` takes off what was measured.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import CameraError
from firsthand.vision.intrinsics import Intrinsics
from firsthand.vision.rectification import check_shape
from firsthand.vision.sources.interface import Capture, RecordingEnded

Picture = NDArray[np.uint8]

RESOLUTIONS = ("HD2K", "HD1080", "HD1200", "HD720", "SVGA", "VGA")
DEPTH_MODES = ("NONE", "NEURAL_LIGHT", "NEURAL", "NEURAL_PLUS")
AUTO = -1  # of exposure and gain
INSTALL = (
    "pyzed is not installed: it comes with the ZED SDK (5.2 or later, with CUDA), which "
    "`python /usr/local/zed/get_python_api.py` installs it from; source uvc reads a ZED without the SDK"
)


@dataclass(frozen=True)
class ZedSettings:
    """Which camera, and how it takes pictures."""

    resolution: str = "HD720"
    rate: int = 60  # [Hz]
    exposure: int = AUTO  # 0 to 100, percent of the frame time
    gain: int = AUTO  # 0 to 100
    depth: str = "NONE"
    serial: int = 0  # 0: the first camera there is
    svo: str = ""  # a recording in place of a camera
    svo_real_time: bool = True  # at the speed at which it was taken
    output: tuple[int, int] = (640, 360)  # [px] width and height of one view as it comes out
    delay: float = 0.0  # [s] from the middle of the exposure to the SDK's stamp

    def __post_init__(self) -> None:
        if self.resolution not in RESOLUTIONS or self.depth not in DEPTH_MODES:
            raise CameraError(
                f"expected a resolution of {', '.join(RESOLUTIONS)} and depth of {', '.join(DEPTH_MODES)}, "
                f"got {self.resolution!r} and {self.depth!r}"
            )
        if not all(AUTO <= value <= 100 for value in (self.exposure, self.gain)):
            raise CameraError(f"expected exposure and gain of 0 to 100, or -1, got {self.exposure} and {self.gain}")


def load_sdk() -> Any:
    """The module pyzed.sl.

    Raises:
        CameraError: It is not there; the message says where it comes from.
    """
    try:
        import pyzed.sl as sdk
    except ImportError as error:
        raise CameraError(f"{INSTALL} ({error})") from error
    return sdk


class ZedCamera:
    """An open camera or recording.

    Args:
        settings: Which and how.
        sdk: The module pyzed.sl.

    Raises:
        CameraError: It cannot be opened; the message has the SDK's reason.
    """

    def __init__(self, settings: ZedSettings, sdk: Any = None) -> None:
        self._settings, self._sdk = settings, sdk or load_sdk()
        sl = self._sdk
        self._camera = sl.Camera()
        self._check(self._camera.open(_open_parameters(sl, settings)), f"cannot open {_name(settings)}")
        try:
            self._runtime = sl.RuntimeParameters()
            self._runtime.enable_depth = settings.depth != "NONE"
            self._views, self._depth = {side: sl.Mat() for side in ("LEFT", "RIGHT")}, sl.Mat()
            self._intrinsics = self._read_intrinsics()
            self._set_exposure()
        except BaseException:
            self._camera.close()
            raise

    @property
    def intrinsics(self) -> Intrinsics:
        """Of what comes out, after the SDK's rectification."""
        return self._intrinsics

    def read(self, timeout: float) -> Capture | None:
        """The next pair, or None if there is none yet; the SDK's own time-out counts.

        Raises:
            CameraError: The camera is gone.
            RecordingEnded: The SVO file is over.
        """
        sl = self._sdk
        code = self._camera.grab(self._runtime)
        if code == sl.ERROR_CODE.END_OF_SVOFILE_REACHED:
            raise RecordingEnded(f"{self._settings.svo} is over")
        if code in (sl.ERROR_CODE.CAMERA_REBOOTING, sl.ERROR_CODE.CORRUPTED_FRAME):
            return None
        self._check(code, f"{_name(self._settings)} is gone")
        stamp_ns = self._camera.get_timestamp(sl.TIME_REFERENCE.IMAGE).get_nanoseconds()
        images = self._retrieve()  # the next grab overwrites them
        return Capture(stamp_ns - round(self._settings.delay * 1e9), lambda: images, self._retrieve_depth())

    def close(self) -> None:
        """Give the camera back."""
        self._camera.close()

    def _retrieve(self) -> Picture:
        sl, size = self._sdk, self._sdk.Resolution(*self._settings.output)
        pictures = []
        for side, mat in self._views.items():
            code = self._camera.retrieve_image(mat, getattr(sl.VIEW, side), sl.MEM.CPU, size)
            self._check(code, f"no {side.lower()} picture of {_name(self._settings)}")
            pictures.append(cv2.cvtColor(mat.get_data(), cv2.COLOR_BGRA2RGB))
        return np.stack(pictures)

    def _retrieve_depth(self) -> NDArray[np.float32] | None:
        if self._settings.depth == "NONE":
            return None
        sl, size = self._sdk, self._sdk.Resolution(*self._settings.output)
        code = self._camera.retrieve_measure(self._depth, sl.MEASURE.DEPTH, sl.MEM.CPU, size)
        self._check(code, f"no depth of {_name(self._settings)}")
        return np.array(self._depth.get_data(), np.float32)

    def _read_intrinsics(self) -> Intrinsics:
        configuration = self._camera.get_camera_information().camera_configuration
        parameters = configuration.calibration_parameters
        left, size = parameters.left_cam, configuration.resolution
        full = Intrinsics(
            size.width, size.height, left.fx, left.fy, left.cx, left.cy, float(parameters.get_camera_baseline())
        )
        check_shape((size.width, size.height), self._settings.output)
        return full.scaled(*self._settings.output)

    def _set_exposure(self) -> None:
        """Fixed where it is asked for; a recording has what it has."""
        settings, sl = self._settings, self._sdk
        for value, name in ((settings.exposure, "EXPOSURE"), (settings.gain, "GAIN")):
            if value != AUTO and not settings.svo:
                code = self._camera.set_camera_settings(getattr(sl.VIDEO_SETTINGS, name), value)
                self._check(code, f"{_name(settings)} does not take {name.lower()} {value}")

    def _check(self, code: Any, what: str) -> None:
        """The SDK's codes below SUCCESS are warnings, with which it goes on."""
        if code.value > self._sdk.ERROR_CODE.SUCCESS.value:
            raise CameraError(f"{what}: {code}")


def _open_parameters(sl: Any, settings: ZedSettings) -> Any:
    parameters = sl.InitParameters()
    parameters.camera_resolution = getattr(sl.RESOLUTION, settings.resolution)
    parameters.camera_fps = settings.rate
    parameters.depth_mode = getattr(sl.DEPTH_MODE, settings.depth)
    parameters.coordinate_units = sl.UNIT.METER
    parameters.sdk_verbose = 0
    parameters.open_timeout_sec = 0.0  # whoever keeps the camera alive tries again, and can be stopped
    parameters.async_grab_camera_recovery = True  # grab returns while the camera is away
    if settings.svo:
        parameters.set_from_svo_file(settings.svo)
        parameters.svo_real_time_mode = settings.svo_real_time
    elif settings.serial:
        parameters.set_from_serial_number(settings.serial)
    return parameters


def _name(settings: ZedSettings) -> str:
    return settings.svo or (f"the ZED {settings.serial}" if settings.serial else "the ZED")
