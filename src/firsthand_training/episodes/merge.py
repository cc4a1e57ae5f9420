"""Join datasets into one of few large files; videos are copied packet by packet, never encoded again."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from firsthand.errors import EpisodeError
from firsthand_training.episodes import layout
from firsthand_training.episodes.durable import PARTIAL, fsync_tree, put_in_place, write_text
from firsthand_training.episodes.layout import EpisodeRecord, VideoPart, file_place
from firsthand_training.episodes.read import Episodes
from firsthand_training.episodes.stats import Stats, column_stats, merge_stats
from firsthand_training.episodes.tables import frame_table, read_episode_stats, read_frames, write_records, write_tasks
from firsthand_training.episodes.write import write_summary

Keep = Callable[[Episodes, EpisodeRecord], bool]

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class MergeSettings:
    """When a new file is begun."""

    data_file_mb: int = layout.DATA_FILE_SIZE_MB
    video_file_mb: int = layout.VIDEO_FILE_SIZE_MB


@dataclass(frozen=True)
class _Source:
    """An episode and the dataset that it comes from."""

    dataset: Episodes
    record: EpisodeRecord
    stats: dict[str, Stats]


def merge_datasets(
    sources: Sequence[Path | str], output: Path | str, keep: Keep | None = None, settings: MergeSettings | None = None
) -> Path:
    """Write the episodes of all sources, in order, into a new dataset.

    Args:
        sources: Datasets of the same rate, features and robot; one alone is consolidated.
        output: The folder to make; it appears when it is complete.
        keep: Says of an episode whether it stays; all do if not given.
        settings: File sizes.

    Returns:
        `output`.

    Raises:
        EpisodeError: The sources differ or are damaged, nothing is left, or `output` exists.
    """
    output, settings = Path(output), settings or MergeSettings()
    if output.exists():
        raise EpisodeError(f"{output} exists already; merge into a new folder")
    datasets = [Episodes.open(source) for source in sources]
    episodes = [source for dataset in datasets for source in _episodes(dataset, keep)]
    if not episodes:
        raise EpisodeError(f"no episode to merge in {', '.join(map(str, sources)) or 'no sources'}")
    _check_alike(datasets)
    partial = output.with_name(output.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write_dataset(partial, episodes, settings)
        fsync_tree(partial)
        put_in_place(partial, output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return output


def _episodes(dataset: Episodes, keep: Keep | None) -> Iterator[_Source]:
    stats = {}
    for path in sorted({record.meta_path(dataset.root) for record in dataset.records}):
        stats.update(read_episode_stats(path))
    for record in dataset.records:
        if keep is None or keep(dataset, record):
            yield _Source(dataset, record, stats[record.index])


def _check_alike(datasets: Sequence[Episodes]) -> None:
    first = datasets[0]
    for other in datasets[1:]:
        for key in ("fps", "robot_type", "features"):
            if other.info[key] != first.info[key]:
                raise EpisodeError(
                    f"{other.root} has {key} {other.info[key]}, {first.root} has {first.info[key]}; they do not mix"
                )


def _write_dataset(root: Path, episodes: Sequence[_Source], settings: MergeSettings) -> None:
    tasks = list(dict.fromkeys(task for source in episodes for task in source.record.tasks))
    records = [replace(source.record, index=i, meta_chunk=0, meta_file=0) for i, source in enumerate(episodes)]
    starts = np.cumsum([0, *(record.length for record in records)])
    records = [replace(record, from_index=int(start)) for record, start in zip(records, starts, strict=False)]
    for key in layout.IMAGE_KEYS:
        parts = _write_videos(root, key, episodes, settings.video_file_mb * MEGABYTE)
        records = [replace(r, videos={**r.videos, key: part}) for r, part in zip(records, parts, strict=True)]
    records, stats = _write_data(root, episodes, records, tasks, settings.data_file_mb * MEGABYTE)
    write_records(records[0].meta_path(root), records, stats)
    write_tasks(root, tasks)
    write_text(root / layout.MODALITY_PATH, layout.modality_text())
    totals = {key: merge_stats([part[key] for part in stats]) for key in stats[0]}
    write_summary(root, episodes[0].dataset.info, records, len(tasks), totals)


def _write_data(
    root: Path, episodes: Sequence[_Source], records: list[EpisodeRecord], tasks: list[str], limit: int
) -> tuple[list[EpisodeRecord], list[dict[str, Stats]]]:
    """One row group per episode, so that reading one episode reads nothing else."""
    placed, stats, number, size = [], [], -1, limit
    with ExitStack() as files:
        writer: Any = None
        for source, record in zip(episodes, records, strict=True):
            columns = _renumbered(source, record, tasks)
            table = frame_table(columns)
            if size + table.nbytes > limit:
                files.close()
                number, size = number + 1, 0
                path = root / layout.DATA_PATH.format(**_place(number))
                path.parent.mkdir(parents=True, exist_ok=True)
                writer = files.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table)
            size += table.nbytes
            chunk, file = file_place(number)
            placed.append(replace(record, data_chunk=chunk, data_file=file))
            stats.append(source.stats | {name: column_stats(columns[name]) for name in _NUMBERS})
    return placed, stats


_NUMBERS = ("episode_index", "index", "task_index")
"""The columns that a merge changes."""


def _renumbered(source: _Source, record: EpisodeRecord, tasks: list[str]) -> dict[str, NDArray[Any]]:
    columns = read_frames(source.record.data_path(source.dataset.root), source.record.index)
    if len(columns["index"]) != record.length:
        raise EpisodeError(f"{source.dataset.root}: episode {source.record.index} is not {record.length} frames long")
    old_tasks = source.dataset.tasks
    return {
        **columns,
        "episode_index": np.full(record.length, record.index, dtype=np.int64),
        "index": np.arange(record.from_index, record.from_index + record.length),
        "task_index": np.array([tasks.index(old_tasks[i]) for i in columns["task_index"]], dtype=np.int64),
    }


def _write_videos(root: Path, key: str, episodes: Sequence[_Source], limit: int) -> list[VideoPart]:
    """Copy one camera's packets; a new file begins at the size limit or where the encoder was set otherwise."""
    parts: list[VideoPart] = []
    with ExitStack() as files:
        target: _VideoFile | None = None
        for source in episodes:
            path = source.record.video_path(source.dataset.root, key)
            first = round(source.record.videos[key].from_timestamp * source.dataset.fps)
            with _OpenVideo(path) as video:
                if target is None or target.size >= limit or target.header != video.header:
                    files.close()
                    target = _VideoFile(
                        root, key, 0 if target is None else target.number + 1, video, source.dataset.fps
                    )
                    files.callback(target.close)
                parts.append(target.copy(video, first, source.record.length))
    return parts


