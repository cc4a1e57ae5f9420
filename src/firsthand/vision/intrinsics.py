"""Pinhole intrinsics of a rectified stereo pair, in the optical convention: z forward, x right, y down."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Intrinsics:
    """One rectified stereo camera; both eyes share the numbers."""

    width: int  # [px]
    height: int  # [px]
    fx: float  # [px]
    fy: float  # [px]
    cx: float  # [px], centre of the upper left pixel is 0
    cy: float  # [px]
    baseline: float  # [m], left to right eye

    def project(self, points_in_camera: Array) -> Array:
        """Pixels (..., 2) of points (..., 3) in an optical frame, [m]; NaN behind the camera."""
        x, y, z = np.moveaxis(np.asarray(points_in_camera, dtype=float), -1, 0)
        z = np.where(z > 0, z, np.nan)
        return np.stack([self.fx * x / z + self.cx, self.fy * y / z + self.cy], axis=-1)

    def scaled(self, width: int, height: int) -> "Intrinsics":
        """The same camera with its images resized."""
        sx, sy = width / self.width, height / self.height
        return Intrinsics(
            width, height, self.fx * sx, self.fy * sy,
            (self.cx + 0.5) * sx - 0.5, (self.cy + 0.5) * sy - 0.5, self.baseline,
        )  # fmt: skip
