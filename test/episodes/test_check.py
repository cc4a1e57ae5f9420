import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from firsthand.errors import EpisodeError
from firsthand.space.hand_state import orthonormalize
from firsthand_training.episodes.check import check_dataset
from firsthand_training.episodes.merge import merge_datasets
from firsthand_training.episodes.write import EpisodeWriter, Frame

DATA = "data/chunk-000/file-001.parquet"
VIDEO = "videos/observation.images.left/chunk-000/file-001.mp4"


@pytest.fixture
def sound(tmp_path, make):
    """Three episodes whose rotations are rotations."""
    with EpisodeWriter(tmp_path / "sound", make.settings) as writer:
        for episode in range(3):
            writer.start("push")
            for index in range(12):
                frame = make.frame(episode, index)
                state, action = orthonormalize(frame.state), orthonormalize(frame.action)
                writer.add(Frame(frame.stamp_ns, state, action, frame.joints, frame.action_joints, frame.images))
            writer.save()
    return tmp_path / "sound"


def change_column(root, name, change):
    path = root / DATA
    table = pq.read_table(path, partitioning=None)
    values = np.array(table.column(name).to_pylist())
    column = pa.array(change(values).tolist(), table.schema.field(name).type)
    pq.write_table(table.set_column(table.schema.get_field_index(name), name, column), path)


def only_problem(root, **arguments):
    report = check_dataset(root, **arguments)
    assert len(report.problems) == 1, str(report)
    return str(report.problems[0])


@pytest.mark.parametrize("decode", [False, True])
def test_a_sound_dataset_has_no_problem(sound, tmp_path, decode):
    assert check_dataset(sound, decode).problems == ()
    merged = check_dataset(merge_datasets([sound, sound], tmp_path / "merged"), decode)
    assert merged.problems == ()
    assert (merged.episodes, merged.frames) == (6, 72)
    merged.raise_if_broken()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("timestamp", lambda v: v * 1.001, r"episode 1: timestamp differs from frame_index / 25 by 0.000440 s"),
        ("frame_index", lambda v: v + 1, r"episode 1: frame_index does not count from 0 to 11"),
        ("index", lambda v: v - 1, r"episode 1: index does not count from 12 to 23"),
        ("task_index", lambda v: v + 1, r"episode 1: task_index is not among the 1 tasks"),
        ("observation.stamp_ns", lambda v: v[::-1], r"episode 1: observation.stamp_ns does not grow at frame 1"),
        ("observation.stamp_ns", lambda v: v * 2, r"warning: episode 1: was not recorded at 25 Hz: a frame took 0.080"),
        ("action", lambda v: np.where(v == v[3, 7], np.nan, v), r"action is not finite at frame 3, number 7"),
        ("observation.state", lambda v: 1.1 * v, r"observation.state holds rotations .* off by 0.210"),
    ],
)
def test_wrong_numbers_are_found(sound, name, change, message):
    change_column(sound, name, change)
    assert re.search(message, only_problem(sound))


def test_a_missing_column_is_found(sound):
    pq.write_table(pq.read_table(sound / DATA, partitioning=None).drop_columns(["action.joints"]), sound / DATA)
    assert "episode 1: lacks the column action.joints" in only_problem(sound)


def test_a_column_of_another_type_is_found(sound):
    table = pq.read_table(sound / DATA, partitioning=None)
    index = table.schema.get_field_index("timestamp")
    pq.write_table(table.set_column(index, "timestamp", table.column("timestamp").cast(pa.float64())), sound / DATA)
    assert "timestamp is float64 (12,), expected float32 (12,)" in only_problem(sound)


@pytest.mark.parametrize("keep", [0, 0.5, 0.9])
@pytest.mark.parametrize("name", [DATA, VIDEO])
def test_truncated_files_are_found(sound, name, keep):
    path = sound / name
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    report = check_dataset(sound, decode=True)
    assert report.errors
    assert all(problem.where.startswith("episode 1") for problem in report.errors)
    with pytest.raises(EpisodeError, match="episode 1"):
        report.raise_if_broken()


@pytest.mark.parametrize("name", [DATA, VIDEO])
def test_missing_files_are_found(sound, name):
    (sound / name).unlink()
    assert name.rsplit("/", 1)[-1] in only_problem(sound)


def test_a_damaged_picture_is_found_by_decoding(sound):
    path = sound / VIDEO
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 700  # behind the encoder's own words
    data[start : start + 400] = bytes(400)
    path.write_bytes(data)
    assert "episode 1" in str(check_dataset(sound, decode=True))


def test_videos_that_changed_places_are_found(sound, make, tmp_path):
    short = make.episodes(tmp_path / "short", ["push"], length=5)
    (short / VIDEO.replace("001", "000")).replace(sound / VIDEO)
    assert "ends after 5 of 12 frames" in only_problem(sound)


def test_a_wrong_summary_is_found(sound):
    path = sound / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"total_frames": 35}))
    assert only_problem(sound) == "error: meta/info.json: total_frames is 35, the episodes say 36"


@pytest.mark.parametrize("content", ["", "{}", "[]"])
def test_wrong_stats_are_found(sound, content):
    (sound / "meta/stats.json").write_text(content)
    assert "meta/stats.json" in only_problem(sound)


def test_leftovers_are_found(sound):
    (sound / DATA.replace("001", "003")).write_bytes((sound / DATA).read_bytes())
    (sound / "videos/x.mp4.partial").write_bytes(b"")
    first, second = check_dataset(sound).problems
    assert "file-003.parquet: belongs to no episode" in str(first)
    assert str(second).startswith("warning: videos/x.mp4.partial")


@pytest.mark.parametrize("seed", range(12))
def test_noise_anywhere_never_makes_the_check_fail(sound, seed):
    random = np.random.default_rng(seed)
    files = sorted(path for path in sound.rglob("*") if path.is_file() and path.stat().st_size)
    path = files[int(random.integers(len(files)))]
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    data[random.integers(0, len(data), size=max(1, len(data) // 20))] = random.integers(0, 256)
    path.write_bytes(data.tobytes())
    str(check_dataset(sound, decode=True))


def test_no_dataset_is_said(tmp_path):
    assert "no dataset at" in only_problem(tmp_path)
