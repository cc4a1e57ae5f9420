"""The skin of a hand: tapered capsules around its bones, blended into one smooth surface that bends with them.

The capsules are signed distances whose smooth minimum (Quilez 2013, polynomial) is contoured once, hand flat and
fingers apart, by surface nets (Gibson 1998). Each vertex then hangs on the bones that it lies nearest to.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from firsthand_training.demonstrations.human.anatomy import Hand

Array = NDArray[np.floating]

CELL = 0.003  # [m], of the grid that the surface is found on
FOREARM_LENGTH = 0.25  # [m], wrist to elbow
PALM, FOREARM, FIRST_DIGIT = 0, 1, 2  # bones: the palm, the forearm, then three a digit, thumb to little
BIND_ANGLES = np.array(
    [[0.25, -0.1, 0.12], [0.16, 0.1, 0.15], [0.03, 0.1, 0.15], [-0.06, 0.1, 0.15], [-0.15, 0.1, 0.15]]
)
_FALLOFF = 0.003  # [m], over which the skin passes from one bone to the next
_SMALLEST = 1e-9


@dataclass(frozen=True)
class Skin:
    """A right hand's skin with its forearm, in the wrist frame at `BIND_ANGLES`."""

    vertices: Array  # (V, 3), [m]
    faces: NDArray[np.int32]  # (F, 3), counter-clockwise from outside
    weights: Array  # (V, bones), rows add up to 1
    dorsal: Array  # (V,), 0 on the palm's side to 1 on the back's
    flush: Array  # (V,), 0 to 1: how near to a knuckle or a fingertip, where skin is redder
    nails: bool = True  # whether it has none of its own, so that they are to be put on


@dataclass(frozen=True)
class Capsules:
    """Tapered capsules, N of them."""

    start: Array  # (N, 3)
    end: Array  # (N, 3)
    start_radius: Array  # (N,)
    end_radius: Array  # (N,)
    bone: NDArray[np.intp]  # (N,), which one each surrounds

    def distances(self, points: Array) -> Array:
        """Signed distances (P, N) of points (P, 3), negative inside."""
        return np.stack([self._distance(points, index) for index in range(len(self.bone))], axis=-1)

    def _distance(self, points: Array, index: int) -> Array:
        relative, along = points - self.start[index], self.end[index] - self.start[index]
        share = np.clip(relative @ (along / (along @ along)), 0.0, 1.0)
        gap = relative - share[:, None] * along
        radius = self.start_radius[index] + share * (self.end_radius[index] - self.start_radius[index])
        return np.sqrt(np.einsum("pi,pi->p", gap, gap)) - radius


@lru_cache(maxsize=4)
def make_skin(hand: Hand) -> Skin:
    """Contour the skin of a hand; takes about a second."""
    capsules = flesh(hand)
    axes = _grid_lines(capsules)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    field = _blended(capsules, grid.reshape(-1, 3)).reshape(grid.shape[:3])
    places, faces = surface_nets(field)
    vertices = np.stack([np.interp(places[:, i], np.arange(len(line)), line) for i, line in enumerate(axes)], axis=1)
    weights = _weights(capsules, vertices)
    normals = vertex_normals(vertices, faces)
    return Skin(vertices, faces, weights, dorsal_share(hand, weights, normals), flush_share(hand, vertices))


def surface_nets(field: Array) -> tuple[Array, NDArray[np.int32]]:
    """The zero surface of a field given on a grid, in units of its cells.

    Args:
        field: (X, Y, Z), negative inside; positive along the border.

    Returns:
        Vertices (V, 3) and triangles (F, 3), counter-clockwise as seen from where the field is positive.
    """
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    shape = np.array(field.shape) - 1
    values = np.stack([field[i : i + shape[0], j : j + shape[1], k : k + shape[2]] for i, j, k in corners], axis=-1)
    crossed = (values.min(axis=-1) < 0) & (values.max(axis=-1) >= 0)
    cells = np.argwhere(crossed)
    number = np.full(crossed.shape, -1, dtype=np.int32)
    number[crossed] = np.arange(len(cells))
    vertices = cells + _middle_of_crossings(values[crossed], corners)
    return vertices, _net_faces(field, number)


