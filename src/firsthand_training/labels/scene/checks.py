"""What speaks against a model of a clip's keyframes.

A wrong focal length is not seen in the number of points or frames; it is seen in the reprojection error.
"""

from dataclasses import dataclass

import numpy as np

from firsthand.errors import LabelError
from firsthand.space.frames import inverse
from firsthand_training.labels.scene.camera import Array, Integers
from firsthand_training.labels.scene.model import Model


@dataclass(frozen=True)
class Limits:
    """What a model has to keep to be believed."""

    registered: float = 0.8  # of the keyframes
    points: int = 60
    reprojection: float = 0.5  # [px] of a picture of 640x480, mean
    focal: tuple[float, float] = (0.4, 1.5)  # widths (of the longer side) of a picture
    angle: float = 0.4  # [deg], median over the points of the widest between two of their rays
    focal_sigma: float = 0.1  # relative, of a focal length that is found
    order: float = 0.0  # rank correlation of distance with lowness in the picture; 1 for cameras that look at anything

    def __post_init__(self) -> None:
        if not 0 < self.focal[0] < self.focal[1] or not 0 < self.registered <= 1 or self.reprojection <= 0:
            raise LabelError(f"limits of a model must be positive and in order, got {self}")


def doubts(model: Model, keyframes: int, size: tuple[int, int], known: bool, limits: Limits) -> list[str]:
    """Everything that speaks against a model, in words; nothing if it may be believed.

    Args:
        model: From a mapper.
        keyframes: How many it was given.
        size: Width and height of a picture, [px].
        known: Whether the intrinsics were.
        limits: To keep.
    """
    found = []
    if len(model.frames) < limits.registered * keyframes:
        found.append(f"{len(model.frames)} of {keyframes} keyframes registered")
    if len(model.points) < limits.points:
        found.append(f"{len(model.points)} points")
    if not model.reprojection_error < limits.reprojection * float(np.hypot(*size)) / 800:
        found.append(f"reprojection error {model.reprojection_error:.2g} px")
    focal = model.intrinsics[0, 0] / max(size)
    if not known and not limits.focal[0] <= focal <= limits.focal[1]:
        found.append(f"focal length {focal:.2f} of the picture's longer side")
    angle = float(np.degrees(np.median(triangulation_angles(model)))) if len(model.points) else 0.0
    if angle < limits.angle:
        found.append(f"rays meet at {angle:.2f} deg")
    if not known and len(model.points) and (sigma := focal_sigma(model)) > limits.focal_sigma:
        found.append(f"focal length uncertain by {100 * sigma:.0f} %")
    if (order := depth_order(model)) > limits.order:
        found.append(f"what is lower in the picture is further away (rank correlation {order:.2f}): inside out")
    return found


def depth_order(model: Model) -> float:
    """Rank correlation of how far points are with how low they are in a picture, the median over the frames.

    Who looks down at a table sees what is lower nearer. A model that a mapper has turned inside out, which over small
    motions fits almost as well, has it the other way round.
    """
    orders = []
    for pose, seen, pixels in zip(model.camera_from_world, model.observed, model.pixels, strict=True):
        if len(seen) >= 10:
            depth = model.points[seen] @ pose[2, :3] + pose[2, 3]
            far, low = (np.argsort(np.argsort(values)) - (len(seen) - 1) / 2 for values in (depth, pixels[:, 1]))
            orders.append(float(far @ low / (far @ far)))
    return float(np.median(orders)) if orders else 0.0


def triangulation_angles(model: Model) -> Array:
    """For each point about the widest angle between two of its rays, (P,), [rad]: first, last and widest from both."""
    centres = inverse(model.camera_from_world)[:, :3, 3]
    widest: Array = np.zeros(len(model.points))
    reference: Array = np.full((len(model.points), 3), np.nan)
    for _ in range(2):  # from the first ray of each point, then from the one furthest from that
        furthest = reference.copy()
        for centre, seen in zip(centres, model.observed, strict=True):
            ray = model.points[seen] - centre
            ray = ray / np.linalg.norm(ray, axis=1, keepdims=True)
            fresh = np.isnan(reference[seen, 0])
            reference[seen[fresh]] = furthest[seen[fresh]] = ray[fresh]
            angle = 2 * np.arcsin(np.clip(np.linalg.norm(ray - reference[seen], axis=1) / 2, 0, 1))
            wider = angle > widest[seen]
            widest[seen[wider]] = angle[wider]
            furthest[seen[wider]] = ray[wider]
        reference = furthest
    return widest


