"""Cameras: the device, who may open it, whether pictures come and how fast, and whose the calibration is."""

import errno
import fcntl
import json
import os
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firsthand.doctor.finding import Finding, fail, ok, skip, warn
from firsthand.errors import CalibrationError, FirsthandError
from firsthand.robot.mount_file import read_mount
from firsthand.vision.rectification import Rectifier, check_shape
from firsthand.vision.sources.uvc import UvcCamera, UvcSettings
from firsthand.vision.zed_calibration import calibration_serial, read_zed_calibration, zed_model

VIDIOC_QUERYCAP = 0x80685600
CAPTURES, HAS_OWN_FLAGS = 0x1 | 0x1000, 0x80000000  # V4L2_CAP_VIDEO_CAPTURE(_MPLANE), V4L2_CAP_DEVICE_CAPS
CALIBRATION_ADVICE = "download SN<serial>.conf from Stereolabs, with the serial number of this camera"
SIZE = (1280, 720)  # [px] of one view, as the camera node takes it by itself
GOOD_RATE = 24.0  # [Hz]; below it, recordings are flagged
DARK, ALIKE = 4.0, 1.0  # grey levels: mean of a covered lens, mean difference of two views that are one
STARTING = 20.0  # [s] that a process may take
LARGEST_DIFFERENCE = 0.001  # [m] between the baselines of calibration and mount


def check_cameras(
    device: str,
    calibration: str,
    size: tuple[int, int] = SIZE,
    mount: str = "",
    seconds: float = 2.0,
) -> Iterator[Finding]:
    """Everything about the stereo camera that was named.

    Args:
        device: /dev/video0, the URL of a stream, or `zed` for the ZED SDK.
        calibration: The factory's file, SN<serial>.conf.
        size: Of one view as it is taken, [px].
        mount: What `firsthand calibrate eyes` wrote.
        seconds: How long to look at its pictures.
    """
    serials: list[int] = []
    if not device:
        yield skip("camera", "none named", "name the device: --camera /dev/video0, or --camera zed for the SDK")
    elif device == "zed":
        finding, serials = check_zed_sdk()
        yield finding
    else:
        found = ok(f"camera {device}", "a stream") if "://" in device else check_device(Path(device))
        yield found
        if found.level == "ok":
            yield check_pictures(device, size, seconds)
    if calibration:
        yield check_calibration(Path(calibration), size, serials, mount)
    elif device and device != "zed":
        yield warn("calibration", "none named", f"pictures will not be rectified; {CALIBRATION_ADVICE}: --calibration")
    if mount:
        yield check_mount(mount)


def check_zed_sdk() -> tuple[Finding, list[int]]:
    """Whether the ZED SDK starts and sees a camera that is free, and the serial numbers of those that it sees."""
    what, answer = "ZED SDK", _ask_sdk()
    if answer["error"]:
        return fail(what, answer["error"], "install the ZED SDK and its Python API, or use --camera /dev/video0"), []
    cameras, serials = answer["cameras"], [one["serial"] for one in answer["cameras"]]
    if not cameras:
        return fail(what, f"{answer['version']} sees no camera", "plug it into USB 3; see `lsusb` and ZED_Explorer"), []
    names = ", ".join(f"{one['model']} {one['serial']}" for one in cameras)
    if not any(one["free"] for one in cameras):
        return fail(what, f"{names}: in use by another program", "end it; it may be a camera node of yours"), serials
    return ok(what, f"{answer['version']} sees {names}"), serials


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
    return judge_capabilities(path, answer)


def judge_capabilities(path: Path, answer: bytes) -> Finding:
    """What a driver says of a device, `struct v4l2_capability`; USB cameras have a second one, without pictures."""
    what, name = f"camera {path}", answer[16:48].split(b"\0")[0].decode(errors="replace")
    whole, own = struct.unpack_from("=II", answer, 84)
    if not (own if whole & HAS_OWN_FLAGS else whole) & CAPTURES:
        return fail(
            what,
            f"{name} sends no pictures here",
            "take its other device: the first that `v4l2-ctl --list-devices` names",
        )
    return ok(what, name)


