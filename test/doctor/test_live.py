"""The doctor looks at real things: a headset's server, ROS publishers, a robot on DDS; and sees which is broken."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest

from firsthand.command import main
from firsthand.doctor import graph, headset, robot
from firsthand.headset.fake_tracking_streamer import FakeTrackingStreamer, Fault
from firsthand.headset.hand_motion import GeneratedMotion
from firsthand.robot.hand_strokes import HandStrokes, write_strokes
from firsthand.robot.unitree import wire
from firsthand.robot.unitree.topics import ARM_SDK, DFX_STATE, LOW_STATE


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
    assert {one.level for one in findings} == {"fail", "warn"}
    assert all("image" in one.what for one in findings if one.level == "warn")  # a person may drive without


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


GOOD = {"good": 1500, "bad": {}, "rate": 500.0, "pause": 0.004}
SILENT = {"good": 0, "bad": {}, "rate": 0.0, "pause": 0.0}
DAMAGED = {**SILENT, "bad": {"rt/lowstate with a wrong checksum": 9}}
HANDS = "rt/inspire/state"
HEARD = {
    "body": GOOD, "mode_machines": [6], "hands": {HANDS: {**GOOD, "rate": 100.0}}, "other_hands": [], "commands": {},
    "controller": "ai", "motors": "", "other_domain": None, "error": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "what", "level", "said", "advice"),
    [
        ({"body": SILENT}, "rt/lowstate", "fail", "silent for 3 s on eth0, DDS domain 0", "cable"),
        ({"body": SILENT, "other_domain": 1}, "rt/lowstate", "fail", "but heard in domain 1", "dds_domain:=1"),
        ({"body": DAMAGED}, "rt/lowstate", "fail", "9 x rt/lowstate with a wrong checksum", "check_crc: false"),
        ({"body": GOOD | {"bad": {"cut off": 3}}}, "rt/lowstate", "warn", "dropped: 3 x cut off", "second robot"),
        ({"body": GOOD | {"rate": 20.0}}, "rt/lowstate", "warn", "20 Hz, expected 200", "cable"),
        ({"body": GOOD | {"pause": 1.5}}, "rt/lowstate", "fail", "fell silent for 1.5 s", "cable"),
        ({"mode_machines": [4]}, "mode_machine", "fail", "4, an H1-2 says 6", "The body refuses it"),
        ({"mode_machines": [6, 4]}, "mode_machine", "fail", "6 and 4: more than one robot", "domain of its own"),
        ({"controller": ""}, "mode", "fail", "debug mode: rt/arm_sdk is not obeyed", "control:=lowcmd"),
        ({"controller": None}, "mode", "skip", "does not say", "L2+R2"),
        ({"motors": "left_elbow_joint is at 95 °C"}, "motors", "fail", "left_elbow_joint is at 95", "cool"),
        ({"commands": {"rt/arm_sdk": 64}}, "rt/arm_sdk", "warn", "somebody sends commands", "end that program"),
        ({"hands": {HANDS: SILENT}}, HANDS, "fail", "both hands not heard", "hands' service"),
        ({"hands": {HANDS: DAMAGED}}, HANDS, "fail", "not one message of use", "another make"),
        ({"hands": {HANDS: GOOD | {"pause": 0.8}}}, HANDS, "fail", "after 0.5 s the body holds", "serial line"),
        ({"hands": {HANDS: GOOD | {"rate": 3.0}}}, HANDS, "warn", "3 Hz", "serial line"),
        (
            {"hands": {HANDS: SILENT}, "other_hands": ["rt/inspire_hand/state/l"]},
            HANDS, "fail", "these are ftp hands", "hand:=ftp",
        ),
        ({"hands": {"rt/inspire_hand/state/l": SILENT}}, "rt/inspire_hand/state/l", "fail", "the left hand", "hand:="),
    ],
)  # fmt: skip
def test_what_of_the_robot_is_wrong(monkeypatch, change, what, level, said, advice):
    monkeypatch.setattr(robot, "_listen", lambda *_: HEARD | change)
    (finding,) = [one for one in robot.check_robot("eth0", 0, "dfx", 3.0) if one.level != "ok"]
    assert (finding.what, finding.level) == (what, level)
    assert said in finding.found
    assert advice in finding.advice


def test_a_robot_that_is_as_it_should_be(monkeypatch):
    monkeypatch.setattr(robot, "_listen", lambda *_: HEARD)
    assert {one.level for one in robot.check_robot("eth0", 0, "dfx", 3.0)} == {"ok"}
    (mode,) = [one for one in robot.check_robot("eth0", 0, "dfx", 3.0, "lowcmd") if one.level != "ok"]
    assert "L2+R2" in mode.advice
    monkeypatch.setattr(robot, "_listen", lambda *_: HEARD | {"controller": ""})
    assert {one.level for one in robot.check_robot("eth0", 0, "dfx", 3.0, "lowcmd")} == {"ok"}


def test_strokes_that_cannot_be_used_are_said_to(tmp_path):
    path = tmp_path / "strokes.yaml"
    assert "calibrate hands" in robot.check_strokes(str(path), "dfx").advice
    write_strokes(path, HandStrokes.nominal("ftp"))
    assert robot.check_strokes(str(path), "dfx").found == "of ftp hands; these are dfx"
    assert robot.check_strokes(str(path), "ftp").level == "ok"


class RobotThatSays:
    """The robot's end of the wire, saying what a test wants, while the doctor's probe listens."""

    def __init__(self, domain):
        from firsthand.robot.unitree.dds import Link

        self.link, self.state, self.seal = Link("", domain), wire.blank(wire.LOW_STATE), True
        self.state["mode_machine"] = 6
        self.states, self.hands = self.link.writer(LOW_STATE), self.link.writer(DFX_STATE)
        self.commands, self.fingers = None, np.full(12, 0.5)

    def drive(self):
        self.commands = self.link.writer(ARM_SDK)

    def speak(self):
        self.states.write(wire.encode(wire.seal(self.state) if self.seal else self.state))
        fingers = np.zeros(len(self.fingers), wire.HAND_MOTOR_STATE)
        fingers["q"] = self.fingers
        self.hands.write(wire.encode_sequence(fingers))
        if self.commands is not None:
            self.commands.write(wire.encode(wire.seal(wire.blank(wire.LOW_CMD))))

    def heard(self, hand="dfx", seconds=1.0):
        """What the doctor says of it."""
        stop = threading.Event()

        def speak():
            while not stop.wait(0.004):
                self.speak()

        speaker = threading.Thread(target=speak)
        speaker.start()
        try:
            findings = list(robot.check_robot("lo", self.link.domain, hand, seconds))
        finally:
            stop.set()
            speaker.join()
            self.link.close()
        return {one.what: f"{one.level}: {one.found}" for one in findings if one.level != "ok"}


def spoil_checksum(one):
    one.seal = False


def spoil_mode(one):
    one.state["mode_machine"] = 4


def spoil_motor(one):
    one.state["motor_state"]["temperature"][16] = (50, 95)


def spoil_number(one):
    one.state["motor_state"]["q"][14] = np.nan


def spoil_fingers(one):
    one.fingers = np.full(12, 1000.0)


def spoil_hands(one):
    one.fingers = np.full(6, 0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "what", "said"),
    [
        (spoil_checksum, "rt/lowstate", "fail: not one message of use"),
        (spoil_mode, "mode_machine", "fail: 4, an H1-2 says 6"),
        (spoil_motor, "motors", "fail: left_elbow_joint is at 95"),
        (spoil_number, "rt/lowstate", "fail: not one message of use"),
        (spoil_fingers, HANDS, "fail: not one message of use: "),
        (spoil_hands, HANDS, "fail: not one message of use: "),
        (RobotThatSays.drive, "rt/arm_sdk", "warn: somebody sends commands already"),
    ],
)
def test_what_is_broken_on_the_wire_is_seen(dds_domain, spoil, what, said):
    """By the code that drives the robot: what the body would drop is never green."""
    one = RobotThatSays(dds_domain)
    spoil(one)
    assert one.heard()[what].startswith(said)


@pytest.mark.slow
def test_hands_of_the_other_kind_are_named(dds_domain):
    found = RobotThatSays(dds_domain).heard("ftp")
    assert "rt/inspire/state is heard: these are dfx hands" in found["rt/inspire_hand/state/l"]


def test_the_fake_robot_is_in_order_and_a_silent_domain_is_not():
    pytest.importorskip("cyclonedds")
    pytest.importorskip("mujoco")
    command = [sys.executable, "-m", "firsthand.command", "fake-robot", "--domain", "77", "--seconds", "200"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        process.stdout.readline()
        findings = list(robot.check_robot("lo", 77, "dfx", 2.0))
        assert {one.what for one in findings if one.level in ("fail", "skip")} == set(), findings
        (mode,) = [one for one in robot.check_robot("lo", 77, "dfx", 1.0, "lowcmd") if one.level == "fail"]
        assert mode.found == "controller 'ai': rt/lowcmd is not obeyed"
        (silent,) = [one for one in robot.check_robot("lo", 78, "none", 1.0) if one.level == "fail"]
        assert "silent for 1 s on lo, DDS domain 78" in silent.found
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_a_check_that_fails_itself_does_not_keep_the_others_from_being_made(monkeypatch, capsys):
    from firsthand.doctor import command

    def broken(options):
        yield from ()
        raise PermissionError("/sys/class/net")

    monkeypatch.setitem(command.GROUPS, "network", broken)
    assert main(["doctor", "network", "cameras"]) == 1
    out = capsys.readouterr().out
    assert "could not be looked at: PermissionError: /sys/class/net" in out
    assert "cameras" in out


@pytest.mark.parametrize("options", [["--seconds", "0"], ["--seconds", "-1"], ["--size", "720p"], ["--hand", "claw"]])
def test_calls_that_cannot_be_meant_are_refused(options):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "cameras", *options])
    assert ended.value.code == 2


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
