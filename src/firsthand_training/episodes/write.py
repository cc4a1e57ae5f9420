"""Write episodes as they happen; what is saved is on disk, whole, whatever happens next.

Until `merge_datasets` consolidates them, an episode has one parquet file, one mp4 per camera and one row file, all
with its running number. The row file is renamed into place last: an episode without one does not exist.
"""

import fcntl
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import EpisodeError, ShapeError
from firsthand.space.hand_state import SIZE
from firsthand_training.episodes import layout
from firsthand_training.episodes.durable import PARTIAL, partial_path, put_in_place, write_text
from firsthand_training.episodes.layout import (
    CAMERAS,
    IMAGE_KEYS,
    EpisodeRecord,
    EpisodeSettings,
    VideoPart,
    file_place,
)
from firsthand_training.episodes.read import Episodes
from firsthand_training.episodes.stats import ImageStats, Stats, column_stats, merge_stats, to_json
from firsthand_training.episodes.tables import read_episode_stats, write_frames, write_records, write_tasks
from firsthand_training.episodes.video import VideoWriter

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Frame:
    """What was seen, measured and commanded at one time t."""

    stamp_ns: int  # capture time of the images
    state: Array  # (54,), measured hand state at t
    action: Array  # (54,), commanded hand state for t+1, absolute, in the robot frame of t
    joints: Array  # (26,), [rad], measured; (0,) of a person
    action_joints: Array  # (26,), [rad], commanded; (0,) of a person
    images: NDArray[np.uint8]  # (2, H, W, 3) RGB, left then right
    quality: float = 1.0  # 0 to 1, how far `state` is to be believed; kept if the dataset's settings say so
    origin: Array | None = None  # (3,), [m], of F_R at t in a fixed one with its axes; wanted if the settings say so
    sigma: Array | None = None  # (6,), in the order of `layout.SIGMA_NAMES`; wanted if the settings say so


