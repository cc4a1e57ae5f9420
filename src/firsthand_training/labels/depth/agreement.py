"""Whether the depth of one picture is what others say of the same places."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from firsthand_training.labels.depth.views import Views, relative_poses
from firsthand_training.labels.scene.camera import Array, rays


def count_agreeing(
    views: Views,
    view: int,
    depth: Array,
    others: Sequence[int],
    depths: Sequence[Array],
    tolerance: float,
    step: float = 0.0,
) -> NDArray[np.int64]:
    """How many other maps put a pixel's place where this one does.

    Args:
        views: All of the clip.
        view: Whose depth is looked at.
        depth: (H, W), along the optical axis; NaN where not known.
        others: Views to ask.
        depths: Their maps, (H, W) each.
        tolerance: Relative, of a depth that agrees.
        step: Of inverse depth, below which pictures so close together cannot tell: what is far away may differ more.

    Returns:
        (H, W).
    """
    height, width = depth.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    directions = rays(views.intrinsics, np.stack([columns, rows], axis=-1).astype(float))
    places = directions / directions[..., 2:] * depth[..., None]
    agreeing = np.zeros(depth.shape, dtype=np.int64)
    for pose, theirs in zip(relative_poses(views, view, others), depths, strict=True):
        there = places @ pose[:3, :3].T + pose[:3, 3]
        with np.errstate(invalid="ignore", divide="ignore"):
            pixels = there @ views.intrinsics.T
            pixels = np.nan_to_num(pixels[..., :2] / pixels[..., 2:], nan=-1e6, posinf=-1e6, neginf=-1e6).round()
            inside = ((pixels >= 0) & (pixels <= [width - 1, height - 1])).all(axis=-1) & (there[..., 2] > 0)
            at = np.where(inside[..., None], pixels, 0).astype(int)
            off = np.abs(1 / theirs[at[..., 1], at[..., 0]] - 1 / there[..., 2])
            agreeing += inside & (off < np.maximum(tolerance / there[..., 2], step))
    return agreeing
