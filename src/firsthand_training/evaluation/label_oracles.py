"""The truth in place of what a stage of labelling made, to see what that stage loses.

oracle      replaced                       what follows is then blamed for the rest
keypoints   poses.npz: 2D keypoints        fit of the hand, size, camera
camera      scene.npz: intrinsics, path,   keypoints, fit, size
            vertical, scale
depth       the depth map of a frame       keypoints, camera, and that joints lie beneath what is seen
size        nothing on disk: pass          keypoints, fit, camera
            `truth.hand_size` on
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand_training.demonstrations.human.truth import DenseTruth, Truth
from firsthand_training.labels.stage_files import HandPoses, Scene, load_stage, save_stage

Array = NDArray[np.floating]

IN_PICTURE = 11  # of 21 keypoints: a hand with fewer is not there, for an oracle either


def true_keypoints(poses: HandPoses, truth: Truth) -> HandPoses:
    """The hands where they are in the picture, found with certainty; those that are mostly outside are not found."""
    keypoints = truth.keypoints[poses.frames]
    inside = ((keypoints > -0.5) & (keypoints < truth.size - 0.5)).all(axis=-1).sum(axis=-1) >= IN_PICTURE
    return replace(
        poses,
        keypoints=np.where(inside[..., None, None], keypoints, np.nan),
        confidence=inside.astype(float),
    )


def true_camera(scene: Scene, truth: Truth) -> Scene:
    """The camera as it was, in metres; the points of the old scene have no place in it."""
    return replace(
        scene,
        intrinsics=truth.intrinsics,
        world_from_camera=truth.world_from_camera[scene.frames],
        points=np.zeros((0, 3)),
        reprojection_error=np.zeros(1),
        parallax=np.array([True]),
        gravity_sigma=np.array([np.deg2rad(0.01)]),
        scale=np.array([1.0]),
    )


def true_depth(dense: DenseTruth, frame: int, scale: float) -> Array:
    """The depth map (H, W) of a frame as `dense_depth` would leave it, in units of the scene, hands included.

    Args:
        dense: Of the clip.
        frame: Of the video.
        scale: [m] of a unit of the scene.

    Raises:
        LabelError: The clip was rendered without, or is shorter.
    """
    if frame >= len(dense.depth):
        raise LabelError(f"no true depth of frame {frame}, there is of {len(dense.depth)}; render with --clip.dense")
    return dense.depth[frame].astype(float) / scale


def substitute(stretch: Path, output: Path, truth: Truth, oracle: str) -> Path:
    """Copy what the stages left of a stretch, with the truth in place of one of them and without the labels.

    Args:
        stretch: A folder `clip_000` with scene.npz and poses.npz.
        output: The new folder, to run `to_robot_frame` in.
        truth: Of the video.
        oracle: `keypoints` or `camera`.

    Returns:
        `output`.

    Raises:
        LabelError: There is no such oracle, or a file is missing.
    """
    if oracle not in ORACLES:
        raise LabelError(f"no oracle {oracle!r} on disk; there are {', '.join(ORACLES)}")
    if output.exists():
        shutil.rmtree(output)
    shutil.copytree(stretch, output, ignore=shutil.ignore_patterns("labels.npz"))
    ORACLES[oracle](output, truth)
    return output


def _keypoints(folder: Path, truth: Truth) -> None:
    save_stage(folder / "poses.npz", true_keypoints(load_stage(folder / "poses.npz", HandPoses), truth))


def _camera(folder: Path, truth: Truth) -> None:
    save_stage(folder / "scene.npz", true_camera(load_stage(folder / "scene.npz", Scene), truth))


ORACLES: dict[str, Callable[[Path, Truth], None]] = {"keypoints": _keypoints, "camera": _camera}
