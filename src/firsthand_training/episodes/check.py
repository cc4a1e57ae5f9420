"""Find everything that a loader would stumble over, and say it in words.

Errors break a loader or a training run; warnings are worth a look. Nothing in a folder, however damaged, makes the
check itself fail.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import EpisodeError
from firsthand.space.hand_state import ROTATIONS
from firsthand_training.episodes import layout
from firsthand_training.episodes.durable import PARTIAL
from firsthand_training.episodes.layout import EpisodeRecord
from firsthand_training.episodes.read import Episodes
from firsthand_training.episodes.tables import read_frames

Columns = dict[str, NDArray[Any]]

TIMESTAMP_TOLERANCE = 1e-4  # [s], lerobot's own
ROTATION_TOLERANCE = 0.02  # of a column's length and of the columns' dot product


@dataclass(frozen=True)
class Problem:
    """One finding."""

    severity: Literal["error", "warning"]
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.where}: {self.what}"


@dataclass(frozen=True)
class CheckReport:
    """What was found."""

    root: Path
    episodes: int
    frames: int
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The findings that break a loader."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    def raise_if_broken(self) -> None:
        """Raise an EpisodeError that lists the errors, if there are any."""
        if self.errors:
            raise EpisodeError("\n".join(map(str, self.errors)))

    def __str__(self) -> str:
        count = f"{len(self.errors)} errors, {len(self.problems) - len(self.errors)} warnings"
        return "\n".join(
            [*map(str, self.problems), f"{self.root}: {self.episodes} episodes, {self.frames} frames, {count}"]
        )


def check_dataset(root: Path | str, decode: bool = False) -> CheckReport:
    """Check the index, every number and every video's frame times.

    Args:
        root: The dataset.
        decode: Also decode every frame; minutes per hour of video, finds damage inside of a picture.
    """
    root = Path(root)
    try:
        dataset = Episodes.open(root)
    except EpisodeError as error:
        return CheckReport(root, 0, 0, (Problem("error", str(root), str(error)),))
    problems = [*_check_summary(dataset), *_check_leftovers(dataset)]
    expected_index = 0
    for record in dataset.records:
        problems += _check_record(dataset, record, expected_index)
        problems += _check_frames(dataset, record)
        problems += [problem for key in layout.IMAGE_KEYS for problem in _check_video(dataset, record, key, decode)]
        expected_index += record.length
    return CheckReport(root, len(dataset), dataset.frame_count, tuple(problems))


def _check_summary(dataset: Episodes) -> Iterator[Problem]:
    info = dataset.info
    totals = {
        "total_episodes": len(dataset),
        "total_frames": dataset.frame_count,
        "total_tasks": len(dataset.tasks),
    }
    for name, value in totals.items():
        if info.get(name) != value:
            yield Problem("error", layout.INFO_PATH, f"{name} is {info.get(name)}, the episodes say {value}")
    if len(dataset) == 0:
        yield Problem("warning", str(dataset.root), "there is no episode")
        return
    try:
        stats = json.loads((dataset.root / layout.STATS_PATH).read_text(encoding="utf-8"))
        missing = [key for key in info["features"] if key not in stats]
    except (OSError, ValueError, TypeError) as error:
        yield Problem("error", layout.STATS_PATH, f"cannot be read: {error}")
        return
    if missing:
        yield Problem("error", layout.STATS_PATH, f"lacks {', '.join(missing)}")


def _check_leftovers(dataset: Episodes) -> Iterator[Problem]:
    known = {record.data_path(dataset.root) for record in dataset.records}
    known |= {record.video_path(dataset.root, key) for record in dataset.records for key in record.videos}
    for path in sorted([*dataset.root.glob("data/*/*.parquet"), *dataset.root.glob("videos/*/*/*.mp4")]):
        if path not in known:
            name = str(path.relative_to(dataset.root))
            yield Problem(
                "error", name, "belongs to no episode, but loaders read it; open the dataset with EpisodeWriter"
            )
    for path in sorted(dataset.root.rglob(f"*{PARTIAL}")):
        yield Problem("warning", str(path.relative_to(dataset.root)), "is left of an episode that was never saved")


def _check_record(dataset: Episodes, record: EpisodeRecord, expected_index: int) -> Iterator[Problem]:
    where = f"episode {record.index}"
    if record.length < 1:
        yield Problem("error", where, f"has {record.length} frames")
    if record.from_index != expected_index:
        yield Problem(
            "error", where, f"begins at index {record.from_index}, the episodes before end at {expected_index}"
        )
    unknown = [task for task in record.tasks if task not in dataset.tasks]
    if unknown:
        yield Problem(
            "error", where, f"has tasks {list(record.tasks)}, {layout.TASKS_PATH} lists {list(dataset.tasks)}"
        )
    for key in layout.IMAGE_KEYS:
        if key not in record.videos:
            yield Problem("error", where, f"has no video of {key}")


def _check_frames(dataset: Episodes, record: EpisodeRecord) -> Iterator[Problem]:
    where = f"episode {record.index}"
    try:
        columns = read_frames(record.data_path(dataset.root), record.index)
    except EpisodeError as error:
        yield Problem("error", where, str(error))
        return
    wrong = list(_check_columns(dataset, record, columns, where))
    yield from wrong
    if not wrong:
        yield from _check_counters(dataset, record, columns, where)
        yield from _check_numbers(dataset, columns, where)


def _check_columns(dataset: Episodes, record: EpisodeRecord, columns: Columns, where: str) -> Iterator[Problem]:
    for name, feature in dataset.info["features"].items():
        if feature["dtype"] == "video":
            continue
        if name not in columns:
            yield Problem("error", where, f"lacks the column {name}")
            continue
        size = feature["shape"][0]
        expected = (record.length,) if size == 1 else (record.length, size)
        found = columns[name]
        if found.shape != expected or str(found.dtype) != feature["dtype"]:
            yield Problem(
                "error", where, f"{name} is {found.dtype} {found.shape}, expected {feature['dtype']} {expected}"
            )


def _check_counters(dataset: Episodes, record: EpisodeRecord, columns: Columns, where: str) -> Iterator[Problem]:
    frames = np.arange(record.length)
    expected = {"frame_index": frames, "index": frames + record.from_index}
    for name, values in expected.items():
        if not np.array_equal(columns[name], values):
            yield Problem("error", where, f"{name} does not count from {values[0]} to {values[-1]}")
    error = np.abs(columns["timestamp"] - frames / dataset.fps).max()
    if not error < TIMESTAMP_TOLERANCE:
        yield Problem("error", where, f"timestamp differs from frame_index / {dataset.fps} by {error:.6f} s")
    if columns["task_index"].min() < 0 or columns["task_index"].max() >= len(dataset.tasks):
        yield Problem("error", where, f"task_index is not among the {len(dataset.tasks)} tasks")
    periods = np.diff(columns[layout.STAMP]) * dataset.fps / 1e9  # 1 is as it should be
    if (periods <= 0).any():
        yield Problem("error", where, f"{layout.STAMP} does not grow at frame {int(np.argmax(periods <= 0)) + 1}")
    elif (periods > 2.0).any() or (len(periods) and not 0.9 < periods.mean() < 1.1):
        slowest = periods.max() / dataset.fps
        yield Problem("warning", where, f"was not recorded at {dataset.fps} Hz: a frame took {slowest:.3f} s")


def _check_numbers(dataset: Episodes, columns: Columns, where: str) -> Iterator[Problem]:
    for name in dataset.vectors:
        finite = np.isfinite(columns[name])
        if not finite.all():
            frame, number = np.argwhere(~finite)[0]
            yield Problem("error", where, f"{name} is not finite at frame {frame}, number {number}")
    for name in (layout.STATE, layout.ACTION):
        error = _rotation_error(columns[name])
        if error > ROTATION_TOLERANCE:  # false for NaN, which has been reported
            yield Problem(
                "error", where, f"{name} holds rotations whose columns are off by {error:.3f} from orthonormal"
            )


def _rotation_error(vectors: NDArray[Any]) -> float:
    """How far the three pairs of columns of (N, 54) are from orthonormal, at worst."""
    columns = vectors[:, ROTATIONS].astype(float).reshape(-1, 2, 3)
    products = columns @ np.swapaxes(columns, 1, 2)
    return float(np.abs(products - np.eye(2)).max())


def _check_video(dataset: Episodes, record: EpisodeRecord, key: str, decode: bool) -> Iterator[Problem]:
    if key not in record.videos:
        return
    part, path = record.videos[key], record.video_path(dataset.root, key)
    where = f"episode {record.index}, {path.relative_to(dataset.root)}"
    if abs((part.to_timestamp - part.from_timestamp) * dataset.fps - record.length) > 0.01:
        span = f"{part.from_timestamp} to {part.to_timestamp} s"
        yield Problem(
            "error", where, f"the row gives it {span}, which is not {record.length} frames at {dataset.fps} Hz"
        )
        return
    try:
        yield from _check_stream(dataset, record, key, path, where)
        if decode:
            for _ in dataset.frames(record.index, layout.CAMERAS[layout.IMAGE_KEYS.index(key)]):
                pass
    except EpisodeError as error:
        yield Problem("error", where, str(error))
    except (av.FFmpegError, OSError, IndexError, TypeError, ZeroDivisionError) as error:
        yield Problem("error", where, f"is missing or damaged: {error}")


def _check_stream(dataset: Episodes, record: EpisodeRecord, key: str, path: Path, where: str) -> Iterator[Problem]:
    first = round(record.videos[key].from_timestamp * dataset.fps)
    height, width, _ = dataset.info["features"][key]["shape"]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if (stream.height, stream.width) != (height, width):
            yield Problem("error", where, f"is {stream.width}x{stream.height}, info.json says {width}x{height}")
        times = sorted(packet.pts * packet.time_base for packet in container.demux(stream) if packet.pts is not None)
    part = np.array([float(time) for time in times[first : first + record.length]])
    if len(part) < record.length:
        yield Problem("error", where, f"ends after {len(part)} of {record.length} frames")
        return
    error = np.abs(part - (first + np.arange(record.length)) / dataset.fps).max()
    if error > TIMESTAMP_TOLERANCE:
        yield Problem("error", where, f"frame times are off by {error:.6f} s")
