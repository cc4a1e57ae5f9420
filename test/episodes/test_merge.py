import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from firsthand.errors import EpisodeError
from firsthand_training.episodes.merge import MergeSettings, merge_datasets
from firsthand_training.episodes.read import Episodes
from firsthand_training.episodes.write import EpisodeWriter


@pytest.fixture
def pair(tmp_path, make):
    return [
        make.episodes(tmp_path / "first", ["push", "open"], length=23),
        make.episodes(tmp_path / "second", ["open", "stack", "push"], length=12),
    ]


def assert_same_episode(one, i, other, j):
    left, right = one.episode(i), other.episode(j)
    assert left.task == right.task
    for name in ("stamp_ns", "state", "action", "joints", "action_joints"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    np.testing.assert_array_equal(list(one.stereo_frames(i)), list(other.stereo_frames(j)))


def test_episodes_come_through_unchanged_to_the_pixel(pair, tmp_path):
    merged = Episodes.open(merge_datasets(pair, tmp_path / "all"))
    sources = [(Episodes.open(root), i) for root, count in zip(pair, (2, 3), strict=True) for i in range(count)]
    assert len(merged) == 5
    assert merged.tasks == ("push", "open", "stack")
    for index, (source, i) in enumerate(sources):
        assert_same_episode(merged, index, source, i)


def test_one_file_of_each_kind_remains(pair, tmp_path):
    root = merge_datasets(pair, tmp_path / "all")
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert files == [
        "data/chunk-000/file-000.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/info.json",
        "meta/modality.json",
        "meta/stats.json",
        "meta/tasks.parquet",
        "videos/observation.images.left/chunk-000/file-000.mp4",
        "videos/observation.images.right/chunk-000/file-000.mp4",
    ]
    assert pq.read_metadata(root / files[0]).num_row_groups == 5


def test_rows_are_numbered_anew(pair, tmp_path):
    root = merge_datasets(pair, tmp_path / "all")
    table = pq.read_table(root / "data/chunk-000/file-000.parquet", partitioning=None)
    assert table.column("index").to_pylist() == list(range(2 * 23 + 3 * 12))
    assert sorted(set(table.column("episode_index").to_pylist())) == [0, 1, 2, 3, 4]
    assert table.column("task_index").to_pylist() == [0] * 23 + [1] * 23 + [1] * 12 + [2] * 12 + [0] * 12
    rows = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet", partitioning=None).to_pylist()
    assert [row["dataset_from_index"] for row in rows] == [0, 23, 46, 58, 70]
    key = "videos/observation.images.left"
    assert [row[f"{key}/from_timestamp"] for row in rows] == [0.0, 23 / 25, 46 / 25, 58 / 25, 70 / 25]
    assert json.loads((root / "meta/info.json").read_text())["total_frames"] == 82


def test_stats_are_those_of_all_frames(pair, tmp_path):
    root = merge_datasets(pair, tmp_path / "all")
    stats = json.loads((root / "meta/stats.json").read_text())
    episodes = Episodes.open(root)
    joints = np.concatenate([episodes.episode(i).joints for i in range(5)])
    np.testing.assert_allclose(stats["observation.joints"]["std"], joints.std(axis=0), atol=1e-9)
    assert stats["episode_index"]["max"] == [4.0]


def test_small_limits_give_many_files(pair, tmp_path, monkeypatch):
    monkeypatch.setattr("firsthand_training.episodes.merge.MEGABYTE", 1024)
    root = merge_datasets(pair, tmp_path / "all", settings=MergeSettings(data_file_mb=30, video_file_mb=3))
    assert len(list(root.glob("data/*/*.parquet"))) > 1
    assert len(list(root.glob("videos/*/*/*.mp4"))) > 2
    sources = [(Episodes.open(source), i) for source, n in zip(pair, (2, 3), strict=True) for i in range(n)]
    for index, (source, i) in enumerate(sources):
        assert_same_episode(Episodes.open(root), index, source, i)


def test_a_merged_dataset_is_merged_and_continued_again(pair, tmp_path, make):
    once = merge_datasets(pair, tmp_path / "once")
    make.episodes(once, ["push"])
    twice = Episodes.open(merge_datasets([once, *pair], tmp_path / "twice"))
    assert len(twice) == 11
    assert_same_episode(twice, 3, Episodes.open(pair[1]), 1)
    assert_same_episode(twice, 10, Episodes.open(pair[1]), 2)


def test_keep_drops_episodes_and_their_tasks(pair, tmp_path):
    root = merge_datasets(pair, tmp_path / "pushes", keep=lambda dataset, record: "push" in record.tasks)
    assert Episodes.open(root).tasks == ("push",)
    assert_same_episode(Episodes.open(root), 1, Episodes.open(pair[1]), 2)


def test_videos_of_another_encoder_setting_get_their_own_file(pair, tmp_path, make):
    with EpisodeWriter(tmp_path / "third", dataclasses.replace(make.settings, preset="medium", crf=30)) as writer:
        make.add_episode(writer, "push")
    root = merge_datasets([*pair, tmp_path / "third"], tmp_path / "all")
    assert len(list(root.glob("videos/observation.images.left/*/*.mp4"))) == 2
    assert_same_episode(Episodes.open(root), 5, Episodes.open(tmp_path / "third"), 0)


def test_what_does_not_mix_is_refused(pair, tmp_path, make):
    with EpisodeWriter(tmp_path / "fast", dataclasses.replace(make.settings, fps=50)) as writer:
        make.add_episode(writer, "push")
    with pytest.raises(EpisodeError, match=r"has fps 50, .* has 25"):
        merge_datasets([*pair, tmp_path / "fast"], tmp_path / "all")
    with pytest.raises(EpisodeError, match="no episode to merge"):
        merge_datasets(pair, tmp_path / "all", keep=lambda dataset, record: False)
    with pytest.raises(EpisodeError, match="exists already"):
        merge_datasets(pair, pair[0])


def test_damage_leaves_nothing_behind(pair, tmp_path):
    video = pair[1] / "videos/observation.images.right/chunk-000/file-001.mp4"
    video.write_bytes(video.read_bytes()[:-200])
    with pytest.raises(EpisodeError, match=r"file-001\.mp4"):
        merge_datasets(pair, tmp_path / "all")
    assert not list(tmp_path.glob("all*"))
