"""How a camera turned that did not travel far enough for its way to be seen.

Every corner is a direction in the world, every frame a rotation: both are found together, from the corners' directions
in frames before (RANSAC over pairs of them, because things move that are no hands), and then in sweeps over all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from firsthand.space.rotations import matrix_from_rotation_vector, rotation_vector_from_matrix
from firsthand_training.labels.scene.camera import Array, Integers, intrinsic_matrix, project, rays
from firsthand_training.labels.scene.tracks import Sighting

MIN_CORNERS = 20  # of a frame whose rotation can be told
LONG_LIVED = 4  # keyframes that a corner must have been seen in to say how well rotations explain it
HYPOTHESES = 40
NEAR = 1.5  # [px], of a corner that agrees with a rotation
SWEEPS = 2
COMPARED = 10  # keyframes, for each focal length
FOCALS = np.geomspace(0.45, 1.35, 9)  # longer sides, that are tried
INDEPENDENT = 0.1  # of the corners, as witnesses of a focal length: neighbours err alike
TRAVEL_SIGMA = 0.08  # relative, of a focal length told by turning: heads turn about their necks


@dataclass(frozen=True)
class Turning:
    """The rotation of each frame of a clip."""

    world_from_camera: Array  # (N, 3, 3); the first frame's is the identity, NaN where too little was seen
    residual: float  # [px], median distance of a long-lived corner from where rotations put it; infinite without any
    corners: float  # in a frame, on average
    residuals: Array  # (C,), [px], of each corner that was long-lived, root mean square


@dataclass(frozen=True)
class FocalTest:
    """What turning says of the focal length."""

    focals: Array  # (F,), [px]
    log_likelihood: Array  # (F,)


def explain_by_turning(sightings: Sequence[Sighting], keyframes: Integers, intrinsics: Array) -> Turning:
    """Explain what is seen in a clip by rotations alone.

    Args:
        sightings: Of each frame.
        keyframes: (K,), which of them, in order, were compared with how their corners looked at first.
        intrinsics: (3, 3), [px].
    """
    focal, rng = float(intrinsics[0, 0]), np.random.default_rng(0)
    turned, world = _turn_keyframes([sightings[at] for at in keyframes], intrinsics)
    rotations = np.full((len(sightings), 3, 3), np.nan)
    rotations[keyframes] = turned
    for at in sorted(set(range(len(sightings))) - set(keyframes.tolist())):
        before = turned[np.searchsorted(keyframes, at, side="right") - 1]
        seen = sightings[at]
        if np.isfinite(before).all() and len(seen.corners) >= MIN_CORNERS:
            known = np.isfinite(world[seen.corners, 0])
            here = rays(intrinsics, seen.pixels[known])
            rotations[at] = _robust(before, here, world[seen.corners[known]], focal, rng)
    squared, count = np.zeros(len(world)), np.zeros(len(world))
    for at, turn in zip(keyframes, turned, strict=True):
        seen = sightings[at]
        # In pixels, not in angles, which shrink towards the border of a wide picture.
        off = np.linalg.norm(project(intrinsics, world[seen.corners] @ turn) - seen.pixels, axis=1)
        good = np.isfinite(off)
        squared[seen.corners[good]] += off[good] ** 2
        count[seen.corners[good]] += 1
    lived = count >= min(LONG_LIVED, len(keyframes))
    residuals = np.sqrt(squared[lived] / count[lived])
    return Turning(
        world_from_camera=rotations,
        residual=float(np.median(residuals)) if lived.any() else np.inf,
        corners=float(np.mean([len(sighting.corners) for sighting in sightings])),
        residuals=residuals,
    )


def focal_from_turning(sightings: Sequence[Sighting], size: tuple[int, int]) -> FocalTest:
    """Compare focal lengths by how well rotations explain what keyframes show with each.

    Args:
        sightings: Of the keyframes.
        size: Width and height of a picture, [px].
    """
    focals = max(size) * FOCALS
    if not len(sightings):
        return FocalTest(focals, np.zeros(len(focals)))
    some = [sightings[at] for at in np.unique(np.linspace(0, len(sightings) - 1, COMPARED).round().astype(int))]
    every = np.arange(len(some))
    residuals = [explain_by_turning(some, every, intrinsic_matrix(focal, size)).residuals for focal in focals]
    if not len(residuals[0]):
        return FocalTest(focals, np.zeros(len(focals)))
    noise = max(min(float(np.median(each)) for each in residuals), 0.1)
    fits = np.array([-np.log1p((each / noise) ** 2).mean() for each in residuals])  # Cauchy: some corners move
    told = INDEPENDENT * len(residuals[0]) * (fits - fits.max())
    return FocalTest(focals, _blurred(np.log(focals), told))


def _blurred(log_focals: Array, told: Array) -> Array:
    """A likelihood less sure by TRAVEL_SIGMA."""
    apart = (log_focals[:, None] - log_focals) / TRAVEL_SIGMA
    kernel = np.exp(-0.5 * apart**2)
    blurred: Array = np.log(kernel / kernel.sum(axis=1, keepdims=True) @ np.exp(told))
    return blurred


def turned_at(rotations: Array, focal: float, other: float) -> Array:
    """Rotations (N, 3, 3) found with a focal length as they would be with another: pixels are the same."""
    return matrix_from_rotation_vector(rotation_vector_from_matrix(rotations) * (focal / other))


def _turn_keyframes(sightings: Sequence[Sighting], intrinsics: Array) -> tuple[Array, Array]:
    """Rotations (K, 3, 3), NaN where too little was seen, and the corners' directions in the world (C, 3)."""
    rng, focal = np.random.default_rng(0), float(intrinsics[0, 0])
    seen = [rays(intrinsics, sighting.pixels) for sighting in sightings]
    world = np.full((1 + max((int(s.corners.max(initial=-1)) for s in sightings), default=-1), 3), np.nan)
    rotation: Array = np.eye(3)
    rotations = np.full((len(sightings), 3, 3), np.nan)
    for at, (sighting, here) in enumerate(zip(sightings, seen, strict=True)):
        known = np.isfinite(world[sighting.corners, 0])
        if at == 0 or known.sum() >= MIN_CORNERS:
            if at:
                rotation = _robust(rotation, here[known], world[sighting.corners[known]], focal, rng)
            rotations[at] = rotation
            world[sighting.corners[~known]] = here[~known] @ rotation.T
    told = np.flatnonzero(np.isfinite(rotations[:, 0, 0])).tolist()
    for _ in range(SWEEPS):
        total = np.zeros_like(world)
        for at in told:
            there = seen[at] @ rotations[at].T
            off = focal * np.linalg.norm(there - world[sightings[at].corners], axis=1)
            total[sightings[at].corners] += there / (1 + off**2)[:, None]
        length = np.linalg.norm(total, axis=1, keepdims=True)
        world = np.where(length > 0, total / np.maximum(length, 1e-12), np.nan)
        for at in told[1:]:
            rotations[at] = _refined(rotations[at], seen[at], world[sightings[at].corners], focal)
    return rotations[0].T @ rotations, world @ rotations[0]


