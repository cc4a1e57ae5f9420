"""Structure and motion from corners that were followed, for a camera that travels by centimetres and never looks away.

A point is a direction and how near it is, (x, y, 1) and w = 1 / depth, in a frame amid the cameras; camera i sees it
along R_i (x, y, 1) + w t_i. That is linear in everything but the turning, and as well-behaved for walls as for what
lies on the table, so plain least squares find their way from no travel at all: rotations that explain the corners best
by themselves, and all points on a plane that comes nearer downwards (Yu and Gallup, CVPR 2014, start from random
depths). Cameras and points are adjusted together (Levenberg-Marquardt, points eliminated first), with weights that
forget what moves by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firsthand.space.rotations import matrix_from_rotation_vector
from firsthand_training.labels.scene.camera import Array, Integers, rays
from firsthand_training.labels.scene.model import Model, Prior
from firsthand_training.labels.scene.tracks import Sighting

MIN_VIEWS = 3  # keyframes that see a corner which is mapped
MIN_SEEN = 20  # corners of a keyframe that is mapped
NEARER_BELOW = 0.4  # of the depths at first: by how much w grows from the middle of the picture to its lower border
STEPS = 60  # of Levenberg-Marquardt, at most, each time
ROUGHLY, ENOUGH = (
    1e-2,
    1e-4,
)  # relative, by which the cost must fall for another step: before strays are known, and after
LIKELY = 0.5  # [px], of an observation: more counts less and less (Cauchy)
MAX_ERROR = 3.0  # [px], of an observation that stays
LEAST = 1e-6  # [px^2], in the place of what nothing tells
FARTHEST = 50.0  # median depths, of a point that stays


@dataclass(frozen=True)
class _Scene:
    """What is adjusted."""

    focal: float  # of the prior's focal lengths
    rotations: Array  # (K, 3, 3), camera from the frame amid them
    ways: Array  # (K, 3), t
    points: Array  # (P, 3), x, y, w


@dataclass(frozen=True)
class _Sights:
    """What is seen: M observations, by keyframe."""

    intrinsics: Array  # (3, 3), [px], of the prior
    camera: Integers  # (M,), rising
    point: Integers  # (M,)
    pixels: Array  # (M, 2)

    def only(self, kept: NDArray[np.bool_]) -> "_Sights":
        """Some of them."""
        return replace(self, camera=self.camera[kept], point=self.point[kept], pixels=self.pixels[kept])


def map_small_motion(sightings: Sequence[Sighting], rotations: Array, camera: Prior) -> Model | None:
    """Find the cameras of keyframes and the points that they see.

    Args:
        sightings: Of the keyframes.
        rotations: world_from_camera (K, 3, 3) that explain them best without any travel; NaN where nothing is known.
        camera: Kept, or where its focal length begins.

    Returns:
        A model of those keyframes whose rotation is known and that see enough; None if they are fewer than three.
    """
    usable = [at for at, s in enumerate(sightings) if np.isfinite(rotations[at]).all() and len(s.corners) >= MIN_SEEN]
    if len(usable) < 3:
        return None
    sights, corners = _gather([sightings[at] for at in usable], camera.intrinsics)
    if not len(corners):
        return None
    scene = _adjust(_begin(sights, rotations[usable], len(corners)), sights, False, ROUGHLY)
    if not camera.exact:
        scene = _adjust(scene, sights, True, ROUGHLY)
    sights = _without_strays(scene, sights)
    scene = _adjust(scene, sights, not camera.exact, ENOUGH)
    frames = np.array([sightings[at].frame for at in usable], dtype=np.int64)
    return _model(scene, _without_strays(scene, sights), frames, corners)


def _gather(sightings: Sequence[Sighting], intrinsics: Array) -> tuple[_Sights, Integers]:
    """Observations of corners that enough keyframes see, which are numbered anew; and their old numbers."""
    seen = np.concatenate([s.corners for s in sightings])
    corners, numbers, views = np.unique(seen, return_inverse=True, return_counts=True)
    camera = np.repeat(np.arange(len(sightings)), [len(s.corners) for s in sightings])
    every = _Sights(intrinsics, camera, numbers, np.concatenate([s.pixels for s in sightings]))
    often = views >= MIN_VIEWS
    kept = every.only(often[numbers])
    return replace(kept, point=(np.cumsum(often) - 1)[kept.point]), corners[often]


def _begin(sights: _Sights, world_from_camera: Array, count: int) -> _Scene:
    """No travel, and points on a plane."""
    left, _, right = np.linalg.svd(world_from_camera.sum(axis=0))
    middle = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
    rotations = np.swapaxes(world_from_camera, 1, 2) @ middle
    seen = (rays(sights.intrinsics, sights.pixels)[:, None] @ rotations[sights.camera])[:, 0]
    total = _by_point(sights, seen, count)
    points = total / np.maximum(total[:, 2:], 1e-3)
    lowest = np.abs(points[:, 1]).max(initial=1e-9)
    points[:, 2] = 1 + NEARER_BELOW * points[:, 1] / lowest
    return _Scene(1.0, rotations, np.zeros((len(rotations), 3)), points)


def _adjust(scene: _Scene, sights: _Sights, focal_too: bool, enough: float) -> _Scene:
    """The scene that explains best what is seen, to where a step gains no more than a share `enough`."""
    damping, cost = 1e-3, _cost(scene, sights)
    for _ in range(STEPS):
        equations = _linearize(scene, sights, focal_too)
        while damping < 1e8:
            better = _step(scene, equations, damping)
            less = _cost(better, sights)
            if less < cost:
                break
            damping *= 10
        else:
            return scene
        fell, scene, cost, damping = 1 - less / cost, better, less, max(damping / 10, 1e-9)
        if fell < enough:
            return scene
    return scene


def _cost(scene: _Scene, sights: _Sights) -> float:
    return float(np.log1p((_off(scene, sights, _in_camera(scene, sights)) ** 2).sum(axis=1) / LIKELY**2).sum())


def _in_camera(scene: _Scene, sights: _Sights) -> Array:
    """Where cameras have the points that they see, but for a factor, (M, 3)."""
    return _directions(scene, sights) + scene.points[sights.point, 2:] * scene.ways[sights.camera]


def _directions(scene: _Scene, sights: _Sights) -> Array:
    """R (x, y, 1), (M, 3)."""
    x, y = scene.points[sights.point, :2].T[..., None]
    rotations = scene.rotations[sights.camera]
    directions: Array = x * rotations[..., 0] + y * rotations[..., 1] + rotations[..., 2]
    return directions


def _off(scene: _Scene, sights: _Sights, places: Array) -> Array:
    """How far points are put from where a camera sees them, (M, 2), [px]; far for what is behind it."""
    ratio = places[:, :2] / np.maximum(places[:, 2:], 1e-3)
    K = sights.intrinsics
    off: Array = scene.focal * ratio * [K[0, 0], K[1, 1]] + K[:2, 2] - sights.pixels
    return off


class _Equations(NamedTuple):
    """Normal equations of C numbers of cameras (six each, then the focal length) and three of each point."""

    of_cameras: Array  # (C, C)
    between: Array  # (P, 3, C)
    of_points: Array  # (P, 3, 3)
    to_cameras: Array  # (C,), right side
    to_points: Array  # (P, 3)


def _linearize(scene: _Scene, sights: _Sights, focal_too: bool) -> _Equations:
    """About a scene, each observation weighted by how well it fits."""
    cameras, count = len(scene.rotations), len(scene.points)
    size = 6 * cameras + 1
    off = _off(scene, sights, _in_camera(scene, sights))
    by_camera, by_point = _derivatives(scene, sights, off, focal_too)
    root = 1 / np.sqrt(1 + (off**2).sum(axis=1) / LIKELY**2)
    off, by_camera, by_point = off * root[:, None], by_camera * root[:, None, None], by_point * root[:, None, None]
    of_cameras, to_cameras = np.zeros((size, size)), np.zeros(size)
    starts = np.searchsorted(sights.camera, np.arange(cameras + 1))
    for at in range(cameras):
        some = slice(starts[at], starts[at + 1])
        columns = [*range(6 * at, 6 * at + 6), size - 1]
        flat = by_camera[some].reshape(-1, 7)
        of_cameras[np.ix_(columns, columns)] += flat.T @ flat
        to_cameras[columns] -= flat.T @ off[some].reshape(-1)
    across = np.swapaxes(by_point, 1, 2)
    together = across @ by_camera  # (M, 3, 7)
    between = np.zeros((count, 3, size))
    between[:, :, :-1].reshape(count, 3, cameras, 6)[sights.point, :, sights.camera] = together[..., :6]
    between[:, :, -1] = _by_point(sights, together[..., 6], count)
    of_points = _by_point(sights, across @ by_point, count)
    return _Equations(
        of_cameras, between, of_points, to_cameras, -_by_point(sights, (across @ off[..., None])[..., 0], count)
    )


def _by_point(sights: _Sights, values: Array, count: int) -> Array:
    """Values (M, ...) of observations summed for each point, (P, ...)."""
    flat = values.reshape(len(values), -1)
    summed: Array = np.stack([np.bincount(sights.point, column, count) for column in flat.T], axis=1).astype(float)
    return summed.reshape(count, *values.shape[1:])


def _derivatives(scene: _Scene, sights: _Sights, off: Array, focal_too: bool) -> tuple[Array, Array]:
    """Of `_off` by turning, way and the focal length's logarithm (M, 2, 7), and by the points (M, 2, 3)."""
    K, rotations, ways = sights.intrinsics, scene.rotations[sights.camera], scene.ways[sights.camera]
    near = scene.points[sights.point, 2]
    directions = _directions(scene, sights)
    places = directions + near[:, None] * ways
    inverse = 1 / np.maximum(places[:, 2], 1e-3)
    by_place = np.zeros((len(off), 2, 3))
    for axis in (0, 1):
        by_place[:, axis, axis] = scene.focal * K[axis, axis] * inverse
        by_place[:, axis, 2] = -by_place[:, axis, axis] * places[:, axis] * inverse
    x, y, z = directions.T
    by_camera = np.zeros((len(off), 2, 7))
    # A turning about an axis moves the directions by axis x directions.
    by_camera[..., 0] = by_place[..., 2] * y[:, None] - by_place[..., 1] * z[:, None]
    by_camera[..., 1] = by_place[..., 0] * z[:, None] - by_place[..., 2] * x[:, None]
    by_camera[..., 2] = by_place[..., 1] * x[:, None] - by_place[..., 0] * y[:, None]
    by_camera[..., 3:6] = by_place * near[:, None, None]
    if focal_too:
        by_camera[..., 6] = off + sights.pixels - K[:2, 2]
    return by_camera, by_place @ np.stack([rotations[..., 0], rotations[..., 1], ways], axis=-1)


