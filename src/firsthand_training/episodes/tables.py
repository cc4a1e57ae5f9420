"""The parquet tables of a dataset: frames, tasks, and one row per episode.

Every foreign exception of reading ends here, as an EpisodeError that names the file.
"""

import json
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from firsthand.errors import EpisodeError
from firsthand_training.episodes.durable import whole_file
from firsthand_training.episodes.layout import TASKS_PATH, EpisodeRecord, VideoPart
from firsthand_training.episodes.stats import Stats

PANDAS_INDEX = "__index_level_0__"  # what pandas calls the nameless index that lerobot keeps its tasks in
ADVICE = "Copy it again, or drop the episode with `merge_datasets(..., keep=...)`."


def write_frames(path: Path, columns: dict[str, NDArray[Any]]) -> None:
    """Write one row per frame; (N, D) columns become fixed-size lists."""
    with whole_file(path) as partial:
        pq.write_table(frame_table(columns), partial)


def frame_table(columns: dict[str, NDArray[Any]]) -> pa.Table:
    """Columns (N,) or (N, D) as a table of N rows."""
    return pa.table({name: _arrow_column(values) for name, values in columns.items()})


def read_frames(path: Path, episode_index: int) -> dict[str, NDArray[Any]]:
    """The columns of one episode as arrays, (N,) or (N, D).

    Raises:
        EpisodeError: The file is missing or damaged.
    """
    table = read_table(path, filters=[("episode_index", "=", episode_index)])
    return {name: _numpy_column(table.column(name), path, name) for name in table.column_names}


def read_table(path: Path, **arguments: Any) -> pa.Table:
    """A parquet file, or an EpisodeError that says what is wrong with it."""
    if not path.is_file():
        raise EpisodeError(f"no file {path}, which the dataset's index names. {ADVICE}")
    try:
        return pq.read_table(path, partitioning=None, **arguments)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise EpisodeError(f"{path} is damaged: {_first_line(error)}. {ADVICE}") from error


def write_tasks(root: Path, tasks: Sequence[str]) -> None:
    """Write the tasks in the order of their `task_index`, as pandas would write a frame indexed by task."""
    columns: list[dict[str, Any]] = [
        {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64"},
        {"name": None, "field_name": PANDAS_INDEX, "pandas_type": "unicode", "numpy_type": "object"},
    ]
    description = {
        "index_columns": [PANDAS_INDEX],
        "column_indexes": [],
        "columns": [column | {"metadata": None} for column in columns],
        "pandas_version": "2.0.0",
    }
    indices = pa.array(range(len(tasks)), pa.int64())
    table = pa.table({"task_index": indices, PANDAS_INDEX: pa.array(tasks, pa.string())})
    with whole_file(root / TASKS_PATH) as partial:
        pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(description)}), partial)


def read_tasks(root: Path) -> list[str]:
    """The tasks in the order of their `task_index`.

    Raises:
        EpisodeError: The file is missing or damaged, or its rows are not numbered texts.
    """
    path = root / TASKS_PATH
    columns = read_table(path).to_pydict()
    names = next((columns[name] for name in (PANDAS_INDEX, "task") if name in columns), None)
    if names is None or "task_index" not in columns:
        raise EpisodeError(f"{path} has columns {sorted(columns)}, expected task_index and {PANDAS_INDEX}")
    tasks = list(zip(columns["task_index"], names, strict=True))
    if not all(isinstance(index, int) and isinstance(name, str) for index, name in tasks):
        raise EpisodeError(f"{path} has rows {tasks}, expected an integer and a text in each; copy it again")
    return [name for _, name in sorted(tasks)]


def write_records(path: Path, records: Sequence[EpisodeRecord], stats: Sequence[dict[str, Stats]]) -> None:
    """Write rows of meta/episodes."""
    rows = [_row(record, part) for record, part in zip(records, stats, strict=True)]
    with whole_file(path) as partial:
        pq.write_table(pa.Table.from_pylist(rows), partial)


