"""The command `firsthand fake-camera`."""

import argparse
import signal
from dataclasses import fields

from firsthand.vision.sources.fake_camera_settings import FakeCameraSettings

FAKE_CAMERA = """Send side-by-side stereo pictures as a ZED does on USB, until Ctrl-C.

The camera node reads them with source:=uvc device:=tcp://127.0.0.1:PORT. Each picture carries its number in black and
white blocks in the upper left corner. SIGUSR1 makes the camera fall silent, and a second one lets it go on."""


def add_fake_camera_arguments(parser: argparse.ArgumentParser) -> None:
    """One option for each setting."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    for one in fields(FakeCameraSettings):
        if text := one.metadata.get("help"):
            flag, default = f"--{one.name.replace('_', '-')}", one.default
            parser.add_argument(flag, type=type(default), default=default, help=f"{text} (default: %(default)s)")
    parser.add_argument(
        "--videos", nargs="+", default=(), metavar="FILM",
        help="one film with both views side by side, or left and right; its first 50 pictures go round and round "
        "(default: pictures that ship)",
    )  # fmt: skip


def run_fake_camera(options: argparse.Namespace) -> int:
    """Serve pictures until Ctrl-C, SIGTERM, or the planned death."""
    from firsthand.vision.sources.fake_camera import FakeCamera  # brings OpenCV and FFmpeg

    values = {one.name: getattr(options, one.name) for one in fields(FakeCameraSettings)}
    camera = FakeCamera(FakeCameraSettings(**{**values, "videos": tuple(options.videos)}))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: camera.stop())
    signal.signal(signal.SIGUSR1, lambda *_: camera.turn())
    print(camera.address, flush=True)
    camera.run()
    print(f"{camera.sent} pictures sent")
    return 0
