"""Where a LeRobotDataset v3.0 keeps what, and what our features are called.

root/
  meta/info.json  stats.json  modality.json  tasks.parquet
  meta/episodes/chunk-000/file-000.parquet          one row per episode
  data/chunk-000/file-000.parquet                   one row per frame
  videos/observation.images.left/chunk-000/file-000.mp4
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firsthand.robot.joints import JOINTS
from firsthand.space import hand_state

CODEBASE_VERSION = "v3.0"
CHUNK_SIZE = 1000  # files per folder
DATA_FILE_SIZE_MB = 100
VIDEO_FILE_SIZE_MB = 200
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
INFO_PATH = "meta/info.json"
STATS_PATH = "meta/stats.json"
TASKS_PATH = "meta/tasks.parquet"
MODALITY_PATH = "meta/modality.json"

CAMERAS = ("left", "right")
IMAGE_KEYS = tuple(f"observation.images.{camera}" for camera in CAMERAS)
STATE = "observation.state"
ACTION = "action"
JOINT_STATE = "observation.joints"
JOINT_ACTION = "action.joints"
STAMP = "observation.stamp_ns"
QUALITY = "observation.quality"  # optional
ORIGIN = "observation.origin"  # optional: where F_R has moved to, with a head that moves
SIGMA = "observation.sigma"  # optional: how far labels from video may be off
SIGMA_NAMES = tuple(f"{side}_{what}" for what in ("wrist", "rotation", "tips") for side in CAMERAS)  # [m], [rad], [m]
COPY_OF = "video.copy_of"  # in the description of a view: a single camera's picture stands for both eyes
VECTORS = (STATE, ACTION)
JOINT_VECTORS = (JOINT_STATE, JOINT_ACTION)  # not of people, who have no joints that are measured

CONVENTION = {"format_version": 1, "frame": "eyes_gravity", "rotation": "columns"}
"""The extra key `firsthand` of info.json: readers refuse a dataset that says otherwise."""


@dataclass(frozen=True)
class EpisodeSettings:
    """What every episode of one dataset shares, and how its videos are encoded."""

    fps: int = 25
    height: int = 360  # [px]
    width: int = 640  # [px]
    joint_names: tuple[str, ...] = JOINTS  # none: the dataset has no columns of joints
    robot_type: str = "unitree_h1_2_inspire"  # or "human" (a person's hands, tracked) or "video" (labels from video)
    quality: bool = False  # whether every frame says how far its hand state is to be believed
    origin: bool = False  # whether every frame says where its F_R is
    sigma: bool = False  # whether every frame says how far its hand state may be off
    one_camera: bool = False  # both views are the same picture, of a video without a second eye
    preset: str = "veryfast"  # x264's; slower presets save little at this quality
    crf: int = 18  # x264's constant quality; smaller is better
    keyframe_interval: int = 5  # [frames], how many are decoded at most to reach one


@dataclass(frozen=True)
class VideoPart:
    """The stretch of one camera's file that belongs to an episode."""

    chunk: int
    file: int
    from_timestamp: float  # [s]
    to_timestamp: float  # [s]


@dataclass(frozen=True)
class EpisodeRecord:
    """One row of meta/episodes: where an episode lies."""

    index: int
    length: int  # [frames]
    tasks: tuple[str, ...]
    from_index: int  # of its first frame in the whole dataset
    data_chunk: int
    data_file: int
    meta_chunk: int
    meta_file: int
    videos: dict[str, VideoPart] = field(default_factory=dict)  # by image key

    def data_path(self, root: Path) -> Path:
        """The parquet file that holds its frames."""
        return root / DATA_PATH.format(chunk_index=self.data_chunk, file_index=self.data_file)

    def video_path(self, root: Path, key: str) -> Path:
        """The mp4 file that holds its frames from one camera."""
        part = self.videos[key]
        return root / VIDEO_PATH.format(video_key=key, chunk_index=part.chunk, file_index=part.file)

    def meta_path(self, root: Path) -> Path:
        """The parquet file that holds its row."""
        return root / EPISODES_PATH.format(chunk_index=self.meta_chunk, file_index=self.meta_file)


