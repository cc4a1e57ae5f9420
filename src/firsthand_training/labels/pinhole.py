"""Hands of the rig as a camera sees them: pixels, and how they move with pose and proportions.

The camera looks along z, x to the right, y down; pixel (0, 0) is the centre of the upper left one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand_training.labels.hand_rig import PARAMETERS, HandPose, Integers, keypoints_in_wrist

Array = NDArray[np.floating]

NEAR = 0.02  # [m], nearer than this nothing is projected


@dataclass(frozen=True)
class Seen:
    """The keypoints of B hands in the picture."""

    pixels: Array  # (B, 21, 2), [px]
    in_camera: Array  # (B, 21, 3), [m]
    by_pose: Array  # (B, 21, 2, 27), [px] for a step of the rig
    by_shape: Array  # (B, 21, 2, 21), [px]; (B, 21, 2, 0) if not asked for


def see(
    pose: HandPose, side: Integers, shape: Array, intrinsics: Array, offsets: Array | None, with_shape: bool = False
) -> Seen:
    """Project keypoints; for the arguments see `keypoints_in_wrist`.

    Args:
        pose: B hands.
        side: (B,).
        shape: (B or 1, 21).
        intrinsics: (3, 3), [px].
        offsets: (21, 3), [m], or None.
        with_shape: Whether `by_shape` is wanted.
    """
    local = keypoints_in_wrist(pose.angles, side, shape, offsets, with_shape)
    turned = local.points @ np.swapaxes(pose.rotation, 1, 2)
    in_camera = turned + pose.position[:, None]
    projection, pixels = _project(in_camera, intrinsics)
    by_pose = np.empty((len(pose), 21, 2, PARAMETERS))
    by_pose[..., :3] = np.cross(turned[:, :, None], projection)  # d(turn x point) = turn . (point x .)
    by_pose[..., 3:6] = projection
    in_wrist = projection @ pose.rotation[:, None]
    by_pose[..., 6:] = in_wrist @ local.by_angles
    return Seen(pixels, in_camera, by_pose, in_wrist @ local.by_shape)


def _project(points: Array, intrinsics: Array) -> tuple[Array, Array]:
    """Derivative (..., 2, 3) and pixels (..., 2) of points (..., 3)."""
    depth = np.maximum(points[..., 2], NEAR)
    focal, centre = np.array([intrinsics[0, 0], intrinsics[1, 1]]), intrinsics[:2, 2]
    slope = points[..., :2] / depth[..., None]
    projection = np.zeros((*points.shape[:-1], 2, 3))
    projection[..., 0, 0] = focal[0] / depth
    projection[..., 1, 1] = focal[1] / depth
    projection[..., 2] = -focal * slope / depth[..., None]
    return projection, focal * slope + centre