def _middle_of_crossings(values: Array, corners: NDArray[np.intp]) -> Array:
    """Mean of the points where the edges of each cell cross zero, (C, 3), of the values (C, 8) at its corners."""
    total, count = np.zeros((len(values), 3)), np.zeros((len(values), 1))
    for a in range(8):
        for b in range(a + 1, 8):
            if np.abs(corners[a] - corners[b]).sum() != 1:
                continue
            first, second = values[:, a], values[:, b]
            cut = (first < 0) != (second < 0)
            share = np.where(cut, first / np.where(cut, first - second, 1.0), 0.0)
            total += cut[:, None] * (corners[a] + share[:, None] * (corners[b] - corners[a]))
            count += cut[:, None]
    return total / count


def _net_faces(field: Array, number: NDArray[np.int32]) -> NDArray[np.int32]:
    """Two triangles across each grid edge whose ends differ in sign; `number` is the vertex of each cell."""
    faces = []
    for axis in range(3):
        field_a = np.moveaxis(field, axis, 0)
        cells = np.moveaxis(number, axis, 0)  # axes: along the edge, then the two others in cyclic or swapped order
        below, above = field_a[:-1, 1:-1, 1:-1] < 0, field_a[1:, 1:-1, 1:-1] < 0
        square = np.stack([cells[:, :-1, :-1], cells[:, 1:, :-1], cells[:, 1:, 1:], cells[:, :-1, 1:]], axis=-1)
        for inside_below in (True, False):
            quads = square[(below != above) & (below == inside_below)]
            flip = inside_below == (axis == 1)  # moveaxis(1, 0) is the odd permutation
            quads = quads[:, ::-1] if flip else quads
            faces += [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]
    return np.concatenate(faces)


def _grid_lines(capsules: Capsules) -> list[Array]:
    """Coordinates of the grid's planes along x, y and z: fine around the hand, wide along the forearm."""
    radius = np.maximum(capsules.start_radius, capsules.end_radius)[:, None] + 2 * CELL
    low = (np.minimum(capsules.start, capsules.end) - radius).min(axis=0)
    high = (np.maximum(capsules.start, capsules.end) + radius).max(axis=0)
    fine = [np.arange(a, b, CELL) for a, b in zip(low, high, strict=True)]
    sleeve_end = -0.045
    fine[0] = np.concatenate([np.arange(low[0], sleeve_end, 4 * CELL), np.arange(sleeve_end, high[0], CELL)])
    return fine


def flesh(hand: Hand) -> Capsules:
    """Around every bone; the palm is four metacarpals and the two balls of its heel."""
    scale, size = hand.scale, hand.scale * hand.breadth
    rows: list[tuple[Array, Array, float, float, int]] = []
    knuckles = hand.bases[1:, :3, 3]
    for index, knuckle in enumerate(knuckles):
        carpus = np.array([0.012, 0.013 - 0.009 * index, -0.004]) * [scale, size, size]
        sunk = knuckle - np.array([0.004, 0.0, 0.0025]) * size
        rows.append((carpus, sunk, 0.0125 * size, (0.0108, 0.0112, 0.0108, 0.0098)[index] * size, PALM))
    heel = np.array([[0.030, -0.022, -0.010], [0.062, -0.030, -0.011]]) * [scale, size, size]
    rows.append((heel[0], heel[1], 0.0125 * size, 0.0105 * size, PALM))
    ball = np.array([[0.026, 0.016, -0.012], [0.058, 0.022, -0.013]]) * [scale, size, size]
    rows.append((ball[0], ball[1], 0.0135 * size, 0.0095 * size, PALM))
    for side in (-1.0, 1.0):
        wrist, elbow = (
            np.array([0.016, 0.0105 * side, -0.003]),
            np.array([-FOREARM_LENGTH / scale, 0.016 * side, -0.006]),
        )
        rows.append((wrist * size, elbow * scale, 0.0165 * size, 0.036 * size, FOREARM))
    bones, radii = hand.bones(BIND_ANGLES), hand.radii
    for digit in range(5):
        for part in range(3):
            start = bones[digit, part, :3, 3]
            taper = radii[digit, part + 1]
            length = hand.segments[digit, part] - (taper if part == 2 else 0.0)
            end = start + length * bones[digit, part, :3, 0]
            rows.append((start, end, radii[digit, part], taper, FIRST_DIGIT + 3 * digit + part))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Capsules(*columns)


