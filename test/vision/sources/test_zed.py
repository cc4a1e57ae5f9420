"""The ZED source against a stand-in for pyzed.sl. The stand-in has the names and signatures that the SDK's Python API
documents (5.x) and no others, so that a misspelled one fails; the SDK itself needs a GPU and has not run here."""

import enum
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from firsthand.errors import CameraError
from firsthand.vision.sources.interface import RecordingEnded
from firsthand.vision.sources.zed import ZedCamera, ZedSettings, load_sdk


def names(title, *members):
    return enum.Enum(title, {name: number for number, name in enumerate(members)})


class ErrorCode(enum.Enum):
    CORRUPTED_FRAME = -2
    CAMERA_REBOOTING = -1
    SUCCESS = 0
    FAILURE = 1
    CAMERA_NOT_DETECTED = 4
    END_OF_SVOFILE_REACHED = 13


class Resolution:
    __slots__ = ("height", "width")

    def __init__(self, width=0, height=0):
        self.width, self.height = width, height


class InitParameters:
    __slots__ = (
        "async_grab_camera_recovery", "camera_fps", "camera_resolution", "coordinate_units", "depth_mode",
        "open_timeout_sec", "sdk_verbose", "serial", "svo", "svo_real_time_mode",
    )  # fmt: skip

    def __init__(self):
        self.serial, self.svo = None, None

    def set_from_serial_number(self, serial_number):
        self.serial = serial_number

    def set_from_svo_file(self, svo_input_filename):
        self.svo = svo_input_filename


class RuntimeParameters:
    __slots__ = ("enable_depth",)


class Mat:
    __slots__ = ("data",)

    def get_data(self, memory_type=None, deep_copy=False):
        return self.data


def make_sdk(opens=ErrorCode.SUCCESS, grabs=()):
    """pyzed.sl with one camera that opens, and then grabs, with the given codes."""
    sl = SimpleNamespace(
        ERROR_CODE=ErrorCode, Resolution=Resolution, InitParameters=InitParameters, RuntimeParameters=RuntimeParameters,
        Mat=Mat, VIEW=names("VIEW", "LEFT", "RIGHT"), MEM=names("MEM", "CPU", "GPU"), UNIT=names("UNIT", "METER"),
        MEASURE=names("MEASURE", "DEPTH"), TIME_REFERENCE=names("TIME_REFERENCE", "IMAGE", "CURRENT"),
        RESOLUTION=names("RESOLUTION", "HD2K", "HD1080", "HD1200", "HD720", "SVGA", "VGA"),
        DEPTH_MODE=names("DEPTH_MODE", "NONE", "NEURAL_LIGHT", "NEURAL", "NEURAL_PLUS"),
        VIDEO_SETTINGS=names("VIDEO_SETTINGS", "GAIN", "EXPOSURE"),
        cameras=[],
    )  # fmt: skip

    class Camera:
        def __init__(self):
            self.settings, self.closed, self.grabbed, self.codes = {}, False, 0, list(grabs)
            sl.cameras.append(self)

        def open(self, py_init=None):
            self.init = py_init
            return opens

        def grab(self, py_runtime=None):
            self.runtime = py_runtime
            self.grabbed += 1
            return self.codes.pop(0) if self.codes else ErrorCode.SUCCESS

        def retrieve_image(self, py_mat, view=None, mem_type=None, resolution=None):
            py_mat.data = np.zeros((resolution.height, resolution.width, 4), np.uint8)
            py_mat.data[..., :3] = (10, 20, 30 + self.grabbed) if view is sl.VIEW.LEFT else (110, 120, 130)  # BGRA
            return ErrorCode.SUCCESS

        def retrieve_measure(self, py_mat, measure=None, mem_type=None, resolution=None):
            py_mat.data = np.full((resolution.height, resolution.width), 0.75, np.float32)
            return ErrorCode.SUCCESS

        def get_timestamp(self, time_reference):
            assert time_reference is sl.TIME_REFERENCE.IMAGE
            return SimpleNamespace(get_nanoseconds=lambda: 1_700_000_000_000_000_000 + self.grabbed)

        def get_camera_information(self, resizer=None):
            lens = SimpleNamespace(fx=700.0, fy=700.0, cx=639.5, cy=359.5)
            parameters = SimpleNamespace(left_cam=lens, right_cam=lens, get_camera_baseline=lambda: 0.06298)
            configuration = SimpleNamespace(resolution=Resolution(1280, 720), calibration_parameters=parameters)
            return SimpleNamespace(camera_configuration=configuration, serial_number=1234)

        def set_camera_settings(self, settings, value=-1):
            self.settings[settings.name] = value
            return ErrorCode.SUCCESS

        def close(self):
            self.closed = True

    sl.Camera = Camera
    return sl


