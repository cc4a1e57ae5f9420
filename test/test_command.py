"""The command `firsthand`, as people type it."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from firsthand.command import main


@pytest.mark.parametrize("hand", ["dfx", "ftp"])
def test_urdf_is_printed_or_written(hand, tmp_path, capsys):
    assert main(["urdf", "--hand", hand]) == 0
    printed = capsys.readouterr().out
    assert ElementTree.fromstring(printed).tag == "robot"
    assert main(["urdf", "--hand", hand, "--output", str(tmp_path / "h1_2.urdf")]) == 0
    assert (tmp_path / "h1_2.urdf").read_text().strip() == printed.strip()


def test_a_missing_bag_is_said_and_exits_with_one(tmp_path, capsys):
    assert main(["report", str(tmp_path / "none")]) == 1
    assert "firsthand report: no bag at" in capsys.readouterr().err
    assert main(["recover", str(tmp_path / "none")]) == 1


def test_a_report_is_printed_and_written(tmp_path, capsys):
    from firsthand.bags.write import BagWriter, Topic

    with BagWriter(tmp_path / "bag", [Topic("/joint_states", "sensor_msgs/msg/JointState")]):
        pass
    assert main(["report", str(tmp_path / "bag"), "--json", str(tmp_path / "report.json")]) == 0
    assert "joint_states" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["topics"][0]["name"] == "/joint_states"


@pytest.mark.parametrize("words", [[], ["fly"], ["urdf", "--hand", "claw"]])
def test_a_wrong_call_exits_with_two(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_help_teaches_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(f"firsthand {name}" in text for name in ("launch", "report", "recover", "urdf", "fake-robot"))


def test_a_closed_pipe_is_no_error():
    command = f"set -o pipefail; {sys.executable} -m firsthand.command urdf | head -c 100"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
