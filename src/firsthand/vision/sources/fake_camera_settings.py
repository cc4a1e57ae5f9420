"""The fake camera's settings, light to import: `firsthand --help` does."""

from dataclasses import dataclass, field
from typing import Any

from firsthand.errors import CameraError


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
