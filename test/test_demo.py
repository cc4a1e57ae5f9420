"""`make demo` before it installs or simulates anything."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def check(monkeypatch, **variables):
    for name in ("TASK", "CHECKPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return subprocess.run(["bash", str(ROOT / "demo.sh"), "check"], capture_output=True, text=True, check=False)


def test_a_task_without_a_checkpoint_says_what_ships_and_how_to_make_one(monkeypatch):
    said = check(monkeypatch, TASK="juggle")
    assert said.returncode == 1
    assert "no checkpoint at checkpoints/juggle for TASK=juggle; there is one for: push" in said.stderr
    assert "firsthand-lab train --episodes runs/juggle/episodes --output runs/juggle" in said.stderr


@pytest.mark.parametrize("variables", [{}, {"TASK": "juggle", "CHECKPOINT": "checkpoints/push"}])
def test_what_ships_or_is_named_goes_on(variables, monkeypatch):
    assert check(monkeypatch, **variables).returncode == 0
