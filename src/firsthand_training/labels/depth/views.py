"""A clip's pictures with their cameras, small enough to keep all of them at hand, and which to compare with which."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from firsthand.space.frames import inverse
from firsthand_training.labels.scene.camera import Array

Gray = NDArray[np.uint8]
Mask = NDArray[np.bool_]

BEST_ANGLE = 6.0  # [deg], between rays: wider ones tell more about depth, until the pictures look too different
WIDEST_ANGLE, WIDEST_TURN = 20.0, 40.0  # [deg]


@dataclass(frozen=True)
class Views:
    """The N frames of a clip that have a pose."""

    frames: NDArray[np.int64]  # (N,)
    gray: Gray  # (N, H, W)
    hidden: Mask  # (N, H, W), by hands
    intrinsics: Array  # (3, 3), [px]
    world_from_camera: Array  # (N, 4, 4)
    points: Array  # (P, 3), of the scene, in the same units

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, [px]."""
        return self.gray.shape[2], self.gray.shape[1]

    def seen(self, view: int) -> Array:
        """Depths of the scene's points that are in a picture, (K,)."""
        camera_from_world = inverse(self.world_from_camera[view])
        in_camera = self.points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
        in_front = in_camera[in_camera[:, 2] > 0]
        pixels = in_front @ self.intrinsics.T
        pixels = pixels[:, :2] / pixels[:, 2:]
        return in_front[((pixels >= 0) & (pixels <= np.array(self.size) - 1)).all(axis=1), 2]

    def tensors(self, view: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """A picture, [0, 1], and where it shows the scene, (H, W) each."""
        gray = torch.from_numpy(self.gray[view].astype(np.float32) / 255).to(device)
        return gray, torch.from_numpy(~self.hidden[view]).to(device)


def choose_sources(views: Views, view: int, count: int) -> list[int]:
    """The pictures that tell most about the depth in one: seen from aside, not from too far, each from another side."""
    centres, axes = views.world_from_camera[:, :3, 3], views.world_from_camera[:, :3, 2]
    depths = views.seen(view)
    depth = float(np.median(depths)) if len(depths) else 1.0
    ways = centres - centres[view]
    angles = np.degrees(np.arctan(np.linalg.norm(ways, axis=1) / depth))
    turns = np.degrees(np.arccos(np.clip(axes @ axes[view], -1, 1)))
    usable = (angles < WIDEST_ANGLE) & (turns < WIDEST_TURN)
    usable[view] = False
    worth = np.where(usable, np.minimum(angles / BEST_ANGLE, BEST_ANGLE / np.maximum(angles, 1e-6)), 0.0)
    return _spread(ways, worth, count)


def _spread(ways: Array, worth: Array, count: int) -> list[int]:
    """The best, one after the other, each counted less the nearer it is to one that is taken."""
    chosen: list[int] = []
    rest = worth.copy()
    lengths = np.maximum(np.linalg.norm(ways, axis=1), 1e-12)
    while len(chosen) < count and rest.max() > 0.02:
        best = int(rest.argmax())
        chosen.append(best)
        apart = np.linalg.norm(ways - ways[best], axis=1) / np.maximum(lengths, lengths[best])
        rest = rest * np.clip(apart / 0.7, 0.0, 1.0)
        rest[best] = 0.0
    return chosen


def relative_poses(views: Views, view: int, sources: Sequence[int]) -> Array:
    """source_from_reference (S, 4, 4)."""
    return inverse(views.world_from_camera[list(sources)]) @ views.world_from_camera[view]


def widest_baseline(views: Views, view: int, others: Sequence[int]) -> float:
    """From one camera to the furthest of some others, in the units of the poses; never 0."""
    centres = views.world_from_camera[:, :3, 3]
    ways = np.linalg.norm(centres[list(others)] - centres[view], axis=-1)
    return max(float(ways.max(initial=0.0)), 1e-9)
