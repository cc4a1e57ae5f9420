"""Turned squares of a picture: what the networks look at, and the way back from what they say.

Pixel (0, 0) is the centre of the upper left one; angles turn x towards y, that is clockwise on the screen.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Image = NDArray[np.uint8]

PALM_TO_HAND = 2.6  # side of a hand's region over that of the palm detector's box (MediaPipe)
KEYPOINTS_TO_HAND = 2.0  # the same over the box around wrist, knuckles and middle joints (MediaPipe)
BOX_TO_HAND = 1.3  # the same over a box around all of a hand; a few boxes cut fingers off
BOX_MARGIN = 0.1  # of the longer side, that skin reaches beyond the keypoints

_STABLE = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)  # keypoints that curling fingers leave in place


@dataclass(frozen=True)
class Region:
    """A square: its centre (x, y) and side in [px], and the angle in [rad] by which it is turned."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    def crop_to_picture(self, crop: int) -> NDArray[np.float64]:
        """(2, 3) affine map from pixels of a crop of that side to pixels of the picture."""
        scale = self.side / crop
        cosine, sine = scale * np.cos(self.angle), scale * np.sin(self.angle)
        turn = np.array([[cosine, -sine], [sine, cosine]])
        middle = (crop - 1) / 2
        return np.column_stack([turn, np.array([self.x, self.y]) - turn @ np.array([middle, middle])])

    def to_picture(self, points: Array, crop: int) -> Array:
        """Pixels (..., 2) of a crop of that side, in the picture."""
        affine = self.crop_to_picture(crop)
        return points @ affine[:, :2].T + affine[:, 2]

    def turned(self, angle: float) -> "Region":
        """The same, further turned."""
        return Region(self.x, self.y, self.side, self.angle + angle)

    def wider(self, factor: float, back: float) -> "Region":
        """So many times as large, moved by a share of its old side to where it has its lower end."""
        step = back * self.side
        return Region(
            self.x - step * np.sin(self.angle), self.y + step * np.cos(self.angle), factor * self.side, self.angle
        )


class Picture:
    """An RGB picture (H, W, 3) uint8 to be cut; it is halved for regions that would be sampled too sparsely."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.height, self.width = image.shape[:2]

    @cached_property
    def _half(self) -> "Picture":
        size = (max(self.width // 2, 1), max(self.height // 2, 1))
        return Picture(cv2.resize(self.image, size, interpolation=cv2.INTER_AREA))

    def cut(self, region: Region, crop: int, border: int = cv2.BORDER_REPLICATE) -> Image:
        """The region as a (crop, crop, 3) picture."""
        if region.side >= 3 * crop and min(self.width, self.height) >= 4:
            half = self._half
            x, y = (region.x + 0.5) * half.width / self.width - 0.5, (region.y + 0.5) * half.height / self.height - 0.5
            return half.cut(Region(x, y, region.side * half.width / self.width, region.angle), crop, border)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        out: Image = cv2.warpAffine(
            self.image, region.crop_to_picture(crop), (crop, crop), flags=flags, borderMode=border
        )
        return out

    def all(self, zoom: float = 1.0) -> Region:
        """The square around the whole picture, `zoom` times as large."""
        return Region((self.width - 1) / 2, (self.height - 1) / 2, zoom * max(self.width, self.height))


def region_of_palm(box: Array, wrist: Array, middle_knuckle: Array) -> Region:
    """Where the hand of a palm is: upright along wrist to middle finger, above the palm's box (4,)."""
    side = max(float(box[2] - box[0]), float(box[3] - box[1]))
    along = _upright(middle_knuckle - wrist)
    center = (box[:2] + box[2:]) / 2 + 0.5 * float(box[3] - box[1]) * np.array([np.sin(along), -np.cos(along)])
    return Region(float(center[0]), float(center[1]), PALM_TO_HAND * side, along)


def region_of_keypoints(keypoints: Array) -> Region:
    """Where a hand will be in the next frame, from its (21, 2) keypoints in this one."""
    fingers = ((keypoints[6] + keypoints[14]) / 2 + keypoints[10]) / 2
    angle = _upright(fingers - keypoints[0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    upright = keypoints[list(_STABLE)] @ turn
    low, high = upright.min(axis=0), upright.max(axis=0)
    center = turn @ ((low + high) / 2 - np.array([0.0, 0.1 * (high[1] - low[1])]))
    return Region(float(center[0]), float(center[1]), KEYPOINTS_TO_HAND * float((high - low).max()), angle)


def region_of_box(box: Array) -> Region:
    """A region around a box (4,) of unknown direction."""
    x, y = (box[:2] + box[2:]) / 2
    return Region(float(x), float(y), BOX_TO_HAND * float(max(box[2] - box[0], box[3] - box[1])))


def box_of_keypoints(keypoints: Array) -> Array:
    """The box (4,) around a hand with these keypoints (21, 2), its skin included."""
    low, high = keypoints.min(axis=0), keypoints.max(axis=0)
    margin = BOX_MARGIN * float((high - low).max())
    return np.concatenate([low - margin, high + margin])


def overlap(box: Array, others: Array) -> Array:
    """Intersection over union of a box (4,) with others (N, 4)."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    areas = np.clip(others[:, 2:] - others[:, :2], 0, None).prod(axis=1)
    return common / np.maximum(np.clip(box[2:] - box[:2], 0, None).prod() + areas - common, 1e-9)


def inside(one: Array, other: Array) -> float:
    """The share of the smaller of two boxes (4,) that lies in the other one."""
    common = np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None).prod()
    smaller = min((one[2:] - one[:2]).prod(), (other[2:] - other[:2]).prod())
    return float(common / max(smaller, 1e-9))


def suppress(boxes: Array, scores: Array, limit: float) -> NDArray[np.int64]:
    """Indices of boxes (N, 4), best first, none overlapping a better one by more than `limit`."""
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if not kept or overlap(boxes[index], boxes[kept]).max() <= limit:
            kept.append(int(index))
    return np.array(kept, np.int64)


def _upright(direction: Array) -> float:
    """The angle by which a square is turned so that `direction` points up in it."""
    return float(np.arctan2(direction[0], -direction[1]))
