"""Hands drawn into pictures: boxes, keypoints, sides and how sure each is."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand_training.labels.stage_files import TIPS, HandPoses, Hands

Image = NDArray[np.uint8]
Array = NDArray[np.floating]

COLOURS = ((255, 150, 30), (60, 190, 255))  # left, right
LETTERS = ("L", "R")
BONES = tuple((joint - 1 if joint % 4 != 1 else 0, joint) for joint in range(1, 21))
"""Pairs of keypoints that a line joins."""


def draw_hands(image: Image, hands: Hands, frame: int) -> Image:
    """A copy of a frame (H, W, 3) RGB with its hands: box, keypoints, side and score of each.

    Raises:
        LabelError: The video has no such frame.
    """
    if not 0 <= frame < int(hands.frames[0]):
        raise LabelError(f"expected a frame between 0 and {int(hands.frames[0]) - 1}, got {frame}")
    drawn = image.copy()
    for index in np.flatnonzero(hands.frame == frame):
        side = int(hands.side[index])
        _draw_box(drawn, hands.box[index], COLOURS[side], f"{LETTERS[side]} {hands.score[index]:.2f}")
        draw_keypoints(drawn, hands.keypoints[index], COLOURS[side])
    return drawn


def draw_poses(image: Image, poses: HandPoses, index: int) -> Image:
    """A copy of a clip's `index`-th frame (H, W, 3) RGB with its left and right hand.

    Raises:
        LabelError: The clip has no such frame.
    """
    if not 0 <= index < len(poses.frames):
        raise LabelError(f"expected a frame of the clip between 0 and {len(poses.frames) - 1}, got {index}")
    drawn = image.copy()
    for side in (0, 1):
        draw_keypoints(drawn, poses.keypoints[index, side], COLOURS[side])
    return drawn


def draw_keypoints(image: Image, keypoints: Array, colour: tuple[int, int, int]) -> None:
    """Draw a hand's (21, 2) keypoints into a picture; one that is not known is left out."""
    if np.isnan(keypoints).any():
        return
    width = _width(image)
    points = [(round(float(x)), round(float(y))) for x, y in keypoints]
    for start, end in BONES:
        cv2.line(image, points[start], points[end], colour, width, cv2.LINE_AA)
    for number, point in enumerate(points):
        cv2.circle(image, point, 2 * width if number in (0, *TIPS) else width, (255, 255, 255), -1, cv2.LINE_AA)


def contact_sheet(pictures: Sequence[Image], columns: int = 4, width: int = 480) -> Image:
    """Pictures (H, W, 3) of any sizes in rows, each `width` pixels wide at most, on grey.

    Raises:
        LabelError: There are no pictures.
    """
    if not pictures:
        raise LabelError("expected at least one picture for a contact sheet, got none")
    scaled = [_fit(picture, width) for picture in pictures]
    rows = [scaled[first : first + columns] for first in range(0, len(scaled), columns)]
    heights = [max(picture.shape[0] for picture in row) for row in rows]
    sheet = np.full((sum(heights), width * min(columns, len(scaled)), 3), 60, np.uint8)
    for top, row in zip(np.cumsum([0, *heights]), rows, strict=False):
        for place, picture in enumerate(row):
            sheet[top : top + picture.shape[0], place * width : place * width + picture.shape[1]] = picture
    return sheet


def _draw_box(image: Image, box: Array, colour: tuple[int, int, int], text: str) -> None:
    width = _width(image)
    left, top, right, bottom = (round(float(edge)) for edge in box)
    cv2.rectangle(image, (left, top), (right, bottom), colour, width, cv2.LINE_AA)
    place = (max(left, 0), max(top - 3 * width, 12 * width))
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * width, colour, width, cv2.LINE_AA)


def _width(image: Image) -> int:
    """Of lines, [px]."""
    return max(round(max(image.shape[:2]) / 640), 1)


def _fit(picture: Image, width: int) -> Image:
    height = max(round(picture.shape[0] * width / picture.shape[1]), 1)
    fitted: Image = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return fitted
