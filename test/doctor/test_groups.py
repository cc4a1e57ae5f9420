"""Each check of the doctor sees a thing that is broken, says which, and what to do."""

import importlib.metadata
import mmap
import os
import resource
import socket
import struct
import sys
import threading
import time
from ipaddress import IPv4Interface
from pathlib import Path

import numpy as np
import pytest

from firsthand.doctor import cameras, graph, headset, machine, network, software
from firsthand.doctor.finding import fail, ok, skip, warn, worst
from firsthand.errors import CameraError
from firsthand.robot.mount_file import FORMAT as MOUNT
from firsthand.robot.mount_file import write_calibration_file
from firsthand.vision.sources.fake_camera import FakeCamera, FakeCameraSettings
from firsthand.vision.sources.interface import Capture


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
    assert [(one.level, one.what) for one in findings] == [("fail", "av"), ("fail", "pin")]  # no green line beside them
    assert findings[0].found == "12.3.0, expected >=13,<19"
    assert findings[1].advice == "pip install 'pin>=3.4'"
    (good,) = software.check_packages(needed[:1], version_of)
    assert (good.level, good.found[:2]) == ("ok", "1 ")


def test_a_list_of_no_packages_is_nothing_to_be_green_about(monkeypatch):
    (finding,) = software.check_packages([])
    assert finding.level == "warn"

    def unknown(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", unknown)  # run from source, not installed
    assert software.needed_packages() == []


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


def addresses(*texts):
    return tuple(map(IPv4Interface, texts))


@pytest.mark.parametrize(
    ("found", "level", "advice"),
    [
        (("192.168.123.99/24",), "ok", ""),
        (("10.0.0.3/24", "192.168.123.99/24"), "ok", ""),  # as the advice below leaves it
        ((), "fail", "sudo ip addr add 192.168.123.99/24 dev eth0"),
        (("10.0.0.3/24",), "warn", "sudo ip addr add 192.168.123.99/24 dev eth0"),
        (("192.168.123.99/32",), "fail", "sudo ip addr del 192.168.123.99/32 dev eth0"),  # added without its /24
        (("127.0.0.1/8",), "ok", ""),
    ],
)
def test_addresses_from_which_the_robot_is_or_is_not_reached(found, level, advice):
    finding = network.check_address("eth0", addresses(*found))
    assert (finding.level, advice in finding.advice) == (level, True)


def test_addresses_are_read_from_the_system():
    assert IPv4Interface("127.0.0.1/8") in network.addresses_of("lo")
    assert network.addresses_of("none0") == ()


def test_multicast_that_comes_back_and_that_does_not(monkeypatch):
    here = addresses("127.0.0.1/8")
    assert network.check_multicast("lo", here).level == "ok"
    assert network.check_multicast("none0", ()).level == "skip"
    monkeypatch.setattr(network, "GROUP", "127.0.0.2")  # no group: joining fails as without a route
    assert network.check_multicast("lo", here).level == "fail"

    def silence(*_):
        raise TimeoutError

    monkeypatch.setattr(network, "_send_to_group", silence)
    assert "firewall" in network.check_multicast("lo", here).advice


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


def capability(whole, own):
    """As a driver answers: struct v4l2_capability."""
    return struct.pack("=16s32s32sIIIIII", b"uvcvideo", b"ZED-M", b"usb-1", 0x60000, whole, own, 0, 0, 0)


@pytest.mark.parametrize(
    ("whole", "own", "level"),
    [
        (0x84A00001, 0x04200001, "ok"),
        (0x84A00001, 0x04A00000, "fail"),  # the same camera's second device, of metadata
        (0x00000001, 0, "ok"),  # an old driver without flags of the device's own
        (0x00000002, 0, "fail"),  # takes pictures in, sends none
    ],
)
def test_the_metadata_device_of_a_camera_is_not_taken_for_it(whole, own, level):
    finding = cameras.judge_capabilities(Path("/dev/video1"), capability(whole, own))
    assert (finding.level, "ZED-M" in finding.found) == (level, True)


@pytest.fixture
def stream():
    """A camera that serves pairs as a ZED does, on this machine; ends with the test."""
    running = []

    def start(**settings):
        camera = FakeCamera(FakeCameraSettings(port=0, width=320, height=180, **settings))
        running.append((camera, camera.start()))
        return camera

    yield start
    for camera, thread in running:
        camera.stop()
        thread.join()


def test_a_camera_that_sends_pictures_is_in_order(stream):
    findings = list(cameras.check_cameras(stream(rate=60.0).address, "", (320, 180), seconds=1.5))
    assert [one.level for one in findings] == ["ok", "ok", "warn"]  # the last: no calibration
    assert "320x180" in findings[1].found


@pytest.mark.parametrize(
    ("settings", "size", "level", "said"),
    [
        ({"rate": 5.0}, (320, 180), "warn", "expected 24 or more"),
        ({"rate": 30.0}, (640, 360), "fail", "sends 640x180"),
    ],
)
def test_a_camera_that_is_slow_or_of_another_size_is_said_to_be(stream, settings, size, level, said):
    finding = cameras.check_pictures(stream(**settings).address, size, 1.5)
    assert (finding.level, said in finding.found) == (level, True)
    assert finding.advice


def test_a_camera_that_falls_silent_or_is_not_there_is_said_to_be(stream):
    camera = stream(rate=30.0)
    camera.stalled.set()
    assert cameras.check_pictures(camera.address, (320, 180), 1.0).level == "fail"
    camera.stop()
    assert "cannot open" in cameras.check_pictures(camera.address, (320, 180), 1.0).found


class Views:
    """An open camera whose pictures a test makes up."""

    def __init__(self, pair):
        self.pair, self.closed = pair, False

    def read(self, timeout):
        time.sleep(0.02)
        return Capture(time.monotonic_ns(), lambda: self.pair)

    def close(self):
        self.closed = True


def test_pictures_that_show_nothing_are_said_to(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (2, 45, 80, 3), dtype=np.uint8)
    for pair, said in ((noise, "Hz"), (noise // 100, "black"), (noise[[0, 0]], "both views are the same")):
        views = Views(pair)
        monkeypatch.setattr(cameras, "UvcCamera", lambda _, views=views: views)
        finding = cameras.check_pictures("/dev/video0", (320, 180), 0.3)
        assert said in finding.found
        assert (finding.level == "ok") == (said == "Hz")
        assert views.closed


def test_a_camera_that_another_program_has_is_told_from_one_of_another_size(monkeypatch):
    def busy(settings):
        raise CameraError("cannot open the camera /dev/video0: [Errno 16] Device or resource busy: '/dev/video0'")

    monkeypatch.setattr(cameras, "UvcCamera", busy)
    assert "fuser /dev/video0" in cameras.check_pictures("/dev/video0", (320, 180), 0.3).advice


SDK = """
class Camera:
    @staticmethod
    def get_sdk_version():
        return "5.2.0"

    @staticmethod
    def get_device_list():
        class Device:
            serial_number, camera_model, camera_state = 12345678, "ZED-M", "{state}"
        return {devices}
{more}
"""


@pytest.fixture
def sdk(tmp_path, monkeypatch):
    """A stand-in with the SDK's documented names, where the doctor's probe finds it."""

    def install(state="AVAILABLE", devices="[Device]", more=""):
        folder = tmp_path / "pyzed"
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        (folder / "sl.py").write_text(SDK.format(state=state, devices=devices, more=more))
        paths = [str(tmp_path), str(Path(cameras.__file__).parents[2])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))

    return install


@pytest.mark.parametrize(
    ("how", "level", "said"),
    [
        ({}, "ok", "5.2.0 sees ZED-M 12345678"),
        ({"state": "NOT AVAILABLE"}, "fail", "in use by another program"),
        ({"devices": "[]"}, "fail", "sees no camera"),
        ({"more": "raise ImportError('libcuda.so.1')"}, "fail", "libcuda"),
        ({"more": "import os\nos.abort()"}, "fail", "crashed"),
    ],
)
def test_what_the_zed_sdk_sees(sdk, how, level, said):
    sdk(**how)
    finding, serials = cameras.check_zed_sdk()
    assert (finding.level, said in finding.found) == (level, True), finding
    assert (serials == [12345678]) == (level == "ok" or "state" in how)


def test_no_zed_sdk(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(cameras.__file__).parents[2]))
    finding, _ = cameras.check_zed_sdk()
    assert finding.level == "fail"
    assert "pyzed is not installed" in finding.found


LENSES = "[{side}_CAM_HD]\nfx=700\nfy=700\ncx=640\ncy=360\nk1=-0.17\nk2=0.02\n"
FACTORY = f"[STEREO]\nBaseline=62.98\n{LENSES.format(side='LEFT')}{LENSES.format(side='RIGHT')}"


@pytest.mark.parametrize(
    ("change", "level", "said"),
    [
        (lambda t: t, "ok", "of camera 12345678: 1280x720, lenses 63.0 mm apart, as on a ZED Mini"),
        (lambda t: None, "fail", "cannot read the calibration"),
        (lambda t: "garbage", "fail", "cannot read the calibration"),
        (lambda t: t.replace("RIGHT_CAM_HD", "RIGHT_CAM_VGA"), "fail", "no section [RIGHT_CAM_HD]"),
        (lambda t: t.replace("[STEREO]", "[MONO]"), "fail", "no section [STEREO]"),
        (lambda t: t.replace("fx=700", "fx=7"), "fail", "focal lengths"),
        (lambda t: t.replace("k1=-0.17", "k1=50"), "fail", "cannot be right"),
        (lambda t: t.replace("62.98", "-62.98"), "fail", "left and right swapped"),
        (lambda t: t.replace("62.98", "85.0"), "warn", "no ZED has that"),
    ],
)
def test_a_factory_calibration_is_read_as_the_camera_node_reads_it(tmp_path, change, level, said):
    path, text = tmp_path / "SN12345678.conf", change(FACTORY)
    if text is not None:
        path.write_text(text)
    finding = cameras.check_calibration(path)
    assert (finding.level, said in finding.found) == (level, True), finding
    assert bool(finding.advice) == (level != "ok")


def test_a_calibration_of_another_size_camera_or_mount_is_refused(tmp_path):
    path, mount = tmp_path / "SN12345678.conf", tmp_path / "mount.yaml"
    path.write_text(FACTORY)
    assert "holds no resolution 1000x720" in cameras.check_calibration(path, (1000, 720)).found
    assert "is of camera 12345678; here is 87654321" in cameras.check_calibration(path, serials=[87654321]).found
    assert cameras.check_calibration(path, serials=[87654321, 12345678]).level == "ok"
    eyes = {"eyes_xyz": [0.1, 0.0, 0.7], "eyes_rpy": [0.0, 1.0, 0.0]}
    for baseline, level in ((0.063, "ok"), (0.12, "fail")):
        write_calibration_file(mount, MOUNT, {**eyes, "camera_baseline": baseline})
        assert cameras.check_calibration(path, mount=str(mount)).level == level
        assert cameras.check_mount(str(mount)).level == "ok"
    mount.write_text("eyes: here")
    assert "calibrate eyes" in cameras.check_mount(str(mount)).advice
    renamed = tmp_path / "zed.conf"
    renamed.write_text(FACTORY)
    assert "does not say of which camera" in cameras.check_calibration(renamed).found


def closed_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_headset_that_is_not_there():
    (finding,) = headset.check_headset(f"127.0.0.1:{closed_port()}", 0.5)
    assert finding.level == "fail"
    assert "press Start" in finding.advice
    for port in ("x", "99999", "-1"):
        assert "no port" in headset.check_reached(f"127.0.0.1:{port}").found
    assert "is no address" in headset.check_reached("..").found
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
GOOD = {"publishers": ["body"], "writers": 1, "types": [JOINTS.type], "count": 750, "rate": 250.0, "age": 0.001}


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
        ({"writers": 2}, "fail", "2 publishers at once"),
    ],
)
def test_topics_are_judged(change, level, said):
    finding = graph.judge_topic(JOINTS, GOOD | change, 3.0)
    assert (finding.level, said in finding.found) == (level, True)
    assert bool(finding.advice) == (level != "ok")


def test_pictures_are_missed_in_a_rollout_and_only_noticed_where_a_person_may_drive_without(monkeypatch):
    nobody = {"publishers": [], "writers": 0, "types": [], "count": 0, "rate": 0.0, "age": None}
    monkeypatch.setattr(graph, "_watch", lambda seconds, topics: [nobody] * len(topics))
    levels = {name: {one.what: one.level for one in graph.check_topics(name, 1.0)} for name in ("rollout", "teleop")}
    picture = "left/color/rect/image/compressed"
    assert (levels["rollout"][picture], levels["teleop"][picture]) == ("fail", "warn")
    assert levels["teleop"]["teleop/status"] == levels["teleop"]["joint_states"] == "fail"


def test_a_ros_whose_dds_cannot_share_a_process_with_the_robots(monkeypatch):
    environment = {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}
    for wants_robot, level in ((False, "warn"), (True, "fail")):
        (finding,) = [one for one in graph.check_ros_environment(environment, wants_robot) if one.level != "ok"]
        assert (finding.what, finding.level) == ("RMW_IMPLEMENTATION", level)
        assert "rmw_fastrtps_cpp" in finding.advice
