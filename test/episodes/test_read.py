import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from firsthand.errors import EpisodeError
from firsthand_training.episodes.check import check_dataset
from firsthand_training.episodes.read import Episodes


@pytest.mark.parametrize("camera", ["left", "right"])
def test_frames_are_the_cameras_own(dataset, make, camera):
    frames = list(Episodes.open(dataset).frames(1, camera))
    assert len(frames) == make.length
    for index, frame in enumerate(frames):
        np.testing.assert_allclose(frame.mean(axis=(0, 1)), make.image(1, index, camera)[0, 0], atol=3)


def test_stereo_is_left_then_right(dataset):
    episodes = Episodes.open(dataset)
    pair = next(episodes.stereo_frames(2))
    np.testing.assert_array_equal(pair[0], next(episodes.frames(2, "left")))
    np.testing.assert_array_equal(pair[1], next(episodes.frames(2, "right")))


def test_sizes_are_known_without_reading_a_frame(dataset):
    episodes = Episodes.open(dataset)
    assert (episodes.fps, episodes.image_size, episodes.frame_count) == (25, (48, 64), 69)
    assert len(episodes.joint_names) == 26


def test_a_dataset_without_episodes_is_empty(tmp_path, make):
    make.episodes(tmp_path / "empty", [])
    assert len(Episodes.open(tmp_path / "empty")) == 0


def test_what_is_not_there_is_said(dataset, tmp_path):
    episodes = Episodes.open(dataset)
    with pytest.raises(EpisodeError, match="no dataset at"):
        Episodes.open(tmp_path / "nothing")
    with pytest.raises(EpisodeError, match=r"no episode 3 in .*; it has 3"):
        episodes.episode(3)
    with pytest.raises(EpisodeError, match="no camera 'middle'; there are left, right"):
        episodes.frames(0, "middle")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("codebase_version", "v2.1", "says format 'v2.1', expected 'v3.0'"),
        ("firsthand", {"frame": "camera", "rotation": "rows", "format_version": 1}, "'rows'.*expected.*'columns'"),
        ("firsthand", None, "convention None, expected"),
        ("features", {}, "lacks .*observation.state"),
        ("fps", "25", "an integer fps"),
        ("fps", 0, "an integer fps of at least 1, it says 0"),
        ("features", None, "has the features None"),
        ("features", [], r"has the features \[\]"),
    ],
)
def test_another_convention_is_refused_with_both_sides(dataset, key, value, message):
    path = dataset / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(EpisodeError, match=message):
        Episodes.open(dataset)


@pytest.mark.parametrize("name", ["meta/tasks.parquet", "meta/episodes/chunk-000/file-001.parquet"])
@pytest.mark.parametrize("keep", [0, 4, 200])
def test_a_truncated_index_is_named(dataset, name, keep):
    path = dataset / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(EpisodeError, match=path.name):
        Episodes.open(dataset)


@pytest.mark.parametrize("keep", [0, 4, 2000])
def test_truncated_frames_are_named(dataset, keep):
    path = dataset / "data/chunk-000/file-001.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    episodes = Episodes.open(dataset)
    assert len(episodes.episode(0)) == 23
    with pytest.raises(EpisodeError, match=r"file-001\.parquet is damaged"):
        episodes.episode(1)


def test_garbage_in_info_is_named(dataset):
    (dataset / "meta/info.json").write_bytes(b"\xff{")
    with pytest.raises(EpisodeError, match="is not JSON"):
        Episodes.open(dataset)


def refused_and_reported(root, message):
    """Opening says it, and so does the check, as its one finding."""
    with pytest.raises(EpisodeError, match=message):
        Episodes.open(root)
    (problem,) = check_dataset(root).errors
    assert re.search(message, problem.what)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("action", None, "describes action as None"),
        ("action", {"dtype": None}, "describes action as .*expected a dtype and a shape"),
        ("action", {"shape": None}, "describes action as .*expected a dtype and a shape"),
        ("index", {"shape": []}, "describes index as .*expected a dtype and a shape"),
        ("action", {"shape": [53]}, r"action of \('float32', \[53\]\), expected \('float32', \[54\]\)"),
        ("timestamp", {"shape": [2]}, r"timestamp of .*\[2\].*expected .*\[1\]"),
        ("observation.images.left", {"shape": [48, 64]}, r"images.left of .*\[48, 64\].*3 channels"),
        ("observation.joints", {"names": None}, "joints of shape .26. with the names None"),
        ("action.joints", {"names": ["elbow"]}, r"joints of shape .26. with the names \['elbow'\]"),
    ],
)
def test_features_that_are_described_wrongly_are_refused(dataset, name, change, message):
    path = dataset / "meta/info.json"
    info = json.loads(path.read_text())
    info["features"][name] = change and info["features"][name] | change
    path.write_text(json.dumps(info))
    refused_and_reported(dataset, message)


@pytest.mark.parametrize("name", ["timestamp", "frame_index", "task_index"])
def test_a_feature_that_is_always_there_is_missed(dataset, name):
    path = dataset / "meta/info.json"
    info = json.loads(path.read_text())
    del info["features"][name]
    path.write_text(json.dumps(info))
    refused_and_reported(dataset, f"lacks the features .*{name}")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("episode_index", None, "episode_index is None, expected an integer"),
        ("length", None, "length is None, expected an integer of 0 or more"),
        ("length", -1, "length is -1, expected an integer of 0 or more"),
        ("tasks", None, "tasks is None, expected a list"),
        ("tasks", [], r"tasks is \[\], expected a list of one text or more"),
        ("data/file_index", "1", "data/file_index is '1', expected an integer"),
        (
            "videos/observation.images.left/from_timestamp",
            None,
            ".*from_timestamp is None, expected seconds",
        ),
        (
            "videos/observation.images.left/from_timestamp",
            float("nan"),
            ".*from_timestamp is nan, expected seconds",
        ),
        (
            "videos/observation.images.right/to_timestamp",
            float("inf"),
            ".*to_timestamp is inf, expected seconds",
        ),
    ],
)
def test_rows_that_no_episode_can_have_are_refused(dataset, name, value, message):
    path = dataset / "meta/episodes/chunk-000/file-001.parquet"
    rows = pq.read_table(path, partitioning=None).to_pylist()
    pq.write_table(pa.Table.from_pylist([row | {name: value} for row in rows]), path)
    refused_and_reported(dataset, rf"file-001\.parquet: {message}")


@pytest.mark.parametrize(("column", "values"), [("task_index", [0, None]), ("__index_level_0__", ["push", None])])
def test_tasks_without_a_number_or_a_name_are_refused(dataset, column, values):
    path = dataset / "meta/tasks.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, pa.array(values)), path)
    refused_and_reported(dataset, "tasks.parquet has rows .*None.*expected an integer and a text")


def test_an_episode_without_a_camera_is_told(dataset):
    path = dataset / "meta/episodes/chunk-000/file-001.parquet"
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.drop_columns([name for name in table.column_names if "images.right" in name]), path)
    with pytest.raises(EpisodeError, match=r"episode 1 of .* has no video of .*right"):
        Episodes.open(dataset).frames(1, "right")
    assert "has no video of observation.images.right" in str(check_dataset(dataset))
