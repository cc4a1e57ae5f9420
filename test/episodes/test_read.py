import json

import numpy as np
import pytest

from firsthand.errors import EpisodeError
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
