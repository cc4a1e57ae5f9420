"""How far labels made from a rendered clip are from its truth, stage by stage.

Hands are compared in F_R. Its heading is a convention (where the camera looks on average), so the labels' axes are
first turned about the vertical, by one angle a clip, to those of the truth; a wrong vertical is left in and counts.
Cameras are compared after the similarity that brings them closest: their path has no scale and no origin of its own.

    data/clips/clip_00003/   clip_00003.mp4, truth.npz         firsthand-lab render-hands
    work/clip_00003-<digest>/clip_000/   scene.npz, poses.npz, labels.npz    the stages of `firsthand_training.labels`
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import angle_between, matrix_from_rpy
from firsthand_training.demonstrations.human.truth import TRUTH_FILE, Truth, load_truth
from firsthand_training.episodes.durable import write_text
from firsthand_training.evaluation.statistics import bootstrap_interval
from firsthand_training.labels.stage_files import (
    KEYPOINTS,
    LABELS,
    POSES,
    SCENE,
    HandPoses,
    Labels,
    Scene,
    load_stage,
    video_folder,
)

Array = NDArray[np.floating]

STILL = 0.005  # [m]: a camera that stays this near to its mean place has no path to be aligned
HAND_MEASURES = ("wrist_mm", "tips_mm", "tips_in_wrist_mm", "wrist_deg")
MEDIAN_P90 = ("median", "p90")
CLIP_MEASURES = ("hand_scale_percent", "camera_ate_mm", "camera_scale_percent", "focal_percent", "gravity_deg")


@dataclass(frozen=True)
class HandErrors:
    """Of the M hands (a side of a frame) of a clip that are labelled."""

    wrist_mm: Array  # (M,), of the wrist in F_R
    tips_mm: Array  # (M,), of the fingertips in F_R, mean of five
    tips_in_wrist_mm: Array  # (M,), of the fingertips in the wrist frame, mean of five
    wrist_deg: Array  # (M,), of the wrist's rotation in F_R
    hand_scale_percent: float  # how much farther from the camera the wrists are said to be, median


@dataclass(frozen=True)
class CameraErrors:
    """Of a clip's camera."""

    camera_ate_mm: float  # root mean square after similarity alignment; NaN where it stood still or has no parallax
    camera_scale_percent: float  # of the scene's metres; NaN where it has none, or the path none
    focal_percent: float
    gravity_deg: float  # angle between the verticals as seen by the camera, mean over frames


@dataclass(frozen=True)
class ClipErrors:
    """What became of one rendered clip."""

    name: str
    tone: int
    frames: int  # of the video
    labelled: float  # share of the hands (two a frame) that have numbers
    measured: float  # share of the hands whose numbers were measured in that very frame
    hands: HandErrors
    camera: CameraErrors
    keypoint_px: Array  # (21,), median over the hands that were found; NaN where none was


class Stages(NamedTuple):
    """What the stages left for one stretch of a video."""

    scene: Scene
    poses: HandPoses
    labels: Labels


def clip_errors(name: str, stretches: Sequence[Stages], truth: Truth) -> ClipErrors:
    """Compare all stretches of one video with its truth.

    Args:
        name: Of the clip, for tables.
        stretches: From `load_stretches`; none if nothing was labelled.
        truth: Of the whole video.
    """
    frames = len(truth.state)
    numbers = [np.isfinite(_sided(each.labels.state)).all(axis=-1) for each in stretches]
    measured = [known & each.labels.measured for known, each in zip(numbers, stretches, strict=True)]
    cameras = [camera_errors(each.scene, truth) for each in stretches]
    lengths = np.array([len(each.scene.frames) for each in stretches])
    pixels = [keypoint_errors(each.poses, truth) for each in stretches]
    found = np.concatenate([np.zeros((0, 21)), *pixels])
    return ClipErrors(
        name=name,
        tone=int(truth.tone[0]),
        frames=frames,
        labelled=sum(int(known.sum()) for known in numbers) / (2 * frames),
        measured=sum(int(known.sum()) for known in measured) / (2 * frames),
        hands=_joined([hand_errors(each.labels, truth) for each in stretches]),
        camera=CameraErrors(*(_mean_of([getattr(each, key) for each in cameras], lengths) for key in CAMERA_KEYS)),
        keypoint_px=np.median(found, axis=0) if len(found) else np.full(21, np.nan),
    )


