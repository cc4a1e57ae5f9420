"""Labels and pictures of a clip as episodes, which the training package reads like any others (docs/data.md).

The frames nearest to an even grid of 25 a second are taken, each with the label of its own time. Nobody commands a
person: `action` at t is where the hands are at t+1, in F_R of t. A video has one eye: both views show its picture, and
info.json says that the right one is a copy.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import EpisodeError, LabelError
from firsthand.space.hand_state import WRIST_POSITIONS, orthonormalize
from firsthand_training.episodes.check import check_dataset
from firsthand_training.episodes.durable import PARTIAL, fsync_tree
from firsthand_training.episodes.label_quality import USUAL, label_quality
from firsthand_training.episodes.layout import CAMERAS, EpisodeSettings
from firsthand_training.episodes.write import EpisodeWriter, Frame
from firsthand_training.labels.stage_files import Clip, Labels, load_stage
from firsthand_training.labels.video import frames, open_video

Array = NDArray[np.floating]
Image = NDArray[np.uint8]
Integers = NDArray[np.int64]

SLOWEST = 0.9  # of the episodes' rate, that a video may have
LOST = 1  # frames of the video in a row, that may be missing within an episode
OFF_GRID = 0.6  # [periods], of a frame from its place

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WriteSettings:
    """What episodes of a video are like."""

    task: str = "work with both hands"
    """The instruction in words."""
    fps: int = 25
    height: int = 360
    """[px]; pictures of another shape get black borders."""
    width: int = 640
    shortest: float = 1.0
    """Runs of fewer seconds are left out."""
    usual_wrist: float = USUAL[0]
    """[m], sigma of a wrist at which a label counts half."""
    usual_rotation: float = USUAL[1]
    """[rad]."""
    usual_tips: float = USUAL[2]
    """[m]."""

    def __post_init__(self) -> None:
        """Refuse what no dataset can have."""
        if not self.task.strip():
            raise LabelError("expected a task in words, got an empty one")
        if self.fps < 1 or min(self.height, self.width) < 16 or self.height % 2 or self.width % 2 or self.shortest < 0:
            raise LabelError(f"expected fps of 1 or more, an even height and width of 16 px or more, got {self}")
        if min(self.usual_wrist, self.usual_rotation, self.usual_tips) <= 0:
            raise LabelError(f"expected positive usual sigmas, got {self}")

    @property
    def episodes(self) -> EpisodeSettings:
        """Of the dataset."""
        return EpisodeSettings(
            fps=self.fps,
            height=self.height,
            width=self.width,
            joint_names=(),
            robot_type="video",
            quality=True,
            origin=True,
            sigma=True,
            one_camera=True,
        )


DEFAULT = WriteSettings()


def write_episodes(video: Path, clip: Clip, labels: Path, output: Path, settings: WriteSettings = DEFAULT) -> Path:
    """Write a clip's episodes as a dataset of its own; `merge_datasets` joins those of many clips.

    Args:
        video: The clip's.
        clip: Which of its frames.
        labels: From `to_robot_frame`.
        output: Folder of the dataset; left alone if it exists.
        settings: Rate, size, task, and which sigmas are usual.

    Returns:
        `output`.

    Raises:
        LabelError: Labels of other frames, a video that is too slow, or no run of frames with both hands long enough.
    """
    if output.exists():
        return output
    found = load_stage(labels, Labels)
    _check(found, clip, labels)
    runs, left_out = find_runs(found, settings)
    if not runs:
        raise LabelError(
            f"no {settings.shortest:g} s of {labels} have both hands labelled: "
            f"{', '.join(f'{count} frames {why}' for why, count in sorted(left_out.items())) or 'it is too short'}"
        )
    partial = output.with_name(output.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write(video, found, runs, partial, settings)
        check_dataset(partial).raise_if_broken()
        fsync_tree(partial)
        partial.rename(output)
    except EpisodeError as error:
        raise LabelError(f"episodes of {labels} could not be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    logger.info("%s: %d episodes; left out %s", output, len(runs), dict(left_out) or "nothing")
    return output


def find_runs(labels: Labels, settings: WriteSettings = DEFAULT) -> tuple[list[Integers], Counter[str]]:
    """Rows of the labels that make an episode each, and how many frames were left out for which reason.

    The last row of a run only says where the hands of the one before go.

    Raises:
        LabelError: The video is slower than the episodes shall be.
    """
    rows = on_grid(labels.stamps_ns, settings.fps)
    whole = np.isfinite(np.concatenate([labels.state[rows], labels.origin[rows]], axis=1)).all(axis=1).tolist()
    left_out = Counter({"lack a hand": whole.count(False)})
    longest = _longest_step(labels.stamps_ns, settings.fps)
    steps = np.diff(labels.stamps_ns[rows])
    runs: list[list[int]] = []
    for i, row in enumerate(rows):
        if not whole[i]:
            continue
        if not runs or not whole[i - 1] or steps[i - 1] > longest:
            runs.append([])
        runs[-1].append(int(row))
    shortest = max(2, round(settings.shortest * settings.fps))
    left_out["are in too short a run"] = sum(len(run) for run in runs if len(run) < shortest)
    return [np.array(run) for run in runs if len(run) >= shortest], +left_out


def _longest_step(stamps_ns: Integers, fps: int) -> float:
    """[ns] from row to row of an episode: next to a missing frame, rows are a period of the grid further apart."""
    if len(stamps_ns) < 2:
        return 0.0
    return 0.99 * (1e9 / fps + (1 + LOST) * float(np.median(np.diff(stamps_ns))))


def on_grid(stamps_ns: Integers, fps: int) -> Integers:
    """Rows of the frames nearest to an even grid from the first on, each once, (M,).

    Raises:
        LabelError: There are far fewer than the grid has places.
    """
    if len(stamps_ns) < 2:
        return np.arange(len(stamps_ns))
    rate = 1e9 / float(np.median(np.diff(stamps_ns)))
    if rate < SLOWEST * fps:
        raise LabelError(
            f"the video has {rate:.1f} frames a second, fewer than {fps}; set fps to {int(rate + 0.01)} or less"
        )
    seconds = (stamps_ns - stamps_ns[0]) / 1e9
    places = np.arange(int(seconds[-1] * fps + OFF_GRID) + 1) / fps
    after = np.clip(np.searchsorted(seconds, places), 1, len(seconds) - 1)
    nearest = np.where(places - seconds[after - 1] <= seconds[after] - places, after - 1, after)
    return np.unique(nearest[np.abs(seconds[nearest] - places) * fps <= min(OFF_GRID, 0.6 * fps / rate)])


def quality_of(labels: Labels, settings: WriteSettings = DEFAULT) -> Array:
    """How far each label is to be believed, (N,), 0 to 1; 0 if one of the hands was not measured but bridged."""
    usual = settings.usual_wrist, settings.usual_rotation, settings.usual_tips
    quality = label_quality(labels.wrist_sigma, labels.rotation_sigma, labels.tips_sigma, usual)
    return np.where(labels.measured.all(axis=-1), quality, 0.0)


def fit_picture(picture: Image, height: int, width: int) -> Image:
    """A picture (H, W, 3) as large as fits into another shape, in its middle, black around it."""
    scale = min(height / picture.shape[0], width / picture.shape[1])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    fitted = np.zeros((height, width, 3), dtype=np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    fitted[top : top + size[1], left : left + size[0]] = scaled
    return fitted


def _write(video: Path, labels: Labels, runs: list[Integers], root: Path, settings: WriteSettings) -> None:
    source = open_video(video)
    if int(labels.frames[-1]) >= source.frames:
        raise LabelError(f"{video} has {source.frames} frames, the labels speak of frame {int(labels.frames[-1])}")
    wanted = {int(labels.frames[row]) for run in runs for row in run[:-1]}
    pictures = _wanted(frames(source, min(wanted), max(wanted) + 1), min(wanted), wanted)
    quality = quality_of(labels, settings)
    with EpisodeWriter(root, settings.episodes) as writer:
        for run in runs:
            writer.start(settings.task)
            for row, following in pairwise(run):
                picture = fit_picture(next(pictures), settings.height, settings.width)
                writer.add(_frame(labels, row, following, float(quality[row]), picture))
            writer.save()


def _wanted(pictures: Iterator[Image], first: int, wanted: set[int]) -> Iterator[Image]:
    for number, picture in enumerate(pictures, start=first):
        if number in wanted:
            yield picture


def _frame(labels: Labels, row: int, following: int, quality: float, picture: Image) -> Frame:
    action = orthonormalize(labels.state[following])
    action[WRIST_POSITIONS] += np.tile(labels.origin[following] - labels.origin[row], 2)
    sigma = np.concatenate([labels.wrist_sigma[row], labels.rotation_sigma[row], labels.tips_sigma[row]])
    return Frame(
        stamp_ns=int(labels.stamps_ns[row]),
        state=orthonormalize(labels.state[row]),
        action=action,
        joints=np.zeros(0),
        action_joints=np.zeros(0),
        images=np.broadcast_to(picture, (len(CAMERAS), *picture.shape)),
        quality=quality,
        origin=labels.origin[row],
        sigma=sigma,
    )


def _check(labels: Labels, clip: Clip, path: Path) -> None:
    count = len(labels.frames)
    if count < 2:
        raise LabelError(f"{path} has {count} frames, expected two or more to make an episode of")
    if labels.frames[0] < clip.first or labels.frames[-1] >= clip.last or (np.diff(labels.frames) <= 0).any():
        raise LabelError(
            f"{path} has frames {labels.frames[0]} to {labels.frames[-1]}, expected those of the clip, {clip.first} "
            f"to {clip.last - 1}, in order"
        )
    if (np.diff(labels.stamps_ns) <= 0).any():
        raise LabelError(f"the stamps of {path} do not grow")
