"""Read a dataset of ours: columns as arrays, video frames as RGB images."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import EpisodeError
from firsthand_training.episodes import layout
from firsthand_training.episodes.layout import CAMERAS, CONVENTION, EpisodeRecord, EpisodeSettings
from firsthand_training.episodes.tables import read_frames, read_records, read_tasks
from firsthand_training.episodes.video import Image, decode_frames

Array = NDArray[np.floating]

OURS = {
    key: (feature["dtype"], feature["shape"])
    for key, feature in layout.features(EpisodeSettings(quality=True)).items()
    if key not in (*layout.IMAGE_KEYS, *layout.JOINT_VECTORS)
}
"""Type and shape of the features whose size no setting changes."""
REQUIRED = (*(key for key in OURS if key != layout.QUALITY), *layout.IMAGE_KEYS)


@dataclass(frozen=True)
class EpisodeData:
    """The numbers of one episode, N frames at the dataset's rate."""

    index: int
    task: str
    stamp_ns: NDArray[np.int64]  # (N,), capture time of the images
    state: Array  # (N, 54), measured
    action: Array  # (N, 54), commanded for the next frame
    joints: Array  # (N, 26), [rad], measured; (N, 0) of a person
    action_joints: Array  # (N, 26), [rad], commanded; (N, 0) of a person
    quality: Array | None = None  # (N,), 0 to 1, how far `state` is to be believed; None if the dataset does not say
    origin: Array | None = None  # (N, 3), [m], of each frame's F_R, in that of a fixed one; None if it does not move

    def __len__(self) -> int:
        return len(self.stamp_ns)


@dataclass(frozen=True)
class Episodes:
    """A dataset on disk; nothing but its index is held in memory."""

    root: Path
    info: dict[str, Any]
    tasks: tuple[str, ...]
    records: tuple[EpisodeRecord, ...]

    @classmethod
    def open(cls, root: Path | str) -> "Episodes":
        """Read the index.

        Raises:
            EpisodeError: No dataset, a damaged one, or one of another format or frame convention.
        """
        root = Path(root)
        info = _read_info(root)
        paths = sorted(root.glob("meta/episodes/*/*.parquet"))
        records = sorted((record for path in paths for record in read_records(path)), key=lambda record: record.index)
        indices = [record.index for record in records]
        if indices != list(range(len(records))):
            raise EpisodeError(f"{root} has episodes {indices}, expected 0 to {len(records) - 1}, each once")
        tasks = read_tasks(root) if records else []
        return cls(root=root, info=info, tasks=tuple(tasks), records=tuple(records))

    def __len__(self) -> int:
        return len(self.records)

    @property
    def fps(self) -> int:
        """Frames per second."""
        return int(self.info["fps"])

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of every image, [px]."""
        height, width, _ = self.info["features"][layout.IMAGE_KEYS[0]]["shape"]
        return height, width

    @property
    def embodiment(self) -> str:
        """Whose hands these are, from `robot_type`: "human", "video" (hands labelled from video), else "robot"."""
        kind = str(self.info.get("robot_type", ""))
        return kind if kind in ("human", "video") else "robot"

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the columns of `joints`; none where a person was recorded."""
        feature = self.info["features"].get(layout.JOINT_STATE)
        return () if feature is None else tuple(feature["names"])

    @property
    def vectors(self) -> tuple[str, ...]:
        """The features that are vectors of numbers."""
        return (*layout.VECTORS, *layout.JOINT_VECTORS) if self.joint_names else layout.VECTORS

    @property
    def frame_count(self) -> int:
        """Frames in all episodes together."""
        return sum(record.length for record in self.records)

    def episode(self, index: int) -> EpisodeData:
        """The numbers of one episode.

        Raises:
            EpisodeError: There is no such episode, or its file is missing or damaged.
        """
        record = self.record(index)
        path = record.data_path(self.root)
        columns = read_frames(path, index)
        missing = [name for name in (*self.vectors, layout.STAMP) if name not in columns]
        if missing:
            raise EpisodeError(f"{path} lacks the columns {missing}")
        if len(columns[layout.STAMP]) != record.length:
            raise EpisodeError(
                f"{path} has {len(columns[layout.STAMP])} frames of episode {index}, not {record.length}"
            )
        none = np.zeros((record.length, 0))
        return EpisodeData(
            index=index,
            task=record.tasks[0],
            stamp_ns=columns[layout.STAMP],
            state=columns[layout.STATE].astype(float),
            action=columns[layout.ACTION].astype(float),
            joints=columns.get(layout.JOINT_STATE, none).astype(float),
            action_joints=columns.get(layout.JOINT_ACTION, none).astype(float),
            quality=columns[layout.QUALITY].astype(float) if layout.QUALITY in columns else None,
            origin=columns[layout.ORIGIN].astype(float) if layout.ORIGIN in columns else None,
        )

    def frames(self, index: int, camera: str) -> Iterator[Image]:
        """Decode one camera's frames of an episode in order, each (H, W, 3) RGB.

        Args:
            index: Which episode.
            camera: "left" or "right".

        Raises:
            EpisodeError: No such episode or camera, or the video is missing, damaged or too short.
        """
        if camera not in CAMERAS:
            raise EpisodeError(f"no camera {camera!r}; there are {', '.join(CAMERAS)}")
        record = self.record(index)
        key = layout.IMAGE_KEYS[CAMERAS.index(camera)]
        if key not in record.videos:
            raise EpisodeError(f"episode {index} of {self.root} has no video of {key}; it has {sorted(record.videos)}")
        first = round(record.videos[key].from_timestamp * self.fps)
        return decode_frames(record.video_path(self.root, key), first, record.length, self.fps)

    def stereo_frames(self, index: int) -> Iterator[Image]:
        """Decode an episode's pairs in order, each (2, H, W, 3) RGB, left then right."""
        for left, right in zip(*(self.frames(index, camera) for camera in CAMERAS), strict=True):
            yield np.stack([left, right])

    def record(self, index: int) -> EpisodeRecord:
        """Where an episode lies; counts from 0."""
        if not 0 <= index < len(self.records):
            raise EpisodeError(f"no episode {index} in {self.root}; it has {len(self.records)}, counted from 0")
        return self.records[index]


