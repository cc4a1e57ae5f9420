"""Our launch and config files fit our nodes: programs, parameters, arguments. Needs rclpy to import the nodes."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy")

from firsthand.launching.launch_file import find_launch_file, read_arguments, read_entries
from firsthand.launching.plan import InlineParameter, plan
from firsthand.nodes.configuration import NODES, config_text, settings_class_of
from firsthand.nodes.parameters import check_parameters, list_settings
from firsthand.share import share_directory

FILES = sorted((share_directory() / "launch").glob("*.launch.yaml"))
REQUIRED = {"replay": {"bag": "recordings/first"}}
VARIATIONS = {
    "rollout": {
        "bag": ("", "recordings/third"),
        "videos": ("", "left.mp4,right.mp4"),
        "duration": ("0", "20"),
        "device": ("/dev/video2", "tcp://127.0.0.1:5600"),
        "camera_calibration": ("", "SN12345678.conf"),
        "svo": ("", "table.svo2"),
        "engage": ("true", "false"),
        "seed": ("0", "41"),
        "real_time_factor": ("1.0", "2"),
    },
    "record": {"bag": ("", "2026"), "record": ("", "recordings"), "duration": ("0", "20")},
    "teleop": {
        "bag": ("", "2026"),
        "duration": ("0", "20"),
        "checkpoint": ("", "push"),
        "motion": ("reach", "session.npz"),
        "operator": ("", "ada.json"),
        "pedal": ("", "/dev/input/event3"),
        "address": ("127.0.0.1:12345", "192.168.1.20"),
        "view_host": ("127.0.0.1", "0.0.0.0"),
        "certificate": ("", "cert.pem"),
        "key": ("", "key.pem"),
        "body": ("simulated", "mock"),
        "record": ("", "recordings"),
    },
    "replay": {"checkpoint": ("", "push"), "record": ("", "again"), "rate": ("0.5", "2")},
}


def name_of(path):
    return path.name.removesuffix(".launch.yaml")


def all_plans(path):
    """What a launch file starts: by default, with each argument varied alone, and with all varied together."""
    options = {one.name: one.choices for one in read_arguments(path) if one.choices}
    options |= VARIATIONS.get(name_of(path), {})
    alone = [{name: value} for name, values in options.items() for value in values]
    together = [{name: values[-1] for name, values in options.items()}]
    return [plan(path, REQUIRED.get(name_of(path), {}) | given) for given in [{}, *alone, *together]]


def parameters_of(process):
    """Every parameter that a process gets, in the order in which they count."""
    given = {}
    words = iter(process.command)
    for word in words:
        if word == "-p":
            name, _, value = next(words).partition(":=")
            given[name] = yaml.safe_load(value)
        elif word == "--params-file":
            file = next(words)
            text = file.to_yaml() if isinstance(file, InlineParameter) else Path(file).read_text()
            given |= yaml.safe_load(text)["/**"]["ros__parameters"]
    return given


def test_there_are_launch_files():
    assert {"rollout", "record", "replay", "teleop"} <= {name_of(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_argument_is_documented_and_used(path):
    text = path.read_text()
    for argument in read_arguments(path):
        assert argument.description.endswith("."), f"{argument.name} has no description"
        assert f"$(var {argument.name})" in text, f"{argument.name} does nothing"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_node_accepts_what_it_is_given(path):
    for processes in all_plans(path):
        for process in processes:
            node = process.name.rpartition("-")[0]
            if node != "duration":
                assert node in NODES
                check_parameters(settings_class_of(node), parameters_of(process), owner=node)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_node_reads_its_config_and_has_a_name(path):
    for processes in all_plans(path):
        for process in processes:
            node = process.name.rpartition("-")[0]
            if node != "duration":
                assert str(share_directory() / "config" / f"{node}.yaml") in process.command
                assert f"__node:={node}" in process.command


def test_every_node_is_a_program():
    programs = {
        entry.name: entry.value for entry in importlib.metadata.distribution("firsthand").entry_points
        if entry.group == "console_scripts"
    }  # fmt: skip
    assert all(programs[node] == f"firsthand.nodes.{node}:main" for node in NODES)


@pytest.mark.parametrize("node", NODES)
def test_config_files_are_those_of_the_code(node):
    text = (share_directory() / "config" / f"{node}.yaml").read_text()
    assert text == config_text(node), "run python -m firsthand.nodes.configuration"


@pytest.mark.parametrize("node", NODES)
def test_config_files_hold_every_default(node):
    settings_class = settings_class_of(node)
    text = (share_directory() / "config" / f"{node}.yaml").read_text()
    given = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert check_parameters(settings_class, given) == settings_class()
    assert all(setting.description for setting in list_settings(settings_class))


def test_the_rollout_graph():
    names = [process.name for process in plan(find_launch_file("rollout"), {"bag": "recordings/x"})]
    assert names == ["recorder-1", "camera-2", "features-3", "policy-4", "kinematics-5", "body-6"]


def test_all_but_the_maker_of_time_follow_the_clock():
    processes = plan(find_launch_file("rollout"))
    follows = {process.name.rpartition("-")[0]: "use_sim_time:=True" in process.command for process in processes}
    assert follows == {"camera": True, "features": True, "policy": True, "kinematics": True, "body": False}


def test_the_teleoperation_graph_of_a_laptop_and_of_a_robot():
    names = [process.name for process in plan(find_launch_file("teleop"))]
    assert names == ["camera-1", "fake_headset-2", "headset-3", "teleop-4", "kinematics-5", "body-6"]
    given = {
        "body": "h1_2",
        "headset": "vision_pro",
        "address": "192.168.1.20",
        "cameras": "none",
        "bag": "recordings/x",
    }
    processes = plan(find_launch_file("teleop"), given)
    assert [process.name for process in processes] == ["recorder-1", "headset-2", "teleop-3", "kinematics-4", "body-5"]
    assert not any("use_sim_time:=True" in process.command for process in processes)
    assert parameters_of(processes[-1])["publish_clock"] is False
    assert parameters_of(processes[1])["address"] == "192.168.1.20"
    assert parameters_of(processes[1])["source"] == "tracking_streamer"
    web = plan(find_launch_file("teleop"), {"headset": "web"})
    assert next(parameters_of(p)["source"] for p in web if p.name.startswith("headset")) == "web"


def test_a_person_is_recorded_without_a_robot():
    given = {"body": "none", "headset": "vision_pro", "cameras": "zed", "record": "people"}
    processes = plan(find_launch_file("teleop"), given)
    assert [process.name for process in processes] == ["recorder-1", "camera-2", "headset-3", "teleop-4"]
    assert not any("use_sim_time:=True" in process.command for process in processes)


def test_a_pedal_is_read_by_a_node_of_its_own():
    device = "/dev/input/by-id/usb-PCsensor_FootSwitch-event-kbd"
    given = {"clutch": "pedal", "pedal": device}
    processes = {p.name.rpartition("-")[0]: p for p in plan(find_launch_file("teleop"), given)}
    assert parameters_of(processes["pedal"])["device"] == device
    assert parameters_of(processes["teleop"])["clutch"] == "pedal"
    assert not any(p.name.startswith("pedal") for p in plan(find_launch_file("teleop"), {"pedal": device}))


def test_the_end_of_the_body_is_the_end():
    assert [process.name for process in plan(find_launch_file("rollout")) if process.ends_all] == ["body-5"]


def test_entries_are_what_launch_reads():
    assert all(isinstance(read_entries(path), list) for path in FILES)


def run_command(*words):
    command = [sys.executable, "-m", "firsthand.launching.command", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_show_args():
    result = run_command("rollout", "--show-args")
    assert result.returncode == 0
    assert "checkpoint" in result.stdout
    assert "(default: 'push')" in result.stdout
    assert "One of: id, ood." in result.stdout


def test_a_task_is_done_by_the_checkpoint_of_its_name():
    for given, expected in (({}, "push"), ({"task": "passing"}, "passing"), ({"checkpoint": "mine"}, "mine")):
        words = [word for one in plan(find_launch_file("rollout"), given) for word in one.command]
        found = [word.value for word in words if isinstance(word, InlineParameter) and word.name == "checkpoint"]
        assert found == [expected] * 2  # features, policy


def test_a_launch_that_counts_trials_ends_with_the_first_failure(tmp_path):
    path = tmp_path / "count.launch.yaml"
    body = "- arg: {name: trials, default: '0'}\n- executable: {cmd: 'sleep 600'}\n- executable: {cmd: 'false'}\n"
    path.write_text("launch:\n" + body)
    result = run_command(str(path), "trials:=1")
    assert result.returncode == 1
    assert "false-2 failed: SIGINT to sleep-1" in result.stdout


def test_print_can_be_pasted():
    result = run_command("rollout", "seed:=3", "--print")
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) == 5
    assert "<(echo '{/**: {ros__parameters: {seed: 3}}}')" in result.stdout


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["rollout", "sed:=3"], "has no argument sed"),
        (["rollout", "seed=3"], "arguments are written name:=value"),
        (["rollout", "body:=h1"], "argument body is one of simulated, mock"),
        (["replay"], "needs bag:=..."),
    ],
)
def test_mistakes_are_explained(words, error):
    result = run_command(*words)
    assert result.returncode == 2
    assert error in result.stderr
    assert "Traceback" not in result.stderr
