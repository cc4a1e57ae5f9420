"""What came of an experiment: a Markdown page with tables and intervals, a figure, and the numbers as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from firsthand.simulation.lockstep import RATE
from firsthand.simulation.tasks.interface import VARIANTS
from firsthand_training.episodes.durable import write_text
from firsthand_training.evaluation.figures import plot_skills, plot_success_grid
from firsthand_training.evaluation.statistics import PairedDifference, Proportion, paired_difference, proportion
from firsthand_training.experiments.held_out import HeldOut, held_out_table, mean_skills, read_held_out
from firsthand_training.experiments.plan import is_of, plan, policy_path, read_json, result_path
from firsthand_training.experiments.provenance import code_version, describe_policies, describe_recipe, read_history
from firsthand_training.experiments.scales import Scale
from firsthand_training.experiments.tables import TASKS, Row, Table

Outcomes = dict[tuple[str, str], dict[int, bool]]
"""Success by seed, for each task and variant that was run."""


def write_report(table: Table, scale: Scale, root: Path, output: Path) -> Path:
    """Gather the trials that there are and write `<table>.md`, `<table>.json` and figures into a folder.

    Rows that are made when asked for are there as soon as they have a trial.

    Returns:
        The page.
    """
    tried = tuple(row for row in table.more if read_outcomes(row, root))
    table = replace(table, rows=(*table.rows, *tried), more=())
    rows = {row: read_outcomes(row, root) for row in table.rows}
    output.mkdir(parents=True, exist_ok=True)
    figure = output / f"{table.name}.png"
    panels = [[*(f"{task} {variant}" for task in TASKS), f"all {variant}"] for variant in VARIANTS]
    plot_success_grid({row.label: _proportions(outcomes) for row, outcomes in rows.items()}, panels, figure)
    held_out = {row: read_held_out(row, root) for row in table.rows}
    skills = mean_skills(held_out)
    if skills:
        plot_skills(skills, RATE, output / f"{table.name}_skill.png")
    numbers = {
        "table": asdict(table),
        "scale": asdict(scale),
        "code": code_version(),
        "recipes": {row.label: describe_recipe(row, scale) for row in table.rows},
        "policies": {row.label: describe_policies(row, root) for row in table.rows},
        "steps": read_history(root, plan(table, scale, root)),
        "rows": {row.label: _plain(outcomes) for row, outcomes in rows.items()},
        "held_out": {
            row.label: {task: asdict(values) for task, values in tasks.items()} for row, tasks in held_out.items()
        },
    }
    write_text(output / f"{table.name}.json", json.dumps(numbers, indent=1) + "\n")
    text = page(table, scale, rows, figure.name) + foresight(table, held_out)
    write_text(output / f"{table.name}.md", text)
    return output / f"{table.name}.md"


def read_outcomes(row: Row, root: Path) -> Outcomes:
    """The trials of a row's policies that have been run, complete or not; those of earlier policies do not count."""
    outcomes: Outcomes = {}
    for task in TASKS:
        for variant in VARIANTS:
            found = read_json(result_path(root, row, task, variant))
            if found and is_of(found["checkpoint"], policy_path(root, row, task)):
                outcomes[task, variant] = {int(trial["seed"]): bool(trial["success"]) for trial in found["details"]}
    return outcomes


def page(table: Table, scale: Scale, rows: Mapping[Row, Outcomes], figure: str) -> str:
    """The Markdown page."""
    settings = ", ".join(f"{name} {value}" for name, value in asdict(scale).items())
    return "\n".join(
        [
            f"# {table.title}",
            "",
            f"Successes among trials, the same seeds for every row; 95 % Wilson intervals. Settings: {settings}.",
            "",
            *_success_table(table, rows),
            "",
            f"![Success rates with their intervals]({figure})",
            "",
            f"Against *{table.rows[table.baseline].label}*, trial by trial:",
            "",
            *_difference_table(table, rows),
            "",
        ]
    )


def foresight(table: Table, held_out: Mapping[Row, Mapping[str, HeldOut]]) -> str:
    """The part of the page on held-out demonstrations; nothing before a policy is there."""
    lines = held_out_table(held_out)
    if not lines:
        return ""
    text = (
        "On the robot's demonstrations that were held out, at the end of training. Feature skill is 1 - error / "
        "error of copying the current features, the error being what training minimises (smooth L1 in standard "
        "deviations of each channel): 0 is as good as copying."
    )
    figure = [f"![Feature skill by time ahead]({table.name}_skill.png)", ""] if mean_skills(held_out) else []
    return "\n".join(["", text, "", *lines, "", *figure])


def _success_table(table: Table, rows: Mapping[Row, Outcomes]) -> list[str]:
    columns = [f"{task} {variant}" for task in TASKS for variant in VARIANTS] + [f"all {v}" for v in VARIANTS]
    lines = [_line(["", *columns]), _line(["---"] * (1 + len(columns)))]
    for row in table.rows:
        outcomes = rows[row]
        cells = [_cell(outcomes.get((task, variant), {})) for task in TASKS for variant in VARIANTS]
        lines.append(_line([row.label, *cells, *(_cell(_pooled(outcomes, variant)) for variant in VARIANTS)]))
    return lines


def _difference_table(table: Table, rows: Mapping[Row, Outcomes]) -> list[str]:
    """One line a row: the difference to the baseline, pooled over tasks, in distribution and out of it."""
    lines = [_line(["", *(f"all {variant}" for variant in VARIANTS)]), _line(["---"] * (1 + len(VARIANTS)))]
    reference = rows[table.rows[table.baseline]]
    for row in table.rows:
        if row is not table.rows[table.baseline]:
            cells = [_difference(_pooled(rows[row], variant), _pooled(reference, variant)) for variant in VARIANTS]
            lines.append(_line([row.label, *map(str, cells)]))
    return lines


def _difference(ours: Mapping[int, bool], theirs: Mapping[int, bool]) -> PairedDifference | str:
    return paired_difference(ours, theirs) if ours.keys() & theirs.keys() else "-"


def _pooled(outcomes: Outcomes, variant: str) -> dict[int, bool]:
    """All tasks' trials of a variant, the same task and seed under the same number; none while a task is missing."""
    if any((task, variant) not in outcomes for task in TASKS):
        return {}
    return {
        len(TASKS) * seed + number: success
        for number, task in enumerate(TASKS)
        for seed, success in outcomes.get((task, variant), {}).items()
    }


def _cell(trials: Mapping[int, bool]) -> str:
    if not trials:
        return "-"
    outcome = proportion(list(trials.values()))
    low, high = outcome.interval
    return f"{outcome.successes}/{outcome.trials} ({low:.2f} to {high:.2f})"


def _proportions(outcomes: Outcomes) -> dict[str, Proportion]:
    named = {f"{task} {variant}": trials for (task, variant), trials in outcomes.items()}
    named |= {f"all {variant}": _pooled(outcomes, variant) for variant in VARIANTS}
    return {name: proportion(list(trials.values())) for name, trials in named.items() if trials}


def _plain(outcomes: Outcomes) -> dict[str, dict[int, bool]]:
    return {f"{task}/{variant}": trials for (task, variant), trials in outcomes.items()}


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
