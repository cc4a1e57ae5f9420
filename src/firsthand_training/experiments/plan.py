"""An experiment as a list of commands, each of which can be stopped and goes on where it was.

Nothing here computes: a step is a few calls of `firsthand-lab` and the file that tells it is done. So an experiment
resumes by skipping what is there, shares data and policies with other experiments, and can be redone by hand.

root/
  scale.json                   the scale of everything below
  steps.jsonl                  what was finished, and by which commit of the code
  episodes/<embodiment>_<task> demonstrations; those of the video in three parts, so that shares of it can be taken
  features/<height>/..         of each dataset, one folder for each size and kind of picture
  locks/                       what is being worked at
  <row>/pretrained             the run on video that the row starts from
  <row>/<task>                 the training run, and in `checkpoint` what it became
  <row>/<task>_<variant>.json  its trials
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from firsthand.errors import FirsthandError
from firsthand.policy.checkpoint import MANIFEST, sha256
from firsthand.simulation.tasks.interface import VARIANTS
from firsthand_training.episodes.durable import write_text
from firsthand_training.experiments.flags import flags
from firsthand_training.experiments.methods import Recipe, find_method
from firsthand_training.experiments.scales import Scale
from firsthand_training.experiments.tables import TASKS, Row, Table

Command = tuple[str, ...]
"""Arguments of `firsthand-lab`."""

VIDEO_PARTS = (0.0, 0.1, 0.5, 1.0)
"""The video is recorded between these shares of it; a table takes the parts below its own."""
SCALE_FILE = "scale.json"


@dataclass(frozen=True)
class Step:
    """One part of an experiment."""

    name: str
    commands: tuple[Command, ...]
    product: Path  # there, and complete, when the step is done
    needs: tuple[Path, ...] = ()  # products of earlier steps

    @property
    def done(self) -> bool:
        """Whether the product is there; trials must also be complete, and of the policy that is there now."""
        found = read_json(self.product)
        if found is None:
            return False
        policy = found.get("checkpoint")
        return bool(found.get("complete", True)) and (not policy or is_of(policy, self.needs[0]))


def plan(table: Table, scale: Scale, root: Path, only: Sequence[str] = ()) -> list[Step]:
    """Every step of an experiment, in an order in which each finds what it needs.

    Args:
        table: What is compared.
        scale: How large.
        root: Where everything goes.
        only: Keep the steps whose name contains one of these, and what they need; empty keeps all.

    Raises:
        FirsthandError: No step is called like that.
    """
    steps = list({step.product: step for row in table.rows for step in _row_steps(row, scale, root)}.values())
    if not only:
        return steps
    wanted = {step.product for step in steps if any(part in step.name for part in only)}
    if not wanted:
        raise FirsthandError(f"no step of {table.name} has {' or '.join(only)} in its name, such as {steps[-1].name!r}")
    for step in reversed(steps):
        if step.product in wanted:
            wanted.update(step.needs)
    return [step for step in steps if step.product in wanted]


def result_path(root: Path, row: Row, task: str, variant: str) -> Path:
    """Where the trials of a row are."""
    return root / row.key / f"{task}_{variant}.json"


def policy_path(root: Path, row: Row, task: str) -> Path:
    """The manifest of a row's policy."""
    return root / row.key / task / "checkpoint" / MANIFEST


def is_of(digest: str, manifest: Path) -> bool:
    """Whether trials that name a digest were run with the policy of this manifest."""
    return manifest.is_file() and digest == sha256(manifest)


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object; None if there is none that is whole."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def claim(root: Path, scale: Scale) -> None:
    """Note in a folder of which scale its work is; how many processes do it does not matter.

    Raises:
        FirsthandError: It holds work of another.
    """
    note, ours = root / SCALE_FILE, {name: value for name, value in asdict(scale).items() if name != "workers"}
    if not note.exists():
        write_text(note, json.dumps(ours, indent=1) + "\n")
    theirs = read_json(note) or {}
    changed = [
        f"{name} {theirs.get(name)!r} there, {value!r} now" for name, value in ours.items() if theirs.get(name) != value
    ]
    if changed:
        raise FirsthandError(f"{root} holds work of another scale ({'; '.join(changed)}); use another folder")


