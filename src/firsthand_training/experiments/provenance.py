"""What results were made of: the commit of the code, recipes, and hashes of datasets and policies."""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from firsthand.policy.checkpoint import WEIGHTS, sha256
from firsthand_training.experiments.plan import Step, policy_path, read_json, recipe_of
from firsthand_training.experiments.scales import Scale
from firsthand_training.experiments.tables import TASKS, Row
from firsthand_training.training.train import describe_settings

HISTORY = "steps.jsonl"
"""In an experiment's folder: a line for each step that was finished, with the code that finished it."""
CODE = Path(__file__).resolve()


def code_version(file: Path = CODE) -> dict[str, Any] | None:
    """The commit that a file of ours is of, and whether tracked files differ from it; None if no git has the file."""
    if _git(file.parent, "ls-files", "--error-unmatch", file.name) is None:
        return None
    commit, changes = _git(file.parent, "rev-parse", "HEAD"), _git(file.parent, "status", "--porcelain", "-uno")
    return None if commit is None else {"commit": commit, "modified": bool(changes)}


def describe_recipe(row: Row, scale: Scale) -> dict[str, Any]:
    """All settings that a row's policies are trained with, those that are as usual included."""
    recipe = recipe_of(row, scale)
    pretraining = {"steps": scale.pretraining_steps, "slow_down": scale.slow_down} if row.video else None
    return {"cache": asdict(recipe.cache), "train": describe_settings(recipe.train), "pretraining": pretraining}


def describe_policies(row: Row, root: Path) -> dict[str, Any]:
    """By task, for the policies that are there: hashes of manifest, weights and datasets, and what they came from."""
    found = {task: policy_path(root, row, task) for task in TASKS}
    return {task: _policy(path) for task, path in found.items() if path.is_file()}


def remember(history: Path, step: Step) -> None:
    """Note that a step was finished, and by which code."""
    line = {"step": step.name, "code": code_version(), "commands": [list(command) for command in step.commands]}
    with history.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_history(root: Path, steps: Iterable[Step]) -> list[dict[str, Any]]:
    """Each step with its commands, whether it is done, and which code finished it last; None if nobody noted it."""
    path = root / HISTORY
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    code: dict[str, Any] = {}
    for line in lines:
        try:
            noted = json.loads(line)
            code[noted["step"]] = noted["code"]
        except (ValueError, KeyError, TypeError):  # a line that a kill cut short
            continue
    return [
        {"step": step.name, "done": step.done, "code": code.get(step.name), "commands": list(step.commands)}
        for step in steps
    ]


def _policy(manifest: Path) -> dict[str, Any]:
    made = (read_json(manifest) or {}).get("provenance", {})
    weights = manifest.with_name(WEIGHTS)
    return {
        "manifest_sha256": sha256(manifest),
        "weights_sha256": sha256(weights) if weights.is_file() else None,
        **{name: made.get(name) for name in ("step", "sources", "from", "torch")},
    }


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return None
    return done.stdout.strip() if done.returncode == 0 else None