def _step(scene: _Scene, equations: _Equations, damping: float) -> _Scene:
    """The scene that solves the damped equations, points eliminated (Schur complement)."""
    of_cameras, between, of_points, to_cameras, to_points = equations
    size = len(of_cameras)
    held = of_points + (damping * np.einsum("pii->pi", of_points) + LEAST)[:, :, None] * np.eye(3)
    from_points = np.linalg.inv(held)
    eliminated = (from_points @ between).reshape(-1, size)
    reduced = of_cameras - between.reshape(-1, size).T @ eliminated
    reduced[np.diag_indices(size)] += damping * np.diag(of_cameras) + LEAST
    cameras = np.linalg.solve(reduced, to_cameras - eliminated.T @ to_points.reshape(-1))
    points = (from_points @ (to_points - between @ cameras)[..., None])[..., 0]
    moved = cameras[:-1].reshape(-1, 6)
    return _Scene(
        focal=scene.focal * float(np.exp(np.clip(cameras[-1], -0.2, 0.2))),
        rotations=matrix_from_rotation_vector(moved[:, :3]) @ scene.rotations,
        ways=scene.ways + moved[:, 3:],
        points=scene.points + points,
    )


def _without_strays(scene: _Scene, sights: _Sights) -> _Sights:
    """Observations that fit, of points in front of the cameras that are seen often enough."""
    near, places = scene.points[:, 2], _in_camera(scene, sights)
    fit = (near > np.median(near) / FARTHEST)[sights.point] & (places[:, 2] > 0)
    fit &= np.linalg.norm(_off(scene, sights, places), axis=1) < MAX_ERROR
    views = np.bincount(sights.point[fit], minlength=len(near))
    return sights.only(fit & (views >= MIN_VIEWS)[sights.point])


def _model(scene: _Scene, sights: _Sights, frames: Integers, corners: Integers) -> Model | None:
    """In a frame of lengths: what is still seen."""
    views = np.bincount(sights.camera, minlength=len(frames))
    registered = np.flatnonzero(views >= MIN_SEEN)
    if len(registered) < 3:
        return None
    sights = sights.only((views >= MIN_SEEN)[sights.camera])
    used, numbers = np.unique(sights.point, return_inverse=True)
    x, y, near = scene.points[used].T
    poses = np.tile(np.eye(4), (len(registered), 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = scene.rotations[registered], scene.ways[registered]
    intrinsics = sights.intrinsics.copy()
    intrinsics[[0, 1], [0, 1]] *= scene.focal
    ends = np.cumsum(views[registered])[:-1]
    return Model(
        frames=frames[registered],
        intrinsics=intrinsics,
        camera_from_world=poses,
        points=np.stack([x, y, np.ones_like(x)], axis=1) / near[:, None],
        observed=tuple(np.split(numbers, ends)),
        pixels=tuple(np.split(sights.pixels, ends)),
        reprojection_error=float(np.linalg.norm(_off(scene, sights, _in_camera(scene, sights)), axis=1).mean()),
        corners=corners[used],
    )
