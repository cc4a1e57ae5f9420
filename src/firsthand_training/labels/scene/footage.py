"""A clip at the size that is worked with, and what watching it once tells: corners, edges, where hands are."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand_training.labels.clip_frames import clip_frames
from firsthand_training.labels.hand_masks import hand_mask
from firsthand_training.labels.scene.camera import Array, Integers
from firsthand_training.labels.scene.gravity import Sights
from firsthand_training.labels.scene.lines import find_edges
from firsthand_training.labels.scene.settings import SceneSettings
from firsthand_training.labels.scene.tracks import Sighting, track_corners
from firsthand_training.labels.stage_files import Clip, Hands
from firsthand_training.labels.video import open_video

Gray = NDArray[np.uint8]
Mask = NDArray[np.bool_]

FEWEST_KEYFRAMES = 12  # of a clip that has as many frames


class Frame(NamedTuple):
    """A picture at the size that is worked with."""

    number: int  # in the video
    gray: Gray  # (H, W)
    hidden: Mask  # (H, W), by hands


@dataclass(frozen=True)
class Footage:
    """A clip that can be watched again and again."""

    video: Path
    hands: Hands
    clip: Clip
    rate: float  # [Hz]
    full: tuple[int, int]  # width and height, [px]
    size: tuple[int, int]  # as worked with

    @property
    def shrink(self) -> float:
        """[px] of the video in one worked with."""
        return self.full[0] / self.size[0]

    @property
    def unit(self) -> float:
        """[px] worked with in one of a picture of 640x480."""
        return float(np.hypot(*self.size)) / 800

    def frames(self) -> Iterator[Frame]:
        """All frames of the clip, in order."""
        for index, _, picture in clip_frames(self.video, self.clip.first, self.clip.last):
            gray, hidden = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), hand_mask(self.hands, index, self.full)
            if self.size != self.full:
                gray = cv2.resize(gray, self.size, interpolation=cv2.INTER_AREA)
                small = cv2.resize(hidden.astype(np.uint8), self.size, interpolation=cv2.INTER_NEAREST)
                hidden = small.astype(bool)
            yield Frame(index, gray, hidden)

    def middles_of_hands(self, frame: int) -> Array:
        """Of those seen in a frame, (H, 2), [px] worked with."""
        boxes = self.hands.box[self.hands.frame == frame].reshape(-1, 2, 2)
        middles: Array = (boxes[np.isfinite(boxes).all(axis=(1, 2))].mean(axis=1) + 0.5) / self.shrink - 0.5
        return middles


@dataclass(frozen=True)
class Seen:
    """What watching a clip leaves."""

    sightings: list[Sighting]  # of each frame
    keyframes: Integers  # (K,), which of them, those of keyframes
    views: Integers  # (V,), those in whose pictures edges and hands were looked for
    sights: Sights

    @property
    def mapped(self) -> list[Sighting]:
        """Of the keyframes."""
        return [self.sightings[at] for at in self.keyframes]


def open_footage(video: Path, hands: Hands, clip: Clip, longest_side: int) -> Footage:
    """A clip whose pictures' longer side is made that many pixels long if it is longer.

    Raises:
        LabelError: The clip is shorter than three frames or not in the video.
    """
    if not 0 <= clip.first < clip.last - 2:
        raise LabelError(f"a scene needs a clip of 3 frames or more, got frames {clip.first} to {clip.last}")
    opened = open_video(video)
    full = opened.width, opened.height
    shrink = max(1.0, max(full) / longest_side)
    return Footage(video, hands, clip, opened.fps, full, (round(full[0] / shrink), round(full[1] / shrink)))


def watch(footage: Footage, settings: SceneSettings) -> Seen:
    """Watch a clip once, and keep what is needed of it."""
    first, last = footage.clip.first, footage.clip.last
    keyframes = choose_keyframes(footage, settings)
    views = np.unique(np.linspace(first, last - 1, settings.gravity.pictures).round().astype(int)).tolist()
    edges: list[Array] = []

    def passing() -> Iterator[Frame]:
        for frame in footage.frames():
            if frame.number in views:
                edges.append(find_edges(frame.gray, frame.hidden, settings.gravity.shortest))
            yield frame

    sightings = track_corners(passing(), keyframes, settings.mapping.corners)
    hands = [footage.middles_of_hands(number) for number in views]
    return Seen(sightings, np.array(sorted(keyframes)) - first, np.array(views) - first, Sights(edges, hands))


def choose_keyframes(footage: Footage, settings: SceneSettings) -> set[int]:
    """Evenly spread over the clip, the first and the last among them."""
    count = footage.clip.last - footage.clip.first
    wanted = max(round(count * settings.keyframe_rate / footage.rate), min(count, FEWEST_KEYFRAMES))
    wanted = min(wanted, count, settings.max_keyframes)
    return set(np.linspace(footage.clip.first, footage.clip.last - 1, max(wanted, 3)).round().astype(int).tolist())


def resized(intrinsics: Array, shrink: float) -> Array:
    """The same camera with pictures smaller by `shrink`; the corner of the picture stays, not the first pixel."""
    K = intrinsics.copy()
    K[:2] /= shrink
    K[:2, 2] = (intrinsics[:2, 2] + 0.5) / shrink - 0.5
    return K
