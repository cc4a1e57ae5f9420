"""Images are made by the Makefile's own steps; the compose file starts commands that exist. Nothing is built here."""

import argparse
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from firsthand.command import _parser
from firsthand.errors import LaunchError
from firsthand.launching.launch_file import find_launch_file, read_arguments

ROOT = Path(__file__).resolve().parents[1]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
OURS = [path for path in DOCKERFILES if path.name != "zed.Dockerfile"]
NEEDED_TO_BEGIN = {"ca-certificates", "make", "python3", "python3-venv"}

pytestmark = pytest.mark.skipif(not DOCKER.is_dir(), reason="an installed package has no docker/")


def instructions(path):
    """(word, rest) of every instruction, continued lines joined, comments left out."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]


def commands(path):
    """Every command of a Dockerfile's RUNs, as words."""
    return [shlex.split(one) for word, rest in instructions(path) if word == "RUN" for one in rest.split("&&")]


def makefile(name):
    """A variable of the Makefile, as words."""
    return re.search(rf"^{name} = (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()


def has_target(target):
    return re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE) is not None


def services():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_python_packages_come_by_targets_of_the_makefile_alone(path):
    run = commands(path)
    assert not [words for words in run if "pip" in " ".join(words)], "a version that the Makefile does not know"
    targets = [word for words in run if words[0] == "make" for word in words[1:]]
    assert targets[0] == "system"
    for target in targets:
        if target == "robot" and not has_target("robot"):
            pytest.skip("this source tree has no `make robot`")
        assert has_target(target), target
        assert subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_system_packages_that_the_makefile_knows_come_from_it(path):
    installed = [word for words in commands(path) if words[:2] == ["apt-get", "install"] for word in words[2:]]
    packages = {word for word in installed if not word.startswith("-")}
    assert packages == NEEDED_TO_BEGIN
    assert not packages & set(makefile("LIBRARIES"))


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_the_image_s_python_is_one_that_the_project_runs_on(path):
    base = dict(re.findall(r"^ARG (\w+)=(\S+)", path.read_text(), re.MULTILINE))["BASE"]
    of_release = {"ubuntu:22.04": "python3.10", "ubuntu:24.04": "python3.12"}
    assert of_release[base] in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_images_end_as_a_user_and_begin_from_a_release(path):
    users = [rest for word, rest in instructions(path) if word == "USER"]
    assert users[-1] == "1000:1000"
    for base in re.findall(r"^ARG (?:BASE|ROBOT)=(\S+)", path.read_text(), re.MULTILINE):
        assert ":" in base
        assert not base.endswith(":latest")


def test_every_service_starts_a_command_that_exists():
    parser = _parser()
    known = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction)).choices
    for name, service in services().items():
        command = service["command"]
        if command[0] == "fake-robot" and "fake-robot" not in known:
            pytest.skip("this source tree has no fake robot")
        options = parser.parse_args(command)
        if command[0] == "launch":
            check_launch(name, options.name, [word.split(":=", 1) for word in command[2:]])


def check_launch(service, name, given):
    arguments = {one.name: one for one in read_arguments(find_launch_file(name))}
    for key, value in given:
        assert key in arguments, f"{service}: {key}"
        if arguments[key].choices:
            assert value in arguments[key].choices, f"{service}: {key}:={value}"


def test_services_share_what_their_middleware_needs_and_are_nobody_special():
    for service in services().values():
        assert (service["network_mode"], service["ipc"]) == ("host", "host")
        assert service["user"].split(":")[0] not in ("0", "root")
        assert service["cap_drop"] == ["ALL"]
        assert "privileged" not in service
        assert (ROOT / "docker" / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_the_stack_s_camera_is_where_the_rollout_looks():
    port = services()["camera"]["command"][-1]
    assert f"device:=tcp://127.0.0.1:{port}" in services()["rollout"]["command"]


def test_an_unknown_launch_file_would_be_noticed():
    with pytest.raises(LaunchError):
        find_launch_file("rolout")
