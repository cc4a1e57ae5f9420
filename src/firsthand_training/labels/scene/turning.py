"""How a camera turned that did not travel far enough for its way to be seen.

Corners off the hands are followed from a reference picture on; the rotation that carries their rays over is the
frame's. When half of them are gone the frame becomes the next reference.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand_training.labels.scene.camera import Array, intrinsic_matrix, rays
from firsthand_training.labels.scene.flow import follow
from firsthand_training.labels.scene.tracks import Sighting

Gray = NDArray[np.uint8]
Mask = NDArray[np.bool_]

CORNERS = 400
MIN_CORNERS = 20  # followed into a frame
FADING = 0.5  # of a reference's corners: below, a new reference is taken


@dataclass(frozen=True)
class Turning:
    """The rotation of each frame of a clip."""

    world_from_camera: Array  # (N, 3, 3); the first frame's is the identity, NaN where too little could be followed
    residual: float  # [px], median distance of a corner from where the rotations put it
    agreeing: float  # share of corners within 3 px of there
    corners: float  # median number followed into a frame


@dataclass(frozen=True)
class TurningTest:
    """How well a camera that only turned explains what keyframes show."""

    residual: float  # [px], median; infinite with too few corners
    intrinsics: Array  # (3, 3), [px], given, or those that explain it best
    focal_told: bool  # whether other focal lengths explain it clearly less well


def explain_by_turning(
    sightings: Sequence[Sighting], size: tuple[int, int], guess: float, intrinsics: Array | None
) -> TurningTest:
    """Try to explain the corners of keyframes far from the first by rotations alone.

    Args:
        sightings: Of the keyframes.
        size: Width and height of a picture, [px].
        guess: Of the focal length, [px], where rotations do not tell.
        intrinsics: (3, 3), [px], if known.
    """
    pairs = _far_pairs(sightings)
    if not pairs:
        return TurningTest(np.inf, intrinsic_matrix(guess, size) if intrinsics is None else intrinsics, False)
    if intrinsics is not None:
        return TurningTest(_residual(pairs, intrinsics), intrinsics, True)
    focals = max(size) * np.geomspace(0.4, 1.5, 21)
    residuals = np.array([_residual(pairs, intrinsic_matrix(focal, size)) for focal in focals])
    best = int(residuals.argmin())
    around = [residuals[at] for at in (best - 4, best + 4) if 0 <= at < len(focals)]  # 30 % off
    told = len(around) == 2 and min(around) > 1.5 * residuals[best] and min(around) > residuals[best] + 0.1
    return TurningTest(float(residuals[best]), intrinsic_matrix(focals[best] if told else guess, size), told)


def _far_pairs(sightings: Sequence[Sighting]) -> list[tuple[Array, Array]]:
    """Where corners are in the first, middle and last keyframe and in the one where they have moved most."""
    pairs = []
    for start in sorted({0, len(sightings) // 2, len(sightings) - 1}):
        options = []
        for other in sightings:
            _, here, there = np.intersect1d(
                sightings[start].corners, other.corners, assume_unique=True, return_indices=True
            )
            if len(here) >= 2 * MIN_CORNERS:
                options.append((sightings[start].pixels[here], other.pixels[there]))
        if options:
            pairs.append(max(options, key=lambda pair: float(np.median(np.linalg.norm(pair[0] - pair[1], axis=1)))))
    return pairs


def _residual(pairs: Sequence[tuple[Array, Array]], intrinsics: Array) -> float:
    """Of the pair that rotations explain least, [px]."""
    each = [_rotation(rays(intrinsics, here), rays(intrinsics, there), intrinsics[0, 0])[1] for here, there in pairs]
    return max(float(np.median(distances)) for distances in each)


def follow_turning(pictures: Iterator[tuple[Gray, Mask]], intrinsics: Array) -> Turning:
    """Rotations from pictures in order, each with where hands hide the scene.

    Args:
        pictures: (H, W) grey and (H, W) hidden.
        intrinsics: (3, 3), [px].
    """
    rotations: list[Array] = []
    distances: list[Array] = []
    reference: Array = np.eye(3)
    rotation: Array = np.eye(3)
    start: Array = np.zeros((0, 2))
    now = start
    before: Gray | None = None
    full = 0
    for gray, hidden in pictures:
        if before is not None:
            kept, now = follow(before, gray, now)
            start = start[kept]
            turn, distance = _rotation(rays(intrinsics, start), rays(intrinsics, now), intrinsics[0, 0])
            rotation = reference @ turn.T
            distances.append(distance)
        rotations.append(rotation)
        if (len(now) < max(FADING * full, 2 * MIN_CORNERS) or before is None) and np.isfinite(rotation).all():
            reference, start = rotation, _corners(gray, hidden)
            now, full = start, len(start)
        before = gray
    off = np.concatenate([d for d in distances if len(d)] or [np.full(1, np.inf)])
    return Turning(
        world_from_camera=np.array(rotations).reshape(-1, 3, 3),
        residual=float(np.median(off)),
        agreeing=float((off < 3.0).mean()),
        corners=float(np.median([len(d) for d in distances] or [0])),
    )


def _corners(gray: Gray, hidden: Mask) -> Array:
    shown = np.where(hidden, 0, 255).astype(np.uint8)
    found = cv2.goodFeaturesToTrack(gray, CORNERS, 0.01, 0.01 * max(gray.shape), mask=shown)
    return np.zeros((0, 2)) if found is None else found[:, 0].astype(float)


def _rotation(start: Array, end: Array, focal: float) -> tuple[Array, Array]:
    """The rotation end_from_start of most rays (Kabsch, reweighted), (3, 3), and how far off each is, [px]."""
    if len(start) < MIN_CORNERS:
        return np.full((3, 3), np.nan), np.zeros(0)
    weight = np.ones(len(start))
    for _ in range(10):
        left, _, right = np.linalg.svd((end * weight[:, None]).T @ start)
        rotation = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
        off = focal * np.linalg.norm(end - start @ rotation.T, axis=1)
        weight = 1 / (1 + (off / max(float(np.median(off)), 0.1)) ** 2)
    return rotation, off
