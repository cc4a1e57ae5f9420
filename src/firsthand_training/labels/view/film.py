"""A film of a clip: what was found in each picture, and the same in metres.

On the picture, the keypoints of each hand as a skeleton, and the metric hand projected back: the wrist's axes (x red, y
green, z blue) and a ring around each fingertip. Skeleton and rings should fall together. Beside it the ways of both
wrists, seen from above and from the right, and below when which hand was measured.
"""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand_training.episodes.durable import whole_file
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.video import VideoWriter
from firsthand_training.labels.stage_files import KEYPOINTS, Array
from firsthand_training.labels.view.labelled_clip import Image, LabelledClip

COLORS = ((64, 196, 255), (255, 150, 40))  # RGB, left and right hand
AXES = ((235, 60, 60), (60, 190, 75), (70, 110, 255))
PAPER, INK, QUIET = (250, 250, 250), (40, 40, 40), (205, 205, 205)
SHIFT = 4  # OpenCV draws at 1/16 of a pixel
PICTURE_WIDTH, STRIP = 800, 64  # [px]
AXIS_LENGTH = 0.05  # [m]
TRAIL = 1.5  # [s]
MARGIN = 0.1  # [m] around the ways
STILLS = 3

BONES = tuple((0 if joint % 4 == 1 else joint - 1, joint) for joint in range(1, len(KEYPOINTS)))
"""From each keypoint to the one before it."""


def make_film(clip: LabelledClip, output: Path) -> Path:
    """Draw every frame; `output` is an .mp4, and a .png of its name has a few of the pictures.

    Returns:
        `output`.
    """
    stills, chosen = [], set(np.linspace(0, len(clip.labels.frames) - 1, STILLS + 2).astype(int)[1:-1].tolist())
    rate = max(1, round(1 / float(np.median(np.diff(clip.seconds))))) if len(clip.seconds) > 1 else 1
    with whole_file(output) as partial:
        writer = None
        for index, picture in enumerate(clip.pictures()):
            image = draw_frame(clip, index, picture)
            if writer is None:
                writer = VideoWriter(partial, EpisodeSettings(fps=rate, height=image.shape[0], width=image.shape[1]))
            writer.add(image)
            stills += [image] if index in chosen else []
        assert writer is not None
        writer.close()
    cv2.imwrite(str(output.with_suffix(".png")), np.concatenate(stills)[..., ::-1])
    return output