def _row_steps(row: Row, scale: Scale, root: Path) -> Iterator[Step]:
    recipe = recipe_of(row, scale)
    start = _pretraining(row, scale, root, recipe) if row.video else None
    if start is not None:
        yield from _video(row, scale, root)
        yield start
    for task in TASKS:
        yield _demonstrations("robot", task, scale, root)
        if row.human:
            yield _demonstrations("human", task, scale, root)
        yield (trained := _training(row, task, scale, root, recipe, start))
        for variant in VARIANTS:
            yield _evaluation(row, task, variant, scale, root, trained)


def recipe_of(row: Row, scale: Scale) -> Recipe:
    """What a row's policies are trained with."""
    recipe = find_method(row.method, scale.size)
    cache = replace(recipe.cache, every=scale.every, threads=scale.workers)
    return Recipe(cache, replace(recipe.train, steps=scale.steps))


def _demonstrations(embodiment: str, task: str, scale: Scale, root: Path) -> Step:
    count = scale.demonstrations if embodiment == "robot" else scale.human
    return _recording(f"{embodiment}_{task}", embodiment, task, count, 0, scale, root)


def _video(row: Row, scale: Scale, root: Path) -> Iterator[Step]:
    """The parts of the video below the row's share, each a dataset for every task."""
    for low, high in pairwise(VIDEO_PARTS):
        if low < row.video:
            first, last = (round(share * scale.video / len(TASKS)) for share in (low, high))
            for task in TASKS:
                name = f"video{round(100 * high):03d}_{task}"
                yield _recording(name, "video", task, max(1, last - first), first, scale, root)


def _recording(name: str, embodiment: str, task: str, count: int, seed: int, scale: Scale, root: Path) -> Step:
    folder = root / "episodes" / name
    command = ["demos", "--task", task, "--embodiment", embodiment, "--episodes", str(count), "--seed", str(seed)]
    command += ["--workers", str(scale.workers), "--output", str(folder)]
    return Step(f"episodes/{name}", (tuple(command),), folder / "meta" / "info.json")


def _pretraining(row: Row, scale: Scale, root: Path, recipe: Recipe) -> Step:
    run, data = root / row.key.removesuffix("-human") / "pretrained", list(_video(row, scale, root))
    longer = replace(recipe, train=replace(recipe.train, steps=scale.pretraining_steps))
    slower = ("--mixture.slow-down", f"{scale.slow_down:g}")
    command = _train_command("pretrain", data, run, root, longer, slower)
    export = (
        "export",
        "--run",
        str(run),
        "--output",
        str(run / "checkpoint"),
        "--task",
        "video",
        "--embodiment",
        "video",
    )
    needs = tuple(step.product for step in data)
    return Step(str(run.relative_to(root)), (command, export), run / "checkpoint" / MANIFEST, needs)


def _training(row: Row, task: str, scale: Scale, root: Path, recipe: Recipe, start: Step | None) -> Step:
    run, kinds = root / row.key / task, ("robot", "human") if row.human else ("robot",)
    data = [_demonstrations(kind, task, scale, root) for kind in kinds]
    stage = "cotrain" if row.human else "train" if start is None else "finetune"
    beginning = () if start is None else ("--from", str(start.product.parent.parent))
    train = _train_command(stage, data, run, root, recipe, beginning)
    export = ("export", "--run", str(run), "--output", str(run / "checkpoint"), "--task", task)
    needs = [step.product for step in (*data, *([start] if start else []))]
    return Step(f"{row.key}/{task}", (train, export), policy_path(root, row, task), tuple(needs))


def _train_command(
    stage: str, data: Sequence[Step], run: Path, root: Path, recipe: Recipe, more: Sequence[str] = ()
) -> Command:
    features = root / "features" / f"{recipe.cache.encoder}-{recipe.cache.height}"
    folders = [str(step.product.parent.parent) for step in data]
    return (stage, "--episodes", *folders, "--output", str(run), "--features", str(features), *more, *flags(recipe))


def _evaluation(row: Row, task: str, variant: str, scale: Scale, root: Path, trained: Step) -> Step:
    result = result_path(root, row, task, variant)
    command = ["evaluate", "--policy", str(trained.product.parent), "--task", task, "--variant", variant]
    command += ["--trials", str(scale.trials), "--seed", str(scale.seed), "--workers", str(scale.workers)]
    name = f"{row.key}/{task}/{variant}"
    return Step(name, ((*command, "--json", str(result)),), result, (trained.product,))
