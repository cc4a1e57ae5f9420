"""What speaks against a model of a clip's keyframes.

A wrong focal length is not seen in the number of points or frames; it is seen in the reprojection error.
"""

from dataclasses import dataclass

import numpy as np

from firsthand.errors import LabelError
from firsthand.space.frames import inverse
from firsthand_training.labels.scene.camera import Array
from firsthand_training.labels.scene.mapping import Model


@dataclass(frozen=True)
class Limits:
    """What a model has to keep to be believed."""

    registered: float = 0.8  # of the keyframes
    points: int = 60
    reprojection: float = 0.5  # [px], mean
    focal: tuple[float, float] = (0.4, 1.5)  # widths (of the longer side) of a picture
    angle: float = 1.0  # [deg], median over the points of the widest between two of their rays
    angle_known: float = 0.5  # the same where the intrinsics are known

    def __post_init__(self) -> None:
        if not 0 < self.focal[0] < self.focal[1] or not 0 < self.registered <= 1 or self.reprojection <= 0:
            raise LabelError(f"limits of a model must be positive and in order, got {self}")


def doubts(model: Model, keyframes: int, longer_side: int, known: bool, limits: Limits) -> list[str]:
    """Everything that speaks against a model, in words; nothing if it may be believed.

    Args:
        model: From a mapper.
        keyframes: How many it was given.
        longer_side: Of a picture, [px].
        known: Whether the intrinsics were.
        limits: To keep.
    """
    found = []
    if len(model.frames) < limits.registered * keyframes:
        found.append(f"{len(model.frames)} of {keyframes} keyframes registered")
    if len(model.points) < limits.points:
        found.append(f"{len(model.points)} points")
    if not model.reprojection_error < limits.reprojection:
        found.append(f"reprojection error {model.reprojection_error:.2f} px")
    focal = model.intrinsics[0, 0] / longer_side
    if not known and not limits.focal[0] <= focal <= limits.focal[1]:
        found.append(f"focal length {focal:.2f} of the picture's longer side")
    angle = float(np.degrees(np.median(triangulation_angles(model)))) if len(model.points) else 0.0
    if angle < (limits.angle_known if known else limits.angle):
        found.append(f"rays meet at {angle:.2f} deg")
    return found


def triangulation_angles(model: Model) -> Array:
    """For each point about the widest angle between two of its rays, (P,), [rad]: first, last and widest from both."""
    centres = inverse(model.camera_from_world)[:, :3, 3]
    widest = np.zeros(len(model.points))
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
