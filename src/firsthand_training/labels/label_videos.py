"""From videos to a dataset: every stage in order, every clip a task of its own.

detect_hands ─▶ trim_clips ─┬▶ reconstruct_scene ─▶ (dense_depth) ─▶ estimate_hands ─▶ to_robot_frame ─┬▶ dataset
                            └▶ the next clip ...                                                       ┘

A stage leaves finished files alone, and the manifest knows which tasks have ended: the same call goes on after an
interruption, and with more videos labels only those that are new.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from tqdm import tqdm

from firsthand.errors import LabelError
from firsthand_training.episodes.durable import write_text
from firsthand_training.episodes.merge import merge_datasets
from firsthand_training.labels.camera_file import read_camera
from firsthand_training.labels.dense_depth import DepthSettings, dense_depth
from firsthand_training.labels.detect_hands import DetectSettings, detect_hands
from firsthand_training.labels.estimate_hands import EstimateSettings, estimate_hands
from firsthand_training.labels.manifest import Manifest, Row
from firsthand_training.labels.reconstruct_scene import reconstruct_scene
from firsthand_training.labels.scale_out import Outcome, run_locally, run_on_ray
from firsthand_training.labels.scene.camera import KnownCamera, intrinsic_matrix
from firsthand_training.labels.scene.settings import SceneSettings
from firsthand_training.labels.stage_files import (
    CLIPS,
    DEPTH,
    EPISODES,
    HANDS,
    LABELS,
    POSES,
    SCENE,
    Clip,
    Hands,
    Labels,
    clip_folder,
    load_clips,
    load_stage,
    video_folder,
)
from firsthand_training.labels.to_robot_frame import RobotFrameSettings, to_robot_frame
from firsthand_training.labels.trim_clips import TrimSettings, trim_clips
from firsthand_training.labels.video import open_video
from firsthand_training.labels.write_episodes import WriteSettings, write_episodes

T = TypeVar("T")
R = TypeVar("R")

SETTINGS, MANIFEST = "settings.json", "manifest.jsonl"
KEYPOINTS_OF = {"landmarks": "mediapipe", "wilor": "joints"}
"""Where the backends of `estimate_hands` put the points of a hand: names in `landmarks.OFFSETS`."""


@dataclass(frozen=True)
class LabelSettings:
    """How videos are labelled, stage by stage."""

    detect: DetectSettings = field(default_factory=DetectSettings)
    trim: TrimSettings = field(default_factory=TrimSettings)
    focal: float = 0.0
    """Focal length of the camera of all videos, [px] at their size; 0: from a file beside a video, or found out."""
    camera_files: bool = True
    """Read `kitchen.camera.json` beside `kitchen.mp4`: intrinsics and, where known, which way is down."""
    scene: SceneSettings = field(default_factory=SceneSettings)
    dense: bool = False
    """Make depth maps too: slow, and needed for the paper's back-projection alone."""
    depth: DepthSettings = field(default_factory=DepthSettings)
    hands: EstimateSettings = field(default_factory=EstimateSettings)
    metric: RobotFrameSettings = field(default_factory=RobotFrameSettings)
    episodes: WriteSettings = field(default_factory=WriteSettings)

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.metric.method == "back_projection" and not self.dense:
            raise LabelError("method back_projection needs depth maps: set dense")
        if not 0 <= self.focal < np.inf:
            raise LabelError(f"expected a focal length in pixels, or 0, got {self.focal}")

    @property
    def metric_settings(self) -> RobotFrameSettings:
        """`metric`, for the keypoints that `hands` makes."""
        return replace(self.metric, keypoints=KEYPOINTS_OF[self.hands.backend])

    def camera(self, video: Path) -> KnownCamera:
        """What is known of a video's camera."""
        if self.focal:
            opened = open_video(video)
            return KnownCamera(intrinsic_matrix(self.focal, (opened.width, opened.height)))
        return read_camera(video) if self.camera_files else KnownCamera()


@dataclass(frozen=True)
class Spread:
    """Where the work is done."""

    workers: int = 2
    """Clips at a time on this machine."""
    cluster: str = ""
    """Address of a Ray cluster whose machines all see the files, or `here` to start one; empty: no Ray."""


@dataclass(frozen=True)
class VideoTask:
    """Finding the clips of a video."""

    video: Path
    folder: Path  # of its work
    settings: LabelSettings


@dataclass(frozen=True)
class ClipTask:
    """Labelling one clip."""

    video: Path
    folder: Path
    number: int
    clip: Clip
    settings: LabelSettings


