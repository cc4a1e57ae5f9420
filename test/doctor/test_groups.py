"""Each check of the doctor sees a thing that is broken, says which, and what to do."""

import importlib.metadata
import mmap
import resource
import socket
import sys
import threading
from pathlib import Path

import pytest

from firsthand.doctor import cameras, graph, headset, machine, network, software
from firsthand.doctor.finding import fail, ok, skip, warn, worst


def test_the_worst_finding_decides():
    findings = [ok("a", ""), skip("b", "", ""), warn("c", "", ""), fail("d", "", "")]
    assert [worst(findings[:n]) for n in (0, 1, 2, 3, 4)] == ["ok", "ok", "ok", "warn", "fail"]


@pytest.mark.parametrize(("version", "level"), [((3, 9), "fail"), ((3, 10), "ok"), ((3, 12), "ok"), ((3, 13), "fail")])
def test_python(version, level):
    assert software.check_python(version).level == level


def test_a_package_that_is_missing_or_too_old_is_named():
    there = {"numpy": "2.1.0", "av": "12.3.0", "torch": "2.13.0+cpu"}

    def version_of(name):
        if name not in there:
            raise importlib.metadata.PackageNotFoundError(name)
        return there[name]

    needed = ["numpy>=1.26", "av>=13,<19", "torch==2.13.0", "pin>=3.4", 'mujoco<5,>=3.3; extra == "sim"']
    findings = list(software.check_packages(needed, version_of))
    assert [(one.level, one.what) for one in findings] == [("fail", "av"), ("fail", "pin"), ("ok", "packages")]
    assert findings[0].found == "12.3.0, expected >=13,<19"
    assert findings[1].advice == "pip install 'pin>=3.4'"
    assert findings[2].found.startswith("2 ")


def test_two_installations_of_ros_are_found(monkeypatch):
    monkeypatch.setattr(software, "_installed", lambda name: "7.1.6")
    assert software.check_ros({}).level == "ok"
    assert software.check_ros({"AMENT_PREFIX_PATH": "/home/me/ws:/opt/ros/jazzy"}).level == "fail"
    monkeypatch.setattr(software, "_installed", lambda name: None)
    assert software.check_ros({"AMENT_PREFIX_PATH": "/opt/ros/jazzy"}).level == "ok"
    assert software.check_ros({}).level == "warn"


@pytest.mark.parametrize("version", ["11.0.1", "0.10.5"])
def test_a_dds_that_would_crash_the_robot_is_refused_with_the_recipe(tmp_path, monkeypatch, version):
    distribution = tmp_path / f"cyclonedds-{version}.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text(f"Metadata-Version: 2.1\nName: cyclonedds\nVersion: {version}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    finding = software.check_dds(needed=False)
    assert finding.level == "fail"
    assert version in finding.found
    assert "CYCLONEDDS_HOME" in finding.advice


def test_a_full_disk_and_one_that_cannot_be_written(tmp_path):
    assert machine.check_disk(tmp_path / "not" / "yet", least=0, good=0).level == "ok"
    assert machine.check_disk(tmp_path, least=0, good=1e18).level == "warn"
    assert machine.check_disk(tmp_path, least=1e18).level == "fail"
    assert "record:=FOLDER" in machine.check_disk(tmp_path, least=1e18).advice


def test_too_little_shared_memory(tmp_path):
    assert machine.check_room_in_shared_memory(tmp_path, least=0).level == "ok"
    assert "--ipc host" in machine.check_room_in_shared_memory(tmp_path, least=1e18).advice
    assert machine.check_room_in_shared_memory(tmp_path / "none").level == "warn"


def test_files_of_killed_processes_are_told_from_those_in_use(tmp_path):
    (tmp_path / "fastrtps_used").write_bytes(bytes(4096))
    with open(tmp_path / "fastrtps_used", "r+b") as file, mmap.mmap(file.fileno(), 4096):
        assert machine.check_leftovers(tmp_path).level == "ok"
        (tmp_path / "fastrtps_left").write_bytes(bytes(4096))
        finding = machine.check_leftovers(tmp_path)
    assert finding.level == "warn"
    assert "1 files" in finding.found and "fastrtps_left" in finding.found  # noqa: PT018
    assert "fastdds shm clean" in finding.advice