def _blended(capsules: Capsules, points: Array) -> Array:
    """Signed distance (P,) to the union of all capsules, smooth where they meet."""
    distances = capsules.distances(points)
    bone = capsules.bone
    body = _smooth_minimum(distances[:, bone <= FOREARM], 0.010)
    for digit in range(5):
        own = np.isin(bone, FIRST_DIGIT + 3 * digit + np.arange(3))
        finger = _smooth_minimum(distances[:, own], 0.003)
        body = _smooth_minimum(np.stack([body, finger], axis=-1), 0.011 if digit == 0 else 0.007)
    return body


def _smooth_minimum(distances: Array, reach: float) -> Array:
    """Minimum over the last axis, rounded where two differ by less than `reach` [m]."""
    result = distances[..., 0]
    for other in np.moveaxis(distances[..., 1:], -1, 0):
        overlap = np.maximum(reach - np.abs(result - other), 0.0) / reach
        result = np.minimum(result, other) - overlap**2 * reach / 4
    return result


def _weights(capsules: Capsules, vertices: Array) -> Array:
    """How much each bone moves each vertex, (V, bones): the nearest one and its neighbours, fading with distance."""
    bones = FIRST_DIGIT + 15
    distances = capsules.distances(vertices)
    nearest = np.stack([distances[:, capsules.bone == bone].min(axis=1) for bone in range(bones)], axis=1)
    best = nearest.argmin(axis=1)
    excess = nearest - nearest.min(axis=1, keepdims=True)
    weights = np.exp(-excess / _FALLOFF) * _neighbours(bones)[best]
    weights /= weights.sum(axis=1, keepdims=True)
    of_forearm = forearm_share(vertices[:, 0])
    arm = weights[:, PALM] + weights[:, FOREARM]  # which is nearer does not matter: the wrist bends along its length
    weights[:, PALM], weights[:, FOREARM] = (1 - of_forearm) * arm, of_forearm * arm
    return weights


def forearm_share(x: Array) -> Array:
    """How much of the skin at some x [m] in the wrist frame, fingers excepted, goes along with the forearm."""
    across_wrist = np.clip((x + 0.035) / 0.055, 0.0, 1.0)
    return 1 - across_wrist**2 * (3 - 2 * across_wrist)


def _neighbours(bones: int) -> NDArray[np.bool_]:
    """Which bones may share a vertex, (bones, bones)."""
    together = np.eye(bones, dtype=bool)
    together[PALM, FOREARM] = together[FOREARM, PALM] = True
    for digit in range(5):
        first = FIRST_DIGIT + 3 * digit
        for a, b in ((PALM, first), (first, first + 1), (first + 1, first + 2)):
            together[a, b] = together[b, a] = True
    return together


def vertex_normals(vertices: Array, faces: NDArray[np.int32]) -> Array:
    """Unit normals of the vertices, outwards, (V, 3)."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    of_faces = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], of_faces)
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + _SMALLEST)


def dorsal_share(hand: Hand, weights: Array, normals: Array) -> Array:
    """How much the skin is of the back of the hand, (V,): by its normal and the backs of its bones."""
    backs = np.tile([0.0, 0.0, 1.0], (weights.shape[1], 1))
    backs[FIRST_DIGIT:] = hand.bones(BIND_ANGLES)[..., :3, 2].reshape(-1, 3)
    facing = np.einsum("vi,vi->v", normals, weights @ backs)
    share = np.clip((facing + 0.55) / 0.9, 0.0, 1.0)
    return share * share * (3 - 2 * share)


def flush_share(hand: Hand, vertices: Array) -> Array:
    """How near the skin is to a knuckle's back or to a fingertip, (V,)."""
    bones = hand.bones(BIND_ANGLES)
    tips = hand.fingertips(BIND_ANGLES)
    joints = (bones[..., :3, 3] + 0.8 * hand.radii[:, :3, None] * bones[..., :3, 2]).reshape(-1, 3)
    spots = np.concatenate([joints[1:], tips])
    nearest = np.linalg.norm(vertices[:, None] - spots, axis=-1).min(axis=1)
    return np.exp(-((nearest / (0.009 * hand.scale)) ** 2))
