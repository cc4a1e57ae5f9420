"""What structure from motion begins with and what it makes: one camera, where it was, and the points that it saw."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from firsthand_training.labels.scene.camera import Array, Integers


class Prior(NamedTuple):
    """What is known of the camera before it is mapped."""

    intrinsics: Array  # (3, 3), [px]
    exact: bool  # kept as they are; else the focal length is refined once the scene is there


@dataclass(frozen=True)
class Model:
    """What a mapper made of the keyframes."""

    frames: Integers  # (M,), registered
    intrinsics: Array  # (3, 3), [px]
    camera_from_world: Array  # (M, 4, 4)
    points: Array  # (P, 3)
    observed: tuple[Integers, ...]  # for each registered frame, which points it sees
    pixels: tuple[Array, ...]  # and where, (K, 2)
    reprojection_error: float  # [px], mean over all observations
    corners: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """(P,), which corner of the clip each point is; none where points are features of keyframes alone."""
