"""What makes an episode doubtful is found, and nothing is said of a good one."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from firsthand.bags.card import EpisodeCard, write_card
from firsthand.bags.overview import report_recordings
from firsthand.bags.page import write_page
from firsthand.bags.quality import QualityLimits, report_episode, save_report
from firsthand.bags.write import BagWriter, Topic
from firsthand.errors import BagError
from firsthand.space.hand_state import FRAMES

JOINTS = ("left_elbow_joint", "right_elbow_joint")
STATE, STATES = "sensor_msgs/msg/JointState", "trajectory_msgs/msg/MultiDOFJointTrajectory"
PICTURE = "sensor_msgs/msg/CompressedImage"
TYPES = {
    "/left/color/rect/image/compressed": PICTURE,
    "/right/color/rect/image/compressed": PICTURE,
    "/joint_states": STATE,
    "/joint_command": STATE,
    "/motor_command": STATE,
    "/hand_state": STATES,
    "/teleop/hands": STATES,
    "/gate_state": "std_msgs/msg/String",
}
MS = 1_000_000


@pytest.fixture
def record(tmp_path, make):
    """Four seconds of a robot that moves, with one fault if asked for."""
    types, counter = make.store.types, iter(range(100))

    def joints(stamp, positions):
        kind = types[STATE]
        message = kind(make.header(stamp, ""), list(JOINTS), np.array(positions, dtype=float), np.zeros(0), np.zeros(0))
        return bytes(make.store.serialize_cdr(message, STATE))

    def bodies(stamp, names, place):
        vector, turn, transform = (
            types[f"geometry_msgs/msg/{name}"] for name in ("Vector3", "Quaternion", "Transform")
        )
        point = types["trajectory_msgs/msg/MultiDOFJointTrajectoryPoint"]
        duration = types["builtin_interfaces/msg/Duration"](sec=0, nanosec=0)
        all_of_them = [transform(vector(*place), turn(0.0, 0.0, 0.0, 1.0)) for _ in names]
        message = types[STATES](make.header(stamp, "eyes_gravity"), list(names), [point(all_of_them, [], [], duration)])
        return bytes(make.store.serialize_cdr(message, STATES))

    def write(**fault):
        f = SimpleNamespace(**{"lost_pictures": (), "still": (0, 0), "limited": 0.0, "at": 0.0, "untracked": 0,
                               "gate": "active", "right_late": 0, "late": 3, "bad": False, "end": 4.0,
                               **fault})  # fmt: skip
        path = tmp_path / f"run_{next(counter)}"
        with BagWriter(path, [Topic(name, kind) for name, kind in TYPES.items()]) as bag:
            for tick in range(1000):
                stamp, seconds = make.start + tick * 4 * MS, tick * 0.004
                moving = not f.still[0] <= seconds < f.still[1]
                way = [f.at or 0.3 * np.sin(seconds * 2) * moving, 0.1]

                def put(topic, data, stamp=stamp):
                    bag.write(topic, stamp + f.late * MS, data)

                if tick == 0:
                    put("/gate_state", make.text("active"))
                if tick == 500 and f.gate != "active":
                    put("/gate_state", make.text(f.gate))
                put("/joint_command", joints(stamp, [way[0] + f.limited, way[1]]))
                put("/motor_command", joints(stamp, way))
                if seconds < f.end:
                    put("/joint_states", joints(stamp, way) if not f.bad else joints(stamp, [np.nan, 0.0]))
                if tick % 4 == 0:
                    put("/hand_state", bodies(stamp, FRAMES, (way[0], 0.0, 0.0)))
                    names = ("head", "left_wrist", "right_wrist")
                    there = tick >= f.untracked
                    put("/teleop/hands", bodies(stamp, names if there else names[:2], (way[0], 0.0, 0.0)))
                if tick % 10 == 0 and tick // 10 not in f.lost_pictures:
                    put("/left/color/rect/image/compressed", make.picture(stamp, 100))
                    put("/right/color/rect/image/compressed", make.picture(stamp + f.right_late * MS, 100))
        return path

    return write


RANGES = {"left_elbow_joint": (-1.0, 1.0), "right_elbow_joint": (-1.0, 1.0)}


def test_a_good_episode_is_good(record):
    report = report_episode(record(), ranges=RANGES)
    assert report.flags == []
    assert str(report).splitlines()[-1] == report.verdict == "good"
    assert report.motion.limited_part == report.motion.following_p95 == 0
    assert report.motion.hands_lost == {"left": 0, "right": 0}
    assert report.motion.gate_s == pytest.approx({"active": 3.996})


@pytest.mark.parametrize(
    ("fault", "flag"),
    [
        ({"lost_pictures": range(20, 30)}, "left/color/rect/image/compressed paused for 0.44 s"),
        ({"lost_pictures": range(90, 100)}, "left/color/rect/image/compressed ended 0.4"),
        ({"lost_pictures": range(20)}, "left/color/rect/image/compressed began 0.80 s late"),
        ({"lost_pictures": range(1, 100, 2)}, "came at 12.5 Hz, below 24"),
        ({"lost_pictures": range(100)}, "no pictures on /left/color/rect/image/compressed"),
        ({"end": 3.0}, "/joint_states ended 1.00 s early"),
        ({"right_late": 9}, "the eyes are up to 9.0 ms apart"),
        ({"late": 400}, "was recorded up to 400 ms after capture"),
        ({"limited": 0.1}, "the gate changed 100% of the commands"),
        ({"at": 0.995}, "left_elbow_joint was at its limit for 100% of the time"),
        ({"untracked": 500}, "the right hand was not tracked for 50% of the time"),
        ({"gate": "stopped"}, "the gate held or stopped the robot for 2.0 s"),
        ({"still": (0.0, 3.5)}, "still for 3.4 s at the start"),
        ({"still": (0.5, 4.0)}, "still for 3.4 s at the end"),
        ({"bad": True}, "1000 messages could not be read"),
    ],
)
def test_each_fault_is_found(record, fault, flag):
    flags = report_episode(record(**fault), ranges=RANGES).flags
    assert any(flag in one for one in flags), flags


def test_drops_and_a_recording_that_was_cut_short_are_flagged(record):
    path = record()
    write_card(path, EpisodeCard("push", problem="only 3 MB were left on the disk"))
    metadata = path / "metadata.yaml"
    metadata.write_text(
        metadata.read_text().replace("custom_data: {}", "custom_data: {'firsthand.dropped:/joint_states': '7'}")
    )
    assert report_episode(path).flags[:2] == ["only 3 MB were left on the disk", "7 messages dropped by the recorder"]


def test_limits_can_be_changed_and_wrong_ones_are_refused(record):
    path = record()
    assert "below 55" in report_episode(path, QualityLimits.changed(["camera_rate=55"])).flags[0]
    for words, message in ((["fps=5"], "no limit 'fps'; there are shortest, camera_rate"), (["skew=x"], "is a number"),
                           (["skew=-1"], "of 0 or more"), (["skew=nan"], "of 0 or more")):  # fmt: skip
        with pytest.raises(BagError, match=message):
            QualityLimits.changed(words)


def test_the_report_is_kept_beside_the_bag(record):
    path = record()
    save_report(report_episode(path))
    kept = json.loads((path / "report.json").read_text())
    assert kept["flags"] == []
    assert kept["motion"]["still_part"] < 0.5
    assert (path / "report.txt").read_text().splitlines()[-1] == "good"


def test_many_recordings_are_a_table_and_a_page(record, tmp_path, capsys):
    write_card(record(), EpisodeCard("push <b>", "success"))
    record(lost_pictures=range(20, 30))
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "cut_0.mcap").write_bytes(b"\x89MCAP")
    report_recordings([tmp_path], page=tmp_path / "all.html", json_file=tmp_path / "all.json")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[-1] for line in lines[1:2]] == ["good"]
    assert "unreadable" in lines[0]
    assert "paused for 0.44 s" in lines[2]
    page = (tmp_path / "all.html").read_text()
    assert "push &lt;b&gt;" in page
    assert page.count("<h2") == 2
    assert "#d9534f" in page, "the pause is red in the timeline"
    assert len(json.loads((tmp_path / "all.json").read_text())) == 2


def test_a_page_without_recordings_is_a_page(tmp_path):
    assert "0 recordings" in write_page([], tmp_path / "page.html").read_text()
