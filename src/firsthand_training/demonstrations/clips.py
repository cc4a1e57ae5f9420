"""Many clips of people's hands with their truth, seed after seed: what labels from video are measured on.

A folder a clip (`human/clip.py`), and `clips.json` with a row for every seed: its folder, or why there is none. A clip
that is there is not made again, so an interrupted call goes on where it stopped.
"""

import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from firsthand.errors import EpisodeError, SimulationError
from firsthand_training.demonstrations.human.clip import ClipSettings, render_clip
from firsthand_training.demonstrations.human.hand_mesh import load_hand_mesh
from firsthand_training.demonstrations.scripted import EXPERTS
from firsthand_training.episodes.durable import write_text

INDEX_FILE = "clips.json"


@dataclass(frozen=True)
class RenderSettings:
    """Which clips to make."""

    output: Path  # folder that gets a folder for each clip
    clips: int = 20
    seed: int = 0  # of the first clip
    workers: int = 2
    clip: ClipSettings = field(default_factory=ClipSettings)

    def __post_init__(self) -> None:
        """Refuse what is no number of clips."""
        if self.clips < 1 or self.workers < 1 or self.seed < 0:
            raise EpisodeError(f"expected a clip and a worker or more, and a seed of 0 or more, got {self}")


def render_clips(settings: RenderSettings) -> Path:
    """Render a clip for every seed.

    Returns:
        The index, `clips.json`.

    Raises:
        SimulationError: The mesh of the hands is not there, or not one clip could be made.
    """
    if settings.clip.surface == "mesh":
        load_hand_mesh()
    seeds = range(settings.seed, settings.seed + settings.clips)
    rows: dict[int, dict[str, object]] = {}
    with ProcessPoolExecutor(settings.workers, mp_context=get_context("spawn")) as pool:
        jobs = {pool.submit(_render, seed, settings): seed for seed in seeds}
        for job in tqdm(as_completed(jobs), total=len(jobs), desc="clips", unit="clip"):
            rows[jobs[job]] = job.result()
    index = settings.output / INDEX_FILE
    write_text(index, json.dumps([rows[seed] for seed in seeds], indent=1) + "\n")
    failed = [row for row in rows.values() if row["reason"]]
    for row in failed:
        print(f"left out seed {row['seed']}: {row['reason']}")
    if len(failed) == len(rows):
        raise SimulationError(f"none of {len(rows)} clips could be made: {failed[0]['reason']}")
    return index


def clip_folder(output: Path, seed: int) -> Path:
    """Where the clip of a seed is."""
    return output / f"clip_{seed:05d}"


def _render(seed: int, settings: RenderSettings) -> dict[str, object]:
    folder = clip_folder(settings.output, seed)
    try:
        render_clip(seed, settings.clip, folder, EXPERTS)
    except SimulationError as error:
        return {"seed": seed, "folder": None, "reason": str(error)}
    return {"seed": seed, "folder": folder.name, "reason": ""}