@dataclass(frozen=True)
class Done:
    """What a task tells when it ends well."""

    frames: tuple[int, int]  # first, and after the last
    labelled: int
    stages: dict[str, float]  # [s]
    note: str = ""


def label_videos(videos: Sequence[Path], work: Path, output: Path, settings: LabelSettings, spread: Spread) -> Manifest:
    """Label videos and gather the episodes of all clips in the folder of work into one dataset.

    Args:
        videos: Files.
        work: Where the stages leave their files, by video.
        output: The dataset to make.
        settings: How.
        spread: Where.

    Returns:
        What came of every video and clip.

    Raises:
        LabelError: A video does not exist, the folder of work is of other settings, `output` exists, or nothing could
            be labelled.
        KeyboardInterrupt: What has been finished is kept.
    """
    if output.exists():
        raise LabelError(
            f"{output} exists already; name another dataset or remove it (the work is in {work} and is kept)"
        )
    manifest = run_stages(videos, work, settings, spread)
    _gather(manifest, work, output)
    return manifest


def run_stages(videos: Sequence[Path], work: Path, settings: LabelSettings, spread: Spread) -> Manifest:
    """Label videos, and leave what the stages made in the folder of work.

    Raises:
        LabelError: A video does not exist, or the folder of work is of other settings.
    """
    missing = [str(video) for video in videos if not video.is_file()]
    if missing or not videos:
        raise LabelError(f"no such video: {', '.join(missing)}" if missing else "expected at least one video")
    claim(work, settings)
    manifest = Manifest(work / MANIFEST)
    _find_clips(videos, work, settings, spread, manifest)
    _label_clips(videos, work, settings, spread, manifest)
    return manifest


def find_clips(task: VideoTask) -> Done:
    """Detect hands and trim; what `clips.json` says is the answer."""
    stages: dict[str, float] = {}
    with _timed(stages, "detect_hands"):
        hands = detect_hands(task.video, task.folder / HANDS, task.settings.detect)
    with _timed(stages, "trim_clips"):
        path = trim_clips(task.video, hands, task.folder / CLIPS, task.settings.trim)
    report = json.loads(path.read_text(encoding="utf-8"))["report"]
    note = "" if load_clips(path) else f"no clip: {_reasons(report)}"
    return Done((0, int(load_stage(hands, Hands).frames[0])), 0, stages, note)


def label_clip(task: ClipTask) -> Done:
    """Every stage from the camera to the episodes of one clip."""
    here, settings, stages = clip_folder(task.folder, task.number), task.settings, dict[str, float]()
    hands = task.folder / HANDS
    with _timed(stages, "reconstruct_scene"):
        scene = reconstruct_scene(
            task.video, hands, task.clip, here / SCENE, settings.scene, settings.camera(task.video)
        )
    depth = None
    if settings.dense:
        with _timed(stages, "dense_depth"):
            depth = dense_depth(task.video, scene, hands, here / DEPTH, settings.depth)
    with _timed(stages, "estimate_hands"):
        poses = estimate_hands(task.video, hands, task.clip, here / POSES, settings.hands)
    with _timed(stages, "to_robot_frame"):
        stamps = open_video(task.video).stamps_ns
        labels = to_robot_frame(stamps, scene, poses, here / LABELS, settings.metric_settings, depth)
    with _timed(stages, "write_episodes"):
        write_episodes(task.video, task.clip, labels, here / EPISODES, settings.episodes)
    both = load_stage(labels, Labels).measured.all(axis=1)
    return Done((task.clip.first, task.clip.last), int(np.count_nonzero(both)), stages)


