"""The camera of a clip, as far as it is known beforehand, and what a stage finds out about it.

Pixel (0, 0) is the centre of the upper left one, as everywhere in `labels`; COLMAP's centre is (0.5, 0.5).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError

Array = NDArray[np.floating]
Integers = NDArray[np.int64]

HALF_PIXEL = 0.5  # [px], from our pixels to COLMAP's


@dataclass(frozen=True)
class KnownCamera:
    """What a calibration, an inertial sensor or a second lens tells; whatever is None is found out or stays unknown."""

    intrinsics: Array | None = None  # (3, 3), [px], of upright pictures of the video's size
    gravity: Array | None = None  # (3,) or one for each of the clip's frames (N, 3), pointing down, in the camera
    positions: Array | None = None  # (N, 3), [m], of the camera at each of the clip's frames: they tell the scale

    def check(self, frames: int) -> None:
        """Raise LabelError unless everything has the shape that a clip of so many frames needs."""
        if self.intrinsics is not None:
            K = np.asarray(self.intrinsics)
            if K.shape != (3, 3) or not np.isfinite(K).all() or not (K[0, 0] > 0 and K[1, 1] > 0):
                raise LabelError(f"expected intrinsics (3, 3) in pixels with positive focal lengths, got {K.tolist()}")
        if self.gravity is not None:
            down = np.asarray(self.gravity, dtype=float)
            if down.shape not in ((3,), (frames, 3)) or not (np.linalg.norm(down, axis=-1) > 0).all():
                raise LabelError(f"expected directions of gravity (3,) or ({frames}, 3), got shape {down.shape}")
        if self.positions is not None and np.shape(self.positions) != (frames, 3):
            raise LabelError(f"expected camera positions ({frames}, 3), got shape {np.shape(self.positions)}")


@dataclass(frozen=True)
class Track:
    """Where the camera was at each frame, in a frame and units of its own, and what it saw."""

    intrinsics: Array  # (3, 3), [px]
    world_from_camera: Array  # (N, 4, 4)
    points: Array  # (P, 3)
    reprojection_error: float  # [px], mean
    parallax: bool
    focal_sigma: float  # relative
    notes: tuple[str, ...] = ()  # what a reader of the scene should know


def intrinsic_matrix(focal: float, size: tuple[int, int]) -> Array:
    """Square pixels, and the principal point in the middle of the picture, (3, 3), [px]."""
    return np.array([[focal, 0.0, (size[0] - 1) / 2], [0.0, focal, (size[1] - 1) / 2], [0.0, 0.0, 1.0]])


def rays(intrinsics: Array, pixels: Array) -> Array:
    """Unit directions in the camera of pixels (..., 2), (..., 3)."""
    x = (pixels[..., 0] - intrinsics[0, 2]) / intrinsics[0, 0]
    y = (pixels[..., 1] - intrinsics[1, 2]) / intrinsics[1, 1]
    directions = np.stack([x, y, np.ones_like(x)], axis=-1)
    return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def project(intrinsics: Array, points_in_camera: Array) -> Array:
    """Pixels (..., 2) of points (..., 3) in the camera; NaN behind it."""
    depth = np.where(points_in_camera[..., 2] > 0, points_in_camera[..., 2], np.nan)
    x, y = points_in_camera[..., 0] / depth, points_in_camera[..., 1] / depth
    return np.stack([intrinsics[0, 0] * x + intrinsics[0, 2], intrinsics[1, 1] * y + intrinsics[1, 2]], axis=-1)
