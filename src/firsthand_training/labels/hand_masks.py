"""Where hands and forearms are in a picture: what moves on its own says nothing about the camera."""

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand_training.labels.stage_files import KEYPOINTS, Hands

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

MARGIN = 0.2  # of a hand's size, around its keypoints: flesh, motion, and the thing that it holds
ARM_HALF_WIDTH = 0.4  # of a hand's size, at the wrist
ARM_SPREAD = 0.4  # by which the strip over a forearm widens with its length: a wrist bends
_WRIST, _KNUCKLE = KEYPOINTS.index("wrist"), KEYPOINTS.index("middle_1")


def hand_mask(hands: Hands, frame: int, size: tuple[int, int], margin: float = MARGIN) -> Mask:
    """Cover the hands of a frame and their forearms, up to the picture's border.

    Args:
        hands: With keypoints, or with boxes alone.
        frame: Of the video.
        size: Width and height of the picture, [px].
        margin: How far around the hull of the keypoints, in sizes of the hand.

    Returns:
        (H, W), True on hands.
    """
    mask = np.zeros((size[1], size[0]), dtype=np.uint8)
    for index in np.flatnonzero(hands.frame == frame):
        _cover(mask, hands.keypoints[index], hands.box[index], margin)
    return mask.astype(bool)


def _cover(mask: NDArray[np.uint8], keypoints: Array, box: Array, margin: float) -> None:
    left, top, right, bottom = box
    seen = keypoints[np.isfinite(keypoints).all(axis=1)]
    outline = seen if len(seen) >= 3 else np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    if not np.isfinite(outline).all():
        return
    extent = float(np.ptp(outline, axis=0).max())
    corners = _pixels(cv2.convexHull(outline.astype(np.float32))[:, 0])
    cv2.fillConvexPoly(mask, corners, 1)
    cv2.polylines(mask, [corners], True, 1, thickness=max(1, round(2 * margin * extent)))
    cv2.fillConvexPoly(mask, _pixels(_forearm(keypoints, outline, extent, max(mask.shape))), 1)


def _forearm(keypoints: Array, outline: Array, extent: float, reach: float) -> Array:
    """A strip from the wrist away from the fingers, (4, 2); straight down where only a box is known."""
    ends = keypoints[[_WRIST, _KNUCKLE]]
    way = ends[0] - ends[1]
    if np.isfinite(ends).all() and np.linalg.norm(way) > 0:
        start, along = ends.mean(axis=0), way / np.linalg.norm(way)
    else:
        start, along = outline.mean(axis=0), np.array([0.0, 1.0])
    across = np.array([-along[1], along[0]])
    near, far = ARM_HALF_WIDTH * extent, ARM_HALF_WIDTH * extent + ARM_SPREAD * reach
    end = start + reach * along
    return np.array([start - near * across, start + near * across, end + far * across, end - far * across])


def _pixels(points: Array) -> NDArray[np.int32]:
    """Rounded, and kept where OpenCV can draw."""
    return np.clip(np.round(points), -10_000, 10_000).astype(np.int32)
