"""Which way is up: from the edges of what people have about them, the plane of the table, and where hands are at work.

Everything that tells something is a likelihood over directions, laid over a grid around what is expected. Their product
gives the direction, and how far it reaches tells how sure it is, ambiguities included.

What is expected comes from how people are built. Hands work at about the height of the elbows, half a metre below the
eyes, sitting or standing, and a forearm ahead of the trunk, 0.3 m before the eyes: 58 deg below the horizon, whichever
way a camera on the head points. Reaching away and work held up to the eyes spread that by 12 deg; the roll of a head is
7 deg. Which of three axes at right angles is up, lines cannot tell; this can.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from firsthand.errors import LabelError
from firsthand_training.labels.scene.camera import Array, rays
from firsthand_training.labels.scene.lines import Lines, lines_in_world
from firsthand_training.labels.scene.right_angles import log_likelihood


@dataclass(frozen=True)
class GravitySettings:
    """How the vertical is looked for."""

    pictures: int = 6  # in which edges are looked for, spread over the clip
    shortest: float = 0.03  # of an edge, in diagonals of the picture
    most_lines: int = 120
    closely: int = 30  # cells of a coarse grid of directions, 3 deg wide, that are looked at closely
    hands_below: float = 58.0  # [deg], of the hands below the horizon, seen from the camera
    hands_sigma: float = 12.0  # [deg]
    roll_sigma: float = 7.0  # [deg], of the camera
    look_down: float = 40.0  # [deg], of the camera below the horizon where no hands are seen
    look_sigma: float = 20.0  # [deg]
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.pictures, self.most_lines, self.closely) < 1 or not 0 < self.shortest < 1:
            raise LabelError(f"gravity needs pictures, lines and edges shorter than the picture, got {self}")
        if not all(0 < sigma <= 45 for sigma in (self.hands_sigma, self.roll_sigma, self.look_sigma)):
            raise LabelError(f"expected sigmas of the vertical between 0 and 45 deg, got {self}")


class Sights(NamedTuple):
    """What some pictures of a clip show, in pixels."""

    edges: Sequence[Array]  # of each picture, (E, 2, 2)
    hands: Sequence[Array]  # of each picture, the middles of its hands, (H, 2)


class Vertical(NamedTuple):
    """Up, and how it was found."""

    up: Array  # (3,), unit, world
    sigma: float  # [rad], of its tilt towards the worst side
    source: str  # `given`, `prior`, or what told more: `lines`, `plane`, `lines and plane`
    evidence: float = 0.0  # log, of everything seen, by which focal lengths can be compared


class Expected(NamedTuple):
    """Up as people's build has it."""

    up: Array  # (3,), unit, world, most likely
    below: Array  # (3,), unit, world: towards the hands, or where the camera looks
    level: Array  # (3,), unit, world: the camera's x
    angle: float  # [rad], of `below` below the horizon
    angle_sigma: float  # [rad]
    roll_sigma: float  # [rad]


COARSE, FINE = np.radians([3.0, 0.5])  # between directions of the grid
REACH = 3.5  # sigmas of what is expected
PLANE_SIGMA = np.radians(3.0)  # of the main plane's normal
MAX_SHARE = 0.9  # how far the main plane is trusted to be a table, at most
LEAST_SIGMA = np.radians(0.3)  # what intrinsics and rotations are off
NARROWED = 0.6  # of the sigma expected: more, and what was seen told nothing


def find_vertical(
    sights: Sights, rotations: Array, intrinsics: Array, points: Array, settings: GravitySettings | None = None
) -> Vertical:
    """Up, in the frame that the rotations are given in.

    Args:
        sights: Of V pictures of one camera.
        rotations: world_from_camera of each, (V, 3, 3).
        intrinsics: (3, 3), [px].
        points: (P, 3), of the scene; none where only rotations are known.
        settings: How to look.

    Returns:
        The mean of the likeliest directions.
    """
    settings = settings or GravitySettings()
    expected = expect_up(sights, rotations, intrinsics, settings)
    lines = lines_in_world(sights.edges, rotations, intrinsics, settings.most_lines)
    plane, share = dominant_plane(points, expected.up, settings.seed)
    share = min(share, MAX_SHARE)
    ups, cell, weights = _posterior(expected, lines, plane, share, settings.closely)
    likeliest = ups[int((weights - np.log(cell)).argmax())]
    chances = np.exp(weights - weights.max())
    near = ups @ likeliest > np.cos(2 * COARSE)
    up = (chances * near) @ ups
    up /= np.linalg.norm(up)
    off = ups - (ups @ up)[:, None] * up
    spread = (off * (chances / chances.sum())[:, None]).T @ off
    sigma = float(np.hypot(np.sqrt(np.linalg.eigvalsh(spread)[-1]), LEAST_SIGMA))
    evidence = float(np.log(chances.sum()) + weights.max())
    told = sigma < NARROWED * max(expected.angle_sigma, expected.roll_sigma)
    return Vertical(up, sigma, _source(up, lines, plane, share) if told else "prior", evidence)