def _read_info(root: Path) -> dict[str, Any]:
    path = root / layout.INFO_PATH
    if not path.is_file():
        raise EpisodeError(f"no dataset at {root}: {layout.INFO_PATH} is missing")
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EpisodeError(f"{path} is not JSON: {error}") from error
    _check_convention(info, path)
    return info


def _check_convention(info: Any, path: Path) -> None:
    version = info.get("codebase_version") if isinstance(info, dict) else None
    if version != layout.CODEBASE_VERSION:
        raise EpisodeError(f"{path} says format {version!r}, expected {layout.CODEBASE_VERSION!r}; convert it first")
    if info.get("firsthand") != CONVENTION:
        raise EpisodeError(
            f"{path} has the convention {info.get('firsthand')}, expected {CONVENTION}; "
            "numbers in other frames must be converted, not relabelled"
        )
    if type(info.get("fps")) is not int or info["fps"] < 1:
        raise EpisodeError(f"{path} lacks an integer fps of at least 1, it says {info.get('fps')!r}")
    _check_features(info.get("features"), path)


def _check_features(features: Any, path: Path) -> None:
    """Refuse features that are not described as ours are; further ones may have any name, type and size."""
    if not isinstance(features, dict):
        raise EpisodeError(f"{path} has the features {features!r}, expected an object with a description of each")
    missing = [key for key in REQUIRED if key not in features]
    if missing:
        raise EpisodeError(f"{path} lacks the features {missing}")
    for key, feature in features.items():
        _check_feature(key, feature, path)


def _check_feature(key: str, feature: Any, path: Path) -> None:
    """Refuse a feature without type and size, or one of ours with others than it has."""
    dtype, shape = (feature.get("dtype"), feature.get("shape")) if isinstance(feature, dict) else (None, None)
    if not (isinstance(dtype, str) and _is_shape(shape)):
        raise EpisodeError(f"{path} describes {key} as {feature!r}, expected a dtype and a shape of positive integers")
    if key in layout.IMAGE_KEYS and (dtype != "video" or shape[2:] != [3]):
        raise EpisodeError(f"{path} has {key} of {dtype}, {shape}, expected a video of height, width and 3 channels")
    if key in OURS and (dtype, shape) != OURS[key]:
        raise EpisodeError(f"{path} has {key} of {(dtype, shape)}, expected {OURS[key]}")
    if key in layout.JOINT_VECTORS and not _name_all(feature.get("names"), shape):
        raise EpisodeError(
            f"{path} has {key} of shape {shape} with the names {feature.get('names')!r}, "
            "expected a name for each number"
        )


def _is_shape(shape: Any) -> TypeGuard[list[int]]:
    return isinstance(shape, list) and bool(shape) and all(type(size) is int and size > 0 for size in shape)


def _name_all(names: Any, shape: list[int]) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names) and shape == [len(names)]