def focal_sigma(model: Model) -> float:
    """How uncertain the focal length of a model is, relative, from how its observations fit (Schur complement).

    The corners of a track err together from frame to frame, so tracks are counted, not observations. Infinite where
    the observations do not tell.
    """
    centres, count = model.camera_from_world, len(model.camera_from_world)
    size = 6 * count + 1
    reduced, squared, observations = np.zeros((size, size)), 0.0, 0
    to_point = np.zeros((len(model.points), 3, size))
    of_point = np.zeros((len(model.points), 3, 3))
    for at, (pose, seen, pixels) in enumerate(zip(centres, model.observed, model.pixels, strict=True)):
        residual, by_camera, by_focal, by_point = _derivatives(model, pose, seen, pixels)
        columns = [*range(6 * at, 6 * at + 6), size - 1]
        by_all = np.concatenate([by_camera, by_focal[..., None]], axis=-1)
        reduced[np.ix_(columns, columns)] += np.einsum("nij,nik->jk", by_all, by_all)
        of_point[seen] += np.einsum("nij,nik->njk", by_point, by_point)
        to_point[seen[:, None, None], np.arange(3)[:, None], columns] += np.einsum("nij,nik->njk", by_point, by_all)
        squared, observations = squared + float((residual**2).sum()), observations + len(seen)
    of_point += (1e-9 * np.trace(of_point, axis1=1, axis2=2)[:, None, None] + 1e-12) * np.eye(3)
    solved = np.linalg.solve(of_point, to_point)
    reduced -= np.einsum("pij,pik->jk", to_point, solved)
    free = np.setdiff1d(np.arange(size), _gauge(model))
    reduced = reduced[np.ix_(free, free)]
    try:
        # A camera that sees next to nothing is held where it is: it tells nothing either.
        held = np.diag(1e-11 * np.diag(reduced) + 1e-13 * reduced.max())
        variance = np.linalg.inv(reduced + held)[-1, -1]
    except np.linalg.LinAlgError:
        return np.inf
    freedom = max(2 * observations - 3 * len(model.points) - size, 1)
    together = observations / max(len(model.points), 1)
    return float(np.sqrt(abs(variance) * squared / freedom * together) / model.intrinsics[0, 0])


def _gauge(model: Model) -> Integers:
    """Parameters that say where the whole is, and how large: the first pose, and how far the furthest camera is."""
    ways = inverse(model.camera_from_world)[:, :3, 3]
    far = int(np.linalg.norm(ways - ways[0], axis=1).argmax())
    along = model.camera_from_world[far, :3, :3] @ (ways[far] - ways[0])
    return np.array([*range(6), 6 * far + 3 + int(np.abs(along).argmax())])


def _derivatives(model: Model, pose: Array, seen: Integers, pixels: Array) -> tuple[Array, Array, Array, Array]:
    """Residuals (K, 2) of what a frame sees, and their derivatives by its pose, the focal length and the points."""
    K = model.intrinsics
    place = model.points[seen] @ pose[:3, :3].T + pose[:3, 3]
    x, y, z = place.T
    zero = np.zeros_like(z)
    ratio = np.stack([x / z, y / z], axis=1)
    residual = ratio * [K[0, 0], K[1, 1]] + K[:2, 2] - pixels
    by_place = np.stack([np.stack([1 / z, zero, -x / z**2], -1), np.stack([zero, 1 / z, -y / z**2], -1)], axis=1)
    by_place *= np.array([K[0, 0], K[1, 1]])[:, None]
    turned = np.stack([np.stack([zero, z, -y], -1), np.stack([-z, zero, x], -1), np.stack([y, -x, zero], -1)], axis=1)
    by_camera = np.concatenate([by_place @ turned, by_place], axis=-1)
    return residual, by_camera, ratio, by_place @ pose[:3, :3]
