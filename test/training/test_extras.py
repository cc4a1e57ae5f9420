"""`firsthand-lab` where torch is not installed: every command is there, and says what it lacks."""

import subprocess
import sys

WITHOUT_TORCH = """
import sys

class Finder:  # of all modules but torch
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] == "torch" else self.finder.find_spec(name, path, target)

sys.meta_path = [Finder(each) for each in sys.meta_path]
from firsthand_training.command import main
sys.exit(main())
"""


def call(*words):
    command = [sys.executable, "-c", WITHOUT_TORCH, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_lists_every_command():
    said = call("--help")
    assert said.returncode == 0, said.stderr
    for name in ("pretrain", "finetune", "cotrain", "export", "experiment", "label-experiment", "evaluate"):
        assert name in said.stdout.split("subcommands")[-1]
    assert "pip install '.[train]'" in said.stdout


def test_a_command_says_what_it_lacks():
    said = call("train", "--output", "somewhere")
    assert said.returncode == 1
    assert said.stderr == "firsthand-lab: train needs torch: pip install '.[train]'\n"
