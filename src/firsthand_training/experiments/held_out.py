"""How well the policies of an experiment foretell demonstrations that they were not trained on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from firsthand_training.experiments.plan import policy_path
from firsthand_training.experiments.tables import TASKS, Row
from firsthand_training.training.log import METRICS

ROBOT = "validation/robot/"
"""What the names of validation on the robot's own demonstrations begin with; rows with people have theirs besides."""

SKILL = f"{ROBOT}feature_skill"
"""Runs of before measured another error under another name: theirs is left open (`benchmarks/held_out.py` tells it)."""


@dataclass(frozen=True)
class HeldOut:
    """The last validation of a run (`training.validation.validate`)."""

    step: int
    wrist_mm: float  # mean error of a chunk
    hold_mm: float  # of holding still
    skill: float | None  # of predicted features over copying the current ones; None without a world model
    moving: float | None  # the same on the tenth of the patches that change most
    ahead: dict[int, float] = field(default_factory=dict)  # of all patches, by steps ahead
    moving_ahead: dict[int, float] = field(default_factory=dict)  # of the tenth, by steps ahead


def read_held_out(row: Row, root: Path) -> dict[str, HeldOut]:
    """By task, for the policies that are there."""
    runs = {task: policy_path(root, row, task) for task in TASKS}
    found = {task: _last(path.parent.parent / METRICS) for task, path in runs.items() if path.is_file()}
    return {task: values for task, values in found.items() if values is not None}


def held_out_table(rows: Mapping[Row, Mapping[str, HeldOut]]) -> list[str]:
    """A Markdown table: a line for each task and row that was validated; none without any."""
    lines = [
        f"| {task} | {row.label} | {values[task].wrist_mm:.1f} ({values[task].hold_mm:.1f}) "
        f"| {_number(values[task].skill)} | {_number(values[task].moving)} |"
        for task in TASKS
        for row, values in rows.items()
        if task in values
    ]
    if not lines:
        return []
    heading = "| task | | wrists off (holding still) [mm] | feature skill | on the tenth that changes most |"
    return [heading, "|---|---|---|---|---|", *lines]


def mean_skills(rows: Mapping[Row, Mapping[str, HeldOut]]) -> dict[str, dict[int, float]]:
    """Skill by steps ahead, the mean over the tasks that all of the rows with a world model have."""
    foreseeing = {row: values for row, values in rows.items() if any(each.ahead for each in values.values())}
    tasks = [task for task in TASKS if all(task in values for values in foreseeing.values())]
    if not tasks:
        return {}
    return {
        row.label: {
            step: sum(values[task].ahead[step] for task in tasks) / len(tasks) for step in values[tasks[0]].ahead
        }
        for row, values in foreseeing.items()
    }


def _last(path: Path) -> HeldOut | None:
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    validated = (line for line in reversed(lines) if f'"{ROBOT}action/wrist_mm"' in line and line.endswith("}"))
    line = next(validated, None)
    return None if line is None else _held_out(json.loads(line))


def _held_out(values: Mapping[str, float]) -> HeldOut:
    return HeldOut(
        step=int(values["step"]),
        wrist_mm=values[f"{ROBOT}action/wrist_mm"],
        hold_mm=values[f"{ROBOT}hold/wrist_mm"],
        skill=values.get(SKILL),
        moving=values.get(f"{SKILL}/moving"),
        ahead=_by_steps(values, f"{SKILL}/"),
        moving_ahead=_by_steps(values, f"{SKILL}/moving/"),
    )


def _by_steps(values: Mapping[str, float], prefix: str) -> dict[int, float]:
    names = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
    return {int(steps): value for steps, value in names.items() if steps.isdigit()}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
