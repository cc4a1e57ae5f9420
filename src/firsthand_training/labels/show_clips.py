"""Films, pages and recordings of all labelled clips."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from firsthand_training.labels.label_videos import LabelSettings
from firsthand_training.labels.manifest import Manifest
from firsthand_training.labels.scale_out import run_locally
from firsthand_training.labels.stage_files import clip_folder
from firsthand_training.labels.to_robot_frame import RobotFrameSettings
from firsthand_training.labels.view.film import make_film
from firsthand_training.labels.view.labelled_clip import LabelledClip
from firsthand_training.labels.view.page import write_page
from firsthand_training.labels.view.rerun_recording import record_clip

PAGE, FILM, RECORDING = "clip.html", "clip.mp4", "clip.rrd"


@dataclass(frozen=True)
class ShowTask:
    """One clip to draw."""

    video: Path
    folder: Path
    settings: RobotFrameSettings


def show_clips(manifest: Manifest, work: Path, settings: LabelSettings, workers: int) -> Iterator[Path]:
    """Draw every labelled clip that has no page yet; yields the pages as they are done."""
    tasks = [
        ShowTask(Path(row.source), clip_folder(work / row.video, row.clip), settings.metric_settings)
        for row in manifest
        if row.clip is not None and row.status == "labelled"
    ]
    todo = [task for task in tasks if not (task.folder / PAGE).exists()]
    with tqdm(total=len(todo), desc="drawing", unit="clip") as bar:
        for outcome in run_locally(show_clip, todo, workers):
            bar.update()
            if outcome.value is None:
                tqdm.write(f"{outcome.task.folder}: not drawn: {outcome.reason}")
            else:
                yield outcome.value


def show_clip(task: ShowTask) -> Path:
    """Film, recording and page of one clip; the page is last, and tells that all is there."""
    clip = LabelledClip.load(task.video, task.folder, task.settings)
    film = make_film(clip, task.folder / FILM)
    if importlib.util.find_spec("rerun") is not None:
        record_clip(clip, task.folder / RECORDING)
    return write_page(clip, film, task.folder / PAGE)
