"""What the stages leave for each other: one file each, whole or not there.

work/<video>-<8 digits of its content>/
  hands.npz        detect_hands        every hand of every frame
  clips.json       trim_clips          the stretches worth labelling, and why the rest is not
  clip_000/
    scene.npz      reconstruct_scene   camera, its way, the vertical
    depth/         dense_depth         a map for each frame, where asked for
    poses.npz      estimate_hands      a left and a right hand for each frame, in pixels
    labels.npz     to_robot_frame      the 54 numbers of each frame, and how far to believe them

Frames are counted in the video from 0, as it is decoded. Pictures are upright (rotation metadata applied), and pixel
(u, v) = (0, 0) is the centre of the upper left one. N frames of a clip, D detections, P points of a scene; the axis of
2 is left, right. What is not known is NaN, never a guess.
"""

import hashlib
import json
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand_training.episodes.arrays import read_arrays
from firsthand_training.episodes.durable import whole_file

Array = NDArray[np.floating]
Integers = NDArray[np.int64]

HANDS, CLIPS = "hands.npz", "clips.json"
SCENE, DEPTH, POSES, LABELS, EPISODES = "scene.npz", "depth", "poses.npz", "labels.npz", "episodes"
IDENTIFYING = 1 << 20  # [bytes] at the beginning of a video that tell it from others, with its size

KEYPOINTS = tuple(
    [
        "wrist",
        *(f"{digit}_{joint}" for digit in ("thumb", "index", "middle", "ring", "little") for joint in range(1, 5)),
    ]
)
"""The 21 points of a hand as MediaPipe, OpenPose and WiLoR count them: each digit from its base (1) to its tip (4)."""
TIPS = tuple(KEYPOINTS.index(f"{digit}_4") for digit in ("thumb", "index", "middle", "ring", "little"))


@dataclass(frozen=True)
class Hands:
    """Every hand that was found, frame after frame; those of a frame are next to each other."""

    frame: Integers  # (D,)
    side: Integers  # (D,), 0 left, 1 right
    score: Array  # (D,), 0 to 1
    box: Array  # (D, 4), [px], left, top, right, bottom
    keypoints: Array  # (D, 21, 2), [px]; NaN from a detector that finds boxes alone
    frames: Integers  # (1,), how many the video has


@dataclass(frozen=True)
class Scene:
    """A clip's camera, and where it was: world z points up, the units are metres times 1 / `scale`."""

    frames: Integers  # (N,), all of the clip's
    size: Integers  # (2,), width and height of a picture, [px]
    intrinsics: Array  # (3, 3), [px]
    world_from_camera: Array  # (N, 4, 4), z forward, x right, y down in the camera; positions in the scene's units
    points: Array  # (P, 3), in the scene's units; none without parallax
    reprojection_error: Array  # (1,), mean, [px]; NaN without parallax
    parallax: NDArray[np.bool_]  # (1,), False: the camera only turned, as far as one can tell, and positions are all 0
    gravity_sigma: Array  # (1,), [rad], of the vertical
    scale: Array  # (1,), [m] of a unit of the scene; NaN where nothing here tells
    focal_sigma: Array = field(default_factory=lambda: np.array([np.nan]))  # (1,), relative, of the focal length
    notes: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, dtype="<U1"))  # (K,), fall-backs, in words


@dataclass(frozen=True)
class HandPoses:
    """A left and a right hand for each frame, as seen in the picture."""

    frames: Integers  # (N,)
    keypoints: Array  # (N, 2, 21, 2), [px]
    confidence: Array  # (N, 2), 0 to 1; 0 where there is no hand
    mano_shape: Array  # (N, 2, 10), beta
    mano_pose: Array  # (N, 2, 48), theta, axis-angle: the wrist, then 15 joints; a left hand's own
    mano_ray: Array = field(default_factory=lambda: np.array(np.nan))
    """(N, 2, 2), [px], where the camera looks in which `mano_pose` says the wrist; or one NaN: it is the picture's."""
    depths: Array = field(default_factory=lambda: np.array(np.nan))
    """(N, 2, 21), farther from the camera than the wrist, in pixels of the picture as all of the hand; or one NaN."""
    spread: Array = field(default_factory=lambda: np.array(np.nan))
    """(N, 2), [px], how much keypoints differ between looks at the same hand; or one NaN: it was looked at once."""