def read_records(path: Path) -> list[EpisodeRecord]:
    """The rows of one file of meta/episodes, without their statistics.

    Raises:
        EpisodeError: The file is damaged, lacks a column, or a row says what no episode can be.
    """
    schema = read_schema(path)
    columns = [name for name in schema.names if not name.startswith("stats/")]
    try:
        return [_record(row) for row in read_table(path, columns=columns).to_pylist()]
    except KeyError as error:
        raise EpisodeError(f"{path} lacks the column {error}; LeRobotDataset v3.0 has it. {ADVICE}") from error
    except (TypeError, ValueError) as error:
        raise EpisodeError(f"{path}: {error}; copy it again") from error


def read_episode_stats(path: Path) -> dict[int, dict[str, Stats]]:
    """The statistics in one file of meta/episodes: by episode, then by feature."""
    return {row["episode_index"]: _stats(row) for row in read_table(path).to_pylist()}


def read_schema(path: Path) -> pa.Schema:
    """The column names and types of a parquet file, or an EpisodeError."""
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise EpisodeError(f"{path} is damaged: {_first_line(error)}. {ADVICE}") from error


def _row(record: EpisodeRecord, stats: dict[str, Stats]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "episode_index": record.index,
        "tasks": list(record.tasks),
        "length": record.length,
        "dataset_from_index": record.from_index,
        "dataset_to_index": record.from_index + record.length,
        "data/chunk_index": record.data_chunk,
        "data/file_index": record.data_file,
        "meta/episodes/chunk_index": record.meta_chunk,
        "meta/episodes/file_index": record.meta_file,
    }
    for key, part in record.videos.items():
        row[f"videos/{key}/chunk_index"] = part.chunk
        row[f"videos/{key}/file_index"] = part.file
        row[f"videos/{key}/from_timestamp"] = part.from_timestamp
        row[f"videos/{key}/to_timestamp"] = part.to_timestamp
    for key, values in stats.items():
        row |= {f"stats/{key}/{name}": value.tolist() for name, value in values.items()}
    return row


def _record(row: dict[str, Any]) -> EpisodeRecord:
    keys = [name.split("/")[1] for name in row if name.startswith("videos/") and name.endswith("/chunk_index")]
    return EpisodeRecord(
        index=_integer(row, "episode_index"),
        length=_integer(row, "length"),
        tasks=_texts(row, "tasks"),
        from_index=_integer(row, "dataset_from_index"),
        data_chunk=_integer(row, "data/chunk_index"),
        data_file=_integer(row, "data/file_index"),
        meta_chunk=_integer(row, "meta/episodes/chunk_index"),
        meta_file=_integer(row, "meta/episodes/file_index"),
        videos={
            key: VideoPart(
                chunk=_integer(row, f"videos/{key}/chunk_index"),
                file=_integer(row, f"videos/{key}/file_index"),
                from_timestamp=_seconds(row, f"videos/{key}/from_timestamp"),
                to_timestamp=_seconds(row, f"videos/{key}/to_timestamp"),
            )
            for key in keys
        },
    )


def _integer(row: dict[str, Any], name: str) -> int:
    value = row[name]
    if not isinstance(value, int) or value < 0:
        raise TypeError(f"{name} is {value!r}, expected an integer of 0 or more")
    return value


def _seconds(row: dict[str, Any], name: str) -> float:
    value = row[name]
    if not isinstance(value, (int, float)) or not 0 <= value < inf:
        raise TypeError(f"{name} is {value!r}, expected seconds, 0 or more")
    return float(value)


def _texts(row: dict[str, Any], name: str) -> tuple[str, ...]:
    values = row[name]
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{name} is {values!r}, expected a list of one text or more")
    return tuple(values)


def _stats(row: dict[str, Any]) -> dict[str, Stats]:
    stats: dict[str, Stats] = {}
    for column, value in row.items():
        if column.startswith("stats/"):
            _, key, name = column.split("/")
            stats.setdefault(key, {})[name] = np.asarray(value)
    return stats


def _arrow_column(values: NDArray[Any]) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _numpy_column(column: pa.ChunkedArray, path: Path, name: str) -> NDArray[Any]:
    if not pa.types.is_list(column.type) and not pa.types.is_fixed_size_list(column.type):
        return column.to_numpy()
    try:
        return np.asarray(column.combine_chunks().flatten()).reshape(len(column), -1)
    except ValueError as error:
        raise EpisodeError(f"{path}: rows of {name} differ in length") from error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
