"""The stretches of a video in which two hands work and the camera keeps almost still (Appendix II-A).

The paper filters first, and what is left is the video whose adjacent frames it compares: so neighbours here are a frame
with two hands and the next one that has them, and frames that were filtered out between them do not end a stretch,
unless they last longer than `bridge`. They lie in the clip, for the camera's sake, and do not count for its length.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand_training.labels.clip_frames import clip_frames
from firsthand_training.labels.hand_masks import hand_mask
from firsthand_training.labels.stage_files import Clip, Hands, load_stage, save_clips
from firsthand_training.labels.two_hands import two_hands
from firsthand_training.labels.video import SECOND, Image, open_video

Array = NDArray[np.floating]

DIAGONAL = 800.0  # [px], of 640x480, the size of picture that thresholds in pixels speak of
PAPER_RATE = 30.0  # [Hz], the rate that they speak of
UNTOLD = float("inf")  # the motion score of a pair without a valid homography


@dataclass(frozen=True)
class TrimSettings:
    """When a stretch of video is kept; pixels are those of a picture of 640x480, whatever the video's size."""

    min_inliers: int = 20  # n of the paper
    min_inlier_ratio: float = 0.3  # r
    max_motion: float = 10.0  # [px] from a frame to the next at 30 Hz: a speed, so other rates get their share of it
    min_duration: float = 3.0  # [s], L: 90 frames at 30 Hz
    keep: Literal["longest", "all"] = "longest"  # of the stretches that are long enough
    motion: Literal["static", "any"] = "static"  # `any`: two hands are enough, the camera may move as it likes
    bridge: float = 0.5  # [s], up to which frames without two hands, filtered out, lie within a stretch
    smooth: int = 1  # pairs, odd: a pair's score is the median of so many; more than 1 forgives single bad homographies
    features: int = 1000  # ORB keypoints of a frame
    ransac_error: float = 3.0  # [px]
    seed: int = 0

    def __post_init__(self) -> None:
        if self.keep not in ("longest", "all") or self.motion not in ("static", "any"):
            raise LabelError(
                f"keep is `longest` or `all`, motion `static` or `any`; got {self.keep!r}, {self.motion!r}"
            )
        if self.min_inliers < 4:
            raise LabelError(f"a homography needs 4 inliers; min_inliers is {self.min_inliers}")
        if self.smooth < 1 or self.smooth % 2 == 0:
            raise LabelError(f"a median is taken of an odd number of pairs, got smooth={self.smooth}")
        if not 0 <= self.min_inlier_ratio <= 1:
            raise LabelError(f"min_inlier_ratio is a share of the matches, 0 to 1, got {self.min_inlier_ratio}")
        numbers = {name: getattr(self, name) for name in ("max_motion", "min_duration", "features", "ransac_error")}
        wrong = [f"{name}={value}" for name, value in numbers.items() if not 0 < value < np.inf]
        if wrong or not 0 <= self.bridge < np.inf:
            raise LabelError(f"expected positive, finite numbers, got {', '.join(wrong) or f'bridge={self.bridge}'}")


DEFAULT = TrimSettings()


def trim_clips(video: Path, hands: Path, output: Path, settings: TrimSettings = DEFAULT) -> Path:
    """Keep the longest stretch with two hands in which the camera stands almost still.

    Args:
        video: Any that PyAV reads.
        hands: From `detect_hands`.
        output: Where `clips.json` goes; left alone if it exists. No stretch may be good enough: then it lists no clip.
            Its report counts why frames were left out and holds the motion scores, s_t of eq. (1): the first is of
            frame 1 against the last one before it that has two hands, [px of a picture of 640x480]; null where it
            could not be told or was not asked for.
        settings: Thresholds of the paper.

    Returns:
        `output`, ready for `reconstruct_scene`.

    Raises:
        LabelError: The video or the hands cannot be read, or do not belong together.
    """
    if output.exists():
        return output
    found = load_stage(hands, Hands)
    both, left_out = two_hands(found)
    stamps = open_video(video).stamps_ns / SECOND
    if len(stamps) != len(both):
        raise LabelError(f"{video} has {len(stamps)} frames, {hands} was made from {len(both)}; detect hands again")
    near = _near(both, stamps, settings)
    motion = measure_motion(video, found, both, settings)
    joined = near & _static(motion, near, stamps, settings, left_out)
    clips = _choose(_runs(both, joined), both, stamps, settings, left_out)
    return save_clips(output, clips, _report(both, clips, left_out, motion))


