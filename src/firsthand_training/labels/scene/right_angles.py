"""How well the lines of a scene fit a direction of up: the scorer behind `gravity.py`.

People's things have right angles: sheets, boxes, boards, tables, tiles, rooms. They need not be parallel to each other,
as a Manhattan world (Coughlan and Yuille, ICCV 1999) would have it: a table on which things lie about has as many
headings as things. What they share is the vertical. So, for each direction that might be up, every line is laid into
the horizontal, where it has a heading; if up is right, headings modulo 90 deg crowd, because each thing has
several edges at right angles, and if it is wrong they scatter. A line may also be vertical itself, or nothing of both.

p(line | up) = STRAY / pi + LEVEL * crowd(heading) * |d heading / d turn| + UPRIGHT * normal(off the vertical)

is the density of how a line is turned about its middle, which is what an edge detector errs in; crowd() is made of all
other lines (leaving one out, or every line would bear itself out). What counts is by how much that is more than with
crowd() smoothed over turns of 15 deg: marble, seen at a slant, runs across the picture, and many a wrong vertical would
gather it roughly. Only things have sharp headings.
"""

import numpy as np

from firsthand_training.labels.scene.camera import Array
from firsthand_training.labels.scene.lines import Lines

LEVEL, UPRIGHT, STRAY = 0.55, 0.1, 0.35  # of lines, before they are seen
OFF = np.radians(0.4)  # [rad], of an edge about its middle: lenses, things not quite straight
END = 1.0  # [px], of an edge's ends: short ones tell their direction less
SQUARE = np.radians(0.4)  # [rad], of a right angle
TOGETHER = 0.6  # of what lines tell if they erred independently: those of one thing do not
BROAD = np.radians(15.0)  # [rad], of turns: how sharply textures may run one way
VAGUE = 0.4  # [rad], of a heading: more is none
AT_ONCE = 500_000  # numbers


def log_likelihood(ups: Array, lines: Lines, blur: float = 0.0) -> Array:
    """Of each direction of up, relative to lines that run anyhow, (G,).

    Args:
        ups: (G, 3), unit, world.
        lines: L of them.
        blur: [rad], by which directions may be off, where they are far apart.
    """
    if len(lines) < 2:
        return np.zeros(len(ups))
    chunks = max(1, len(ups) * len(lines) ** 2 // AT_ONCE)
    return np.concatenate([_log_likelihood(some, lines, blur) for some in np.array_split(ups, chunks)])


def _log_likelihood(ups: Array, lines: Lines, blur: float) -> Array:
    sigma = np.sqrt(OFF**2 + (END / lines.lengths) ** 2 + blur**2)  # (L,)
    heading, by_turn = _headings(ups, lines)
    spread = np.minimum(sigma * by_turn, np.pi)
    across = np.linalg.norm(np.cross(lines.middles, ups[:, None]), axis=-1)
    off = ups @ lines.normals.T / np.maximum(across, 1e-3)
    upright = np.exp(-0.5 * (off / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
    sharp, broad = _crowds(heading, spread, BROAD * by_turn)
    density = STRAY + np.pi * (LEVEL * sharp / 2 * by_turn + UPRIGHT * upright)
    anyhow = STRAY + UPRIGHT + np.pi * LEVEL * broad / 2 * by_turn
    summed: Array = TOGETHER * np.log(density / anyhow).sum(axis=1)
    return summed


def _crowds(heading: Array, spread: Array, broad: Array) -> tuple[Array, Array]:
    """How dense the other headings are about each, modulo 90 deg, [1/rad], and the same smoothed, (G, L) both."""
    count = heading.shape[1]
    quarters = (heading / (np.pi / 2)).astype(np.float32)
    squared = quarters[:, :, None] - quarters[:, None]
    squared -= np.rint(squared)
    squared *= squared
    squared *= np.float32((np.pi / 2) ** 2)
    variance = (spread**2).astype(np.float32)
    variance = variance[:, :, None] + (variance + np.float32(SQUARE**2))[:, None]
    found = []
    for wide in (variance, variance + (broad**2).astype(np.float32)[:, :, None]):
        density = np.exp(squared / wide * np.float32(-0.5)) / np.sqrt(np.float32(2 * np.pi) * wide)
        density[wide > VAGUE**2] = 2 / np.pi
        density[:, np.arange(count), np.arange(count)] = 0.0
        found.append(density.sum(axis=2, dtype=np.float64) / (count - 1))
    return found[0], found[1]


def _headings(ups: Array, lines: Lines) -> tuple[Array, Array]:
    """Of each line if it were level, [rad], and how much that changes as it turns about its middle, (G, L)."""
    aside = np.where(np.abs(ups[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    east = np.cross(ups, aside)
    east /= np.linalg.norm(east, axis=1, keepdims=True)
    north = np.cross(ups, east)
    along = np.cross(lines.normals, ups[:, None])  # (G, L, 3)
    length = np.maximum(np.linalg.norm(along, axis=-1), 1e-3)
    x, y = (np.einsum("gli,gi->gl", along, axis) for axis in (east, north))
    turned = np.cross(np.cross(lines.middles, lines.normals), ups[:, None])
    by_x, by_y = (np.einsum("gli,gi->gl", turned, axis) for axis in (east, north))
    return np.arctan2(y, x), np.maximum(np.abs(x * by_y - y * by_x) / length**2, 1e-6)
