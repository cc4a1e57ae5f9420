import json

import numpy as np
import pytest

from firsthand.bags.report import report_bag
from firsthand.bags.write import BagWriter, Topic


def topic(report, name):
    return next(topic for topic in report.topics if topic.name == name)


def test_a_steady_recording(bag):
    report = report_bag(bag)
    joints = topic(report, "/joint_states")
    assert (joints.count, joints.gaps, joints.backwards, joints.dropped) == (500, 0, 0, 0)
    assert joints.rate == pytest.approx(250.0)
    assert joints.period_ms == pytest.approx(4.0)
    assert joints.jitter_ms == joints.longest_ms - 4.0 == 0.0
    assert joints.delay_ms == joints.delay_p99_ms == pytest.approx(3.0)
    assert topic(report, "/left/color/rect/image/compressed").rate == pytest.approx(25.0)
    assert report.duration_s == pytest.approx(1.999)
    assert topic(report, "/robot_description").rate is None


def status(make, seed, success, seconds, progress):
    types = make.store.types
    said = {"task": "push", "variant": "id", "seed": seed, "success": success, "seconds": seconds, "progress": progress}
    pairs = [types["diagnostic_msgs/msg/KeyValue"](key=key, value=str(value)) for key, value in said.items()]
    one = types["diagnostic_msgs/msg/DiagnosticStatus"](level=0, name="s", message="", hardware_id="", values=pairs)
    message = types["diagnostic_msgs/msg/DiagnosticArray"](header=make.header(0), status=[one])
    return bytes(make.store.serialize_cdr(message, message.__msgtype__))


def test_the_outcomes_of_trials(tmp_path, make):
    topic = Topic("/robot/simulation/status", "diagnostic_msgs/msg/DiagnosticArray")
    said = [(3, False, 3.0, 0.5), (3, True, 3.2, 1.0), (3, True, 4.0, 1.0), (4, False, 9.8, 0.25)]
    with BagWriter(tmp_path / "run", [topic]) as writer:
        for tick, values in enumerate(said):
            writer.write(topic.name, make.start + tick, status(make, *values))
    report = report_bag(tmp_path / "run")
    assert [str(trial) for trial in report.trials] == [
        "trial push/id/3: success after 3.2 s",
        "trial push/id/4: no success, 25% of the way after 9.8 s",
    ]
    assert json.loads(report.to_json())["trials"][0]["success"] is True


def test_gaps_are_found(tmp_path, make):
    with BagWriter(tmp_path / "run", make.topics) as writer:
        make.fill(writer, skip=(10, 11, 12, 30))
    left = topic(report_bag(tmp_path / "run"), "/left/color/rect/image/compressed")
    assert left.count == 46
    assert left.gaps == 1  # one lost frame alone makes a period of two, which may be jitter
    assert left.longest_ms == pytest.approx(160.0)


@pytest.mark.parametrize("late_ms", [0, 3, 19])
def test_skew_between_the_eyes(tmp_path, make, late_ms):
    with BagWriter(tmp_path / "run", make.topics) as writer:
        make.fill(writer, right_late_ns=late_ms * 1_000_000)
    (skew,) = report_bag(tmp_path / "run").skews
    assert (skew.pairs, skew.unpaired) == (50, 0)
    assert skew.max_ms == pytest.approx(late_ms)


def test_pictures_without_partner_are_counted(tmp_path, make):
    with BagWriter(tmp_path / "run", make.topics) as writer:
        for i in range(20):
            stamp = make.start + i * 40_000_000
            writer.write(make.topics[0].name, stamp, make.picture(stamp))
            if i % 5:
                writer.write(make.topics[1].name, stamp, make.picture(stamp))
    (skew,) = report_bag(tmp_path / "run").skews
    assert (skew.pairs, skew.unpaired) == (16, 4)


def test_stamps_that_go_back_are_counted(tmp_path, make):
    with BagWriter(tmp_path / "run", make.topics) as writer:
        for i, tick in enumerate([0, 1, 2, 2, 1, 3]):
            stamp = make.start + tick * 4_000_000
            writer.write("/joint_states", make.start + i * 4_000_000, make.joint_state(stamp, [0.0]))
    assert topic(report_bag(tmp_path / "run"), "/joint_states").backwards == 2


def test_table_and_json_say_the_same(bag):
    report = report_bag(bag)
    data = json.loads(report.to_json())
    assert data["messages"] == 601
    assert data["dropped"] == report.dropped == 0
    assert {row["name"]: row["count"] for row in data["topics"]} == {t.name: t.count for t in report.topics}
    text = str(report)
    assert "2.00 s, 601 messages" in text
    (line,) = [line for line in text.splitlines() if line.startswith("/joint_states")]
    assert line.split() == [
        "/joint_states",
        "500",
        "250.00",
        "4.00",
        "0.00",
        "4.0",
        "0",
        "3.00",
        "3.00",
        line.split()[9],
        "0",
    ]
    np.testing.assert_allclose(float(line.split()[9]), topic(report, "/joint_states").bytes / 1e6, atol=0.005)


def test_an_empty_bag_reports(tmp_path, make):
    with BagWriter(tmp_path / "run", make.topics):
        pass
    report = report_bag(tmp_path / "run")
    assert report.messages == 0
    assert "0 messages" in str(report)
