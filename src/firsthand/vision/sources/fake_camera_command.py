"""The command `firsthand fake-camera`, and its settings: light to import, for `firsthand --help` does."""

import argparse
import signal
from dataclasses import dataclass, field, fields
from typing import Any

from firsthand.errors import CameraError

FAKE_CAMERA = """Send side-by-side stereo pictures as a ZED does on USB, until Ctrl-C.

The camera node reads them with source:=uvc device:=tcp://127.0.0.1:PORT. Each picture carries its number in black and
white blocks in the upper left corner. SIGUSR1 makes the camera fall silent, and a second one lets it go on."""


def _about(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class FakeCameraSettings:
    """What is sent, and what goes wrong."""

    port: int = _about(5600, "port on this machine; 0 takes a free one")
    width: int = _about(1280, "of one view, [px]")
    height: int = _about(720, "of one view, [px]")
    rate: float = _about(60.0, "pairs a second, [Hz]")
    stall_after: float = _about(0.0, "fall silent so long after the first picture, the connection open, [s]; 0 never")
    stall_for: float = _about(0.0, "and go on after so long, [s]; 0 never")
    drop_every: int = _about(0, "leave out every so-manieth picture; 0 none")
    die_after: float = _about(0.0, "break the connection and end so long after the first picture, [s]; 0 never")
    videos: tuple[str, ...] = ()  # one film with both views side by side, or left, right; else pictures that ship

    def __post_init__(self) -> None:
        if not (0 <= self.port < 65536 and 0 < self.rate <= 240):
            raise CameraError(f"expected a port below 65536 and a rate up to 240 Hz, got {self.port}, {self.rate}")
        if self.width % 2 or self.height < 90 or self.width < self.height / 2:
            raise CameraError(
                f"expected views of an even width, at least 90 px high and half as wide, got {self.width}x{self.height}"
            )
        if min(self.stall_after, self.stall_for, self.die_after, self.drop_every) < 0:
            raise CameraError(f"expected times and counts from 0 on, got {self}")


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
    from firsthand.vision.sources.fake_camera import FakeCamera

    values = {one.name: getattr(options, one.name) for one in fields(FakeCameraSettings)}
    camera = FakeCamera(FakeCameraSettings(**{**values, "videos": tuple(options.videos)}))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: camera.stop())
    signal.signal(signal.SIGUSR1, lambda *_: camera.turn())
    print(camera.address, flush=True)
    camera.run()
    print(f"{camera.sent} pictures sent")
    return 0
