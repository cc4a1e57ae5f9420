"""What labelling is worth, on rendered clips: with and without intrinsics, by skin tone, and what each stage loses.

    work/known/, work/unknown/       the stages' files, of videos whose intrinsics are told and not
    work/known.keypoints/ ...        labels again, with the truth in place of what a stage made (`label_oracles.py`)

Everything that is there is left alone, so an interrupted call goes on, and one with more clips does what is new.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from firsthand.errors import LabelError
from firsthand_training.demonstrations.human.clip import measure_clip
from firsthand_training.demonstrations.human.truth import DENSE_FILE, TRUTH_FILE, DenseTruth, Truth, load_truth
from firsthand_training.demonstrations.scripted import EXPERTS
from firsthand_training.episodes.durable import write_text
from firsthand_training.evaluation.figures import plot_label_errors
from firsthand_training.evaluation.label_oracles import substitute, true_distance, write_true_depth
from firsthand_training.evaluation.labels import (
    ClipErrors,
    clips_table,
    evaluate_labels,
    labels_table,
    tones_table,
    write_errors,
)
from firsthand_training.labels.camera_file import ENDING
from firsthand_training.labels.label_videos import LabelSettings, Spread, run_stages
from firsthand_training.labels.manifest import Manifest
from firsthand_training.labels.scale_out import run_locally
from firsthand_training.labels.stage_files import DEPTH, LABELS, POSES, SCENE, Labels, Scene, load_stage, save_stage
from firsthand_training.labels.to_robot_frame import RobotFrameSettings, to_robot_frame
from firsthand_training.labels.trim_clips import TrimSettings
from firsthand_training.labels.video import open_video

KNOWN, UNKNOWN = "known", "unknown"
_FOLDERS = re.compile(r"/\S*/(?=clip_)")  # of this machine; what is left begins with the clip
WAYS = {KNOWN: "intrinsics known", UNKNOWN: "intrinsics unknown"}
ORACLES = {  # of the clips whose intrinsics are known
    ("keypoints",): "true 2D",
    ("size",): "true size",
    ("distance",): "true depth",
    ("camera",): "true camera",
    ("camera", "depth"): "true camera, depth map",
    ("keypoints", "size"): "true 2D, size",
    ("keypoints", "size", "camera"): "true 2D, size, camera",
}


@dataclass(frozen=True)
class LabelExperiment:
    """Label rendered clips in every way, compare with the truth, and write tables and a figure."""

    clips: Path
    """The output of `render-hands`."""
    work: Path
    """Folder of work; the same call goes on where it was interrupted."""
    output: Path = Path("docs/results")
    """Folder that gets labels.md, labels.png and labels.json."""
    workers: int = 2
    """Clips at a time."""
    settings: LabelSettings = field(default_factory=lambda: LabelSettings(trim=TrimSettings(min_duration=1.0)))
    """Of the stages; rendered clips are short, so 1 s of two hands is enough."""

    def run(self) -> None:
        """Print the tables and where they are."""
        columns, manifests, failed = label_every_way(self)
        written = write_results(self.output, columns, manifests, failed)
        print(written[0].read_text(encoding="utf-8"))
        print(*written, sep="\n")


@dataclass(frozen=True)
class OracleTask:
    """Labels of one stretch again, with the truth in some places."""

    stretch: Path  # what the stages left
    output: Path
    clip: Path  # the rendered clip
    oracles: tuple[str, ...]
    settings: RobotFrameSettings


def label_every_way(
    experiment: LabelExperiment,
) -> tuple[dict[str, list[ClipErrors]], dict[str, Manifest], list[str]]:
    """Run the stages on all clips with and without their intrinsics, then once more for each oracle.

    Returns:
        The errors of all clips by way of labelling, what came of every video by title, and oracles that failed.

    Raises:
        LabelError: There are no rendered clips, or the folder of work is of other settings.
    """
    clips = sorted(path.parent for path in experiment.clips.glob(f"*/{TRUTH_FILE}"))
    videos = [clip / f"{clip.name}.mp4" for clip in clips]
    if not clips:
        raise LabelError(f"no clips with truth in {experiment.clips}; firsthand-lab render-hands makes some")
    for video in videos:
        tell_intrinsics(video)
    manifests = {}
    for way, title in WAYS.items():
        settings = replace(experiment.settings, camera_files=way == KNOWN)
        manifests[title] = run_stages(videos, experiment.work / way, settings, Spread(experiment.workers))
    failed = _run_oracles(experiment, manifests[WAYS[KNOWN]])
    folders = {title: experiment.work / way for way, title in WAYS.items()}
    folders |= {title: oracle_folder(experiment.work, oracles) for oracles, title in ORACLES.items()}
    return {title: evaluate_labels(experiment.clips, folder) for title, folder in folders.items()}, manifests, failed


def tell_intrinsics(video: Path) -> Path:
    """Write a rendered clip's true intrinsics beside its video, where `label` looks for them."""
    path = video.with_suffix(ENDING)
    if not path.exists():
        truth = load_truth(video.with_name(TRUTH_FILE), Truth)
        write_text(path, json.dumps({"intrinsics": truth.intrinsics.tolist()}))
    return path


