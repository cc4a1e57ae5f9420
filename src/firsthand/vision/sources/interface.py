"""What every source of stereo pictures offers."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firsthand.vision.intrinsics import Intrinsics


@dataclass(frozen=True)
class StereoFrame:
    """One rectified pair."""

    time_ns: int  # when it was taken, on the source's own clock
    images: NDArray[np.uint8]  # (2, H, W, 3) RGB, left then right


class StereoSource(Protocol):
    """A stereo camera, or something that stands in for one."""

    @property
    def intrinsics(self) -> Intrinsics:
        """The calibration of the rectified pair."""

    def grab(self) -> StereoFrame | None:
        """The next pair, or None when there will be no more."""

    def close(self) -> None:
        """Give files and devices back."""
