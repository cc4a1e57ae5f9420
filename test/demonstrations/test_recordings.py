"""Folders of recordings to a dataset: people with a headset, bags that are damaged, and calls that were interrupted."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from firsthand.bags.card import EpisodeCard, write_card
from firsthand.bags.write import BagWriter, Topic
from firsthand.errors import EpisodeError
from firsthand.headset.hand_frames import PALMS
from firsthand.headset.hands_sample import BODIES, JOINTS, KNUCKLES, TIPS
from firsthand.space.frames import inverse, pose
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import matrix_from_rpy, quaternion_wxyz_from_matrix
from firsthand_training.command import main
from firsthand_training.demonstrations import recordings
from firsthand_training.demonstrations.bag_conversion import BagConversion
from firsthand_training.demonstrations.from_bag import convert_bag
from firsthand_training.demonstrations.recordings import RecordingsSettings, convert_recordings, read_rows
from firsthand_training.episodes.check import check_dataset
from firsthand_training.episodes.read import Episodes

STORE = get_typestore(Stores.ROS2_JAZZY)
MESSAGE = STORE.types
START = 1_700_000_000_000_000_000  # [ns]
MS = 1_000_000  # [ns]
LEFT, RIGHT = (f"/{side}/color/rect/image/compressed" for side in ("left", "right"))
PICTURE, STATES = "sensor_msgs/msg/CompressedImage", "trajectory_msgs/msg/MultiDOFJointTrajectory"
TOPICS = [Topic(LEFT, PICTURE), Topic(RIGHT, PICTURE), Topic("/teleop/hands", STATES)]
HEADING = 0.4  # [rad] of the person in the headset's world


def header(stamp_ns, frame=""):
    stamp = MESSAGE["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return MESSAGE["std_msgs/msg/Header"](stamp=stamp, frame_id=frame)


def serialized(message):
    return bytes(STORE.serialize_cdr(message, message.__msgtype__))


def picture(stamp_ns, brightness):
    _, jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), brightness, np.uint8))
    return serialized(MESSAGE[PICTURE](header=header(stamp_ns), format="jpeg", data=jpeg.reshape(-1)))


def head_at(seconds):
    """world_from_head: it moves forward and nods about one heading."""
    turn = matrix_from_rpy(0.0, 0.5 + 0.1 * np.sin(seconds), HEADING)
    return pose(turn, np.array([0.1 * seconds, 0.2, 1.4]))


def wrist_at(seconds, side):
    """world_from_wrist: it moves up and turns."""
    turn = matrix_from_rpy(0.1, 0.2 * seconds, HEADING + (-0.2, 0.2)[side])
    return pose(turn, np.array([0.4, (0.2, -0.2)[side], 1.0 + 0.1 * seconds]))


TIPS_IN_WRIST = np.stack([PALMS[side][[0, 0, 1, 2, 3]] + [0.07, 0.0, -0.02] for side in (0, 1)])  # (2, 5, 3)


def hands(stamp_ns, seconds, without=()):
    """The message of a headset: joints placed so that wrist and fingertips are where they are meant to be."""
    kinds = ("Transform", "Vector3", "Quaternion")
    transform, vector, quaternion = (MESSAGE[f"geometry_msgs/msg/{kind}"] for kind in kinds)
    poses = {"head": head_at(seconds)}
    for side, name in enumerate(("left", "right")):
        wrist = wrist_at(seconds, side)
        points = np.zeros((len(JOINTS), 3))
        points[list(KNUCKLES)], points[list(TIPS)] = PALMS[side], TIPS_IN_WRIST[side]
        if name not in without:
            places = points @ wrist[:3, :3].T + wrist[:3, 3]
            poses |= {f"{name}_{joint}": pose(np.eye(3), place) for joint, place in zip(JOINTS, places, strict=True)}
    transforms = []
    for name in (names := [name for name in BODIES if name in poses]):
        w, x, y, z = quaternion_wxyz_from_matrix(poses[name][:3, :3])
        transforms.append(transform(vector(*poses[name][:3, 3]), quaternion(x=x, y=y, z=z, w=w)))
    duration = MESSAGE["builtin_interfaces/msg/Duration"](sec=0, nanosec=0)
    point = MESSAGE["trajectory_msgs/msg/MultiDOFJointTrajectoryPoint"](transforms, [], [], duration)
    return serialized(MESSAGE[STATES](header(stamp_ns, "headset_world"), names, [point]))


def record(path, lost=(0, 0), start=START, seconds=2.0, card=None):
    """A person with headset (100 Hz) and stereo camera (25 Hz); the right hand is not tracked in `lost`, [ms]."""
    with BagWriter(path, TOPICS) as writer:
        for tick in range(int(seconds * 100)):
            stamp = start + tick * 10 * MS
            without = ("right",) if lost[0] <= tick * 10 < lost[1] else ()
            writer.write("/teleop/hands", stamp + MS, hands(stamp, tick * 0.01, without))
            if tick % 4 == 0:
                writer.write(LEFT, stamp + 8 * MS, picture(stamp, 40 + tick % 200))
                writer.write(RIGHT, stamp + 8 * MS, picture(stamp, 40 + tick % 200))
    if card is not None:
        write_card(path, card)
    return path


def expected(at, frame_at):
    """The 54 numbers at one time in the level frame of another, [s]."""
    robot_from_world = inverse(pose(matrix_from_rpy(0, 0, HEADING), head_at(frame_at)[:3, 3]))
    wrists = np.stack([robot_from_world @ wrist_at(at, side) for side in (0, 1)])
    return HandState.from_poses(robot_from_world[:3, :3] @ head_at(at)[:3, :3], wrists, TIPS_IN_WRIST).to_vector()


PUSH = RecordingsSettings(output=None, conversion=BagConversion(task="push", gaps="split", quality=True, min_frames=5))


def settings(tmp_path, **changes):
    return replace(PUSH, output=tmp_path / "data", **changes)


def test_a_person_with_a_headset_becomes_an_episode(tmp_path):
    converted = convert_bag(record(tmp_path / "run"), tmp_path / "data", BagConversion(task="push"))
    assert converted.embodiment == "human"
    episodes = Episodes.open(tmp_path / "data")
    data = episodes.episode(0)
    assert (episodes.embodiment, episodes.joint_names, len(data)) == ("human", (), 50)
    times = (data.stamp_ns - START) / 1e9
    np.testing.assert_allclose(data.state, [expected(t, t) for t in times], atol=2e-6)
    ends = np.minimum(times + 0.04, 1.99)
    np.testing.assert_allclose(data.action, [expected(end, t) for t, end in zip(times, ends, strict=True)], atol=2e-6)
    way = np.linalg.norm(data.origin[-1] - data.origin[0])
    assert way == pytest.approx(0.1 * times[-1], abs=1e-5)
    assert not check_dataset(tmp_path / "data", decode=True).problems


def test_the_camera_may_look_down_from_elsewhere_on_the_head(tmp_path):
    bag = record(tmp_path / "run", seconds=1.5)
    convert_bag(bag, tmp_path / "plain", BagConversion(task="push"))
    convert_bag(bag, tmp_path / "mount", BagConversion(task="push", eyes_xyz=(0.05, 0.0, 0.02), eyes_pitch=0.3))
    plain, mount = (Episodes.open(tmp_path / name).episode(0) for name in ("plain", "mount"))
    head = head_at(0.0)
    eyes = head @ pose(matrix_from_rpy(0, 0.3, 0), np.array([0.05, 0.0, 0.02]))
    moved = matrix_from_rpy(0, 0, -HEADING) @ (eyes[:3, 3] - head[:3, 3])
    np.testing.assert_allclose(plain.state[0, 18:21] - mount.state[0, 18:21], moved, atol=1e-5)
    np.testing.assert_allclose(mount.state[0, :3], (matrix_from_rpy(0, 0, -HEADING) @ eyes[:3, :3])[:, 0], atol=1e-5)


def test_a_hand_lost_for_a_moment_is_marked_and_for_longer_is_a_gap(tmp_path):
    record(tmp_path / "moment", lost=(800, 1000))
    (row,) = convert_recordings([tmp_path / "moment"], settings(tmp_path))
    data = Episodes.open(tmp_path / "data").episode(0)
    unseen = (data.stamp_ns - START >= 760 * MS) & (data.stamp_ns - START < 1000 * MS)
    np.testing.assert_array_equal(data.quality == 0, unseen)
    assert (row.status, len(row.episodes), row.gaps) == ("converted", 1, ())
    record(tmp_path / "longer", lost=(600, 1400))
    (row,) = convert_recordings([tmp_path / "longer"], settings(tmp_path))
    assert len(row.episodes) == 2
    assert "no hands" in row.gaps[0]
    assert any("the right hand was not tracked for 40%" in flag for flag in row.flags)


def test_every_bag_has_a_row_and_bad_ones_have_reasons(tmp_path):
    folder = tmp_path / "recordings"
    record(folder / "a", card=EpisodeCard("push the box", "success"))
    record(folder / "b", card=EpisodeCard("push the box", "failure"))
    whole = record(folder / "c", start=START + 10**11)
    (whole / "metadata.yaml").unlink()
    cut = record(folder / "d", start=START + 10**12) / "d_0.mcap"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (folder / "e").mkdir()
    (folder / "e" / "e_0.mcap").write_bytes(np.random.default_rng(0).bytes(5000))
    record(folder / "discarded" / "f")
    rows = convert_recordings([folder], settings(tmp_path))
    assert [row.status for row in rows] == ["converted", "skipped", "failed", "failed", "failed"]
    assert [row.reason.split(str(folder))[0] for row in rows[:2]] == ["", "labelled 'failure'"]
    assert "firsthand recover" in rows[2].reason
    assert all(row.reason for row in rows[1:])
    assert Episodes.open(tmp_path / "data").tasks == ("push the box",)


def test_the_same_call_again_converts_what_is_new_only(tmp_path, monkeypatch):
    folder = tmp_path / "recordings"
    record(folder / "a")
    first = convert_recordings([folder], settings(tmp_path))
    record(folder / "b", start=START + 10**12)
    converted = []
    monkeypatch.setattr(
        recordings, "convert_bag", lambda bag, *a, **k: converted.append(bag) or convert_bag(bag, *a, **k)
    )
    again = convert_recordings([folder], settings(tmp_path))
    assert [bag.name for bag in converted] == ["b"]
    assert again[0] == first[0]
    assert [row.episodes for row in again] == [(0,), (1,)]


def test_an_interruption_between_an_episode_and_its_row_doubles_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "recordings"
    record(folder / "a", lost=(600, 1400))  # two episodes

    def interrupted(dataset, row):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recordings, "_append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert_recordings([folder], settings(tmp_path))
    assert len(Episodes.open(tmp_path / "data")) == 2
    convert_recordings([folder], settings(tmp_path))
    assert len(Episodes.open(tmp_path / "data")) == 2


def test_rows_that_were_cut_short_are_passed_over_and_foreign_ones_refused(tmp_path):
    folder = tmp_path / "recordings"
    record(folder / "a")
    convert_recordings([folder], settings(tmp_path))
    path = tmp_path / "data" / "recordings.jsonl"
    line = path.read_text()
    path.write_text(line + line[:30])
    record(folder / "b", start=START + 10**12)
    convert_recordings([folder], settings(tmp_path))
    assert [json.loads(row)["status"] for row in path.read_text().splitlines()] == ["converted", "converted"]
    path.write_text('{"bag": "a", "colour": 3}\n')
    with pytest.raises(EpisodeError, match="no recording's"):
        read_rows(tmp_path / "data")


def test_flagged_recordings_can_be_left_out(tmp_path):
    record(tmp_path / "run", lost=(600, 1000))
    (row,) = convert_recordings([tmp_path / "run"], settings(tmp_path, flagged="skip"))
    assert (row.status, row.reason.split(":")[0]) == ("skipped", "flagged")
    assert not (tmp_path / "data" / "meta").exists()


@pytest.mark.parametrize("change", [{"fps": 0}, {"max_skew": -1.0}, {"size": (47, 64)}, {"size": (2, 2)}])
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(EpisodeError, match="expected"):
        BagConversion(task="push", **change)


def test_the_command_says_what_it_did(tmp_path, capsys):
    record(tmp_path / "recordings" / "a", card=EpisodeCard("push the box", "success"))
    output = tmp_path / "data"
    words = ["bags", str(tmp_path / "recordings"), "--output", str(output), "--size", "36", "48"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 of 1 bags: 1 episodes, 50 frames, cut at 0 gaps"
    assert lines[-1] == str(output)
    assert Episodes.open(output).image_size == (36, 48)
    assert main(["bags", str(tmp_path / "nowhere"), "--output", str(output)]) == 1
    assert "no bag at" in capsys.readouterr().err


@pytest.mark.slow
def test_what_was_recorded_trains(tmp_path):
    """From bags of a person to episodes, to features of the real encoder, to windows, to two steps of training."""
    pytest.importorskip("torch")
    from firsthand_training.models.world_model import WorldModelSettings
    from firsthand_training.training.feature_cache import CacheSettings, cache_features
    from firsthand_training.training.methods.world_model import WorldModelMethod
    from firsthand_training.training.sources import MixtureSettings, load_sources
    from firsthand_training.training.train import TrainSettings, fit_sources

    for number in range(2):
        record(tmp_path / "recordings" / f"{number}", lost=(800, 900), start=START + number * 10**12, seconds=2.4)
    convert_recordings([tmp_path / "recordings"], settings(tmp_path))
    cache = cache_features(tmp_path / "data", tmp_path / "features", CacheSettings(every=4))
    sources, _ = load_sources([(tmp_path / "data", cache)], MixtureSettings())
    small = WorldModelSettings(latent_width=16, dynamics_width=16, width=16, heads=2)
    method = WorldModelMethod(network=small)
    state = fit_sources(sources, tmp_path / "run", TrainSettings(method=method, steps=2, batch=2, micro_batch=2))
    losses = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert state.exists()
    assert losses
    assert [source.embodiment for source in sources] == ["human"]