class _OpenVideo:
    """A file to copy packets from."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> "_OpenVideo":
        try:
            self.container = av.open(str(self.path))
            self.stream = self.container.streams.video[0]
        except (av.FFmpegError, OSError, IndexError) as error:
            raise EpisodeError(f"{self.path} is missing or damaged: {error}") from error
        self.header = bytes(self.stream.codec_context.extradata or b"")
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def packets(self, first: int, count: int, fps: int) -> Iterator[Any]:
        """The packets of frames `first` to `first + count - 1`."""
        found = 0
        try:
            for packet in self.container.demux(self.stream):
                if packet.pts is None or round(packet.pts * packet.time_base * fps) < first:
                    continue
                if found == count:
                    return
                found += 1
                yield packet
        except av.FFmpegError as error:
            raise EpisodeError(f"{self.path} is damaged after {found} frames of {count}: {error}") from error
        if found < count:
            raise EpisodeError(f"{self.path} ends after {found} frames of the {count} expected from frame {first}")


class _VideoFile:
    """A file that grows by one episode after the other."""

    def __init__(self, root: Path, key: str, number: int, template: _OpenVideo, fps: int) -> None:
        self.number = number
        self.size = 0  # [bytes]
        self.header = template.header
        self._fps = fps
        self._frames = 0
        path = root / layout.VIDEO_PATH.format(video_key=key, **_place(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(path), "w", format="mp4")
        self._stream = self._container.add_stream_from_template(template.stream)

    def copy(self, video: _OpenVideo, first: int, count: int) -> VideoPart:
        """Append frames; returns where they are now."""
        start = self._frames
        for packet in video.packets(first, count, self._fps):
            ticks = round(1 / (self._fps * packet.time_base))
            packet.pts = packet.dts = self._frames * ticks
            packet.stream = self._stream
            self.size += packet.size
            self._container.mux_one(packet)
            self._frames += 1
        chunk, file = file_place(self.number)
        return VideoPart(chunk, file, start / self._fps, self._frames / self._fps)

    def close(self) -> None:
        self._container.close()


def _place(number: int) -> dict[str, int]:
    chunk, file = file_place(number)
    return {"chunk_index": chunk, "file_index": file}
