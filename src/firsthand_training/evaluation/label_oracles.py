"""The truth in place of what a stage of labelling made, to see what that stage loses.

oracle      replaced                       what follows is then blamed for the rest
keypoints   poses.npz: 2D keypoints        fit of the hand, size, camera
camera      scene.npz: intrinsics, path,   keypoints, fit, size
            vertical, scale
size        the length of the hand          keypoints, fit, camera
distance    labels.npz: how far away       keypoints across the line of sight, fit, camera
            each wrist is
depth       the depth map of a frame,      keypoints, camera, and that joints lie beneath what is seen
            hands included (the paper's
            way, at its best)
"""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand.space.hand_state import WRIST_POSITIONS, HandState
from firsthand_training.demonstrations.human.truth import Truth
from firsthand_training.episodes.durable import write_text
from firsthand_training.labels.depth_maps import INDEX, map_path
from firsthand_training.labels.stage_files import POSES, SCENE, HandPoses, Labels, Scene, load_stage, save_stage

Array = NDArray[np.floating]

IN_PICTURE = 11  # of 21 keypoints: a hand with fewer is not there, for an oracle either


def true_keypoints(poses: HandPoses, truth: Truth) -> HandPoses:
    """The hands where they are in the picture, found with certainty; those that are mostly outside are not found.

    What a network said of their depth, and how much its looks differed, is gone with its keypoints.
    """
    keypoints = truth.keypoints[poses.frames]
    inside = ((keypoints > -0.5) & (keypoints < truth.size - 0.5)).all(axis=-1).sum(axis=-1) >= IN_PICTURE
    return replace(
        poses,
        keypoints=np.where(inside[..., None, None], keypoints, np.nan),
        confidence=inside.astype(float),
        depths=np.array(np.nan),
        spread=np.array(np.nan),
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


def write_true_depth(depths: Iterable[Array], scene: Scene, output: Path) -> Path:
    """Depth maps of a stretch as `dense_depth` would leave them, had it seen everything.

    Args:
        depths: Of all frames of the video, (H, W), [m].
        scene: Of the stretch, in metres (`true_camera`).
        output: The folder of maps.
    """
    output.mkdir(parents=True)
    wanted = set(scene.frames.tolist())
    for frame, depth in enumerate(depths):
        if frame in wanted:
            np.savez(map_path(output, frame), depth=depth, confidence=np.ones_like(depth))
    write_text(output / INDEX, json.dumps({"frames": sorted(wanted), "intrinsics": scene.intrinsics.tolist()}))
    return output


def true_distance(labels: Labels, truth: Truth) -> Labels:
    """The wrists as far from the camera as they were, in the directions in which they were seen."""
    state = labels.state.copy()
    ours = HandState.from_vector(labels.state).wrist_positions
    theirs = HandState.from_vector(truth.state[labels.frames]).wrist_positions
    with np.errstate(invalid="ignore"):
        farther = np.linalg.norm(theirs, axis=-1) / np.linalg.norm(ours, axis=-1)
    state[:, WRIST_POSITIONS] = (ours * farther[..., None]).reshape(len(state), 6)
    return replace(labels, state=state)


def substitute(stretch: Path, output: Path, truth: Truth, *oracles: str) -> Path:
    """Copy scene and poses of a stretch, with the truth in place of what some of the oracles replace.

    Args:
        stretch: A folder `clip_000` with scene.npz and poses.npz.
        output: The new folder, to run `to_robot_frame` in.
        truth: Of the video.
        oracles: Of `keypoints` and `camera`.

    Returns:
        `output`.

    Raises:
        LabelError: There is no such oracle, or a file is missing.
    """
    unknown = sorted(set(oracles) - set(ORACLES))
    if unknown:
        raise LabelError(f"no oracle {', '.join(unknown)} on disk; there are {', '.join(ORACLES)}")
    if output.exists():
        shutil.rmtree(output)
    output.mkdir(parents=True)
    for name in (SCENE, POSES):
        if not (stretch / name).exists():
            raise LabelError(f"{stretch / name} is missing; run the stage that makes it first")
        shutil.copy(stretch / name, output / name)
    for oracle in oracles:
        ORACLES[oracle](output, truth)
    return output


def _keypoints(folder: Path, truth: Truth) -> None:
    save_stage(folder / POSES, true_keypoints(load_stage(folder / POSES, HandPoses), truth))


def _camera(folder: Path, truth: Truth) -> None:
    save_stage(folder / SCENE, true_camera(load_stage(folder / SCENE, Scene), truth))


ORACLES: dict[str, Callable[[Path, Truth], None]] = {"keypoints": _keypoints, "camera": _camera}
