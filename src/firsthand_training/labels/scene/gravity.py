"""Which way is up, from the Manhattan-world assumption (Coughlan and Yuille, ICCV 1999).

Most straight edges of a room run along three directions at right angles; one of them is the vertical. Every edge of a
picture spans a plane with the camera's centre, whose normal is at right angles to the edge: three axes are looked for
to which as many of these normals as possible are orthogonal. Which of the three is up, edges do not tell: that is
decided by the surface that most points lie on (a table, mostly), and by how heads are held at work, some 40 deg down.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand.space.rotations import matrix_from_rotation_vector
from firsthand_training.labels.scene.camera import Array, rays

Gray = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class GravitySettings:
    """How the vertical is looked for."""

    pictures: int = 10  # in which lines are looked for, spread over the clip
    shortest: float = 0.04  # of a line, in diagonals of the picture
    hypotheses: int = 2000
    tolerance: float = 1.5  # [deg], of a line that agrees with an axis
    min_lines: int = 25  # that agree, for the axes to be believed
    min_share: float = 0.2  # of the lines' total length that agrees; of all points, on the main plane
    look_down: float = 40.0  # [deg], of the camera below the horizon, where nothing else tells
    max_tilt: float = 50.0  # [deg], between up as found and as that suggests
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pictures < 1 or self.hypotheses < 1 or not 0 < self.tolerance < 45:
            raise LabelError(f"gravity needs pictures, hypotheses and a tolerance below 45 deg, got {self}")


class Lines(NamedTuple):
    """Straight edges, each by the plane that it spans with the camera's centre."""

    normals: Array  # (L, 3), unit, world
    lengths: Array  # (L,), [px]


class Vertical(NamedTuple):
    """Up, and how it was found."""

    up: Array  # (3,), unit, world
    sigma: float  # [rad], of its direction
    source: str  # `given`, `lines`, `plane` or `prior`


class View(NamedTuple):
    """A picture in which lines are looked for."""

    gray: Gray
    hidden: Mask
    world_from_camera: Array  # (3, 3), rotation


NEAR_PLANE = 8.0  # [deg], of the main plane's normal from an axis: points near it are not all on it
TILT = 25.0  # [deg], of the vertical from where heads at work have it: half as likely
SECOND = 0.08  # of all lines, along the second axis: three times what lines that run anyhow would do
MANHATTAN_SIGMA, PLANE_SIGMA, PRIOR_SIGMA = np.radians([0.7, 3.0, 15.0])


def find_vertical(
    views: Sequence[View], intrinsics: Array, points: Array, settings: GravitySettings | None = None
) -> Vertical:
    """Up, in the frame that the views' rotations are given in.

    Args:
        views: Pictures of one camera.
        intrinsics: (3, 3), [px].
        points: (P, 3), of the scene; none where only rotations are known.
        settings: How to look.

    Returns:
        The vertical: of three axes if enough lines agree with any, else the normal of the main plane, else what the
        pitch of a head at work suggests.
    """
    settings = settings or GravitySettings()
    expected = _expected_up(views, settings.look_down)
    plane, share = dominant_plane(points, expected, settings.seed)
    hint = plane if share > settings.min_share else None
    axes = manhattan_axes(find_lines(views, intrinsics, settings), settings, expected, hint)
    allowed = np.cos(np.radians(settings.max_tilt))
    if axes is not None:
        up = _choose_up(axes, expected, plane, share)
        if up @ expected > allowed:
            return Vertical(up, float(MANHATTAN_SIGMA), "lines")
    if share > settings.min_share and plane @ expected > allowed:
        return Vertical(plane, float(PLANE_SIGMA) * max(1.0, 0.5 / share), "plane")
    return Vertical(expected, float(PRIOR_SIGMA), "prior")


def find_lines(views: Sequence[View], intrinsics: Array, settings: GravitySettings) -> Lines:
    """Straight edges of some pictures (LSD: Grompone von Gioi et al., PAMI 2010), without those on hands."""
    normals, lengths = [np.zeros((0, 3))], [np.zeros(0)]
    detector = cv2.createLineSegmentDetector()
    for view in views:
        found = detector.detect(view.gray)[0]
        if found is None:
            continue
        ends = np.asarray(found, dtype=float).reshape(-1, 2, 2)
        length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
        middle = np.clip(ends.mean(axis=1).round().astype(int), 0, np.array(view.gray.shape[::-1]) - 1)
        long = length > settings.shortest * np.hypot(*view.gray.shape)
        kept = long & ~view.hidden[middle[:, 1], middle[:, 0]]
        across = np.cross(rays(intrinsics, ends[kept, 0]), rays(intrinsics, ends[kept, 1]))
        normals.append(across / np.linalg.norm(across, axis=1, keepdims=True) @ view.world_from_camera.T)
        lengths.append(length[kept])
    return Lines(np.concatenate(normals), np.concatenate(lengths))