def measure_motion(video: Path, hands: Hands, kept: NDArray[np.bool_], settings: TrimSettings = DEFAULT) -> Array:
    """Motion scores s_t of a filtered video, eq. (1).

    Args:
        video: Of N frames.
        hands: Found in it; no keypoint is taken from them.
        kept: (N,), frames that were not filtered out.
        settings: Of features and RANSAC.

    Returns:
        (N - 1,), the first of frame 1 against the last one before it that was kept, [px of a picture of 640x480];
        infinite without a valid homography, NaN where either was filtered out or none is asked for.
    """
    scores = np.full(max(len(kept) - 1, 0), np.nan)
    if settings.motion == "any" or np.count_nonzero(kept) < 2:
        return scores
    orb = cv2.ORB.create(settings.features)
    first, last = int(kept.argmax()), len(kept) - int(kept[::-1].argmax())
    before: Features | None = None
    for index, _, picture in clip_frames(video, first, last):
        if kept[index]:
            now = _features(orb, picture, hands, index)
            if before is not None:
                scores[index - 1] = motion_score(before, now, settings)
            before = now
    return scores


@dataclass(frozen=True)
class Features:
    """ORB keypoints of a picture and what they look like."""

    points: Array  # (K, 2), [px of a picture of 640x480]
    descriptors: NDArray[np.uint8]  # (K, 32)
    size: tuple[float, float]  # width and height, [px of a picture of 640x480]


def motion_score(first: Features, second: Features, settings: TrimSettings = DEFAULT) -> float:
    """How far the homography between two pictures moves the corners and the centre, s_t of eq. (1).

    Returns:
        The mean of five displacements, [px of a picture of 640x480]; infinite if too few matches agree.
    """
    if min(len(first.points), len(second.points)) < settings.min_inliers:
        return UNTOLD
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(first.descriptors, second.descriptors)
    if len(matches) < settings.min_inliers:
        return UNTOLD
    here = first.points[[match.queryIdx for match in matches]]
    there = second.points[[match.trainIdx for match in matches]]
    cv2.setRNGSeed(settings.seed)
    homography, inliers = cv2.findHomography(here, there, cv2.USAC_ACCURATE, settings.ransac_error)  # LO-RANSAC
    if homography is None or inliers.sum() < settings.min_inliers or inliers.mean() < settings.min_inlier_ratio:
        return UNTOLD
    return float(np.linalg.norm(_anchors_moved(homography, first.size), axis=1).mean())


def _anchors_moved(homography: Array, size: tuple[float, float]) -> Array:
    """H p - p of the four corners and the centre, (5, 2)."""
    right, low = size[0] - 1, size[1] - 1
    anchors = np.array([[0, 0], [right, 0], [right, low], [0, low], [right / 2, low / 2]])
    moved = np.column_stack([anchors, np.ones(5)]) @ homography.T
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = moved[:, :2] / moved[:, 2:] - anchors
    return np.where(np.isfinite(shift) & (moved[:, 2:] > 0), shift, np.inf)


def _features(orb: "cv2.ORB", picture: Image, hands: Hands, index: int) -> Features:
    """Keypoints off the hands, in a picture no larger than 640x480."""
    height, width = picture.shape[:2]
    unit = float(np.hypot(width, height)) / DIAGONAL  # [px] of this video in one of 640x480
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    away = np.where(hand_mask(hands, index, (width, height)), 0, 255).astype(np.uint8)
    shrink = max(1.0, unit)
    if shrink > 1:
        small = (round(width / shrink), round(height / shrink))
        gray = cv2.resize(gray, small, interpolation=cv2.INTER_AREA)
        away = cv2.resize(away, small, interpolation=cv2.INTER_NEAREST)
    keypoints, descriptors = orb.detectAndCompute(gray, away)
    points = np.array([keypoint.pt for keypoint in keypoints]).reshape(-1, 2) * (shrink / unit)
    if descriptors is None:
        descriptors = np.zeros((0, 32), dtype=np.uint8)
    return Features(points, descriptors, (width / unit, height / unit))