CAMERA_KEYS = ("camera_ate_mm", "camera_scale_percent", "focal_percent", "gravity_deg")


def hand_errors(labels: Labels, truth: Truth) -> HandErrors:
    """Compare the hands of a stretch with the truth."""
    _check_frames(labels.frames, truth)
    ours, theirs = HandState.from_vector(labels.state), HandState.from_vector(truth.state[labels.frames])
    known = np.isfinite(_sided(labels.state)).all(axis=-1)
    turn = _heading_between(ours.head_rotation, theirs.head_rotation)
    positions, rotations = ours.wrist_positions @ turn.T, turn @ np.nan_to_num(ours.wrist_rotations)
    tips = ours.fingertips_in_robot @ turn.T
    in_wrist = np.linalg.norm(ours.fingertips_in_wrist - theirs.fingertips_in_wrist, axis=-1).mean(axis=-1)
    far = np.linalg.norm(ours.wrist_positions, axis=-1) / np.linalg.norm(theirs.wrist_positions, axis=-1)
    return HandErrors(
        wrist_mm=1000 * np.linalg.norm(positions - theirs.wrist_positions, axis=-1)[known],
        tips_mm=1000 * np.linalg.norm(tips - theirs.fingertips_in_robot, axis=-1).mean(axis=-1)[known],
        tips_in_wrist_mm=1000 * in_wrist[known],
        wrist_deg=np.rad2deg(angle_between(rotations, theirs.wrist_rotations))[known],
        hand_scale_percent=100 * float(np.median(far[known]) - 1) if known.any() else math.nan,
    )


def camera_errors(scene: Scene, truth: Truth) -> CameraErrors:
    """Compare the camera of a stretch, in the frames in which it is known, with the truth."""
    _check_frames(scene.frames, truth)
    known = np.isfinite(scene.world_from_camera).all(axis=(1, 2))
    if not known.any():
        return CameraErrors(math.nan, math.nan, math.nan, math.nan)
    poses, true_poses = scene.world_from_camera[known], truth.world_from_camera[scene.frames[known]]
    ups = np.einsum("ni,ni->n", _unit(poses[:, 2, :3]), true_poses[:, 2, :3])
    path, true_path = poses[:, :3, 3], true_poses[:, :3, 3]
    span = float(np.linalg.norm(true_path - true_path.mean(axis=0), axis=1).max())
    ate = scale = math.nan
    if bool(scene.parallax[0]) and span > STILL and np.ptp(path, axis=0).max() > 0:
        stretch, rotation, offset = align(path, true_path)
        ate = 1000 * float(np.sqrt(((stretch * path @ rotation.T + offset - true_path) ** 2).sum(axis=1).mean()))
        scale = 100 * (float(scene.scale[0]) / stretch - 1)
    focal = float(scene.intrinsics[0, 0] / truth.intrinsics[0, 0])
    gravity = float(np.rad2deg(np.arccos(np.clip(ups, -1, 1))).mean())
    return CameraErrors(ate, scale, 100 * (focal - 1), gravity)


def keypoint_errors(poses: HandPoses, truth: Truth) -> Array:
    """Distances (M, 21), [px], of the keypoints of the hands that were found, the same side's of the truth."""
    _check_frames(poses.frames, truth)
    distance = np.linalg.norm(poses.keypoints - truth.keypoints[poses.frames], axis=-1)
    return distance[(poses.confidence > 0) & np.isfinite(distance).all(axis=-1)]


def align(points: Array, target: Array) -> tuple[float, Array, Array]:
    """The similarity that brings points (N, 3) closest to a target (N, 3), least squares (Umeyama 1991).

    Returns:
        Scale, rotation (3, 3) and offset (3,): target = scale * rotation @ point + offset.
    """
    a, b = points - points.mean(axis=0), target - target.mean(axis=0)
    u, sizes, v = np.linalg.svd(b.T @ a)
    handed = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    rotation = (u * handed) @ v
    scale = float((sizes * handed).sum() / max(float((a * a).sum()), 1e-18))
    return scale, rotation, target.mean(axis=0) - scale * rotation @ points.mean(axis=0)


