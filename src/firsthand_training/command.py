"""The command `firsthand-lab`: demonstrations, training, export and evaluation. `--help` comes from the dataclasses."""

import importlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from firsthand.errors import EpisodeError, FirsthandError
from firsthand_training.demonstrations.clips import RenderSettings, render_clips
from firsthand_training.demonstrations.recordings import RecordingsSettings, convert_recordings, summary
from firsthand_training.demonstrations.scripted import DemonstrationSettings, record_demonstrations
from firsthand_training.episodes.durable import write_text
from firsthand_training.evaluation.closed_loop import (
    DEFAULT_TASK,
    ClosedLoopSettings,
    evaluate_closed_loop,
    finished_trials,
    settle_task,
)
from firsthand_training.evaluation.figures import plot_horizon, plot_label_errors, plot_success
from firsthand_training.evaluation.film import FilmSettings, make_film
from firsthand_training.evaluation.labels import clips_table, evaluate_labels, labels_table, write_errors
from firsthand_training.evaluation.recordings import compare_with_recording
from firsthand_training.evaluation.results import markdown_table, read_results
from firsthand_training.evaluation.surprise import CalibrationSettings, calibrate_checkpoint

DESCRIPTION = """Offline work on two-handed skills: everything before and after the robot.

examples:
  firsthand-lab demos --output data/push                        a scripted expert demonstrates in simulation
  firsthand-lab bags recordings --output data/teleop            recordings of a robot or a person to episodes
  firsthand-lab render-hands --output data/clips                clips of people's hands, with the truth about them
  firsthand-lab label *.mp4 --output data/video                 videos to metric hand states, without annotation
  firsthand-lab train --episodes data/push --output runs/push   features, then training; the same call resumes
  firsthand-lab pretrain --episodes data/video --output runs/pre            people first; then a robot alone, or both:
  firsthand-lab finetune --episodes data/push --from runs/pre --output runs/push
  firsthand-lab cotrain --episodes data/push data/hands --from runs/pre --output runs/both
  firsthand-lab export --run runs/push --output my_push         to a checkpoint that the robot loads
  firsthand-lab evaluate --task push --trials 50                success of the shipped policy, with its interval
  firsthand-lab evaluate --policy my_push --variant ood         of another one, on unfamiliar objects and rooms
  firsthand-lab evaluate --recording BAG                        what the policy would have said along a recording
  firsthand-lab evaluate-labels work --clips data/clips         labels of rendered clips, against the truth
  firsthand-lab label-experiment --clips data/clips --work runs/labels      with, without intrinsics; what stages lose
  firsthand-lab compare id.json ood.json --figure all.png       results of evaluate --json side by side
  firsthand-lab calibrate --policy my_push                      what is usual for it: the surprise monitor needs that
  firsthand-lab experiment table1 --output runs/table1          the paper's Table I in simulation, step by step
  firsthand-lab film --bag BAG --output film.mp4                a recording with the predictions drawn in"""


@dataclass(frozen=True)
class Demos:
    """Record scripted demonstrations into a LeRobotDataset v3."""

    settings: Annotated[DemonstrationSettings, tyro.conf.arg(name="")]

    def run(self) -> None:
        """Print the dataset's folder."""
        print(record_demonstrations(self.settings))


@dataclass(frozen=True)
class Bags:
    """Turn recordings, of a robot or of a person with a headset, into episodes of a LeRobotDataset v3."""

    recordings: tyro.conf.Positional[tuple[Path, ...]]
    """Bags, or folders that hold them at any depth."""
    settings: Annotated[RecordingsSettings, tyro.conf.arg(name="")]

    def run(self) -> None:
        """Print what became of the bags, and the dataset's folder.

        Raises:
            EpisodeError: Not one bag has become an episode.
        """
        rows = convert_recordings(list(self.recordings), self.settings)
        if not any(row.status == "converted" for row in rows):
            raise EpisodeError(f"no bag has become an episode. {summary(rows)}")
        print(summary(rows))
        print(self.settings.output)


@dataclass(frozen=True)
class RenderHands:
    """Render first-person clips of people's hands at work, with the truth that labels can be measured by."""

    settings: Annotated[RenderSettings, tyro.conf.arg(name="")]

    def run(self) -> None:
        """Print the index of the clips."""
        print(render_clips(self.settings))


@dataclass(frozen=True)
class Evaluate:
    """Measure a policy: in closed loop over simulated trials, or in open loop along a recording."""

    settings: Annotated[ClosedLoopSettings, tyro.conf.arg(name="")] = field(default_factory=ClosedLoopSettings)
    recording: Path | None = None
    """A bag or a dataset: compare with it in open loop instead of running trials."""
    json: Path | None = None
    """Write the numbers here. If they are of an evaluation that was interrupted, it goes on where it was."""
    figure: Path | None = None
    """Draw them here (.png or .svg)."""

    def run(self) -> None:
        """Print one line, and write what was asked for.

        Raises:
            KeyboardInterrupt: It was interrupted; the trials that were finished have been reported and written.
        """
        numbers = self._open_loop(self.recording) if self.recording is not None else self._closed_loop()
        if self.json is not None:
            self._write(numbers)
            print(self.json)
        if not numbers.get("complete", True):
            raise KeyboardInterrupt

    def _closed_loop(self) -> dict[str, Any]:
        settings = settle_task(self.settings)
        done = () if self.json is None else finished_trials(settings, self.json)
        keep = None if self.json is None else lambda report: self._write(report.to_json())
        report = evaluate_closed_loop(settings, done, keep)
        label = f"{settings.policy or 'shipped policy'}, {settings.variant}"
        print(f"{settings.task}: success of {label}: {report.outcome}")
        if not report.complete:
            print(f"  {settings.trials - len(report.trials)} of {settings.trials} trials are missing")
        if self.figure is not None:
            first, last = settings.seed, settings.seed + settings.trials - 1
            print(plot_success({label: report.outcome}, f"{settings.task}, seeds {first} to {last}", self.figure))
        return report.to_json()

    def _write(self, numbers: dict[str, Any]) -> None:
        assert self.json is not None
        write_text(self.json, json.dumps(numbers, indent=1) + "\n")

    def _open_loop(self, recording: Path) -> dict[str, Any]:
        report, rate = compare_with_recording(recording, self.settings.policy or self.settings.task or DEFAULT_TASK)
        print(report)
        if self.figure is not None:
            print(plot_horizon(report, rate, self.figure))
        return report.to_json()


