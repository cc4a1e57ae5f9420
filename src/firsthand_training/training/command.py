"""The parts of `firsthand-lab` that need torch: pretrain, train, finetune, cotrain and export."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from firsthand.errors import CheckpointError, EpisodeError
from firsthand_training.episodes.durable import write_text
from firsthand_training.episodes.read import Episodes
from firsthand_training.training.export import export
from firsthand_training.training.feature_cache import CacheSettings, cache_features
from firsthand_training.training.processes import joined_processes
from firsthand_training.training.sources import MixtureSettings
from firsthand_training.training.stages import Start, read_start
from firsthand_training.training.train import TrainSettings, train
from firsthand_training.training.training_state import STATE

FEATURES = "features"
TASKS = "tasks.json"  # in the folder of a run: what its datasets say that they show


@dataclass(frozen=True)
class Train:
    """Train a policy on datasets: encode their pictures once, then train. The same call goes on after a stop."""

    episodes: tuple[Path, ...]
    """Root of a LeRobotDataset v3, or of several; their `robot_type` tells people and video from robots."""
    output: Path
    """Folder of the run: feature caches, training state, metrics."""
    start: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """Run or checkpoint to take weights and statistics over from, instead of starting at random."""
    features: Path | None = None
    """Folder of feature caches that several runs share, one below it for each dataset; else they lie in `output`."""
    settings: Annotated[TrainSettings, tyro.conf.arg(name="")] = field(default_factory=TrainSettings)
    mixture: MixtureSettings = field(default_factory=MixtureSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)

    may: ClassVar[tuple[str, ...]] = ("robot", "human", "video")  # embodiments that may be among the datasets
    must: ClassVar[tuple[str, ...]] = ()  # and that must

    def run(self) -> None:
        """Print the training state's path."""
        self.check()
        start: Start | None = read_start(self.start) if self.start else None
        caches = cache_folders(self.episodes, self.output, self.features)
        with joined_processes() as processes:
            share = processes.rank, processes.count
            for root, cache in caches:
                cache_features(root, cache, self.cache, progress=processes.first, share=share)
            processes.wait()
            if processes.first and not (self.output / STATE).is_file():  # one that goes on has the same datasets
                write_text(self.output / TASKS, json.dumps(self._tasks()) + "\n")
            trained = train(caches, self.output, self.settings, self.mixture, start)
        if processes.first:
            print(trained)

    def _tasks(self) -> list[str]:
        return list(dict.fromkeys(task for root in self.episodes for task in Episodes.open(root).tasks))

    def check(self) -> None:
        """Refuse datasets that do not belong into this stage."""
        kinds = {root: Episodes.open(root).embodiment for root in self.episodes}
        wrong = [f"{root} ({kind})" for root, kind in kinds.items() if kind not in self.may]
        lacking = [kind for kind in self.must if kind not in kinds.values()]
        if wrong or lacking:
            stage = type(self).__name__.lower()
            raise EpisodeError(
                f"{stage} takes datasets of {', '.join(self.may)}"
                + (f", at least one each of {', '.join(self.must)}" if self.must else "")
                + (f"; not {', '.join(wrong)}" if wrong else "")
                + (f"; there is none of {', '.join(lacking)}" if lacking else "")
                + ". `firsthand-lab train` takes any"
            )


@dataclass(frozen=True)
class Pretrain(Train):
    """First stage: learn from people, labelled from video or tracked. Then finetune or cotrain --from this run."""

    may: ClassVar[tuple[str, ...]] = ("human", "video")


@dataclass(frozen=True)
class Finetune(Train):
    """Second stage: go on from a pretrained run with a robot's demonstrations, a new optimiser and its warm-up."""

    may: ClassVar[tuple[str, ...]] = ("robot",)

    def check(self) -> None:
        """Refuse datasets that do not belong here, and a call without --from."""
        super().check()
        if self.start is None:
            raise EpisodeError(
                "finetune goes on from an earlier run: name it with --from, or use `firsthand-lab train`"
            )


@dataclass(frozen=True)
class Cotrain(Train):
    """Train on a robot's and on people's demonstrations together, half a batch each unless --mixture says otherwise."""

    must: ClassVar[tuple[str, ...]] = ("robot", "human")


@dataclass(frozen=True)
class Export:
    """Turn a training run into a checkpoint folder: ONNX graphs, weights and a manifest that explains them."""

    trained: Annotated[Path, tyro.conf.arg(name="run")]
    """Folder of the run."""
    output: Path
    """Checkpoint folder to make."""
    task: str = ""
    """Name of the task, for the manifest; empty: that of the datasets of the run."""
    embodiment: str = "robot"
    """Whose hand states go in and whose targets come out, of those that the run was trained on."""

    def run(self) -> None:
        """Print the checkpoint's folder."""
        task = name_task(self.trained, self.task)
        print(export(self.trained / STATE, self.output, task, self.embodiment))


def name_task(run: Path, named: str = "") -> str:
    """The task that a run was trained for; says so on stderr if its datasets show another one than is named.

    Raises:
        CheckpointError: None is named, and there is not exactly one in the datasets.
    """
    path = run / TASKS
    learned: list[str] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    if not named and len(learned) == 1:
        return learned[0]
    if not named:
        kept = f"the tasks {', '.join(learned)}" if learned else f"no {TASKS}"
        raise CheckpointError(f"{run} has {kept}: say what the policy does with --task")
    if learned and named not in learned:
        print(f"note: the demonstrations of {run} are of {', '.join(learned)}, not of {named}", file=sys.stderr)
    return named


def cache_folders(datasets: Sequence[Path], output: Path, features: Path | None) -> list[tuple[Path, Path]]:
    """Each dataset with the folder of its features: `output`/features for a lone one, else one folder for each name."""
    if features is None and len(datasets) == 1:
        return [(datasets[0], output / FEATURES)]
    roots = [root.resolve() for root in datasets]
    names = [root.name for root in roots]
    names = [root.name if names.count(root.name) == 1 else f"{root.parent.name}-{root.name}" for root in roots]
    if len(set(names)) < len(names):
        raise EpisodeError(f"datasets need names that tell them apart, got {', '.join(map(str, datasets))}")
    return [(root, (features or output / FEATURES) / name) for root, name in zip(datasets, names, strict=True)]