def file_place(number: int) -> tuple[int, int]:
    """Chunk and file index of the file with this running number."""
    return divmod(number, CHUNK_SIZE)


def features(settings: EpisodeSettings) -> dict[str, dict[str, Any]]:
    """The `features` of info.json, in the order of the parquet columns."""
    state_names = list(hand_state.NAMES)
    return {
        STATE: _feature("float32", len(state_names), state_names),
        ACTION: _feature("float32", len(state_names), state_names),
        **{key: _joint_feature(settings) for key in JOINT_VECTORS if settings.joint_names},
        STAMP: _feature("int64", 1),
        **({QUALITY: _feature("float32", 1)} if settings.quality else {}),
        **({ORIGIN: _feature("float32", 3, ["x", "y", "z"])} if settings.origin else {}),
        **({SIGMA: _feature("float32", len(SIGMA_NAMES), list(SIGMA_NAMES))} if settings.sigma else {}),
        **{key: _video_feature(settings, key) for key in IMAGE_KEYS},
        "timestamp": _feature("float32", 1),
        "frame_index": _feature("int64", 1),
        "episode_index": _feature("int64", 1),
        "index": _feature("int64", 1),
        "task_index": _feature("int64", 1),
    }


def new_info(settings: EpisodeSettings) -> dict[str, Any]:
    """info.json of a dataset without episodes."""
    return {
        "codebase_version": CODEBASE_VERSION,
        "robot_type": settings.robot_type,
        "total_episodes": 0,
        "total_frames": 0,
        "total_tasks": 0,
        "chunks_size": CHUNK_SIZE,
        "data_files_size_in_mb": DATA_FILE_SIZE_MB,
        "video_files_size_in_mb": VIDEO_FILE_SIZE_MB,
        "fps": settings.fps,
        "splits": {},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "features": features(settings),
        "firsthand": CONVENTION,
    }


def modality_text() -> str:
    """GR00T's meta/modality.json: which numbers of a vector are what.

    Rotations are the first two *columns* of the matrix; a reader that converts `rotation_6d` as two rows
    gets the transpose.
    """
    description = {
        "state": _parts(STATE),
        "action": _parts(ACTION),
        "video": {camera: {"original_key": key} for camera, key in zip(CAMERAS, IMAGE_KEYS, strict=True)},
        "annotation": {"human.task_description": {"original_key": "task_index"}},
    }
    return json.dumps(description, indent=2)


def _parts(key: str) -> dict[str, Any]:
    rotations = {
        "head_rotation": hand_state.HEAD_ROTATION,
        "left_wrist_rotation": hand_state.LEFT_WRIST_ROTATION,
        "right_wrist_rotation": hand_state.RIGHT_WRIST_ROTATION,
    }
    points = {
        "left_wrist_position": hand_state.LEFT_WRIST_POSITION,
        "right_wrist_position": hand_state.RIGHT_WRIST_POSITION,
        "left_fingertips": hand_state.LEFT_FINGERTIPS,
        "right_fingertips": hand_state.RIGHT_FINGERTIPS,
    }
    return {
        name: {"start": part.start, "end": part.stop, "original_key": key, "absolute": True}
        | ({"rotation_type": "rotation_6d"} if name in rotations else {})
        for name, part in {**rotations, **points}.items()
    }


def _feature(dtype: str, size: int, names: list[str] | None = None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [size], "names": names}


def _joint_feature(settings: EpisodeSettings) -> dict[str, Any]:
    return _feature("float32", len(settings.joint_names), list(settings.joint_names))


def _video_feature(settings: EpisodeSettings, key: str) -> dict[str, Any]:
    return {
        "dtype": "video",
        "shape": [settings.height, settings.width, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": settings.height,
            "video.width": settings.width,
            "video.codec": "h264",
            "video.pix_fmt": "yuv420p",
            "video.is_depth_map": False,
            "video.fps": settings.fps,
            "video.channels": 3,
            "has_audio": False,
            **({COPY_OF: IMAGE_KEYS[0]} if settings.one_camera and key != IMAGE_KEYS[0] else {}),
        },
    }