def _near(kept: NDArray[np.bool_], stamps: Array, settings: TrimSettings) -> NDArray[np.bool_]:
    """Which frames, from the second on, are kept and follow one that is at most `bridge` after it ended, (N - 1,)."""
    near = np.zeros(max(len(kept) - 1, 0), dtype=bool)
    good = np.flatnonzero(kept)
    gaps = stamps[good[1:]] - stamps[np.minimum(good[:-1] + 1, len(stamps) - 1)]
    near[good[1:] - 1] = (np.diff(good) == 1) | (gaps <= settings.bridge + 1e-6)
    return near


def _static(
    motion: Array, near: NDArray[np.bool_], stamps: Array, settings: TrimSettings, left_out: Counter[str]
) -> NDArray[np.bool_]:
    """Which frames, from the second on, may be in one clip with the one kept before, (N - 1,)."""
    if settings.motion == "any":
        return np.ones(len(motion), dtype=bool)
    # Of the time since the frame before, filtered out or not: over a gap, the camera may move no more than in a step.
    allowed = settings.max_motion * PAPER_RATE * np.diff(stamps)
    static: NDArray[np.bool_] = _median(motion, settings.smooth) < allowed
    left_out["too few inliers"] += int((near & np.isinf(motion)).sum())
    left_out["too much motion"] += int((near & np.isfinite(motion) & ~static).sum())
    return static


def _median(scores: Array, width: int) -> Array:
    """Of `width` pairs around each, of those that have a score; what has none keeps none."""
    if len(scores) == 0:  # of a picture, or of a video of one frame
        return scores
    padded = np.pad(scores, width // 2, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, width)
    # Sorted, NaN comes last: the middle of what comes before it.
    middle = np.maximum(np.isfinite(around).sum(axis=1) + np.isinf(around).sum(axis=1) - 1, 0) // 2
    median = np.sort(around, axis=1)[np.arange(len(scores)), middle]
    return np.where(np.isnan(scores), np.nan, median)


def _runs(kept: NDArray[np.bool_], joined: NDArray[np.bool_]) -> list[Clip]:
    """The longest possible runs that begin and end with a kept frame."""
    runs: list[Clip] = []
    for index in np.flatnonzero(kept).tolist():
        if runs and joined[index - 1]:
            runs[-1] = Clip(runs[-1].first, index + 1)
        else:
            runs.append(Clip(index, index + 1))
    return runs


def _choose(
    runs: list[Clip], kept: NDArray[np.bool_], stamps: Array, settings: TrimSettings, left_out: Counter[str]
) -> list[Clip]:
    """The longest run, or all, whose kept frames last long enough."""
    period = float(np.median(np.diff(stamps))) if len(stamps) > 1 else 0.0
    steps = np.append(np.diff(stamps), period) * kept
    durations = {run: float(steps[run.first : run.last - 1].sum()) + period for run in runs}
    enough = [run for run in runs if durations[run] >= settings.min_duration - period / 2]
    chosen = enough
    if settings.keep == "longest" and enough:
        chosen = [max(enough, key=lambda run: durations[run])]
    left_out["too short"] += sum(_count(kept, run) for run in runs if run not in enough)
    left_out["not the longest"] += sum(_count(kept, run) for run in enough if run not in chosen)
    return chosen


def _count(kept: NDArray[np.bool_], run: Clip) -> int:
    return int(np.count_nonzero(kept[run.first : run.last]))


def _report(kept: NDArray[np.bool_], clips: list[Clip], left_out: Counter[str], motion: Array) -> dict[str, Any]:
    inside = sum(clip.last - clip.first for clip in clips)
    return {
        "frames": len(kept),
        "kept": sum(_count(kept, clip) for clip in clips),
        "bridged": inside - sum(_count(kept, clip) for clip in clips),
        "left_out": {reason: count for reason, count in sorted(left_out.items()) if count},
        "motion": [round(score, 2) if np.isfinite(score) else None for score in motion.tolist()],
    }
