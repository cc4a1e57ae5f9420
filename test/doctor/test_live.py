"""The doctor looks at real things: a headset's server, ROS publishers, a robot on DDS; and sees which is broken."""

import json
import subprocess
import sys

import numpy as np
import pytest

from firsthand.command import main
from firsthand.doctor import graph, headset, robot
from firsthand.headset.fake_tracking_streamer import FakeTrackingStreamer, Fault
from firsthand.headset.hand_motion import GeneratedMotion


@pytest.fixture
def serve():
    """A fake headset with faults; ends with the test."""
    pytest.importorskip("grpc")
    servers = []

    def start(*faults):
        server = FakeTrackingStreamer(GeneratedMotion("reach"), port=0, faults=tuple(Fault(*one) for one in faults))
        server.start()
        servers.append(server)
        return f"127.0.0.1:{server.port}"

    yield start
    for server in servers:
        server.stop()


def test_a_headset_that_works(serve):
    findings = list(headset.check_headset(serve(), 1.0))
    assert [one.what for one in findings if one.level == "fail"] == []
    assert [one.found for one in findings[-2:]] == ["tracked in 100% of the samples"] * 2


@pytest.mark.parametrize(
    ("fault", "what", "said"),
    [
        ("zeros", "hands", "the headset sends zeros"),
        ("lose_left", "left hand", "frozen"),
        ("absent_right", "right hand", "absent"),
        ("swap", "left hand", "backwards"),
    ],
)
def test_a_headset_with_a_fault_is_seen_through(serve, fault, what, said):
    findings = list(headset.check_headset(serve((fault, 0.0, 60.0)), 1.5))
    (finding,) = [one for one in findings if one.what == what]
    assert finding.level != "ok"
    assert said in finding.found
    assert finding.advice


@pytest.mark.ros
def test_ros_processes_hear_each_other_and_a_silent_graph_is_said_to_be(ros_domain):
    assert graph.check_discovery(20.0).level == "ok"
    findings = list(graph.check_topics("teleop", 0.5))
    assert {one.what: one.found for one in findings}["joint_states"] == "nobody publishes it"
    assert all(one.level == "fail" for one in findings)


@pytest.mark.ros
def test_which_topic_is_silent_and_which_is_slow(ros):
    from sensor_msgs.msg import JointState
    from std_msgs.msg import String

    from firsthand.nodes.messages import write_joint_state
    from firsthand.nodes.qos import LATCHED, PUBLISH

    node = ros.node("body")
    joints = node.create_publisher(JointState, "joint_states", PUBLISH)
    node.create_publisher(JointState, "motor_command", PUBLISH)
    node.create_publisher(String, "gate_state", LATCHED).publish(String(data="holding"))
    now = lambda: node.get_clock().now().nanoseconds  # noqa: E731
    node.create_timer(0.1, lambda: joints.publish(write_joint_state(["a"], np.zeros(1), now())))
    expected = [f"{one.topic} {one.type}" for one in graph.ALWAYS[:3]]
    command = [sys.executable, "-m", graph.WATCH, "--seconds", "2", *expected]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    ros.spin_until(lambda: process.poll() is not None, timeout=60.0, what="the watch")
    with process.stdout as output:
        heard = json.loads(output.read().splitlines()[-1])
    findings = [graph.judge_topic(*pair, 2.0) for pair in zip(graph.ALWAYS[:3], heard, strict=True)]
    assert [one.level for one in findings] == ["fail", "fail", "ok"]
    assert "Hz from body, expected 100 or more" in findings[0].found
    assert findings[1].found == "body publishes it, but nothing came in 2 s"


def test_a_robot_without_its_dds_or_without_an_interface_is_said(monkeypatch):
    (finding,) = robot.check_robot("", 0, "dfx", 1.0)
    assert finding.level == "skip"
    monkeypatch.setattr(robot, "_listen", lambda *_: {"error": "no DDS here\nmake robot"})
    (finding,) = robot.check_robot("eth0", 0, "dfx", 1.0)
    assert (finding.found, finding.advice) == ("no DDS here", "make robot")


HEARD = {"states": 1500, "unreadable": 0, "mode_machine": 6, "hands": {"rt/inspire/state": 300}, "error": ""}


@pytest.mark.parametrize(
    ("change", "what", "said"),
    [
        ({"states": 0}, "rt/lowstate", "silent for 3 s on eth0, DDS domain 0"),
        ({"states": 0, "unreadable": 9}, "rt/lowstate", "9 messages that are none of an H1-2"),
        ({"states": 60}, "rt/lowstate", "20 Hz, expected 200"),
        ({"mode_machine": 4}, "mode_machine", "4, an H1-2 says 6"),
        ({"hands": {"rt/inspire/state": 0}}, "rt/inspire/state", "both hands not heard"),
        ({"hands": {"rt/inspire_hand/state/l": 0}}, "rt/inspire_hand/state/l", "the left hand not heard"),
    ],
)
def test_what_of_the_robot_is_silent(monkeypatch, change, what, said):
    monkeypatch.setattr(robot, "_listen", lambda *_: HEARD | change)
    (finding,) = [one for one in robot.check_robot("eth0", 0, "dfx", 3.0) if one.level != "ok"]
    assert finding.what == what
    assert said in finding.found
    assert finding.advice


def test_the_fake_robot_is_in_order_and_a_silent_domain_is_not():
    pytest.importorskip("cyclonedds")
    pytest.importorskip("mujoco")
    command = [sys.executable, "-m", "firsthand.command", "fake-robot", "--domain", "77", "--seconds", "60"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        process.stdout.readline()
        findings = list(robot.check_robot("lo", 77, "dfx", 2.0))
        assert {one.what for one in findings if one.level == "fail"} == set(), findings
        (silent,) = [one for one in robot.check_robot("lo", 78, "none", 1.0) if one.level == "fail"]
        assert "silent for 1 s on lo, DDS domain 78" in silent.found
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_the_command_prints_what_it_found_and_exits_with_one_if_something_is_broken(tmp_path, capsys):
    assert main(["doctor", "cameras", "--camera", str(tmp_path / "video9")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("fail  cameras   camera ")
    assert lines[1].strip().startswith("-> ")
    assert lines[-1].endswith(f"broken: camera {tmp_path / 'video9'}")
    assert main(["doctor", "cameras", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cameras"][0]["level"] == "skip"
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "horoscope"])
    assert ended.value.code == 2
