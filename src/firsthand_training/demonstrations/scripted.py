"""Scripted demonstrations: an expert does the task in simulation, seed after seed, and each success becomes an episode.

The expert moves the robot, or the hands of a person: `human` as in a recorded human demonstration, `video` as in a
video of somebody somewhere, with labels as an estimator would give them (paper, section IV).

Most of the robot's episodes are executed with smooth noise on the wrists while the recorded action stays the clean
one: they show a learner the way back. Workers write datasets of their own, which are merged at the end; what a worker
has finished is kept, so an interrupted call goes on where it stopped.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from firsthand.errors import EpisodeError, SimulationError
from firsthand.robot.model import RobotModel
from firsthand.simulation.disturbance import Disturbance
from firsthand.simulation.lockstep import RATE, LockStep
from firsthand.simulation.renderer import StereoRenderer
from firsthand.simulation.simulated_body import SimulatedBody
from firsthand_training.demonstrations.actor import Actor, Expert
from firsthand_training.demonstrations.human.demonstration import demonstrate_person
from firsthand_training.demonstrations.human.label_noise import LabelNoiseSettings
from firsthand_training.demonstrations.human.person import KINDS
from firsthand_training.demonstrations.open_box_expert import OpenBoxExpert
from firsthand_training.demonstrations.passing_expert import PassingExpert
from firsthand_training.demonstrations.pick_place_expert import PickPlaceExpert
from firsthand_training.demonstrations.push_expert import PushExpert
from firsthand_training.demonstrations.robot_actor import RobotActor
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.merge import merge_datasets
from firsthand_training.episodes.write import EpisodeWriter, Frame

EXPERTS: dict[str, Callable[[Actor, int], Expert]] = {
    "push": PushExpert,
    "pick_place": PickPlaceExpert,
    "passing": PassingExpert,
    "open_box": OpenBoxExpert,
}
"""The scripted expert of each task, made from an actor and a seed, once per trial."""

TRACKED = EpisodeSettings(fps=RATE, robot_type="human", joint_names=(), origin=True)
PEOPLE = {
    "human": TRACKED,
    "video": replace(TRACKED, robot_type="video", one_camera=True, quality=True, sigma=True),
}
"""How episodes of people are recorded; those of video as `labels/write_episodes.py` writes them."""
SEEDS_FILE = "seeds.jsonl"


@dataclass(frozen=True)
class DemonstrationSettings:
    """What to demonstrate, and how often."""

    output: Path  # folder of the LeRobot v3 dataset to make
    task: str = "push"
    variant: str = "id"
    embodiment: str = "robot"  # whose hands: robot, human, or video
    label_noise: float = 1.0  # of `video`: 1 for errors as they were measured, 0 for exact hand states
    episodes: int = 150  # trials; those that fail are counted and left out
    seed: int = 0  # of the first trial; evaluation uses seeds from 10000 on
    disturbed: float = 0.8  # share of the robot's trials that are executed with noise
    rest: float = 0.6  # [s] recorded after success
    workers: int = 2


@dataclass(frozen=True)
class TrialRecord:
    """What came of one seed."""

    seed: int
    kept: bool
    frames: int
    reason: str


def record_demonstrations(settings: DemonstrationSettings) -> Path:
    """Record the demonstrations of every seed and merge them into one dataset.

    Returns:
        `settings.output`.

    Raises:
        EpisodeError: The output exists already, there is no expert for the task or no such embodiment, or no trial
            succeeded.
    """
    if settings.task not in EXPERTS:
        raise EpisodeError(f"no scripted expert for task {settings.task!r}; there are experts for {', '.join(EXPERTS)}")
    if settings.embodiment not in ("robot", *KINDS):
        raise EpisodeError(f"no embodiment {settings.embodiment!r}; there are robot, {', '.join(KINDS)}")
    if settings.output.exists():
        raise EpisodeError(f"{settings.output} exists already; name another output or remove it first")
    parts = settings.output.with_name(settings.output.name + ".parts")
    _check_resumable(parts, settings)
    with ProcessPoolExecutor(settings.workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_record_part, settings, worker, parts) for worker in range(settings.workers)]
        _show_progress(settings, parts, jobs)
        records = [record for job in jobs for record in job.result()]
    kept = [record for record in records if record.kept]
    if not kept:
        raise EpisodeError(f"none of {len(records)} trials succeeded: {records[0].reason if records else 'no trials'}")
    for record in records:
        if not record.kept:
            print(f"left out seed {record.seed}: {record.reason}")
    merge_datasets([parts / f"worker-{i}" for i in range(settings.workers)], settings.output)
    shutil.rmtree(parts)
    return settings.output


def demonstrate(
    task: str, variant: str, seed: int, disturbance: Disturbance | None = None, rest: float = 0.6
) -> Iterator[tuple[Frame, bool]]:
    """One trial of the expert, frame by frame, each with whether the task had been done by then.

    Args:
        task: With an expert in `EXPERTS`.
        variant: `id` or `ood`.
        seed: Of scene, expert and noise.
        disturbance: Noise on what is executed; the recorded action stays clean.
        rest: How long to go on after success, [s].
    """
    model = RobotModel.load()
    body = SimulatedBody(task, variant, seed)
    lockstep = LockStep(body, model, disturbance)
    expert = EXPERTS[task](RobotActor(body, model), seed)
    renderer = StereoRenderer(body.scene)
    observation = lockstep.observe()
    remaining = round(rest * RATE)
    while remaining > 0 and not (body.timed_out() and not body.success()):
        images = renderer.render()
        action = expert.act()
        following = lockstep.step(action)
        yield (
            Frame(
                stamp_ns=observation.stamp_ns,
                state=observation.hand_state,
                action=action,
                joints=observation.joints,
                action_joints=following.joint_command,
                images=images,
            ),
            body.success(),
        )
        observation = following
        remaining -= body.success()
    renderer.close()
    body.close()


def _record_part(settings: DemonstrationSettings, worker: int, parts: Path) -> list[TrialRecord]:
    """Record every `workers`-th seed into this worker's own dataset."""
    root = parts / f"worker-{worker}"
    root.mkdir(parents=True, exist_ok=True)
    log = parts / f"worker-{worker}-{SEEDS_FILE}"
    records = [TrialRecord(**json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []
    done = {record.seed for record in records}
    writer = EpisodeWriter(root, _episode_settings(settings.embodiment))
    with writer, log.open("a", encoding="utf-8") as file:
        for seed in range(settings.seed + worker, settings.seed + settings.episodes, settings.workers):
            if seed in done:
                continue
            record = _record_trial(settings, seed, writer)
            records.append(record)
            file.write(json.dumps(asdict(record)) + "\n")
            file.flush()
    return records


def _record_trial(settings: DemonstrationSettings, seed: int, writer: EpisodeWriter) -> TrialRecord:
    writer.start(settings.task)
    frames, succeeded = 0, False
    try:
        for frame, done in _trial(settings, seed):
            writer.add(frame)
            frames, succeeded = frames + 1, done
    except SimulationError as error:
        writer.discard()
        return TrialRecord(seed, False, frames, str(error))
    if not succeeded:
        writer.discard()
        return TrialRecord(seed, False, frames, "the expert did not succeed within the time limit")
    writer.save()
    return TrialRecord(seed, True, frames, "")


def _trial(settings: DemonstrationSettings, seed: int) -> Iterator[tuple[Frame, bool]]:
    if settings.embodiment == "robot":
        # Every 1 / (1 - disturbed)-th trial stays clean.
        clean = int(seed * (1 - settings.disturbed)) != int((seed + 1) * (1 - settings.disturbed))
        disturbance = None if clean else Disturbance(seed)
        return demonstrate(settings.task, settings.variant, seed, disturbance, settings.rest)
    noise = LabelNoiseSettings().scaled(settings.label_noise) if settings.embodiment == "video" else None
    expert = EXPERTS[settings.task]
    return demonstrate_person(expert, settings.embodiment, settings.task, settings.variant, seed, settings.rest, noise)


def _episode_settings(embodiment: str) -> EpisodeSettings:
    """The dataset's `robot_type` says whose hands it is of; people have no columns of joints."""
    return EpisodeSettings(fps=RATE) if embodiment == "robot" else PEOPLE[embodiment]


def _check_resumable(parts: Path, settings: DemonstrationSettings) -> None:
    """Refuse to mix the parts of two different calls."""
    parts.mkdir(parents=True, exist_ok=True)
    note = parts / "settings.json"
    ours = json.dumps(asdict(settings), default=str, sort_keys=True)
    if note.exists() and note.read_text() != ours:
        raise EpisodeError(f"{parts} holds an interrupted call with other settings; remove it, or repeat that call")
    note.write_text(ours)


def _show_progress(settings: DemonstrationSettings, parts: Path, jobs: list) -> None:  # type: ignore[type-arg]
    with tqdm(total=settings.episodes, desc="demonstrations", unit="episode") as bar:
        while not all(job.done() for job in jobs):
            bar.update(_count(parts) - bar.n)
            time.sleep(0.5)
        for job in as_completed(jobs):
            job.result()
        bar.update(_count(parts) - bar.n)


def _count(parts: Path) -> int:
    return sum(len(log.read_text().splitlines()) for log in parts.glob(f"*-{SEEDS_FILE}"))