@pytest.mark.parametrize(
    ("governors", "level"), [((), "skip"), (("performance",) * 2, "ok"), (("performance", "powersave"), "warn")]
)
def test_a_cpu_clock_that_sinks(tmp_path, governors, level):
    for number, governor in enumerate(governors):
        folder = tmp_path / f"cpu{number}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{governor}\n")
    assert machine.check_governor(tmp_path).level == level


@pytest.mark.parametrize(
    ("status", "error", "level"),
    [(None, None, "skip"), (0x40, 16.0, "warn"), (0x2001, 0.5, "warn"), (0x2001, 0.001, "ok")],
)
def test_a_clock_that_nobody_keeps(status, error, level):
    assert machine.check_clock(status, error).level == level


def test_the_kernels_clock_answers():
    status, error = machine.clock_state()
    assert (status is None) == (error is None)


def test_priority():
    assert machine.check_priority(0).level == "warn"
    assert machine.check_priority(50).level == machine.check_priority(resource.RLIM_INFINITY).level == "ok"


def interface(folder, name, flags, state="up", wireless=False):
    (folder / name).mkdir(parents=True)
    (folder / name / "flags").write_text(f"{flags:#x}\n")
    (folder / name / "operstate").write_text(f"{state}\n")
    if wireless:
        (folder / name / "wireless").mkdir()


def test_interfaces(tmp_path):
    interface(tmp_path, "eth0", 0x1003)
    interface(tmp_path, "eth1", 0x1002)
    interface(tmp_path, "eth2", 0x1003, state="down")
    interface(tmp_path, "eth3", 0x3)
    interface(tmp_path, "wlan0", 0x1003, wireless=True)
    found = {
        name: network.check_interface(name, tmp_path) for name in ("eth0", "eth1", "eth2", "eth3", "wlan0", "eth9")
    }
    assert {name: one.level for name, one in found.items()} == {
        "eth0": "ok", "eth1": "fail", "eth2": "fail", "eth3": "fail", "wlan0": "warn", "eth9": "fail",
    }  # fmt: skip
    assert found["eth1"].advice == "sudo ip link set eth1 up"
    assert "multicast on" in found["eth3"].advice
    assert "eth0, eth1" in found["eth9"].advice


def test_an_address_outside_of_the_robots_network():
    assert network.check_address("eth0", "192.168.123.99").level == "ok"
    assert network.check_address("eth0", "10.0.0.3").level == "warn"
    assert "ip addr add 192.168.123.99/24 dev eth0" in network.check_address("eth0", None).advice
    assert network.address_of("lo") == "127.0.0.1"
    assert network.address_of("none0") is None


def test_multicast_that_comes_back_and_that_does_not(monkeypatch):
    assert network.check_multicast("lo").level == "ok"
    monkeypatch.setattr(network, "GROUP", "127.0.0.2")  # no group: joining fails as without a route
    assert network.check_multicast("lo").level == "fail"
    assert network.check_multicast("none0").level == "skip"

    def silence(*_):
        raise TimeoutError

    monkeypatch.setattr(network, "_send_to_group", silence)
    assert "firewall" in network.check_multicast("lo").advice


def test_a_small_udp_buffer(tmp_path):
    (tmp_path / "rmem_max").write_text("212992\n")
    assert "sysctl" in network.check_receive_buffer(tmp_path / "rmem_max").advice
    assert network.check_receive_buffer(tmp_path / "none").level == "skip"


def test_what_is_not_named_is_not_looked_at():
    for findings in (network.check_network(""), cameras.check_cameras("", ""), headset.check_headset("", 1.0)):
        assert list(findings)[-1].level == "skip"