def apply_oracles(task: OracleTask) -> Path:
    """Make the labels of one stretch again; left alone if they exist."""
    labels = task.output / LABELS
    if labels.exists():
        return labels
    truth = load_truth(task.clip / TRUTH_FILE, Truth)
    substitute(task.stretch, task.output, truth, *(each for each in task.oracles if each in ("keypoints", "camera")))
    if "distance" in task.oracles:
        return save_stage(labels, true_distance(load_stage(task.stretch / LABELS, Labels), truth))
    settings = task.settings
    if "size" in task.oracles:
        settings = replace(settings, size=replace(settings.size, hand_length=float(truth.hand_length[0])))
    if "keypoints" in task.oracles:
        settings = replace(settings, keypoints="joints")  # the truth's are centres of joints
    stamps_ns = open_video(task.clip / f"{task.clip.name}.mp4").stamps_ns
    scene, poses, depth = task.output / SCENE, task.output / POSES, None
    if "depth" in task.oracles:
        settings = replace(settings, method="back_projection")
        depth = write_true_depth(_true_depths(task.clip), load_stage(scene, Scene), task.output / DEPTH)
    made = to_robot_frame(stamps_ns, scene, poses, labels, settings, depth)
    shutil.rmtree(task.output / DEPTH, ignore_errors=True)  # half a megabyte a frame
    return made


def _true_depths(clip: Path) -> Iterable[NDArray[np.floating]]:
    """Of each frame of a clip (H, W), [m]: as kept when it was rendered, or rendered now."""
    if (clip / DENSE_FILE).exists():
        return load_truth(clip / DENSE_FILE, DenseTruth).depth
    return measure_clip(clip, EXPERTS)


def oracle_folder(work: Path, oracles: Sequence[str]) -> Path:
    """Where the labels with some oracles are."""
    return work / f"{KNOWN}.{'_'.join(oracles)}"


def write_results(
    output: Path, columns: Mapping[str, Sequence[ClipErrors]], manifests: Mapping[str, Manifest], failed: Sequence[str]
) -> list[Path]:
    """Write labels.md, labels.png and labels.json."""
    known = columns[WAYS[KNOWN]]
    tones = {clip.tone for clip in known}
    frames = sum(clip.frames for clip in known)
    figure = plot_label_errors(columns, output / "labels.png")
    text = f"""# Labels of rendered clips

{len(known)} clips, {frames} frames, {len(tones)} skin tones; medians and p90 over all labelled hands with 95 %
intervals, from a bootstrap over clips. What is measured how: [labels.md](../labels.md#what-labels-lose-and-where).

```bash
firsthand-lab label-experiment --clips CLIPS --work WORK --output {output}
```

Columns with `true` put the truth in place of what a stage made of the clips with known intrinsics, and leave out those
that failed before: they tell what the other stages lose.

{labels_table(columns)}

![Share of hands within an error]({figure.name})

## By skin tone, intrinsics known

{tones_table(known)}

## What was not labelled

{_reasons_table(manifests)}
{"".join(f"{chr(10)}- oracle failed: {reason}" for reason in failed)}
## Clip by clip, intrinsics known

{clips_table(known)}
"""
    write_text(output / "labels.md", text)
    return [output / "labels.md", figure, write_errors(output / "labels.json", known)]


def _run_oracles(experiment: LabelExperiment, manifest: Manifest) -> list[str]:
    """All oracles on all labelled stretches; reasons of those that failed."""
    tasks = [
        OracleTask(
            stretch=stretch,
            output=oracle_folder(experiment.work, oracles) / row.video / stretch.name,
            clip=Path(row.source).parent,
            oracles=oracles,
            settings=experiment.settings.metric_settings,
        )
        for row in manifest
        if row.clip is None
        for stretch in sorted((experiment.work / KNOWN / row.video).glob("clip_*"))
        if (stretch / LABELS).exists()
        for oracles in ORACLES
    ]
    todo = [task for task in tasks if not (task.output / LABELS).exists()]
    failed = []
    with tqdm(total=len(todo), desc="oracles", unit="clip", disable=not todo) as bar:
        for outcome in run_locally(apply_oracles, todo, experiment.workers):
            bar.update()
            if outcome.value is None:
                reason = _FOLDERS.sub("", outcome.reason)
                failed.append(f"{ORACLES[outcome.task.oracles]} of {outcome.task.clip.name}: {reason}")
    return failed


def _reasons_table(manifests: Mapping[str, Manifest]) -> str:
    lines = ["| way | clip | reason |", "|---|---|---|"]
    for title, manifest in manifests.items():
        rows = [(Path(row.source).stem, _FOLDERS.sub("", row.reason)) for row in manifest if row.reason]
        lines += [f"| {title} | {clip} | {reason} |" for clip, reason in rows]
    return "\n".join(lines) if len(lines) > 2 else "Everything was."
