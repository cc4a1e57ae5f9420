"""A launch file becomes the command lines that `ros2 launch` gives; SAMPLE's were taken from launch 3.4.3 (Jazzy)."""

from pathlib import Path

import pytest
import yaml

import firsthand.launching.plan as plan_module
from firsthand.errors import LaunchError
from firsthand.launching.launch_file import find_launch_file, read_arguments
from firsthand.launching.plan import InlineParameter, plan

SAMPLE = """
launch:
- arg: {name: body, default: simulated, description: Which., choice: [{value: simulated}, {value: mock}]}
- arg: {name: rate, default: "25", description: How often.}
- arg: {name: flag, default: "true"}
- arg: {name: empty, default: ""}
- let: {name: derived, value: "$(var body)-x"}
- set_parameter: {name: use_sim_time, value: "$(var flag)"}
- node:
    pkg: firsthand
    exec: camera
    name: camera
    namespace: eyes
    if: $(eval "'$(var body)' == 'simulated'")
    args: "--hello 'two words'"
    param:
    - from: FILE
    - {name: rate, value: $(var rate)}
    - {name: text, value: "$(var derived)"}
    - {name: empty, value: "$(var empty)"}
    - {name: quoted, value: "25"}
    - {name: number, value: 3}
    - {name: list, value: [a, b]}
    - {name: forced, value: "$(var rate)", type: str}
    - {name: precise, value: "$(var rate)", type: float}
    - {name: sequence, value: "[$(var rate)]"}
    remap:
    - {from: a, to: b}
    - {from: /c, to: "$(var body)/d"}
    output: screen
- group:
  - push_ros_namespace: {namespace: robot}
  - set_remap: {from: x, to: y}
  - let: {name: inner, value: "1"}
  - node: {pkg: firsthand, exec: body, name: body}
  - node: {pkg: firsthand, exec: body, unless: $(var flag)}
  - node: {pkg: firsthand, exec: policy, if: $(var flag), namespace: /else, remap: [{from: x, to: z}]}
  - executable: {cmd: "echo $(env FIRSTHAND_NOWHERE nothing) $(var inner)", name: hi, output: screen}
- node: {pkg: firsthand, exec: policy, name: policy}
"""


@pytest.fixture(autouse=True)
def _programs(monkeypatch):
    monkeypatch.setattr(plan_module, "find_executable", lambda package, name: Path("/lib") / package / name)


def write(folder, text):
    parameters = folder / "values.yaml"
    parameters.write_text("/**: {ros__parameters: {}}")
    path = folder / "sample.launch.yaml"
    path.write_text(text.replace("FILE", str(parameters)))
    return path


def words(process):
    """The command with parameters of the launch file as what their file says."""
    return [yaml.safe_load(w.to_yaml()) if isinstance(w, InlineParameter) else w for w in process.command]


def inline(node, name, value):
    return ["--params-file", {node: {"ros__parameters": {name: value}}}]


def test_command_lines_are_those_of_ros2_launch(tmp_path):
    path = write(tmp_path, SAMPLE)
    camera, body, policy, echo, last = map(words, plan(path))
    sim_time = ["-p", "use_sim_time:=True"]
    assert camera == [
        *["/lib/firsthand/camera", "--hello", "two words", "--ros-args"],
        *["-r", "__node:=camera", "-r", "__ns:=/eyes", *sim_time],
        *["--params-file", str(tmp_path / "values.yaml")],
        *inline("/eyes/camera", "rate", 25),
        *inline("/eyes/camera", "text", "simulated-x"),
        *inline("/eyes/camera", "empty", ""),
        *inline("/eyes/camera", "quoted", "25"),
        *inline("/eyes/camera", "number", 3),
        *inline("/eyes/camera", "list", ["a", "b"]),
        *inline("/eyes/camera", "forced", "25"),
        *inline("/eyes/camera", "precise", 25.0),
        *inline("/eyes/camera", "sequence", [25]),
        *["-r", "a:=b", "-r", "/c:=simulated/d"],
    ]
    assert body == [
        *["/lib/firsthand/body", "--ros-args", "-r", "__node:=body", "-r", "__ns:=/robot", *sim_time, "-r", "x:=y"]
    ]
    assert policy == ["/lib/firsthand/policy", "--ros-args", "-r", "__ns:=/else", *sim_time, "-r", "x:=y", "-r", "x:=z"]
    assert echo == ["echo", "nothing", "1"]
    assert last == ["/lib/firsthand/policy", "--ros-args", "-r", "__node:=policy", *sim_time]