def test_devices_that_are_no_cameras(tmp_path):
    (tmp_path / "file").write_text("")
    assert "does not exist" in cameras.check_device(tmp_path / "none").found
    assert "is no device" in cameras.check_device(tmp_path / "file").found
    assert "is no camera" in cameras.check_device(Path("/dev/null")).found
    assert cameras.check_zed_sdk().level == "fail"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "does not exist"),
        ("garbage", "is no calibration"),
        ("[LEFT_CAM_HD]\nfx=1\n", "lacks RIGHT_CAM, STEREO; it has LEFT_CAM_HD"),
        ("\xff\xfe", "is no calibration"),
    ],
)
def test_calibrations_that_are_none(tmp_path, text, said):
    path = tmp_path / "SN1.conf"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    assert said in cameras.check_calibration(path).found


def test_a_calibration_with_both_cameras_will_do(tmp_path):
    path = tmp_path / "SN1.conf"
    path.write_text("[STEREO]\nBaseline=63\n[LEFT_CAM_HD]\nfx=1\n[RIGHT_CAM_HD]\nfx=1\n")
    assert cameras.check_calibration(path).level == "ok"


def closed_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_headset_that_is_not_there():
    (finding,) = headset.check_headset(f"127.0.0.1:{closed_port()}", 0.5)
    assert finding.level == "fail"
    assert "press Start" in finding.advice
    assert "no port" in headset.check_reached("127.0.0.1:x").found
    with socket.socket() as full:  # listens, and takes nobody in
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = f"127.0.0.1:{full.getsockname()[1]}"
        with socket.create_connection(full.getsockname()):
            assert "did not answer" in headset.check_reached(address, timeout=0.2).found


def test_a_headset_that_listens_and_says_nothing():
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        taken = []
        threading.Thread(target=lambda: taken.append(mute.accept()), daemon=True).start()
        findings = list(headset.check_headset(f"127.0.0.1:{mute.getsockname()[1]}", 0.5))
        for connection, _ in taken:
            connection.close()
    assert [one.level for one in findings] == ["ok", "fail"]
    assert "not one message" in findings[1].found


@pytest.mark.parametrize(("variables", "said"), [
    ({"ROS_DOMAIN_ID": "robot"}, "ROS_DOMAIN_ID"),
    ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}, "discovery"),
    ({"FASTDDS_DEFAULT_PROFILES_FILE": "/nowhere.xml"}, "FASTDDS_DEFAULT_PROFILES_FILE"),
])  # fmt: skip
def test_settings_of_ros_that_keep_nodes_apart(variables, said):
    findings = list(graph.check_ros_environment(variables))
    assert [one.what for one in findings if one.level == "fail"] == [said]
    assert worst(graph.check_ros_environment({})) == "ok"
    assert worst(graph.check_ros_environment({"ROS_LOCALHOST_ONLY": "1"})) == "warn"


JOINTS = graph.ALWAYS[0]
GOOD = {"publishers": ["body"], "types": [JOINTS.type], "count": 750, "rate": 250.0, "age": 0.001}


@pytest.mark.parametrize(
    ("change", "level", "said"),
    [
        ({}, "ok", "250 Hz from body"),
        ({"publishers": [], "types": [], "count": 0}, "fail", "nobody publishes it"),
        ({"count": 0, "rate": 0.0}, "fail", "body publishes it, but nothing came in 3 s"),
        ({"rate": 12.0}, "fail", "12.0 Hz from body, expected 100 or more"),
        ({"age": 3.0}, "warn", "stamped 3.00 s before it came"),
        ({"age": -3.0}, "warn", "stamped -3.00 s before"),
        ({"types": ["std_msgs/msg/String"]}, "fail", "is of type std_msgs/msg/String"),
    ],
)
def test_topics_are_judged(change, level, said):
    finding = graph.judge_topic(JOINTS, GOOD | change, 3.0)
    assert (finding.level, said in finding.found) == (level, True)
    assert bool(finding.advice) == (level != "ok")
