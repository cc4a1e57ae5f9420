"""Speed, memory and accuracy of every stage of labelling, beside COLMAP's own pipeline on the same clip.

    OMP_NUM_THREADS=1 python benchmarks/label_stages.py [--clip data/clips/clip_00003] [--every 3 1] [--workers 1 2]

A rendered clip with its truth (made if none is named) goes through the stages, each in a process of its own with one
thread, then its pictures through COLMAP's steps with the options that `colmap automatic_reconstructor` sets for video
at its default quality: affine SIFT, guided sequential matching without a vocabulary tree, incremental mapping. Neither
side is told the intrinsics. Times are CPU time without imports; memory is the peak of the process. Counting a video's
frames, which each of the two processes of a clip does once, has a line of its own. Prints Markdown.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pycolmap

from firsthand_training.demonstrations.human.clip import ClipSettings, render_clip
from firsthand_training.demonstrations.human.truth import TRUTH_FILE, Truth, load_truth
from firsthand_training.demonstrations.scripted import EXPERTS
from firsthand_training.evaluation.labels import CameraErrors, camera_errors, hand_errors
from firsthand_training.labels.clip_frames import clip_frames
from firsthand_training.labels.dense_depth import DepthSettings, dense_depth
from firsthand_training.labels.detect_hands import detect_hands
from firsthand_training.labels.estimate_hands import estimate_hands
from firsthand_training.labels.label_videos import LabelSettings, Spread, label_videos
from firsthand_training.labels.reconstruct_scene import reconstruct_scene
from firsthand_training.labels.scale_out import run_locally
from firsthand_training.labels.stage_files import (
    CLIPS,
    DEPTH,
    EPISODES,
    HANDS,
    LABELS,
    POSES,
    SCENE,
    Clip,
    Labels,
    Scene,
    load_clips,
    load_stage,
)
from firsthand_training.labels.to_robot_frame import to_robot_frame
from firsthand_training.labels.trim_clips import TrimSettings, trim_clips
from firsthand_training.labels.video import open_video
from firsthand_training.labels.write_episodes import WriteSettings, write_episodes

SHORT = TrimSettings(min_duration=0.5)
SETTINGS = LabelSettings(trim=SHORT, camera_files=False, episodes=WriteSettings(shortest=0.4))
COUNTING = "open_video"
STAGES = (
    "detect_hands",
    "trim_clips",
    "reconstruct_scene",
    "estimate_hands",
    "to_robot_frame",
    "write_episodes",
)
STEPS = ("extraction", "matching", "mapping")
DEPTH_EVERY = 15
COLMAP = "colmap"  # the folder of its files


@dataclass(frozen=True)
class Job:
    """One stage of ours or one step of COLMAP's, for a process of its own."""

    name: str
    video: Path
    work: Path
    clip: Clip | None = None
    every: int = 1  # frames, between those that COLMAP gets


@dataclass(frozen=True)
class Cost:
    """What a job took."""

    name: str
    frames: int
    seconds: float  # of CPU time
    memory_mib: float

    @property
    def rate(self) -> float:
        """Frames a second and core."""
        return self.frames / self.seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, help="a folder from firsthand-lab render-hands; default: one is rendered")
    parser.add_argument("--seconds", type=float, default=2.0, help="of the clip that is rendered")
    parser.add_argument("--seed", type=int, default=42, help="of the clip that is rendered")
    parser.add_argument("--every", type=int, nargs="*", default=[3], help="COLMAP gets every n-th frame")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="processes over which work is spread")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        video = _video(arguments, work)
        truth = load_truth(video.with_name(TRUTH_FILE), Truth)
        clip, costs = measure_stages(video, work)
        theirs = {every: measure_colmap(video, work / f"{COLMAP}{every}", clip, every) for every in arguments.every}
        print_costs(costs, theirs)
        print_accuracy(work, clip, truth, list(theirs))
        if arguments.workers:
            print_scaling(video, work, arguments.workers)


def measure_stages(video: Path, work: Path) -> tuple[Clip, list[Cost]]:
    """Run all stages on the longest clip of a video; dense depth of every 15th frame."""
    frames = open_video(video).frames
    once = _run(Job(COUNTING, video, work), frames)
    costs = [replace(once, name=f"{COUNTING}, twice", seconds=2 * once.seconds)]
    costs += [_run(Job(name, video, work), frames) for name in STAGES[:2]]
    clip = _only(load_clips(work / CLIPS), video)
    length = clip.last - clip.first
    costs += [_run(Job(name, video, work, clip), length) for name in STAGES[2:]]
    dense = _run(Job("dense_depth", video, work), len(range(0, length, DEPTH_EVERY)))
    return clip, [*costs, replace(dense, name="dense_depth, a map")]


