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
    by_angles: Array  # (B, 21, 3, 21), [m/rad], of `in_camera`
    in_camera_by_shape: Array  # (B, 21, 3, 21), [m]; (B, 21, 3, 0) if not asked for


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
    by_angles, by_shape = pose.rotation[:, None] @ local.by_angles, pose.rotation[:, None] @ local.by_shape
    by_pose[..., 6:] = projection @ by_angles
    return Seen(pixels, in_camera, by_pose, projection @ by_shape, by_angles, by_shape)


def turned_to(pixels: Array, intrinsics: Array) -> Array:
    """Rotations (..., 3, 3) of the camera, by the shortest way, to look at pixels (..., 2).

    They turn what is told in a camera that looks there, such as a network's of its crop, into the camera's own axes.
    """
    rays = np.concatenate([pixels, np.ones((*pixels.shape[:-1], 1))], axis=-1) @ np.linalg.inv(intrinsics).T
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    x, y, z = np.moveaxis(rays, -1, 0)
    rows = [[1 - x * x / (1 + z), -x * y / (1 + z), x], [-x * y / (1 + z), 1 - y * y / (1 + z), y], [-x, -y, z]]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


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