@dataclass(frozen=True)
class EvaluateLabels:
    """Measure labels of rendered clips by the truth about them."""

    work: tyro.conf.Positional[tuple[Path, ...]]
    """Folders with what the stages left, a folder for each clip in it; several are put side by side."""
    clips: Path
    """The output of `render-hands`."""
    json: Path | None = None
    """Write the numbers of the first folder here."""
    figure: Path | None = None
    """Draw how errors are distributed here (.png or .svg)."""

    def run(self) -> None:
        """Print a table of the first folder's clips, and one of all folders."""
        columns = {work.name: evaluate_labels(self.clips, work) for work in self.work}
        print(clips_table(columns[self.work[0].name]), labels_table(columns), sep="\n\n")
        if self.json is not None:
            print(write_errors(self.json, columns[self.work[0].name]))
        if self.figure is not None:
            print(plot_label_errors(columns, self.figure))


@dataclass(frozen=True)
class Compare:
    """Put results of `evaluate --json` side by side: a Markdown table, and a figure with their intervals."""

    results: tyro.conf.Positional[tuple[Path, ...]]
    """JSON files, best first."""
    figure: Path | None = None
    """Draw them here (.png or .svg)."""

    def run(self) -> None:
        """Print the table."""
        results = read_results(self.results)
        print(markdown_table(results))
        if self.figure is not None:
            print(plot_success(results, "closed loop", self.figure))


@dataclass(frozen=True)
class Calibrate:
    """Measure what is usual for a checkpoint, so that at run time it can be surprised."""

    settings: Annotated[CalibrationSettings, tyro.conf.arg(name="")] = field(default_factory=CalibrationSettings)

    def run(self) -> None:
        """Print what was measured, and the file beside the checkpoint."""
        path, usual = calibrate_checkpoint(self.settings)
        print(f"usual is what {usual.frames} frames of {usual.rollouts} rollouts are; the levels of surprise are")
        print(f"  {usual.event:.2f} standard deviations, and {usual.unfamiliar:.2f} times the error of copying")
        print(path)


@dataclass(frozen=True)
class Film:
    """Make a film of a bag: what the robot saw with the predicted trajectories drawn in."""

    settings: Annotated[FilmSettings, tyro.conf.arg(name="")]

    def run(self) -> None:
        """Print the film's path."""
        print(make_film(self.settings))


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: 0 if all went well, 1 if a command failed (its message says why), 2 if the call itself is wrong."""
    try:
        parse(arguments).run()
    except FirsthandError as error:
        print(f"firsthand-lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what has been written is kept, and the same call goes on from there", file=sys.stderr)
        return 130
    return 0


def parse(arguments: Sequence[str] | None = None) -> Any:
    """The command that the arguments ask for, ready to `run()`.

    Raises:
        FirsthandError: It needs an extra that is not installed.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for extra in EXTRAS:
        if words and words[0] in extra.commands and extra.missing():
            raise FirsthandError(f"{words[0]} {extra.needed()}")
    return tyro.extras.subcommand_cli_from_dict(_commands(), prog="firsthand-lab", description=DESCRIPTION, args=words)


@dataclass(frozen=True)
class Extra:
    """Commands that need more than the plain installation, and what they need."""

    name: str
    modules: tuple[str, ...]
    commands: dict[str, str]  # name -> module:class

    def missing(self) -> list[str]:
        """The modules that are not installed."""
        return [name for name in self.modules if importlib.util.find_spec(name) is None]

    def needed(self) -> str:
        """What to do about it, in words."""
        return f"needs {' and '.join(self.missing())}: pip install '.[{self.name}]'"

    def load(self) -> dict[str, Any]:
        """The commands; what stands in for each says what it lacks."""
        if self.missing():
            lacking = {"__doc__": f"({self.needed()})"}
            return {name: make_dataclass(name, (), namespace=lacking) for name in self.commands}
        places = {name: place.split(":") for name, place in self.commands.items()}
        return {name: getattr(importlib.import_module(module), kind) for name, (module, kind) in places.items()}


TRAINING = "firsthand_training.training.command"
EXTRAS = (
    Extra(
        "labels",
        ("torch", "pycolmap"),
        {
            "label": "firsthand_training.labels.command:Label",
            "label-experiment": "firsthand_training.evaluation.label_experiment:LabelExperiment",
        },
    ),
    Extra(
        "train",
        ("torch",),
        {
            **{kind.lower(): f"{TRAINING}:{kind}" for kind in ("Train", "Pretrain", "Finetune", "Cotrain", "Export")},
            "experiment": "firsthand_training.experiments.command:Experiment",
        },
    ),
)


def _commands() -> dict[str, Any]:
    commands: dict[str, Any] = {
        "demos": Demos, "bags": Bags, "render-hands": RenderHands, "evaluate": Evaluate, "compare": Compare,
        "evaluate-labels": EvaluateLabels, "calibrate": Calibrate, "film": Film,
    }  # fmt: skip
    for extra in EXTRAS:
        commands |= extra.load()
    return commands


if __name__ == "__main__":
    sys.exit(main())
