"""Straight edges of a room and of what lies on its tables: the planes that they span with the camera's centre.

Found in pictures (LSD: Grompone von Gioi et al., PAMI 2010), then counted once however often they were seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand_training.labels.scene.camera import Array, rays

Gray = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SAME = np.radians(1.0)  # between the planes of edges that are one line: broken, seen again, or both sides of a crack
ALONG = np.linspace(0.1, 0.9, 5)  # where an edge must not be hidden


@dataclass(frozen=True)
class Lines:
    """Lines that a camera saw, the longest first."""

    normals: Array  # (L, 3), unit, world, of the plane through the line and the camera's centre
    middles: Array  # (L, 3), unit, world, towards the middle of the longest edge: at right angles to the normal
    lengths: Array  # (L,), [px], of the longest edge

    def __len__(self) -> int:
        return len(self.lengths)


def find_edges(gray: Gray, hidden: Mask, shortest: float) -> Array:
    """Ends of the straight edges of a picture, (E, 2, 2), [px], without those that touch what is hidden.

    Args:
        gray: (H, W).
        hidden: (H, W), by hands.
        shortest: In diagonals of the picture.
    """
    found = cv2.createLineSegmentDetector().detect(gray)[0]
    ends = np.zeros((0, 2, 2)) if found is None else np.asarray(found, dtype=float).reshape(-1, 2, 2)
    places = ends[:, :1] * (1 - ALONG)[:, None] + ends[:, 1:] * ALONG[:, None]
    places = np.clip(places.round().astype(int), 0, np.array(gray.shape[::-1]) - 1)
    long = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) > shortest * np.hypot(*gray.shape)
    return ends[long & ~hidden[places[..., 1], places[..., 0]].any(axis=1)]


def lines_in_world(edges: Sequence[Array], rotations: Array, intrinsics: Array, most: int) -> Lines:
    """The lines that some pictures show.

    Args:
        edges: For each picture, (E, 2, 2), [px].
        rotations: world_from_camera of each, (V, 3, 3).
        intrinsics: (3, 3), [px].
        most: Lines, the longest.
    """
    towards = [rays(intrinsics, ends) @ turn.T for ends, turn in zip(edges, rotations, strict=True)]
    first, second = np.concatenate([np.zeros((0, 2, 3)), *towards]).swapaxes(0, 1)
    lengths = np.concatenate([np.zeros(0), *(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) for ends in edges)])
    normals = np.cross(first, second)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return _counted_once(Lines(normals, first + second, lengths), most)


def _counted_once(edges: Lines, most: int) -> Lines:
    """One line for all edges in about the same plane: they say the same, and would bear each other out."""
    left = np.argsort(-edges.lengths, kind="stable")
    lines: list[tuple[Array, Array, float]] = []
    while len(left) and len(lines) < most:
        alike = edges.normals[left] @ edges.normals[left[0]]
        one = np.abs(alike) > np.cos(SAME)
        normal = (np.sign(alike[one]) * edges.lengths[left[one]]) @ edges.normals[left[one]]
        normal /= np.linalg.norm(normal)
        middle = edges.middles[left[0]] - (edges.middles[left[0]] @ normal) * normal
        lines.append((normal, middle / np.linalg.norm(middle), float(edges.lengths[left[0]])))
        left = left[~one]
    if not lines:
        return Lines(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))
    normals, middles, lengths = (np.array(values) for values in zip(*lines, strict=True))
    return Lines(normals, middles, lengths)