def manhattan_axes(
    lines: Lines, settings: GravitySettings, expected: Array, normal: Array | None = None
) -> Array | None:
    """Three axes at right angles that lines run along, the columns of (3, 3); None if too few lines agree.

    Args:
        lines: Of some pictures.
        settings: How to look.
        expected: (3,), unit, roughly up: of axes that agree with as many lines, those that have one near it are taken.
        normal: (3,), of the scene's main plane, near which one of them is expected; None where there is none.
    """
    if len(lines.lengths) < settings.min_lines:
        return None
    tolerance = np.sin(np.radians(settings.tolerance))
    candidates = _hypotheses(lines.normals, settings)
    if normal is not None:
        candidates = candidates[np.abs(normal @ candidates).max(axis=1) > np.cos(np.radians(NEAR_PLANE))]
        if not len(candidates):
            return None
    weights = np.minimum(lines.lengths, 4 * np.median(lines.lengths))
    best, score = np.eye(3), -1.0
    for axes in np.array_split(candidates, max(1, len(candidates) // 200)):
        off = np.abs(np.einsum("li,hij->hlj", lines.normals, axes)).min(axis=-1)
        tilt = np.degrees(np.arccos(np.clip(np.abs(expected @ axes).max(axis=1), 0, 1)))
        scores = np.maximum(1 - (off / tolerance) ** 2, 0) @ weights / (1 + (tilt / TILT) ** 2)
        if scores.max() > score:
            best, score = axes[int(scores.argmax())], float(scores.max())
    axes = _refined(best, lines.normals, weights, tolerance)
    off = np.abs(lines.normals @ axes)
    agree, nearest = off.min(axis=1) < tolerance, off.argmin(axis=1)
    if agree.sum() < settings.min_lines or weights[agree].sum() < settings.min_share * weights.sum():
        return None
    # Around the axis of a single bundle of lines the other two could turn freely.
    bundles = np.sort([weights[agree & (nearest == axis)].sum() for axis in range(3)])
    return axes if bundles[1] > SECOND * weights.sum() else None


def _hypotheses(normals: Array, settings: GravitySettings) -> Array:
    """Axes from three lines each, two along the first and one along the second, (H, 3, 3)."""
    rng = np.random.default_rng(settings.seed)
    chosen = normals[rng.integers(len(normals), size=(3, settings.hypotheses))]
    first = np.cross(chosen[0], chosen[1])
    second = np.cross(first, chosen[2])
    lengths = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    sound = (lengths[0] > 0.05) & (lengths[1] > 0.05 * lengths[0])
    first, second = first[sound] / lengths[0][sound, None], second[sound] / lengths[1][sound, None]
    if not len(first):
        return np.eye(3)[None]
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def _refined(axes: Array, normals: Array, weights: Array, tolerance: float) -> Array:
    """Turn axes to where the lines that agree want them: Gauss-Newton with Cauchy weights, narrowing."""
    for width in np.geomspace(tolerance, tolerance / 4, 12):
        off = normals @ axes
        nearest = np.abs(off).argmin(axis=1)
        residual = off[np.arange(len(off)), nearest]
        axis = axes.T[nearest]
        weight = weights * (np.abs(residual) < 2 * tolerance) / (1 + (residual / width) ** 2)
        jacobian = np.cross(axis, normals)  # of n . exp(w) a by w
        information = (jacobian * weight[:, None]).T @ jacobian + 1e-9 * np.eye(3) * weight.sum()
        step = -np.linalg.solve(information, (jacobian * weight[:, None]).T @ residual)
        axes = matrix_from_rotation_vector(step) @ axes
    return axes


def dominant_plane(points: Array, towards: Array, seed: int = 0) -> tuple[Array, float]:
    """Normal of the plane that most points lie on, on the side of `towards`, (3,), and their share of all points.

    Share 0 and `towards` itself if there are too few points.
    """
    if len(points) < 30:
        return towards, 0.0
    rng = np.random.default_rng(seed)
    spread = float(np.median(np.linalg.norm(points - np.median(points, axis=0), axis=1)))
    near = 0.03 * spread
    corners = points[rng.integers(len(points), size=(500, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    normals = normals[lengths > 1e-9] / lengths[lengths > 1e-9, None]
    offsets = np.einsum("hi,hi->h", normals, corners[lengths > 1e-9, 0])
    inside = np.abs(points @ normals.T - offsets) < near
    on_it = inside[:, int(inside.sum(axis=0).argmax())]
    share = float(on_it.mean())
    for width in near * np.geomspace(1.0, 0.25, 5):  # narrower: what lies on the plane, not what is near it
        middle = points[on_it].mean(axis=0)
        normal = np.linalg.svd(points[on_it] - middle, full_matrices=False)[2][2]
        closer = np.abs((points - middle) @ normal) < width
        on_it = closer if closer.sum() >= 10 else on_it
    return normal * (1.0 if normal @ towards >= 0 else -1.0), share


def _choose_up(axes: Array, expected: Array, plane: Array, share: float) -> Array:
    """The axis, of either sign, that is most likely up."""
    candidates = np.concatenate([axes.T, -axes.T])
    on_plane = candidates @ plane > np.cos(np.radians(NEAR_PLANE))
    return candidates[int((candidates @ expected + share * on_plane).argmax())]


def _expected_up(views: Sequence[View], look_down: float) -> Array:
    """Up as it would be for a head without roll that looks down by this angle, [deg], on average."""
    angle = np.radians(look_down)
    up_in_camera = np.array([0.0, -np.cos(angle), -np.sin(angle)])
    mean = np.mean([view.world_from_camera @ up_in_camera for view in views], axis=0)
    return mean / np.linalg.norm(mean)