def _robust(start: Array, here: Array, world: Array, focal: float, rng: np.random.Generator) -> Array:
    """world_from_camera (3, 3) of most rays: from pairs of them, or from `start` if none is better."""
    pairs = rng.integers(len(here), size=(HYPOTHESES, 2))
    mine, theirs = _frames(here[pairs]), _frames(world[pairs])
    candidates = np.concatenate([start[None], theirs @ np.swapaxes(mine, 1, 2)])
    candidates = candidates[np.isfinite(candidates).all(axis=(1, 2))]
    off = focal * np.linalg.norm(here @ np.swapaxes(candidates, 1, 2) - world, axis=-1)
    best = candidates[int(np.maximum(1 - (off / NEAR) ** 2, 0).sum(axis=1).argmax())]
    return _refined(best, here, world, focal)


def _frames(pairs: Array) -> Array:
    """Right-handed axes of pairs of rays (H, 2, 3), (H, 3, 3); NaN where they are too close to each other."""
    normal = np.cross(pairs[:, 0], pairs[:, 1])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = np.where(length > 0.05, normal / np.maximum(length, 1e-12), np.nan)
    return np.stack([pairs[:, 0], normal, np.cross(pairs[:, 0], normal)], axis=-1)


def _refined(rotation: Array, here: Array, world: Array, focal: float) -> Array:
    """world_from_camera (3, 3) of most rays, from a rotation near by: reweighted least squares (Kabsch)."""
    known = np.isfinite(world[:, 0])
    here, world = here[known], world[known]
    for _ in range(4):
        off = focal * np.linalg.norm(here @ rotation.T - world, axis=1)
        close = off[off < 2 * NEAR]
        scale = min(max(float(np.median(close)), 0.1), 1.0) if len(close) >= MIN_CORNERS else 1.0
        weight = 1 / (1 + (off / scale) ** 2)
        left, _, right = np.linalg.svd((world * weight[:, None]).T @ here)
        rotation = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
    return rotation