def test_a_pair_comes_as_rgb_with_the_sdk_s_stamp_and_calibration():
    camera = ZedCamera(ZedSettings(delay=0.04), make_sdk())
    capture = camera.read(0.1)
    assert capture.time_ns == 1_700_000_000_000_000_001 - 40_000_000
    images = capture.images()
    assert images.shape == (2, 360, 640, 3)
    assert images[0, 0, 0].tolist() == [31, 20, 10]
    assert images[1, 0, 0].tolist() == [130, 120, 110]
    i = camera.intrinsics
    np.testing.assert_allclose([i.width, i.fx, i.cx, i.baseline], [640, 350.0, 319.5, 0.06298])


def test_a_pair_outlives_the_next_one():
    camera = ZedCamera(ZedSettings(), make_sdk())
    first, second = camera.read(0.1), camera.read(0.1)
    assert (first.images()[0, 0, 0, 0], second.images()[0, 0, 0, 0]) == (31, 32)


def test_what_is_asked_for_reaches_the_sdk_and_depth_is_off():
    sl = make_sdk()
    ZedCamera(ZedSettings(resolution="HD1080", rate=30, exposure=40, gain=20, serial=1234), sl)
    camera = sl.cameras[0]
    assert (camera.init.camera_resolution.name, camera.init.camera_fps) == ("HD1080", 30)
    assert (camera.init.depth_mode.name, camera.init.serial) == ("NONE", 1234)
    assert camera.settings == {"EXPOSURE": 40, "GAIN": 20}
    assert camera.init.async_grab_camera_recovery


def test_automatic_exposure_is_left_alone():
    sl = make_sdk()
    ZedCamera(ZedSettings(), sl)
    assert sl.cameras[0].settings == {}


def test_depth_comes_in_metres_where_it_is_asked_for():
    sl = make_sdk()
    assert ZedCamera(ZedSettings(), sl).read(0.1).depth is None
    assert sl.cameras[0].runtime.enable_depth is False
    depth = ZedCamera(ZedSettings(depth="NEURAL"), sl).read(0.1).depth
    assert (depth.shape, depth.dtype, float(depth[0, 0])) == ((360, 640), np.float32, 0.75)
    assert sl.cameras[1].runtime.enable_depth is True


def test_a_recording_is_played_and_ends():
    sl = make_sdk(grabs=[ErrorCode.SUCCESS, ErrorCode.END_OF_SVOFILE_REACHED])
    camera = ZedCamera(ZedSettings(svo="table.svo2", exposure=40), sl)
    assert (sl.cameras[0].init.svo, sl.cameras[0].init.svo_real_time_mode) == ("table.svo2", True)
    assert sl.cameras[0].settings == {}  # a recording has the exposure it has
    assert camera.read(0.1) is not None
    with pytest.raises(RecordingEnded, match=r"table\.svo2 is over"):
        camera.read(0.1)


def test_a_camera_that_reboots_is_silent_and_one_that_is_gone_says_so():
    camera = ZedCamera(ZedSettings(), make_sdk(grabs=[ErrorCode.CAMERA_REBOOTING, ErrorCode.CAMERA_NOT_DETECTED]))
    assert camera.read(0.1) is None
    with pytest.raises(CameraError, match=r"the ZED is gone: .*CAMERA_NOT_DETECTED"):
        camera.read(0.1)


def test_a_camera_that_does_not_open_gives_the_sdk_s_reason():
    with pytest.raises(CameraError, match=r"cannot open the ZED 77: .*CAMERA_NOT_DETECTED"):
        ZedCamera(ZedSettings(serial=77), make_sdk(opens=ErrorCode.CAMERA_NOT_DETECTED))


def test_a_camera_whose_shape_does_not_fit_is_given_back():
    sl = make_sdk()
    with pytest.raises(ValueError, match="without squeezing"):
        ZedCamera(ZedSettings(output=(640, 480)), sl)
    assert sl.cameras[0].closed


@pytest.mark.parametrize("changes", [{"resolution": "8K"}, {"depth": "ULTRA"}, {"exposure": 101}, {"gain": -2}])
def test_settings_that_no_zed_takes_are_refused(changes):
    with pytest.raises(CameraError, match="expected"):
        ZedSettings(**changes)


def test_without_the_sdk_the_error_says_where_it_comes_from(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyzed", None)
    with pytest.raises(CameraError, match=r"get_python_api\.py.*source uvc reads a ZED without the SDK"):
        load_sdk()
