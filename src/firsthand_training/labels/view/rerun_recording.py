"""A clip as a Rerun recording: pictures, keypoints, the camera's way, the metric hands and the points of the scene.

`rerun clip.rrd` opens it. Everything in space is in one frame with the axes of F_R, z up, in metres.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from firsthand.errors import LabelError
from firsthand.space.frames import inverse
from firsthand_training.episodes.durable import whole_file
from firsthand_training.labels.stage_files import Array
from firsthand_training.labels.view.film import AXES, AXIS_LENGTH, BONES, COLORS
from firsthand_training.labels.view.labelled_clip import Image, LabelledClip

SIDES = ("left", "right")
JPEG_QUALITY = 80
APPLICATION = "firsthand labels"


def record_clip(clip: LabelledClip, output: Path) -> Path:
    """Write an .rrd file.

    Returns:
        `output`.

    Raises:
        LabelError: Rerun is not installed.
    """
    try:
        import rerun as rr
    except ImportError:
        raise LabelError("Rerun is not installed: pip install 'firsthand[view]'") from None
    with whole_file(output) as partial, rr.RecordingStream(APPLICATION) as stream:
        stream.save(partial)
        stream.log("/", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        points = scene_points(clip)
        if len(points):
            stream.log("/scene", rr.Points3D(points, radii=0.003, colors=(150, 150, 150)), static=True)
        poses = camera_poses(clip)
        for index, picture in enumerate(clip.pictures()):
            stream.set_time("clip", duration=float(clip.seconds[index]))
            _log_camera(stream, clip, index, poses[index], picture)
            for side, name in enumerate(SIDES):
                _log_hand(stream, clip, index, side, name)
        stream.flush()
    return output


def camera_poses(clip: LabelledClip) -> Array:
    """(N, 4, 4), of the camera in the frame in which `Labels.origin` says where F_R is, [m]."""
    poses: Array = inverse(clip.camera_from_robot)
    poses[:, :3, 3] += clip.labels.origin
    return poses


def scene_points(clip: LabelledClip) -> Array:
    """(P, 3), the scene's points in the same frame, [m]; none where the camera's way does not tell how large it is."""
    world, poses = clip.scene.world_from_camera, camera_poses(clip)
    known = np.isfinite(world[:, :3, 3]).all(axis=-1) & np.isfinite(poses[:, :3, 3]).all(axis=-1)
    if not known.any():
        return np.zeros((0, 3))
    first = int(np.flatnonzero(known)[0])
    turn = poses[first, :3, :3] @ world[first, :3, :3].T
    ways = [each[known, :3, 3] - each[first, :3, 3] for each in (world, poses)]
    length = float((ways[0] ** 2).sum())
    if length < 1e-12 or not clip.scene.parallax[0]:
        return np.zeros((0, 3))
    unit = float(((ways[0] @ turn.T) * ways[1]).sum()) / length
    points: Array = unit * (clip.scene.points - world[first, :3, 3]) @ turn.T + poses[first, :3, 3]
    return points


def _log_camera(stream: Any, clip: LabelledClip, index: int, pose: Array, picture: Image) -> None:
    import rerun as rr

    height, width = picture.shape[:2]
    stream.log("/camera", rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3]))
    stream.log("/camera/picture", rr.Pinhole(image_from_camera=clip.scene.intrinsics, resolution=(width, height)))
    jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    stream.log("/camera/picture", rr.EncodedImage(contents=jpeg.tobytes(), media_type="image/jpeg"))


def _log_hand(stream: Any, clip: LabelledClip, index: int, side: int, name: str) -> None:
    import rerun as rr

    pixels = clip.poses.keypoints[index, side]
    flat = [pixels[list(bone)] for bone in BONES if np.isfinite(pixels[list(bone)]).all()]
    stream.log(f"/camera/picture/{name}", rr.LineStrips2D(flat, colors=COLORS[side]))
    wrist, axes = clip.state.wrist_positions[index, side], clip.state.wrist_rotations[index, side].T
    if not np.isfinite(wrist).all():
        stream.log(f"/hands/{name}", rr.Clear(recursive=True))
        return
    origin = clip.labels.origin[index]
    start, tips = wrist + origin, clip.state.fingertips_in_robot[index, side] + origin
    stream.log(f"/hands/{name}/tips", rr.LineStrips3D([[start, tip] for tip in tips], colors=COLORS[side]))
    stream.log(
        f"/hands/{name}/wrist",
        rr.Arrows3D(vectors=AXIS_LENGTH * axes, origins=np.repeat(start[None], 3, axis=0), colors=AXES),
    )
    for what, sigma in (("wrist", clip.labels.wrist_sigma), ("tips", clip.labels.tips_sigma)):
        stream.log(f"/sigma/{what}/{name}", rr.Scalars(1e3 * float(sigma[index, side])))