class EpisodeWriter:
    """Appends episodes to the dataset at `root`, which it makes if there is none.

    One writer per dataset at a time; parallel workers write datasets of their own and `merge_datasets` joins them.

    Raises:
        EpisodeError: The folder holds something else, a dataset of another shape or convention, or another
            writer is at work.
    """

    def __init__(self, root: Path | str, settings: EpisodeSettings | None = None) -> None:
        self.root = Path(root)
        self.settings = settings or EpisodeSettings()
        self._info = layout.new_info(self.settings)
        self._seen_keys = IMAGE_KEYS[:1] if self.settings.one_camera else IMAGE_KEYS  # the other is a copy
        self._records: list[EpisodeRecord] = []
        self._tasks: list[str] = []
        self._stats: dict[str, Stats] = {}
        self._lock = _lock(self.root)
        try:
            self._open_dataset()
        except BaseException:
            self._lock.close()
            raise
        self._task: str | None = None
        self._frames: list[Frame] = []
        self._videos: dict[str, VideoWriter] = {}
        self._image_stats: dict[str, ImageStats] = {}

    def __len__(self) -> int:
        return len(self._records)

    def start(self, task: str) -> None:
        """Begin an episode; `task` is the instruction in words."""
        if self._task is not None:
            raise EpisodeError(f"an episode of task {self._task!r} is being written; save() or discard() it first")
        if not task.strip():
            raise EpisodeError("an episode needs a task in words, got an empty one")
        self._task = task
        self._frames = []
        self._videos = {key: VideoWriter(partial_path(self._video_path(key)), self.settings) for key in self._seen_keys}
        self._image_stats = {key: ImageStats() for key in self._seen_keys}

    def add(self, frame: Frame) -> None:
        """Append one frame.

        Raises:
            EpisodeError: No episode was started, a number is not finite, or time does not advance.
            ShapeError: An array has another shape than the dataset's.
        """
        if self._task is None:
            raise EpisodeError("no episode to add a frame to; call start(task) first")
        self._check(frame)
        for key, image in zip(self._seen_keys, frame.images, strict=False):
            self._videos[key].add(image)
            self._image_stats[key].add(image)
        self._frames.append(_without_images(frame))

    def save(self) -> Path:
        """Put the episode on disk for good; returns its parquet file.

        Raises:
            EpisodeError: There is no frame to save.
        """
        if self._task is None or not self._frames:
            raise EpisodeError("nothing to save: an episode needs start(task) and at least one frame")
        for key, video in self._videos.items():
            video.close()
            put_in_place(partial_path(self._video_path(key)), self._video_path(key))
        self._copy_views()
        record = self._record()
        columns = self._columns(record)
        stats = {name: column_stats(values) for name, values in columns.items()}
        stats |= {key: self._image_stats.get(key, self._image_stats[IMAGE_KEYS[0]]).result() for key in IMAGE_KEYS}
        write_frames(record.data_path(self.root), columns)
        write_tasks(self.root, self._tasks)
        write_records(record.meta_path(self.root), [record], [stats])  # from here on the episode exists
        self._records.append(record)
        self._stats = _merged(self._stats, stats)
        write_summary(self.root, self._info, self._records, len(self._tasks), self._stats)
        self._forget()
        return record.data_path(self.root)

    def _copy_views(self) -> None:
        """The views that show what the first one does, from its file."""
        for key in IMAGE_KEYS[len(self._seen_keys) :]:
            partial = partial_path(self._video_path(key))
            shutil.copyfile(self._video_path(IMAGE_KEYS[0]), partial)
            put_in_place(partial, self._video_path(key))

    def discard(self) -> None:
        """Drop the episode being written, if there is one."""
        for key, video in self._videos.items():
            video.abandon()
            partial_path(self._video_path(key)).unlink(missing_ok=True)
        self._forget()

    def close(self) -> None:
        """Drop an unfinished episode and let another writer in."""
        self.discard()
        self._lock.close()

    def __enter__(self) -> "EpisodeWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_dataset(self) -> None:
        if not (self.root / layout.INFO_PATH).exists():
            write_text(self.root / layout.MODALITY_PATH, layout.modality_text())
            write_text(self.root / layout.INFO_PATH, json.dumps(self._info, indent=2))
            return
        _drop_unfinished(self.root)
        dataset = Episodes.open(self.root)
        _check_same(dataset.info, self._info, self.root)
        self._records = list(dataset.records)
        self._tasks = list(dataset.tasks)
        self._stats = _stored_stats(self.root, self._records)
        _drop_orphans(self.root, self._records)
        if self._records:
            write_summary(self.root, self._info, self._records, len(self._tasks), self._stats)

    def _check(self, frame: Frame) -> None:
        joints = len(self.settings.joint_names)
        _check_vector("state", frame.state, SIZE)
        _check_vector("action", frame.action, SIZE)
        _check_vector("joints", frame.joints, joints)
        _check_vector("action_joints", frame.action_joints, joints)
        expected = (len(CAMERAS), self.settings.height, self.settings.width, 3)
        if frame.images.shape != expected or frame.images.dtype != np.uint8:
            raise ShapeError(f"expected uint8 images {expected}, got {frame.images.dtype} {frame.images.shape}")
        if self.settings.one_camera and not np.array_equal(frame.images[0], frame.images[1]):
            raise EpisodeError("expected the same picture for both views of a dataset of one camera")
        if self.settings.origin and (frame.origin is None or frame.origin.shape != (3,)):
            raise EpisodeError(f"expected the origin of F_R, 3 numbers, got {frame.origin}")
        if self.settings.sigma:
            _check_vector("sigma", np.zeros(0) if frame.sigma is None else frame.sigma, len(layout.SIGMA_NAMES))
        if not 0 <= frame.quality <= 1:
            raise EpisodeError(f"expected a quality from 0 to 1, got {frame.quality}")
        if self._frames and frame.stamp_ns <= self._frames[-1].stamp_ns:
            raise EpisodeError(f"stamps must grow: {frame.stamp_ns} after {self._frames[-1].stamp_ns}")

    def _number(self) -> int:
        """The running number of the next files: behind every file in use, whether consolidated or not."""
        used = [layout.CHUNK_SIZE * record.data_chunk + record.data_file for record in self._records]
        used += [layout.CHUNK_SIZE * record.meta_chunk + record.meta_file for record in self._records]
        used += [
            layout.CHUNK_SIZE * part.chunk + part.file for record in self._records for part in record.videos.values()
        ]
        return max(used, default=-1) + 1

    def _video_path(self, key: str) -> Path:
        chunk, file = file_place(self._number())
        return self.root / layout.VIDEO_PATH.format(video_key=key, chunk_index=chunk, file_index=file)

    def _record(self) -> EpisodeRecord:
        assert self._task is not None
        if self._task not in self._tasks:
            self._tasks.append(self._task)
        chunk, file = file_place(self._number())
        length = len(self._frames)
        return EpisodeRecord(
            index=len(self._records),
            length=length,
            tasks=(self._task,),
            from_index=sum(record.length for record in self._records),
            data_chunk=chunk,
            data_file=file,
            meta_chunk=chunk,
            meta_file=file,
            videos={key: VideoPart(chunk, file, 0.0, length / self.settings.fps) for key in IMAGE_KEYS},
        )

    def _columns(self, record: EpisodeRecord) -> dict[str, NDArray[Any]]:
        assert self._task is not None
        frames = np.arange(record.length, dtype=np.int64)
        quality = np.array([frame.quality for frame in self._frames], dtype=np.float32)
        origin = np.array([frame.origin for frame in self._frames], dtype=np.float32) if self.settings.origin else None
        sigma = np.array([frame.sigma for frame in self._frames], dtype=np.float32) if self.settings.sigma else None
        joints = {
            layout.JOINT_STATE: np.array([frame.joints for frame in self._frames], dtype=np.float32),
            layout.JOINT_ACTION: np.array([frame.action_joints for frame in self._frames], dtype=np.float32),
        }
        return {
            layout.STATE: np.array([frame.state for frame in self._frames], dtype=np.float32),
            layout.ACTION: np.array([frame.action for frame in self._frames], dtype=np.float32),
            **(joints if self.settings.joint_names else {}),
            layout.STAMP: np.array([frame.stamp_ns for frame in self._frames], dtype=np.int64),
            **({layout.QUALITY: quality} if self.settings.quality else {}),
            **({} if origin is None else {layout.ORIGIN: origin}),
            **({} if sigma is None else {layout.SIGMA: sigma}),
            "timestamp": (frames / self.settings.fps).astype(np.float32),
            "frame_index": frames,
            "episode_index": np.full(record.length, record.index, dtype=np.int64),
            "index": frames + record.from_index,
            "task_index": np.full(record.length, self._tasks.index(self._task), dtype=np.int64),
        }

    def _forget(self) -> None:
        self._task, self._frames, self._videos, self._image_stats = None, [], {}, {}


