"""Cameras: the device, who may open it, and the calibration that goes with it."""

import configparser
import errno
import fcntl
import importlib.util
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from firsthand.doctor.finding import Finding, fail, ok, skip

VIDIOC_QUERYCAP = 0x80685600
CALIBRATION_ADVICE = "download SN<serial>.conf from Stereolabs, with the serial number of this camera"


def check_cameras(device: str, calibration: str) -> Iterator[Finding]:
    """Everything about the stereo camera that was named: a device, or `zed` for the ZED SDK."""
    if not device:
        yield skip("camera", "none named", "name the device: --camera /dev/video0, or --camera zed for the SDK")
    else:
        yield check_zed_sdk() if device == "zed" else check_device(Path(device))
    if calibration:
        yield check_calibration(Path(calibration))
    elif device and device != "zed":
        yield skip("calibration", "none named", "pictures will not be rectified; --calibration SN<serial>.conf")


def check_zed_sdk() -> Finding:
    """Whether the ZED SDK's Python module is here."""
    if importlib.util.find_spec("pyzed") is None:
        return fail(
            "ZED SDK",
            "no module pyzed",
            "install the ZED SDK and its Python API, or use the camera by --camera /dev/video0",
        )
    return ok("ZED SDK", "pyzed is installed")


def check_device(path: Path) -> Finding:
    """Whether a video device is there, may be opened, and is a camera."""
    what = f"camera {path}"
    try:
        kind = path.stat().st_mode
    except OSError:
        there = ", ".join(sorted(str(one) for one in Path("/dev").glob("video*"))) or "no camera at all"
        return fail(what, "does not exist", f"plug it into USB 3, look at `dmesg`; there is {there}")
    if not stat.S_ISCHR(kind):
        return fail(what, "is no device", "name a video device such as /dev/video0")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        denied = error.errno in (errno.EACCES, errno.EPERM)
        return fail(
            what,
            error.strerror or "cannot be opened",
            "sudo usermod -aG video $USER, and log in again" if denied else "see `dmesg`",
        )
    try:
        answer = fcntl.ioctl(descriptor, VIDIOC_QUERYCAP, bytes(104))
    except OSError:
        return fail(what, "is no camera", "name a video device such as /dev/video0")
    finally:
        os.close(descriptor)
    return ok(what, answer[16:48].split(b"\0")[0].decode(errors="replace"))


def check_calibration(path: Path) -> Finding:
    """Whether a calibration file of a ZED can be used: both cameras, and the baseline between them."""
    what = f"calibration {path}"
    if not path.is_file():
        return fail(what, "does not exist", CALIBRATION_ADVICE)
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (configparser.Error, UnicodeDecodeError) as error:
        return fail(what, f"is no calibration: {str(error).splitlines()[0]}", CALIBRATION_ADVICE)
    sections = {name.upper() for name in parser.sections()}
    missing = [side for side in ("LEFT_CAM", "RIGHT_CAM") if not any(name.startswith(side) for name in sections)]
    missing += [] if "STEREO" in sections else ["STEREO"]
    if missing:
        return fail(
            what,
            f"lacks {', '.join(missing)}; it has {', '.join(sorted(sections)) or 'no sections'}",
            CALIBRATION_ADVICE,
        )
    return ok(what, f"{len(sections)} sections, both cameras and the baseline among them")
