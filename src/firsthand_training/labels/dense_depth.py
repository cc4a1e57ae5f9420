"""A depth map for each frame of a clip (Appendix II-B): where the scene is, not the hands, which move.

With CUDA COLMAP's PatchMatch does it where pycolmap is built for it; elsewhere, and on a GPU without that, a plane
sweep of our own in torch. Neither can tell how far a moving hand is: hands are left out.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch

from firsthand.errors import LabelError
from firsthand_training.episodes.durable import whole_file
from firsthand_training.labels.clip_frames import clip_frames
from firsthand_training.labels.depth.agreement import count_agreeing
from firsthand_training.labels.depth.colmap import has_patch_match, patch_match
from firsthand_training.labels.depth.sweep import Source, SweepSettings, sweep_depth
from firsthand_training.labels.depth.views import Views, choose_sources, relative_poses, widest_baseline
from firsthand_training.labels.depth_maps import INDEX, DepthMap, load_depth, map_path
from firsthand_training.labels.hand_masks import hand_mask
from firsthand_training.labels.stage_files import Hands, Scene, load_stage


@dataclass(frozen=True)
class DepthSettings:
    """How depth maps are made."""

    longest_side: int = 320  # [px], of a map
    sources: int = 6  # pictures that each is compared with
    backend: Literal["auto", "sweep", "colmap"] = "auto"
    device: str = "auto"  # of torch
    every: int = 1  # frames from one map to the next
    tolerance: float = 0.015  # relative, within which maps of other frames agree
    pixels: float = 0.3  # [px], of parallax, within which they do as well: far away that is more
    agreeing: int = 2  # maps of other frames, at least, for a depth to be believed
    likeness: float = 0.3  # mean correlation with the sources, at least
    sweep: SweepSettings = field(default_factory=SweepSettings)

    def __post_init__(self) -> None:
        if self.backend not in ("auto", "sweep", "colmap"):
            raise LabelError(f"backend is `auto`, `sweep` or `colmap`, got {self.backend!r}")
        if self.longest_side < 32 or self.sources < 1 or self.every < 1 or self.agreeing < 0:
            raise LabelError(f"expected longest_side >= 32, sources and every >= 1, agreeing >= 0, got {self}")
        if not 0 < self.tolerance < 1 or not -1 <= self.likeness <= 1:
            raise LabelError(f"tolerance is relative, likeness a correlation; got {self.tolerance}, {self.likeness}")


DEFAULT = DepthSettings()


def dense_depth(video: Path, scene: Path, hands: Path, output: Path, settings: DepthSettings = DEFAULT) -> Path:
    """Make depth maps of a clip.

    Args:
        video: Any that PyAV reads.
        scene: From `reconstruct_scene`.
        hands: From `detect_hands`: what is left out.
        output: A folder; a complete one is left alone, an incomplete one is gone on with. `load_depth` reads its maps.
        settings: How.

    Returns:
        `output`.

    Raises:
        LabelError: The scene has no parallax to tell depth from, or the backend is not there.
    """
    if (output / INDEX).exists():
        return output
    found = load_stage(scene, Scene)
    if not found.parallax[0]:
        raise LabelError(f"{scene} has no parallax: the camera only turned, so depth cannot be told from its pictures")
    views = _views(video, found, load_stage(hands, Hands), settings)
    wanted = range(0, len(views.frames), settings.every)
    first = output / f"unchecked-{_fingerprint(views, settings)}"
    if _use_colmap(settings):
        patch_match(views, {view: choose_sources(views, view, settings.sources) for view in wanted}, first)
    else:
        for view in wanted:
            _kept(map_path(first, int(views.frames[view])), partial(_swept, views, view, settings))
    for view in wanted:
        _kept(map_path(output, int(views.frames[view])), partial(_checked, views, view, first, settings))
    _write_index(output, views, settings)
    shutil.rmtree(first)
    return output


def _views(video: Path, scene: Scene, hands: Hands, settings: DepthSettings) -> Views:
    """The frames with a pose, at the size of the maps."""
    width, height = scene.size.tolist()
    shrink = max(1.0, max(width, height) / settings.longest_side)
    size = (round(width / shrink), round(height / shrink))
    good = np.isfinite(scene.world_from_camera[:, 0, 0])
    gray, hidden = [], []
    for index, _, picture in clip_frames(video, int(scene.frames[0]), int(scene.frames[-1]) + 1):
        if picture.shape[:2] != (height, width):
            raise LabelError(f"{video} is {picture.shape[1]}x{picture.shape[0]}, the scene {width}x{height}")
        if good[index - scene.frames[0]]:
            gray.append(cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA))
            mask = hand_mask(hands, index, (width, height)).astype(np.uint8)
            hidden.append(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST).astype(bool))
    K = scene.intrinsics.copy()
    K[:2] *= np.array(size)[:, None] / np.array([[width], [height]])
    K[:2, 2] = (scene.intrinsics[:2, 2] + 0.5) * np.array(size) / [width, height] - 0.5
    poses = scene.world_from_camera[good]
    return Views(scene.frames[good], np.array(gray), np.array(hidden), K, poses, scene.points)


def _swept(views: Views, view: int, settings: DepthSettings) -> DepthMap:
    """A map from the pictures alone."""
    device = torch.device(_device(settings))
    chosen = choose_sources(views, view, settings.sources)
    depths = views.seen(view)
    if not chosen or len(depths) < 8:
        nothing = np.full(views.gray.shape[1:], np.nan)
        return DepthMap(nothing, np.zeros_like(nothing))
    near, far = np.percentile(depths, [1, 99])
    poses = torch.from_numpy(relative_poses(views, view, chosen).astype(np.float32)).to(device)
    sources = [Source(*views.tensors(other, device), pose) for other, pose in zip(chosen, poses, strict=True)]
    gray, shown = views.tensors(view, device)
    intrinsics = torch.from_numpy(views.intrinsics.astype(np.float32)).to(device)
    with torch.no_grad():
        depth, likeness = sweep_depth(gray, sources, intrinsics, 0.75 * near, 1.25 * far, settings.sweep)
        depth = depth.masked_fill(~shown, torch.nan)
    return DepthMap(depth.cpu().numpy(), likeness.nan_to_num(0.0).clamp(0, 1).cpu().numpy())


def _checked(views: Views, view: int, first: Path, settings: DepthSettings) -> DepthMap:
    """A map without what other frames contradict."""
    mine = load_depth(first, int(views.frames[view]))
    others = choose_sources(views, view, settings.sources)
    others = [other - other % settings.every for other in others]
    others = sorted({other for other in others if other != view})
    depths = [load_depth(first, int(views.frames[other])).depth for other in others]
    step = settings.pixels / (views.intrinsics[0, 0] * widest_baseline(views, view, others))
    agreeing = count_agreeing(views, view, mine.depth, others, depths, settings.tolerance, step)
    sure = (agreeing >= min(settings.agreeing, len(others))) & (mine.confidence >= settings.likeness)
    share = agreeing / max(len(others), 1)
    return DepthMap(np.where(sure, mine.depth, np.nan), np.where(sure, share * mine.confidence, 0.0))


def _kept(path: Path, make: Callable[[], DepthMap]) -> None:
    """Write a map unless it is there."""
    if path.exists():
        return
    made = make()
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, depth=made.depth.astype(np.float16), confidence=made.confidence.astype(np.float16))


def _write_index(output: Path, views: Views, settings: DepthSettings) -> None:
    told = {
        "frames": views.frames[:: settings.every].tolist(),
        "size": list(views.size),
        "intrinsics": views.intrinsics.tolist(),
        "settings": asdict(settings),
    }
    with whole_file(output / INDEX) as unfinished:
        unfinished.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _fingerprint(views: Views, settings: DepthSettings) -> str:
    """Of what unchecked maps depend on: they are gone on with only if that is the same."""
    parts = (views.frames, views.intrinsics, views.world_from_camera, views.points)
    told = json.dumps(asdict(settings)).encode() + b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    return hashlib.sha256(told).hexdigest()[:12]


def _device(settings: DepthSettings) -> str:
    if settings.device != "auto":
        return settings.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _use_colmap(settings: DepthSettings) -> bool:
    if settings.backend == "colmap" and not has_patch_match():
        raise LabelError("backend `colmap` needs a pycolmap with CUDA (pycolmap-cuda12) and a GPU; use `sweep` here")
    return settings.backend != "sweep" and has_patch_match()
