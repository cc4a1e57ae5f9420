"""All that is known of a clip, read back from its stage files for drawing."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand.space.hand_state import HandState
from firsthand_training.labels.stage_files import (
    DEPTH,
    LABELS,
    POSES,
    SCENE,
    Array,
    HandPoses,
    Labels,
    Scene,
    load_stage,
)
from firsthand_training.labels.to_robot_frame import RobotFrameSettings
from firsthand_training.labels.video import frames, open_video

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class LabelledClip:
    """A clip with its camera, its hands in pixels and its hands in metres; N frames."""

    video: Path
    scene: Scene
    poses: HandPoses
    labels: Labels
    settings: RobotFrameSettings  # those that the labels were made with
    depth: Path | None = None  # folder of dense_depth

    def __post_init__(self) -> None:
        """Refuse files of different clips."""
        counts = {len(each.frames) for each in (self.scene, self.poses, self.labels)}
        if len(counts) != 1 or not np.array_equal(self.scene.frames, self.labels.frames):
            raise LabelError(f"expected the stage files of one clip, got {sorted(counts)} frames; make them again")

    @classmethod
    def load(cls, video: Path, folder: Path, settings: RobotFrameSettings) -> "LabelledClip":
        """From the folder of a clip, as `label_videos` leaves it."""
        scene, poses = load_stage(folder / SCENE, Scene), load_stage(folder / POSES, HandPoses)
        depth = folder / DEPTH
        labels = load_stage(folder / LABELS, Labels)
        return cls(video, scene, poses, labels, settings, depth if depth.is_dir() else None)

    @property
    def seconds(self) -> Array:
        """(N,), since the clip began."""
        return (self.labels.stamps_ns - self.labels.stamps_ns[0]) / 1e9

    @cached_property
    def state(self) -> HandState:
        """The hand states (N,); NaN where a side is not labelled."""
        return HandState.from_vector(self.labels.state)

    @cached_property
    def camera_from_robot(self) -> Array:
        """(N, 4, 4), the camera's frame from each frame's own F_R, [m]."""
        rotation = self.settings.camera_from_head @ np.swapaxes(self.state.head_rotation, -1, -2)
        matrix = np.tile(np.eye(4), (len(rotation), 1, 1))
        matrix[:, :3, :3], matrix[:, :3, 3] = rotation, self.settings.eyes_in_camera
        return matrix

    def project(self, index: int, points_in_robot: Array) -> Array:
        """Pixels (..., 2) in the picture of frame `index` of points (..., 3) in its F_R, [m]; NaN behind the camera."""
        matrix = self.camera_from_robot[index]
        points = np.asarray(points_in_robot) @ matrix[:3, :3].T + matrix[:3, 3]
        pixels = points @ self.scene.intrinsics.T
        ahead = np.where(pixels[..., 2:] > 0, pixels[..., 2:], np.nan)
        projected: Array = pixels[..., :2] / ahead
        return projected

    def pictures(self) -> Iterator[Image]:
        """(H, W, 3) RGB, frame by frame."""
        first, last = int(self.labels.frames[0]), int(self.labels.frames[-1]) + 1
        yield from frames(open_video(self.video), first, last)
