"""What sources of stereo pictures offer: films are asked for the next pair, cameras say when they took one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import CameraError
from firsthand.vision.intrinsics import Intrinsics


@dataclass(frozen=True)
class StereoFrame:
    """One rectified pair."""

    time_ns: int  # when it was taken, on the source's own clock
    images: NDArray[np.uint8]  # (2, H, W, 3) RGB, left then right


class StereoSource(Protocol):
    """Pictures that wait until they are asked for: a film."""

    @property
    def intrinsics(self) -> Intrinsics:
        """The calibration of the rectified pair."""

    def grab(self) -> StereoFrame | None:
        """The next pair, or None when there will be no more."""

    def close(self) -> None:
        """Give files and devices back."""


@dataclass(frozen=True)
class Capture:
    """One pair as a camera sent it; converting is left to whoever wants it, for most are not published."""

    time_ns: int  # when it was taken, on the system's clock
    images: Callable[[], NDArray[np.uint8]]  # makes the rectified pair, (2, H, W, 3) RGB, left then right
    depth: NDArray[np.float32] | None = None  # (H, W), [m], of the left view, where the camera was asked to measure it


class StereoCamera(Protocol):
    """A camera that is open and takes pictures by itself."""

    @property
    def intrinsics(self) -> Intrinsics:
        """The calibration of the rectified pair."""

    def read(self, timeout: float) -> Capture | None:
        """The next pair, or None if none has come after `timeout`, [s].

        Raises:
            CameraError: The camera is gone, or sends what it should not.
        """

    def close(self) -> None:
        """Give the device back."""


class RecordingEnded(CameraError):  # noqa: N818 -- reads as what happened
    """A recording that stands in for a camera is over."""