def claim(work: Path, settings: LabelSettings) -> None:
    """Note with which settings a folder of work is made.

    Raises:
        LabelError: It was begun with others.
    """
    note, ours = work / SETTINGS, json.loads(json.dumps(asdict(settings), default=str))
    if not note.exists():
        write_text(note, json.dumps(ours, indent=1) + "\n")
    try:
        theirs = json.loads(note.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LabelError(f"{note} is damaged ({error}); name another folder of work") from error
    changed = [name for name in ours if theirs.get(name) != ours[name]]
    if changed:
        shown = "; ".join(f"{name} {theirs.get(name)!r} there, {ours[name]!r} now" for name in changed)
        raise LabelError(f"{work} was made with other settings ({shown}); name another folder of work")


def summary(manifest: Manifest) -> str:
    """What came of everything, in a few lines."""
    rows = list(manifest)
    videos, clips = [row for row in rows if row.clip is None], [row for row in rows if row.clip is not None]
    good = [row for row in clips if row.status == "labelled"]
    frames, labelled = sum(row.last - row.first for row in good), sum(row.labelled for row in good)
    total = sum(row.last for row in videos)
    lines = [
        f"{len(videos)} videos, {total} frames: {len(clips)} clips, {len(good)} of them labelled",
        f"{labelled} of the {frames} frames of those clips have both hands",
        *(f"  {count} x {reason}" for reason, count in manifest.failures().most_common()),
    ]
    seconds: dict[str, float] = {}
    for row in rows:
        for stage, spent in row.stages.items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    lines += [f"  {stage}: {spent:.0f} s" for stage, spent in seconds.items()]
    return "\n".join(lines)


def _find_clips(
    videos: Iterable[Path], work: Path, settings: LabelSettings, spread: Spread, manifest: Manifest
) -> None:
    tasks = [VideoTask(video, video_folder(work, video), settings) for video in dict.fromkeys(videos)]
    todo = list({task.folder: task for task in tasks if manifest.find(task.folder.name) is None}.values())
    for outcome in _progress(find_clips, todo, spread, "finding clips", "video"):
        task = outcome.task
        manifest.add(_row(outcome, task.folder, task.video, None, "trimmed"))


def _label_clips(
    videos: Iterable[Path], work: Path, settings: LabelSettings, spread: Spread, manifest: Manifest
) -> None:
    todo = []
    for video in dict.fromkeys(videos):
        folder = video_folder(work, video)
        found = manifest.find(folder.name)
        clips = load_clips(folder / CLIPS) if found is not None and found.status == "trimmed" else []
        for number, clip in enumerate(clips):
            if manifest.find(folder.name, number) is None:
                todo.append(ClipTask(video, folder, number, clip, settings))
    unique = {(task.folder, task.number): task for task in todo}
    for outcome in _progress(label_clip, list(unique.values()), spread, "labelling", "clip"):
        task = outcome.task
        row = _row(outcome, task.folder, task.video, task.number, "labelled")
        manifest.add(row)


def _progress(
    function: Callable[[T], Done], tasks: Sequence[T], spread: Spread, name: str, unit: str
) -> Iterator[Outcome[T, Done]]:
    """Outcomes as they come, with a bar that says how fast frames go and how many tasks failed."""
    if not tasks:
        return
    if spread.cluster:
        outcomes = run_on_ray(function, tasks, None if spread.cluster == "here" else spread.cluster)
    else:
        outcomes = run_locally(function, tasks, min(spread.workers, len(tasks)))
    began, frames, failed = time.monotonic(), 0, 0
    with tqdm(total=len(tasks), desc=name, unit=unit) as bar:
        for outcome in outcomes:
            frames += outcome.value.frames[1] - outcome.value.frames[0] if outcome.value else 0
            failed += outcome.value is None
            bar.set_postfix_str(f"{frames / (time.monotonic() - began):.1f} frames/s, {failed} failed")
            bar.update()
            yield outcome


def _row(
    outcome: Outcome[Any, Done], folder: Path, video: Path, clip: int | None, status: Literal["trimmed", "labelled"]
) -> Row:
    done = outcome.value
    if done is None:
        row = Row(folder.name, str(video), clip, "failed", outcome.reason)
    else:
        first, last = done.frames
        row = Row(folder.name, str(video), clip, status, done.note, first, last, done.labelled, stages=done.stages)
    return replace(row, seconds=round(outcome.seconds, 3), memory_mib=round(outcome.memory_mib, 1))


def _gather(manifest: Manifest, work: Path, output: Path) -> None:
    """Merge the episodes of all labelled clips."""
    parts = [
        clip_folder(work / row.video, row.clip) / EPISODES
        for row in sorted(manifest, key=lambda row: (row.video, row.clip or 0))
        if row.clip is not None and row.status == "labelled"
    ]
    if not parts:
        raise LabelError(f"nothing could be labelled; {summary(manifest)}")
    merge_datasets(parts, output)


def _reasons(report: dict[str, Any]) -> str:
    left_out = report.get("left_out", {})
    return ", ".join(f"{name} ({count} frames)" for name, count in left_out.items()) or "the video is too short"


@contextmanager
def _timed(stages: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    stages[name] = round(time.monotonic() - began, 3)
