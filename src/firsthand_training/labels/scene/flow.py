"""Optical flow from a picture to the next (Lucas-Kanade, coarse to fine)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand_training.labels.scene.camera import Array

WINDOW, LEVELS = (15, 15), 4  # [px]


def follow(before: NDArray[np.uint8], after: NDArray[np.uint8], pixels: Array) -> tuple[NDArray[np.bool_], Array]:
    """Find pixels of a picture again in the next.

    Args:
        before: (H, W), grey.
        after: (H, W), grey.
        pixels: (K, 2), in `before`.

    Returns:
        Which were found inside the picture (K,), and where those are (K', 2).
    """
    if not len(pixels):
        return np.zeros(0, dtype=bool), pixels
    start = pixels.astype(np.float32)[:, None]
    end, found, _ = cv2.calcOpticalFlowPyrLK(before, after, start, None, winSize=WINDOW, maxLevel=LEVELS)
    inside = (end[:, 0] > 0).all(axis=1) & (end[:, 0] < np.array(after.shape[::-1]) - 1).all(axis=1)
    kept = found[:, 0].astype(bool) & inside
    return kept, end[kept, 0].astype(float)