def write_summary(
    root: Path, info: dict[str, Any], records: list[EpisodeRecord], task_count: int, stats: dict[str, Stats]
) -> None:
    """Rewrite the files that only repeat what the episodes say: info.json and stats.json."""
    totals = {
        "total_episodes": len(records),
        "total_frames": sum(record.length for record in records),
        "total_tasks": task_count,
        "splits": {"train": f"0:{len(records)}"},
    }
    write_text(root / layout.STATS_PATH, json.dumps(to_json(stats), indent=2))
    write_text(root / layout.INFO_PATH, json.dumps({**info, **totals}, indent=2))


def _lock(root: Path) -> IO[str]:
    """Hold the dataset for this process; the system lets go when the process ends, however it ends."""
    (root / "meta").mkdir(parents=True, exist_ok=True)
    lock = open(root / "meta" / ".lock", "w", encoding="utf-8")  # noqa: SIM115 -- held until close()
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise EpisodeError(f"another writer has {root} open; write to a folder of your own and merge") from error
    return lock


def _check_vector(name: str, vector: Array, size: int) -> None:
    shape = np.shape(vector)
    if shape != (size,):
        raise ShapeError(f"expected {name} of shape ({size},), got {shape}")
    if not np.isfinite(vector).all():
        raise EpisodeError(f"{name} has numbers that are not finite, first at {int(np.argmin(np.isfinite(vector)))}")


def _check_same(found: dict[str, Any], expected: dict[str, Any], root: Path) -> None:
    for key in ("fps", "robot_type", "features"):
        if found[key] != expected[key]:
            raise EpisodeError(
                f"{root} has {key} {found[key]}, these settings ask for {expected[key]}; "
                "use its settings or another folder"
            )


def _without_images(frame: Frame) -> Frame:
    """The frame as it is kept until save(): the images are in the encoder already."""
    return Frame(
        stamp_ns=int(frame.stamp_ns),
        state=np.array(frame.state),
        action=np.array(frame.action),
        joints=np.array(frame.joints),
        action_joints=np.array(frame.action_joints),
        images=np.empty((0,), dtype=np.uint8),
        quality=float(frame.quality),
        origin=None if frame.origin is None else np.array(frame.origin),
        sigma=None if frame.sigma is None else np.array(frame.sigma),
    )


def _merged(total: dict[str, Stats], episode: dict[str, Stats]) -> dict[str, Stats]:
    if not total:
        return episode
    return {key: merge_stats([total[key], part]) for key, part in episode.items()}


def _stored_stats(root: Path, records: list[EpisodeRecord]) -> dict[str, Stats]:
    """Statistics over all episodes, from their rows: stats.json may be one episode behind after a crash."""
    paths = sorted({record.meta_path(root) for record in records})
    parts = [stats for path in paths for stats in read_episode_stats(path).values()]
    if not parts:
        return {}
    return {key: merge_stats([part[key] for part in parts]) for key in parts[0]}


def _drop_unfinished(root: Path) -> None:
    for path in root.rglob(f"*{PARTIAL}"):
        path.unlink()


def _drop_orphans(root: Path, records: list[EpisodeRecord]) -> None:
    """Remove the files of an episode whose row a crash kept from being written."""
    known = {record.data_path(root) for record in records}
    known |= {record.video_path(root, key) for record in records for key in record.videos}
    for path in [*root.glob("data/*/*.parquet"), *root.glob("videos/*/*/*.mp4")]:
        if path not in known:
            path.unlink()
