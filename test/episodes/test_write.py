import dataclasses
import json
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow.parquet as pq
import pytest

from firsthand.errors import EpisodeError, ShapeError
from firsthand_training.episodes.check import check_dataset
from firsthand_training.episodes.read import Episodes
from firsthand_training.episodes.write import EpisodeWriter


def test_what_is_written_is_read(dataset, make):
    episodes = Episodes.open(dataset)
    assert len(episodes) == 3
    assert episodes.tasks == ("push the box", "open the box")
    for index in range(3):
        data = episodes.episode(index)
        frames = [make.frame(index, i) for i in range(make.length)]
        assert data.task == episodes.records[index].tasks[0]
        np.testing.assert_array_equal(data.stamp_ns, [frame.stamp_ns for frame in frames])
        for name in ("state", "action", "joints", "action_joints"):
            np.testing.assert_allclose(getattr(data, name), [getattr(f, name) for f in frames], rtol=1e-6)


def test_columns_are_lerobots(dataset):
    table = pq.read_table(dataset / "data/chunk-000/file-001.parquet", partitioning=None)
    assert str(table.schema.field("observation.state").type) == "fixed_size_list<element: float>[54]"
    assert str(table.schema.field("timestamp").type) == "float"
    assert table.column("episode_index").to_pylist() == [1] * 23
    assert table.column("index").to_pylist() == list(range(23, 46))
    assert table.column("task_index").to_pylist() == [1] * 23


def test_timestamps_are_frame_over_rate_even_late(tmp_path, make):
    make.episodes(tmp_path / "long", ["wait"], length=200)
    table = pq.read_table(tmp_path / "long/data/chunk-000/file-000.parquet", partitioning=None)
    expected = (np.arange(200) / 25).astype(np.float32)
    np.testing.assert_array_equal(table.column("timestamp").to_numpy(), expected)


def test_info_counts_and_names_the_convention(dataset):
    info = json.loads((dataset / "meta/info.json").read_text())
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, 69, 2)
    assert info["splits"] == {"train": "0:3"}
    assert info["firsthand"] == {"format_version": 1, "frame": "eyes_gravity", "rotation": "columns"}
    assert len(info["features"]["observation.state"]["names"]) == 54
    assert len(info["features"]["action.joints"]["names"]) == 26


def test_modality_slices_cover_the_vector_once(dataset):
    modality = json.loads((dataset / "meta/modality.json").read_text())
    for kind in ("state", "action"):
        covered = [i for part in modality[kind].values() for i in range(part["start"], part["end"])]
        assert sorted(covered) == list(range(54))