def measure_colmap(video: Path, folder: Path, clip: Clip, every: int) -> list[Cost]:
    """Run COLMAP's steps on every n-th picture of a clip."""
    images = folder / "images"
    images.mkdir(parents=True)
    for number, _, picture in clip_frames(video, clip.first, clip.last):
        if (number - clip.first) % every == 0:
            cv2.imwrite(str(images / f"{number:06d}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return [_run(Job(step, video, folder, clip, every), clip.last - clip.first) for step in STEPS]


def run_job(job: Job) -> float:
    """Do it; seconds of CPU time of this process."""
    if job.name not in (*STEPS, COUNTING):
        open_video(job.video)
    began = _cpu_seconds()
    if job.name in STEPS:
        _colmap(job)
    else:
        _stage(job)
    return _cpu_seconds() - began


def print_costs(costs: Sequence[Cost], theirs: dict[int, list[Cost]]) -> None:
    """A line a stage, then COLMAP's steps; ratios to our reconstruction."""
    ours = next(cost for cost in costs if cost.name == "reconstruct_scene")
    print("\n| stage | frames | CPU ms a frame | frames/s and core | peak MiB | × our reconstruct_scene |")
    print("|---|---|---|---|---|---|")
    for cost in costs:
        _print_cost(cost)
    line = costs[: 1 + len(STAGES)]
    per_frame = sum(cost.seconds / cost.frames for cost in line)
    memory = max(cost.memory_mib for cost in line)
    print(f"| **all but dense_depth** | | {1000 * per_frame:.0f} | {1 / per_frame:.1f} | {memory:.0f} | |")
    for every, steps in theirs.items():
        total = Cost("all", ours.frames, sum(c.seconds for c in steps), max(c.memory_mib for c in steps))
        for cost in [*steps, total]:
            ratio = f"{cost.seconds / cost.frames / (ours.seconds / ours.frames):.2f}"
            _print_cost(cost, ratio, f"COLMAP, every {every}. frame: ")


def print_accuracy(work: Path, clip: Clip, truth: Truth, theirs: Sequence[int]) -> None:
    """What the times bought: the camera of each, and our hands."""
    print("\n| camera | frames with a pose | ATE mm | focal length % |\n|---|---|---|---|")
    scenes = {"reconstruct_scene": load_stage(work / SCENE, Scene)}
    scenes |= {
        f"COLMAP, every {every}. frame": _their_scene(work / f"{COLMAP}{every}", clip, truth) for every in theirs
    }
    for name, scene in scenes.items():
        errors = camera_errors(scene, truth) if len(scene.frames) else CameraErrors(*[np.nan] * 4)
        known = int(np.isfinite(scene.world_from_camera).all(axis=(1, 2)).sum())
        share = f"{known} of {clip.last - clip.first}"
        print(f"| {name} | {share} | {errors.camera_ate_mm:.2f} | {errors.focal_percent:+.1f} |")
    hands = hand_errors(load_stage(work / LABELS, Labels), truth)
    print(f"\nwrists of this clip: median {np.median(hands.wrist_mm):.0f} mm off ({len(hands.wrist_mm)} hands)")


def print_scaling(video: Path, work: Path, workers: Sequence[int]) -> None:
    """The whole command on as many copies of the clip as there are workers at most, by workers."""
    copies = [work / f"copy_{number}.mp4" for number in range(max(workers))]
    for copy in copies:
        copy.write_bytes(video.read_bytes())
    print(
        f"\n| workers | {len(copies)} clips, s of the clock | × {workers[0]} | peak MiB a process |\n|---|---|---|---|"
    )
    first = 0.0
    for count in workers:
        began = time.perf_counter()
        name = f"scaling_{count}"
        manifest = label_videos(copies, work / f"{name}.work", work / name, SETTINGS, Spread(workers=count))
        seconds = time.perf_counter() - began
        first = first or seconds
        memory = max(row.memory_mib for row in manifest)
        print(f"| {count} | {seconds:.1f} | {first / seconds:.2f} | {memory:.0f} |")


def _video(arguments: argparse.Namespace, work: Path) -> Path:
    if arguments.clip is not None:
        clip: Path = arguments.clip
        return clip / f"{clip.name}.mp4"
    settings = ClipSettings(duration=arguments.seconds)
    return render_clip(arguments.seed, settings, work / "clip", EXPERTS)


def _run(job: Job, frames: int) -> Cost:
    (outcome,) = run_locally(run_job, [job], 1)
    if outcome.value is None:
        sys.exit(f"{job.name}: {outcome.reason}")
    return Cost(job.name, frames, outcome.value, outcome.memory_mib)


def _stage(job: Job) -> None:
    video, work, clip = job.video, job.work, job.clip
    if job.name == COUNTING:
        open_video(video)
    elif job.name == "detect_hands":
        detect_hands(video, work / HANDS, SETTINGS.detect)
    elif job.name == "trim_clips":
        trim_clips(video, work / HANDS, work / CLIPS, SHORT)
    elif job.name == "to_robot_frame":
        to_robot_frame(open_video(video).stamps_ns, work / SCENE, work / POSES, work / LABELS, SETTINGS.metric_settings)
    elif job.name == "dense_depth":
        dense_depth(video, work / SCENE, work / HANDS, work / DEPTH, DepthSettings(every=DEPTH_EVERY))
    elif clip is not None:
        if job.name == "reconstruct_scene":
            reconstruct_scene(video, work / HANDS, clip, work / SCENE, SETTINGS.scene)
        elif job.name == "estimate_hands":
            estimate_hands(video, work / HANDS, clip, work / POSES, SETTINGS.hands)
        elif job.name == "write_episodes":
            write_episodes(video, clip, work / LABELS, work / EPISODES, SETTINGS.episodes)


def _colmap(job: Job) -> None:
    """One step of `colmap automatic_reconstructor --data_type video`, quality `high`, dense stereo left out."""
    database, images = job.work / "database.db", job.work / "images"
    pycolmap.logging.minloglevel = pycolmap.logging.ERROR.value
    if job.name == "extraction":
        extraction = pycolmap.FeatureExtractionOptions()
        extraction.num_threads, extraction.max_image_size = 1, 2400
        extraction.sift.estimate_affine_shape = True
        pycolmap.extract_features(
            database,
            images,
            camera_mode=pycolmap.CameraMode.SINGLE,
            extraction_options=extraction,
            device=pycolmap.Device.cpu,
        )
    elif job.name == "matching":
        matching, pairing = pycolmap.FeatureMatchingOptions(), pycolmap.SequentialPairingOptions()
        matching.num_threads = pairing.num_threads = 1
        matching.guided_matching = True
        pycolmap.match_sequential(
            database, matching_options=matching, pairing_options=pairing, device=pycolmap.Device.cpu
        )
    else:
        pipeline = pycolmap.IncrementalPipelineOptions()
        pipeline.num_threads = pipeline.mapper.num_threads = 1
        pipeline.mapper.init_min_tri_angle /= 2
        pipeline.ba_global_frames_ratio = pipeline.ba_global_points_ratio = 1.4
        pipeline.ba_local_max_num_iterations, pipeline.ba_local_max_refinements = 30, 3
        pipeline.ba_global_max_num_iterations = 75
        pipeline.max_extra_param = float(np.finfo(np.float64).max)
        models = job.work / "models"
        models.mkdir()
        pycolmap.incremental_mapping(database, images, models, pipeline)


def _their_scene(folder: Path, clip: Clip, truth: Truth) -> Scene:
    """COLMAP's largest model; frames that it did not register are not known."""
    models = [pycolmap.Reconstruction(path) for path in sorted((folder / "models").iterdir())]
    frames = np.arange(clip.first, clip.last)
    poses, intrinsics = np.full((len(frames), 4, 4), np.nan), np.full((3, 3), np.nan)
    if models:
        model = max(models, key=lambda each: each.num_reg_images())
        for image in model.images.values():
            if image.has_pose:
                pose = np.eye(4)
                pose[:3] = image.cam_from_world().inverse().matrix()
                poses[int(Path(image.name).stem) - clip.first] = pose
        intrinsics = next(iter(model.cameras.values())).calibration_matrix()
    one = np.full(1, np.nan)
    return Scene(frames, truth.size, intrinsics, poses, np.zeros((0, 3)), one, np.array([True]), one, one)


def _print_cost(cost: Cost, ratio: str = "", before: str = "") -> None:
    milliseconds = 1000 * cost.seconds / cost.frames
    numbers = f"{cost.frames} | {milliseconds:.0f} | {cost.rate:.1f} | {cost.memory_mib:.0f}"
    print(f"| {before}{cost.name} | {numbers} | {ratio} |")


def _only(clips: list[Clip], video: Path) -> Clip:
    if not clips:
        sys.exit(f"{video} has no stretch with two hands before a quiet camera; name another clip or seed")
    return clips[0]


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