@dataclass(frozen=True)
class Labels:
    """The hand state of each frame in its own F_R, and how far to believe it."""

    frames: Integers  # (N,)
    stamps_ns: Integers  # (N,), of the video
    state: Array  # (N, 54); numbers of a side that is not labelled are NaN
    origin: Array  # (N, 3), [m], where F_R is, in a fixed frame with the same axes
    wrist_sigma: Array  # (N, 2), [m], along the worst direction
    rotation_sigma: Array  # (N, 2), [rad], of the wrist
    tips_sigma: Array  # (N, 2), [m], in the wrist frame
    measured: NDArray[np.bool_]  # (N, 2), False where a side's numbers come from its neighbours in time
    scale_sigma: Array  # (1,), relative, of everything's size
    scale_source: NDArray[np.str_]  # (1,), `stereo`, `calibrated`, `contact` or `prior`


@dataclass(frozen=True)
class Clip:
    """Frames `first` to `last` of a video, the last not included."""

    first: int
    last: int


def video_folder(work: Path, video: Path) -> Path:
    """Where the stages leave what they make of a video; known by what is in it, not by where it lies."""
    digest = hashlib.sha256(str(video.stat().st_size).encode())
    with video.open("rb") as file:
        digest.update(file.read(IDENTIFYING))
    return work / f"{video.stem}-{digest.hexdigest()[:8]}"


def clip_folder(folder: Path, number: int) -> Path:
    """Where the stages leave what they make of a clip of a video."""
    return folder / f"clip_{number:03d}"


Stage = TypeVar("Stage", Hands, Scene, HandPoses, Labels)


def save_stage(path: Path, stage: Hands | Scene | HandPoses | Labels) -> Path:
    """Write one of the above, at once."""
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **{field.name: getattr(stage, field.name) for field in fields(stage)})
    return path


def load_stage(path: Path, kind: type[Stage]) -> Stage:
    """Read one of the above.

    Raises:
        LabelError: It is missing, damaged or of another kind.
    """
    try:
        arrays = read_arrays(path, [each.name for each in fields(kind)])
    except FileNotFoundError:
        raise LabelError(f"{path} is missing; run the stage that makes it first") from None
    except ValueError as error:
        raise LabelError(f"{path} is damaged ({error}); remove it, and the stage that makes it will again") from error
    missing = [each.name for each in fields(kind) if each.name not in arrays and each.default_factory is MISSING]
    if missing:
        raise LabelError(f"{path} is not a {kind.__name__}: it has no {', '.join(missing)}")
    return kind(**arrays)


def save_clips(path: Path, clips: list[Clip], report: dict[str, Any]) -> Path:
    """Write which clips there are; `report` says what became of the other frames."""
    with whole_file(path) as partial:
        listed = [{"first": clip.first, "last": clip.last} for clip in clips]
        partial.write_text(json.dumps({"clips": listed, "report": report}, indent=1) + "\n", encoding="utf-8")
    return path


def load_clips(path: Path) -> list[Clip]:
    """Read which clips there are.

    Raises:
        LabelError: The file is missing or damaged.
    """
    try:
        return [Clip(int(each["first"]), int(each["last"])) for each in json.loads(path.read_text("utf-8"))["clips"]]
    except FileNotFoundError:
        raise LabelError(f"{path} is missing; run trim_clips first") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabelError(f"{path} is damaged ({error!r}); remove it and run trim_clips again") from error