def test_stats_are_those_of_all_frames(dataset):
    stats = json.loads((dataset / "meta/stats.json").read_text())
    states = np.concatenate([Episodes.open(dataset).episode(i).state for i in range(3)])
    np.testing.assert_allclose(stats["observation.state"]["mean"], states.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(stats["observation.state"]["std"], states.std(axis=0), atol=1e-9)
    np.testing.assert_allclose(stats["observation.state"]["min"], states.min(axis=0))
    assert stats["observation.state"]["count"] == [69]
    assert np.shape(stats["observation.images.left"]["mean"]) == (3, 1, 1)
    assert stats["observation.images.left"]["mean"][0][0][0] == pytest.approx(30 / 255)


def test_a_dataset_is_continued(dataset, make):
    make.episodes(dataset, ["stack the box"])
    episodes = Episodes.open(dataset)
    assert len(episodes) == 4
    assert episodes.tasks == ("push the box", "open the box", "stack the box")
    assert episodes.records[3].from_index == 69
    np.testing.assert_allclose(episodes.episode(3).state[0], make.frame(3, 0).state, rtol=1e-6)


def test_discard_leaves_no_trace(dataset, make):
    before = sorted(dataset.rglob("*"))
    with EpisodeWriter(dataset, make.settings) as writer:
        writer.start("drop it")
        writer.add(make.frame(0, 0))
        writer.discard()
    assert sorted(dataset.rglob("*")) == before
    assert Episodes.open(dataset).tasks == ("push the box", "open the box")


def test_kill_loses_only_the_episode_being_written(tmp_path, make):
    root = tmp_path / "episodes"
    script = textwrap.dedent(f"""
        import os, signal, sys
        sys.path.insert(0, {str(__file__.rsplit("/", 1)[0])!r})
        from conftest import SETTINGS, EpisodeWriter, add_episode, make_frame
        writer = EpisodeWriter({str(root)!r}, SETTINGS)
        add_episode(writer, "push")
        add_episode(writer, "push")
        writer.start("push")
        for index in range(20):
            writer.add(make_frame(2, index))
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    episodes = Episodes.open(root)
    assert len(episodes) == 2
    assert len(list(episodes.stereo_frames(1))) == make.length
    assert list(root.rglob("*.partial"))
    with EpisodeWriter(root, make.settings) as writer:
        assert not list(root.rglob("*.partial"))
        make.add_episode(writer, "push")
    assert len(Episodes.open(root)) == 3


@pytest.mark.parametrize("last", ["write_frames", "write_tasks", "write_records"])
def test_crash_inside_save_leaves_a_sound_dataset(dataset, make, monkeypatch, last):
    def crash(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"firsthand_training.episodes.write.{last}", crash)
        writer = EpisodeWriter(dataset, make.settings)
        with pytest.raises(KeyboardInterrupt):
            make.add_episode(writer, "push the box")
        writer._lock.close()  # as the system does when a process dies
    assert len(Episodes.open(dataset)) == 3
    make.episodes(dataset, ["push the box"])
    assert len(Episodes.open(dataset)) == 4
    assert len(list(dataset.glob("data/*/*.parquet"))) == 4


def test_one_writer_at_a_time(dataset, make):
    with EpisodeWriter(dataset, make.settings), pytest.raises(EpisodeError, match="another writer"):
        EpisodeWriter(dataset, make.settings)
    EpisodeWriter(dataset, make.settings).close()


def test_another_rate_is_refused_with_both_sides(dataset, make):
    with pytest.raises(EpisodeError, match=r"fps 25.*fps.* 30|fps 25, these settings ask for 30"):
        EpisodeWriter(dataset, dataclasses.replace(make.settings, fps=30))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"state": np.zeros(53)}, ShapeError, r"expected state of shape \(54,\), got \(53,\)"),
        ({"joints": np.zeros(14)}, ShapeError, r"expected joints of shape \(26,\), got \(14,\)"),
        ({"action": np.full(54, np.nan)}, EpisodeError, "action has numbers that are not finite, first at 0"),
        ({"images": np.zeros((2, 10, 10, 3), np.uint8)}, ShapeError, r"\(2, 48, 64, 3\), got uint8 \(2, 10, 10, 3\)"),
        ({"images": np.zeros((2, 48, 64, 3))}, ShapeError, "got float64"),
        ({"stamp_ns": 5}, EpisodeError, "stamps must grow: 5 after 17"),
    ],
)
def test_bad_frames_are_refused_and_the_episode_goes_on(tmp_path, make, change, error, message):
    with EpisodeWriter(tmp_path / "episodes", make.settings) as writer:
        writer.start("push")
        writer.add(make.frame(0, 0))
        with pytest.raises(error, match=message):
            writer.add(dataclasses.replace(make.frame(0, 1), **change))
        writer.add(make.frame(0, 1))
        writer.save()
    assert len(Episodes.open(tmp_path / "episodes").episode(0)) == 2


def test_calls_out_of_order_say_what_to_do(tmp_path, make):
    with EpisodeWriter(tmp_path / "episodes", make.settings) as writer:
        with pytest.raises(EpisodeError, match=r"call start\(task\) first"):
            writer.add(make.frame(0, 0))
        with pytest.raises(EpisodeError, match="nothing to save"):
            writer.save()
        with pytest.raises(EpisodeError, match="task in words"):
            writer.start(" ")
        writer.start("push")
        with pytest.raises(EpisodeError, match=r"save\(\) or discard\(\)"):
            writer.start("push")


def test_quality_is_kept_where_the_dataset_has_it(tmp_path, make):
    with EpisodeWriter(
        tmp_path / "video", dataclasses.replace(make.settings, quality=True, robot_type="video")
    ) as writer:
        writer.start("watch")
        for index, quality in enumerate((1.0, 0.25, 0.0)):
            writer.add(dataclasses.replace(make.frame(0, index), quality=quality))
        with pytest.raises(EpisodeError, match="quality from 0 to 1"):
            writer.add(dataclasses.replace(make.frame(0, 3), quality=1.5))
        writer.save()
    episodes = Episodes.open(tmp_path / "video")
    assert episodes.episode(0).quality.tolist() == [1.0, 0.25, 0.0]
    assert episodes.embodiment == "video"
    assert "observation.quality" not in str(check_dataset(tmp_path / "video"))


def test_without_quality_nothing_is_claimed(dataset):
    assert Episodes.open(dataset).episode(0).quality is None
    assert Episodes.open(dataset).embodiment == "robot"


def test_a_dataset_of_one_camera_has_the_same_file_for_both_views(tmp_path, make):
    settings = dataclasses.replace(make.settings, one_camera=True)
    with EpisodeWriter(tmp_path / "video", settings) as writer:
        writer.start("watch")
        for index in range(3):
            frame = make.frame(0, index)
            writer.add(dataclasses.replace(frame, images=np.stack([frame.images[0]] * 2)))
        with pytest.raises(EpisodeError, match="the same picture for both views"):
            writer.add(make.frame(0, 3))
        writer.save()
    left, right = sorted((tmp_path / "video/videos").rglob("*.mp4"))
    assert left.read_bytes() == right.read_bytes()
    assert [first.shape for first, _ in Episodes.open(tmp_path / "video").stereo_frames(0)] == [(48, 64, 3)] * 3
    stats = json.loads((tmp_path / "video/meta/stats.json").read_text())
    assert stats["observation.images.left"] == stats["observation.images.right"]