def test_conditions_and_arguments_choose_what_starts(tmp_path):
    path = write(tmp_path, SAMPLE)
    names = [process.name for process in plan(path, {"body": "mock", "flag": "false"})]
    assert names == ["body-1", "body-2", "hi-3", "policy-4"]


def test_an_included_file_keeps_given_arguments(tmp_path):
    (tmp_path / "inner.yaml").write_text(
        "launch:\n"
        "- arg: {name: z, default: inner}\n"
        "- node: {pkg: firsthand, exec: body, param: [{name: z, value: $(var z)}]}\n"
    )
    path = write(
        tmp_path,
        "launch:\n"
        "- include: {file: $(dirname)/inner.yaml, arg: [{name: z, value: '9'}]}\n"
        "- include: {file: $(dirname)/inner.yaml}\n",
    )
    assert [words(process)[-1]["/**"]["ros__parameters"]["z"] for process in plan(path)] == [9, 9]


def test_a_group_keeps_its_variables_to_itself(tmp_path):
    path = write(
        tmp_path,
        "launch:\n"
        "- let: {name: n, value: '1'}\n"
        "- group: [{let: {name: n, value: '2'}}, {executable: {cmd: echo $(var n)}}]\n"
        "- executable: {cmd: echo $(var n), on_exit: shutdown}\n",
    )
    processes = plan(path)
    assert [words(process) for process in processes] == [["echo", "2"], ["echo", "1"]]
    assert [process.ends_all for process in processes] == [False, True]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("nodes: []", "is no launch file"),
        ("launch: [{a: 1, b: 2}]", "each entry is one word"),
        ("launch: [{timer: {period: 1}}]", "no entry 'timer' in firsthand launch; there are arg, let, node"),
        ("launch: [{node: {pkg: firsthand, exec: a, respawn: true}}]", "node has no respawn"),
        ("launch: [{node: {pkg: firsthand, exec: a, param: [{from: /no/file}]}}]", "not there: /no/file"),
        ("launch: [{node: {pkg: firsthand, exec: a, output: log}}]", "is screen or both"),
        ("launch: [{node: {pkg: firsthand, exec: a, if: perhaps}}]", "a condition is true"),
        ("launch: [{arg: {name: bag, description: The bag.}}]", "needs bag:=... (The bag.)"),
        ("launch: [{arg: {name: b, default: x, choice: [{value: y}]}}]", "argument b is one of y; got 'x'"),
        ("launch: [{node: {pkg: firsthand, exec: a, param: [{name: p, value: x, type: list}]}}]", "the type of"),
        ("launch: [", "cannot read launch file"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path, text, error):
    with pytest.raises(LaunchError) as caught:
        plan(write(tmp_path, text))
    assert error in str(caught.value)


def test_unknown_arguments_are_refused(tmp_path):
    with pytest.raises(LaunchError, match="has no argument bodi; it has body, rate, flag, empty"):
        plan(write(tmp_path, SAMPLE), {"bodi": "mock"})


def test_arguments_are_listed(tmp_path):
    first, second, *_ = read_arguments(write(tmp_path, SAMPLE))
    assert (first.name, first.default, first.choices) == ("body", "simulated", ("simulated", "mock"))
    assert (second.default, second.description) == ("25", "How often.")


def test_unknown_launch_file():
    with pytest.raises(LaunchError, match="no launch file 'rolout'; there are record, replay, rollout"):
        find_launch_file("rolout")