def check_pictures(device: str, size: tuple[int, int], seconds: float) -> Finding:
    """Whether pairs come from a device, how often, and whether there is something on them."""
    what, (width, height) = f"pictures of {device}", size
    try:
        camera = UvcCamera(UvcSettings(device, width, height, output=_quarter(size)))
    except FirsthandError as error:
        busy = "busy" in str(error)
        return fail(
            what, str(error),
            f"another program has it: `fuser {device}`" if busy else f"views of another size? --size {width}x{height}",
        )  # fmt: skip
    try:
        stamps, last = _look(camera, seconds)
    except FirsthandError as error:
        return fail(what, str(error), "unplug it and plug it in again; see `dmesg`")
    finally:
        camera.close()
    if last is None:
        return fail(what, f"none in {seconds:g} s", "unplug it and plug it in again; see `dmesg`")
    rate = (len(stamps) - 1) / max(stamps[-1] - stamps[0], 1e-3)
    found = f"{width}x{height}, {rate:.0f} Hz"
    if rate < GOOD_RATE:
        return warn(
            what,
            f"{found}, expected {GOOD_RATE:.0f} or more",
            "USB 3, more light, a fixed exposure; is the computer busy?",
        )
    if last.mean() < DARK:
        return warn(what, f"{found}, but black", "take the cap off; is there light?")
    if np.abs(last[0].astype(int) - last[1]).mean() < ALIKE:
        return warn(
            what, f"{found}, but both views are the same", "is this a stereo camera that sends both side by side?"
        )
    return ok(what, found)


def check_calibration(
    path: Path, size: tuple[int, int] = SIZE, serials: list[int] | None = None, mount: str = ""
) -> Finding:
    """Whether a factory calibration can be used as the camera node uses it, and is that of the camera that is there.

    Args:
        path: SN<serial>.conf.
        size: Of one view as it is taken, [px].
        serials: Of the cameras that are there, where that is known.
        mount: What `firsthand calibrate eyes` wrote with this camera, if anything.
    """
    what = f"calibration {path}"
    try:
        baseline = Rectifier(read_zed_calibration(path, *size), *_quarter(size)).intrinsics.baseline
    except CalibrationError as error:
        return fail(what, str(error).replace(f"{path}: ", ""), CALIBRATION_ADVICE)
    serial, model = calibration_serial(path), zed_model(baseline)
    found = f"{size[0]}x{size[1]}, lenses {1e3 * baseline:.1f} mm apart"
    if serials and serial is not None and serial not in serials:
        return fail(what, f"is of camera {serial}; here is {', '.join(map(str, serials))}", CALIBRATION_ADVICE)
    if mount and (difference := _baseline_difference(mount, baseline)) > LARGEST_DIFFERENCE:
        return fail(
            what, f"{found}; the mount was measured with lenses {1e3 * difference:.1f} mm further or less far apart",
            "one of both is another camera's: run `firsthand calibrate eyes` with this one",
        )  # fmt: skip
    if model is None:
        return warn(what, f"{found}: no ZED has that", "measure it; a wrong file makes everything too near or too far")
    if serial is None:
        return warn(what, f"{found}, as on a {model}; its name does not say of which camera it is", CALIBRATION_ADVICE)
    return ok(what, f"of camera {serial}: {found}, as on a {model}")


def check_mount(path: str) -> Finding:
    """Whether a file that says where the camera is can be used."""
    what = f"camera mount {path}"
    try:
        mount = read_mount(path)
    except CalibrationError as error:
        return fail(what, str(error), "firsthand calibrate eyes BAG --output mount.yaml")
    x, y, z = (1e3 * value for value in mount.eyes_xyz)
    return ok(what, f"eyes at {x:.0f}, {y:.0f}, {z:.0f} mm in torso_link")


def _look(camera: UvcCamera, seconds: float) -> tuple[list[float], NDArray[np.uint8] | None]:
    """When pairs came, [s], and the last one (2, H, W, 3)."""
    stamps: list[float] = []
    last, end = None, time.monotonic() + seconds
    while time.monotonic() < end:
        capture = camera.read(0.1)
        if capture is not None:
            stamps.append(capture.time_ns / 1e9)
            last = capture
    return stamps, None if last is None else last.images()


def _baseline_difference(mount: str, baseline: float) -> float:
    try:
        return abs(read_mount(mount).camera_baseline - baseline)
    except CalibrationError:
        return 0.0  # `check_mount` says so


def _quarter(size: tuple[int, int]) -> tuple[int, int]:
    smaller = size[0] // 4, size[1] // 4
    check_shape(size, smaller)
    return smaller


def _ask_sdk() -> dict[str, Any]:
    command = [sys.executable, "-m", "firsthand.doctor.zed_probe"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=STARTING, check=False)
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return {"error": f"the ZED SDK hung for {STARTING:g} s"}
    except (ValueError, IndexError):
        return {"error": f"the ZED SDK crashed (exit code {done.returncode}): {done.stderr.strip()[-200:]}"}