def draw_frame(clip: LabelledClip, index: int, picture: Image) -> Image:
    """One picture of the film, (H, W, 3) RGB.

    Args:
        clip: What is known.
        index: Of the frame in the clip.
        picture: (H, W, 3) RGB of that frame.
    """
    scale = PICTURE_WIDTH / picture.shape[1]
    height = 2 * round(picture.shape[0] * scale / 2)
    seen: Image = cv2.resize(picture, (PICTURE_WIDTH, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    for side, color in enumerate(COLORS):
        _draw_skeleton(seen, scale * clip.poses.keypoints[index, side], color)
        _draw_metric(seen, clip, index, side, scale)
    views = np.concatenate(
        [_draw_ways(clip, index, (1, 0), height // 2), _draw_ways(clip, index, (0, 2), height - height // 2)]
    )
    return np.concatenate(
        [np.concatenate([seen, views], axis=1), _draw_times(clip, index, PICTURE_WIDTH + height // 2)]
    )


def _draw_skeleton(canvas: Image, pixels: Array, color: tuple[int, int, int]) -> None:
    for start, end in BONES:
        _line(canvas, pixels[start], pixels[end], color, 2)


def _draw_metric(canvas: Image, clip: LabelledClip, index: int, side: int, scale: float) -> None:
    wrist = clip.state.wrist_positions[index, side]
    axes = AXIS_LENGTH * clip.state.wrist_rotations[index, side].T
    start = scale * clip.project(index, wrist)
    for axis, color in zip(axes, AXES, strict=True):
        _line(canvas, start, scale * clip.project(index, wrist + axis), color, 3)
    ring = COLORS[side] if clip.labels.measured[index, side] else QUIET
    for tip in scale * clip.project(index, clip.state.fingertips_in_robot[index, side]):
        if _drawable(tip):
            cv2.circle(canvas, _fixed(tip), 7 << SHIFT, PAPER, 4, cv2.LINE_AA, SHIFT)
            cv2.circle(canvas, _fixed(tip), 7 << SHIFT, ring, 2, cv2.LINE_AA, SHIFT)


def _draw_ways(clip: LabelledClip, index: int, axes: tuple[int, int], size: int) -> Image:
    """A square picture of the last moments of both wrists in F_R, on two of its axes."""
    canvas: Image = np.full((size, size, 3), PAPER, np.uint8)
    wrists = clip.state.wrist_positions[..., list(axes)]
    known = wrists[np.isfinite(wrists).all(axis=-1)]
    if not len(known):
        return canvas
    low, high = np.minimum(known.min(axis=0), 0) - MARGIN, np.maximum(known.max(axis=0), 0) + MARGIN
    unit = size / float((high - low).max())  # [px/m]

    def place(points: Array) -> Array:
        right, up = (np.moveaxis(points - low, -1, 0)) * unit
        # From above, y (left) runs to the left; from the right side, x (forward) to the right.
        across = (high[0] - low[0]) * unit - right if axes[0] == 1 else right
        return np.stack([across, size - up], axis=-1)

    cv2.circle(canvas, _fixed(place(np.zeros(2))), 5 << SHIFT, INK, -1, cv2.LINE_AA, SHIFT)
    _text(canvas, "from above" if axes[0] == 1 else "from the right", (8, 18))
    _text(canvas, f"{0.1 * 1000:.0f} mm", (8, size - 14))
    _line(canvas, np.array([8.0, size - 8]), np.array([8 + 0.1 * unit, size - 8.0]), INK, 2)
    recent = (clip.seconds <= clip.seconds[index]) & (clip.seconds >= clip.seconds[index] - TRAIL)
    for side, color in enumerate(COLORS):
        way = place(wrists[recent, side])
        for start, end in pairwise(way):
            _line(canvas, start, end, color, 2)
        if len(way) and _drawable(way[-1]):
            cv2.circle(canvas, _fixed(way[-1]), 6 << SHIFT, color, -1, cv2.LINE_AA, SHIFT)
    return canvas


def _draw_times(clip: LabelledClip, index: int, width: int) -> Image:
    """When which hand was measured, and how well the hands of this frame are known."""
    canvas: Image = np.full((STRIP, width, 3), PAPER, np.uint8)
    count = len(clip.seconds)
    for side, color in enumerate(COLORS):
        columns = clip.labels.measured[np.minimum(np.arange(width) * count // width, count - 1), side]
        canvas[6 + 12 * side : 14 + 12 * side] = np.where(columns[None, :, None], np.array(color), np.array(QUIET))
        _text(canvas, _sigmas(clip, index, side), (8 + side * width // 2, STRIP - 10))
    now = round((index + 0.5) * width / count)
    cv2.line(canvas, (now, 2), (now, 28), INK, 2)
    _text(canvas, f"{clip.seconds[index]:.2f} s", (min(now + 6, width - 70), 42))
    return canvas


def _sigmas(clip: LabelledClip, index: int, side: int) -> str:
    name = ("left", "right")[side]
    wrist, tips, turn = (
        float(sigma[index, side])
        for sigma in (clip.labels.wrist_sigma, clip.labels.tips_sigma, clip.labels.rotation_sigma)
    )
    if not np.isfinite(wrist):
        return f"{name}: not seen"
    return f"{name}: wrist {1e3 * wrist:.0f} mm {np.degrees(turn):.0f} deg, tips {1e3 * tips:.0f} mm (1 sigma)"


def _line(canvas: Image, start: Array, end: Array, color: tuple[int, int, int], thickness: int) -> None:
    if _drawable(start) and _drawable(end):
        cv2.line(canvas, _fixed(start), _fixed(end), color, thickness, cv2.LINE_AA, SHIFT)


def _text(canvas: Image, text: str, place: tuple[int, int]) -> None:
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)


def _drawable(pixel: NDArray[np.floating]) -> bool:
    return bool((np.abs(pixel) < 1e4).all())  # NaN is not


def _fixed(pixel: NDArray[np.floating]) -> tuple[int, int]:
    x, y = (np.asarray(pixel) * (1 << SHIFT)).round().astype(int).tolist()
    return x, y