def expect_up(sights: Sights, rotations: Array, intrinsics: Array, settings: GravitySettings) -> Expected:
    """What people's build says of the vertical, before anything but hands is looked at."""
    seen = [rays(intrinsics, hands) @ turn.T for hands, turn in zip(sights.hands, rotations, strict=True) if len(hands)]
    level = _unit(np.mean(rotations[:, :, 0], axis=0))
    below = _unit(np.mean(np.concatenate(seen), axis=0) if seen else np.mean(rotations[:, :, 2], axis=0))
    angle, sigma = (settings.hands_below, settings.hands_sigma) if seen else (settings.look_down, settings.look_sigma)
    ahead = _unit(below - (below @ level) * level)
    upwards = np.cross(level, ahead)  # the camera's x to the right, ahead, and so up
    up = np.cos(np.radians(angle)) * upwards - np.sin(np.radians(angle)) * ahead
    return Expected(up, below, level, *np.radians([angle, sigma, settings.roll_sigma]).tolist())


def _posterior(
    expected: Expected, lines: Lines, plane: Array, share: float, closely: int
) -> tuple[Array, Array, Array]:
    """Directions (G, 3), the size of the cell of each (G,), and the logarithm of its chance (G,).

    Coarse cells, the likeliest of them divided.
    """

    def weigh(tilts: Array, step: float) -> tuple[Array, Array, Array]:
        ups = _tilted(expected.up, tilts)
        weights = _log_prior(ups, expected) + log_likelihood(ups, lines, step / 4) + _log_plane(ups, plane, share)
        cell = np.full(len(ups), step**2)
        return ups, cell, weights + np.log(cell)

    count = int(np.ceil(REACH * max(expected.angle_sigma, expected.roll_sigma) / COARSE))
    coarse = _square(COARSE * np.arange(-count, count + 1))
    coarse = coarse[_log_prior(_tilted(expected.up, coarse), expected) > -0.5 * REACH**2]
    ups, cell, weights = weigh(coarse, float(COARSE))
    best = np.zeros(len(ups), dtype=bool)
    best[np.argsort(-weights, kind="stable")[:closely]] = True
    within = np.arange(-(COARSE - FINE) / 2, COARSE / 2, FINE)
    fine = (coarse[best][:, None] + _square(within)).reshape(-1, 2)
    divided = weigh(fine, float(FINE))
    return (
        np.concatenate([ups[~best], divided[0]]),
        np.concatenate([cell[~best], divided[1]]),
        np.concatenate([weights[~best], divided[2]]),
    )


def _log_prior(ups: Array, expected: Expected) -> Array:
    """Density of directions, [1/sr], (G,)."""
    ahead = np.cross(ups, expected.level)
    below = np.arctan2(-(ups @ expected.below), ahead @ expected.below)  # more than 90 deg: behind the feet
    roll = np.arcsin(np.clip(ups @ expected.level, -1, 1))
    off = ((below - expected.angle) / expected.angle_sigma) ** 2 + (roll / expected.roll_sigma) ** 2
    density: Array = -0.5 * off - np.log(2 * np.pi * expected.angle_sigma * expected.roll_sigma)
    return density


def _log_plane(ups: Array, plane: Array, share: float) -> Array:
    """How much likelier it is that this plane lies level, if up is so, than that it lies anyhow, (G,)."""
    if share <= 0:
        return np.zeros(len(ups))
    squared = 2 - 2 * np.abs(ups @ plane)
    level = np.exp(-0.5 * squared / PLANE_SIGMA**2) / PLANE_SIGMA**2  # over a hemisphere, 2 pi sr
    likelihood: Array = np.log(1 - share + share * level)
    return likelihood


def _source(up: Array, lines: Lines, plane: Array, share: float) -> str:
    """What bears a direction out."""
    told = {"lines": log_likelihood(up[None], lines)[0], "plane": _log_plane(up[None], plane, share)[0]}
    return " and ".join(name for name, by in told.items() if by > 0.5 * max(told.values()))


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


def _square(side: Array) -> Array:
    """Tilts around none whose two parts are those of a side, (S * S, 2), [rad]."""
    return np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)


def _tilted(up: Array, tilts: Array) -> Array:
    """A direction tilted by rotation vectors at right angles to it, (G, 3)."""
    aside = np.array([1.0, 0.0, 0.0]) if abs(up[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    east = _unit(np.cross(up, aside))
    angle = np.linalg.norm(tilts, axis=1, keepdims=True)
    way = tilts[:, :1] * east + tilts[:, 1:] * np.cross(up, east)
    return np.cos(angle) * up + np.sinc(angle / np.pi) * way


def _unit(vector: Array) -> Array:
    unit: Array = vector / np.linalg.norm(vector)
    return unit
