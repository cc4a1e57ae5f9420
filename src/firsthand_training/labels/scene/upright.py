"""A clip's camera as the other stages want it: upright, at the video's size, in units of its own."""

import numpy as np

from firsthand_training.labels.scene.camera import Array, KnownCamera, Track
from firsthand_training.labels.scene.footage import Footage, Seen, resized
from firsthand_training.labels.scene.gravity import GravitySettings, Sights, Vertical, find_vertical
from firsthand_training.labels.stage_files import Scene

IMU_SIGMA = 0.01  # [rad]


def vertical_of(seen: Seen, track: Track, known: KnownCamera, settings: GravitySettings) -> Vertical:
    """Up, in the track's frame: as given, or from what pictures show."""
    rotations = track.world_from_camera[:, :3, :3]
    if known.gravity is None:
        return vertical_from_sights(seen, rotations, track.intrinsics, track.points, settings)
    good = np.isfinite(rotations[:, 0, 0])
    down = np.broadcast_to(np.asarray(known.gravity, dtype=float), (len(rotations), 3))
    up = -np.einsum("nij,nj->ni", rotations, down / np.linalg.norm(down, axis=1, keepdims=True))[good].mean(axis=0)
    return Vertical(up / np.linalg.norm(up), IMU_SIGMA, "given")


def vertical_from_sights(
    seen: Seen, rotations: Array, intrinsics: Array, points: Array, settings: GravitySettings
) -> Vertical:
    """From the pictures whose rotation (N, 3, 3) is known."""
    good = np.flatnonzero(np.isfinite(rotations[seen.views, 0, 0]))
    if not len(good):  # then how heads are held
        some = rotations[np.isfinite(rotations[:, 0, 0])][:1]
        return find_vertical(Sights([np.zeros((0, 2, 2))], [np.zeros((0, 2))]), some, intrinsics, points, settings)
    sights = Sights([seen.sights.edges[at] for at in good.tolist()], [seen.sights.hands[at] for at in good.tolist()])
    return find_vertical(sights, rotations[seen.views[good]], intrinsics, points, settings)


def upright_scene(footage: Footage, track: Track, vertical: Vertical, known: KnownCamera) -> Scene:
    """What `scene.npz` holds: z up, x where the camera looks, the first camera at the origin."""
    upright_from_world = _upright(vertical.up, track.world_from_camera)
    poses, points = upright_from_world @ track.world_from_camera, track.points @ upright_from_world[:3, :3].T
    unit, scale = _unit(poses, points, known)
    origin = poses[np.isfinite(poses[:, 0, 3])][0, :3, 3].copy()
    poses[:, :3, 3] = (poses[:, :3, 3] - origin) / unit
    return Scene(
        frames=np.arange(footage.clip.first, footage.clip.last),
        size=np.array(footage.full),
        intrinsics=resized(track.intrinsics, 1 / footage.shrink),
        world_from_camera=poses,
        points=(points - origin) / unit,
        reprojection_error=np.array([track.reprojection_error]),
        parallax=np.array([track.parallax]),
        gravity_sigma=np.array([vertical.sigma]),
        scale=np.array([scale]),
        focal_sigma=np.array([track.focal_sigma]),
        notes=np.array([*track.notes, f"vertical: {vertical.source}"]),
    )


def _upright(up: Array, world_from_camera: Array) -> Array:
    """A rotation (4, 4) that takes `up` to +z and where the cameras look, seen from above, to +x."""
    looks = np.nanmean(world_from_camera[:, :3, 2], axis=0)
    forward = looks - (looks @ up) * up
    if np.linalg.norm(forward) < 1e-3:  # straight down: then where the top of the picture points
        forward = -np.nanmean(world_from_camera[:, :3, 1], axis=0)
        forward = forward - (forward @ up) * up
    forward = forward / np.linalg.norm(forward)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([forward, np.cross(up, forward), up])
    return pose


def _unit(poses: Array, points: Array, known: KnownCamera) -> tuple[float, float]:
    """By what positions are divided, and the metres of the unit that comes of it; NaN if nothing tells."""
    if not len(points):
        return 1.0, np.nan
    good = np.isfinite(poses[:, 0, 0])
    in_first = (points - poses[good][0, :3, 3]) @ poses[good][0, :3, :3]
    unit = float(np.median(in_first[:, 2]))
    if known.positions is None:
        return unit, np.nan
    told = np.asarray(known.positions, dtype=float)[good]
    ways = [np.linalg.norm(p - p.mean(axis=0)) for p in (told, poses[good][:, :3, 3] / unit)]
    return unit, float(ways[0] / ways[1])