def load_stretches(work: Path) -> list[Stages]:
    """What the stages left of a video, `work/clip_*/`, those that were labelled; none if there is no such folder.

    Raises:
        LabelError: A file is damaged, or one of a labelled stretch is missing.
    """
    return [
        Stages(
            load_stage(folder / SCENE, Scene),
            load_stage(folder / POSES, HandPoses),
            load_stage(folder / LABELS, Labels),
        )
        for folder in sorted(work.glob("clip_*"))
        if (folder / LABELS).exists()
    ]


def evaluate_labels(clips: Path, work: Path) -> list[ClipErrors]:
    """Compare everything that was labelled in `work` with the rendered `clips`, clip by clip.

    Raises:
        LabelError: There are no rendered clips, or a file is damaged.
    """
    folders = sorted(path.parent for path in clips.glob(f"*/{TRUTH_FILE}"))
    if not folders:
        raise LabelError(f"no clips with truth in {clips}; make some with firsthand-lab render-hands --output {clips}")
    return [
        clip_errors(
            folder.name,
            load_stretches(video_folder(work, folder / f"{folder.name}.mp4")),
            load_truth(folder / TRUTH_FILE, Truth),
        )
        for folder in folders
    ]


class Summary(NamedTuple):
    """A measure over all clips, with the interval that other clips like these would put it in."""

    value: float
    interval: tuple[float, float]  # 95 %, bootstrap over clips

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "unknown"
        return f"{self.value:.1f} ({self.interval[0]:.1f} to {self.interval[1]:.1f})"


def summarize(clips: Sequence[ClipErrors]) -> dict[str, Summary]:
    """Medians and 90th percentiles over all hands of all clips, medians of clips of what a clip has one of, and shares.

    What can have either sign (scale, focal length) enters by its size.
    """
    summaries: dict[str, Summary] = {}
    for name in HAND_MEASURES:
        groups = [getattr(clip.hands, name) for clip in clips]
        summaries[f"{name} median"] = _summary(groups, lambda values: float(np.median(values)))
        summaries[f"{name} p90"] = _summary(groups, lambda values: float(np.percentile(values, 90)))
    for name in CLIP_MEASURES:
        ones = [np.abs(np.atleast_1d(_of_clip(clip, name))) for clip in clips]
        summaries[f"{name} median"] = _summary(ones, lambda values: float(np.median(values)))
    summaries["keypoint_px median"] = _summary([clip.keypoint_px for clip in clips], lambda v: float(np.median(v)))
    for name in ("labelled", "measured"):
        shares = [np.array([100 * getattr(clip, name)]) for clip in clips]
        summaries[f"{name} percent"] = _summary(shares, lambda values: float(values.mean()))
    return summaries


