"""Our runner against the real one, where there is a real one: `ros2 launch` comes with an apt ROS 2 only."""

import re
from pathlib import Path

import pytest
import yaml

pytest.importorskip("launch", reason="ros2 launch is not installed")
pytest.importorskip("launch_ros", reason="ros2 launch is not installed")

import firsthand.launching.plan as plan_module
from firsthand.launching.launch_file import find_launch_file
from firsthand.launching.plan import InlineParameter, plan

CASES = [
    ("rollout", {}),
    (
        "rollout",
        {"bag": "/x", "cameras": "video", "videos": "a.mp4,b.mp4", "duration": "5", "real_time_factor": "2"},
    ),
    ("rollout", {"body": "mock", "variant": "ood", "checkpoint": "/x/1", "engage": "false", "seed": "4"}),
    ("record", {}),
    ("record", {"bag": "2026", "cameras": "none", "duration": "5"}),
    ("replay", {"bag": "x"}),
    ("replay", {"bag": "y", "checkpoint": "push", "record": "out", "rate": "0.5"}),
]


def real_command_lines(path, given, monkeypatch):
    """What `ros2 launch` would execute, without executing it."""
    import launch
    from launch.actions import ExecuteLocal, IncludeLaunchDescription
    from launch.launch_description_sources import AnyLaunchDescriptionSource

    commands = []

    def note(self, context):
        self.prepare(context)
        commands.append(list(self.process_description.final_cmd))

    monkeypatch.setattr(ExecuteLocal, "execute", note)
    service = launch.LaunchService(argv=[])
    source = AnyLaunchDescriptionSource(str(path))
    service.include_launch_description(
        launch.LaunchDescription([IncludeLaunchDescription(source, launch_arguments=list(given.items()))])
    )
    assert service.run() == 0
    return commands


def content(word):
    """A temporary parameter file as what it says; programs and config files by their names, wherever they are."""
    if isinstance(word, InlineParameter):
        return yaml.safe_load(word.to_yaml())
    if "launch_params_" in word:
        return yaml.safe_load(Path(word).read_text())
    return re.sub(r".*/(lib/firsthand|config)/", "", word)


@pytest.mark.parametrize(("name", "given"), CASES)
def test_command_lines_are_the_same(name, given, monkeypatch):
    monkeypatch.setattr(plan_module, "find_executable", lambda package, program: Path(f"/lib/{package}/{program}"))
    path = find_launch_file(name)
    ours = [[content(word) for word in process.command] for process in plan(path, given)]
    theirs = [[content(word) for word in command] for command in real_command_lines(path, given, monkeypatch)]
    assert ours == theirs