def labels_table(columns: Mapping[str, Sequence[ClipErrors]]) -> str:
    """Markdown: a line a measure, a column for each way of labelling, such as with an oracle in place of a stage."""
    summaries = {title: summarize(clips) for title, clips in columns.items()}
    lines = [f"| measure, 95 % interval | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name in next(iter(summaries.values())):
        lines.append(f"| {name} | {' | '.join(str(summary[name]) for summary in summaries.values())} |")
    return "\n".join(lines)


def tones_table(clips: Sequence[ClipErrors]) -> str:
    """Markdown: a line a skin tone, with 95 % intervals over its clips."""
    names = ("labelled percent", "keypoint_px median", *(f"{name} {of}" for name in HAND_MEASURES for of in MEDIAN_P90))
    lines = [f"| tone, fair to dark | clips | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for tone in sorted({clip.tone for clip in clips}):
        here = [clip for clip in clips if clip.tone == tone]
        summary = summarize(here)
        lines.append(f"| {tone} | {len(here)} | {' | '.join(str(summary[name]) for name in names)} |")
    return "\n".join(lines)


def clips_table(clips: Sequence[ClipErrors]) -> str:
    """Markdown: a line a clip."""
    lines = [
        "| clip | tone | labelled | wrist mm | tips mm | tips in wrist mm | wrist deg | ATE mm | focal % | up deg |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for clip in clips:
        medians = [_median(getattr(clip.hands, name)) for name in HAND_MEASURES]
        camera = [clip.camera.camera_ate_mm, clip.camera.focal_percent, clip.camera.gravity_deg]
        numbers = " | ".join("unknown" if math.isnan(value) else f"{value:.1f}" for value in (*medians, *camera))
        lines.append(f"| {clip.name} | {clip.tone} | {clip.labelled:.0%} | {numbers} |")
    return "\n".join(lines)


def write_errors(path: Path, clips: Sequence[ClipErrors]) -> Path:
    """The numbers of every clip and their summary as JSON; what is not known is null."""
    rows = [
        {
            **{name: getattr(clip, name) for name in ("name", "tone", "frames", "labelled", "measured")},
            **{f"{name} median": _median(getattr(clip.hands, name)) for name in HAND_MEASURES},
            **{name: _of_clip(clip, name) for name in CLIP_MEASURES},
            "keypoint_px": dict(zip(KEYPOINTS, clip.keypoint_px.tolist(), strict=True)),
        }
        for clip in clips
    ]
    summary = {name: {"value": each.value, "interval": each.interval} for name, each in summarize(clips).items()}
    write_text(path, json.dumps(_known({"summary": summary, "clips": rows}), indent=1) + "\n")
    return path


def _check_frames(frames: NDArray[np.int64], truth: Truth) -> None:
    if len(frames) and not 0 <= frames.min() <= frames.max() < len(truth.state):
        raise LabelError(
            f"frames {frames.min()} to {frames.max()} were labelled of a clip whose truth has {len(truth.state)}; "
            "label the video that lies beside the truth"
        )


def _sided(state: Array) -> Array:
    """The numbers of each side with the head's, (N, 2, 30), of states (N, 54)."""
    parts = HandState.from_vector(state)
    tips = parts.fingertips_in_wrist.reshape(*state.shape[:-1], 2, 15)
    head = np.repeat(parts.head_rotation_6d[..., None, :], 2, axis=-2)
    return np.concatenate([head, parts.wrist_rotations_6d, parts.wrist_positions, tips], axis=-1)


def _heading_between(ours: Array, theirs: Array) -> Array:
    """The turn about the vertical (3, 3) that brings head rotations (N, 3, 3) closest to others."""
    known = np.isfinite(ours).all(axis=(1, 2))
    product = np.einsum("nij,nkj->ik", theirs[known], ours[known])
    return matrix_from_rpy(0.0, 0.0, float(np.arctan2(product[1, 0] - product[0, 1], product[0, 0] + product[1, 1])))


def _joined(parts: list[HandErrors]) -> HandErrors:
    wrist, tips, in_wrist, turn = (
        np.concatenate([np.zeros(0), *(getattr(part, name) for part in parts)]) for name in HAND_MEASURES
    )
    lengths = np.array([len(part.wrist_mm) for part in parts])
    return HandErrors(wrist, tips, in_wrist, turn, _mean_of([part.hand_scale_percent for part in parts], lengths))


def _mean_of(values: list[float], weights: NDArray[np.int64]) -> float:
    """Weighted mean of those that are known; NaN if none is."""
    known = np.isfinite(values) & (weights > 0) if values else np.zeros(0, bool)
    return float(np.average(np.array(values)[known], weights=weights[known])) if known.any() else math.nan


def _of_clip(clip: ClipErrors, name: str) -> float:
    return float(getattr(clip.hands if name == "hand_scale_percent" else clip.camera, name))


def _summary(groups: list[Array], statistic: Callable[[Array], float]) -> Summary:
    known = [group[np.isfinite(group)] for group in groups]
    known = [group for group in known if group.size]
    if not known:
        return Summary(math.nan, (math.nan, math.nan))
    return Summary(statistic(np.concatenate(known)), bootstrap_interval(known, statistic))


def _median(values: Array) -> float:
    return float(np.median(values)) if values.size else math.nan


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _known(value: Any) -> Any:
    """The same with None for what is not a finite number."""
    if isinstance(value, dict):
        return {key: _known(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_known(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
