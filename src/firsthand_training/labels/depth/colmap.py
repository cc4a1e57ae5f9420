"""COLMAP's PatchMatch stereo (Schoenberger et al., ECCV 2016) over a clip, where pycolmap is built for CUDA."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import torch

from firsthand.errors import LabelError
from firsthand.space.frames import inverse
from firsthand_training.episodes.durable import whole_file
from firsthand_training.labels.depth.views import Views
from firsthand_training.labels.depth_maps import map_path
from firsthand_training.labels.scene.camera import HALF_PIXEL, Array


def has_patch_match() -> bool:
    """Whether PatchMatch can run here."""
    return bool(pycolmap.has_cuda) and torch.cuda.is_available()


def patch_match(views: Views, sources: Mapping[int, Sequence[int]], output: Path) -> None:
    """Write an unchecked depth map for each view of `sources`; those that are there already are kept.

    Raises:
        LabelError: COLMAP fails.
    """
    missing = {view: list(others) for view, others in sources.items() if not _path(views, view, output).exists()}
    if not missing:
        return
    with tempfile.TemporaryDirectory(prefix="firsthand-depth-") as scratch:
        workspace = write_workspace(views, missing, Path(scratch))
        near, far = _range(views)
        options = pycolmap.PatchMatchOptions()
        options.depth_min, options.depth_max, options.geom_consistency = 0.75 * near, 1.25 * far, False
        try:
            pycolmap.patch_match_stereo(workspace, options=options)
        except (RuntimeError, ValueError) as error:
            raise LabelError(f"COLMAP's PatchMatch failed: {error}; backend `sweep` needs no CUDA") from error
        for view in missing:
            _keep(views, view, read_map(workspace / "stereo/depth_maps" / f"{_image(view)}.photometric.bin"), output)


def write_workspace(views: Views, sources: Mapping[int, Sequence[int]], folder: Path) -> Path:
    """Pictures, cameras and who is compared with whom, as COLMAP expects them of undistorted pictures."""
    for part in ("images", "sparse", "stereo/depth_maps", "stereo/normal_maps", "stereo/consistency_graphs"):
        (folder / part).mkdir(parents=True)
    model = pycolmap.Reconstruction()
    K = views.intrinsics
    parameters = [K[0, 0], K[1, 1], K[0, 2] + HALF_PIXEL, K[1, 2] + HALF_PIXEL]
    width, height = views.size
    camera = pycolmap.Camera(camera_id=1, model="PINHOLE", width=width, height=height, params=parameters)
    model.add_camera_with_trivial_rig(camera)
    for view, pose in enumerate(inverse(views.world_from_camera)):
        cv2.imwrite(str(folder / "images" / _image(view)), views.gray[view])
        image = pycolmap.Image(name=_image(view), camera_id=1, image_id=view + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose[:3]))
    model.write(folder / "sparse")
    told = [f"{_image(view)}\n{', '.join(map(_image, others))}\n" for view, others in sources.items() if others]
    (folder / "stereo/patch-match.cfg").write_text("".join(told), encoding="utf-8")
    return folder


def read_map(path: Path) -> Array:
    """A depth map as COLMAP writes it, (H, W); NaN where it says 0, which is nothing.

    Raises:
        LabelError: There is none, or it is cut short.
    """
    try:
        width, height, depth, values = path.read_bytes().split(b"&", 3)
        read = np.frombuffer(values, dtype="<f4").reshape(int(depth), int(height), int(width))[0]
    except (OSError, ValueError) as error:
        raise LabelError(f"COLMAP left no whole depth map at {path}: {error}") from error
    return np.where(read > 0, read, np.nan)


def _keep(views: Views, view: int, depth: Array, output: Path) -> None:
    shown = np.where(views.hidden[view], np.nan, depth)
    with whole_file(_path(views, view, output)) as partial, partial.open("wb") as file:
        confidence = np.isfinite(shown).astype(np.float16)
        np.savez_compressed(file, depth=shown.astype(np.float16), confidence=confidence)


def _range(views: Views) -> tuple[float, float]:
    seen = np.concatenate([views.seen(view) for view in range(0, len(views.frames), 5)])
    near, far = np.percentile(seen, [1, 99])
    return float(near), float(far)


def _path(views: Views, view: int, output: Path) -> Path:
    return map_path(output, int(views.frames[view]))


def _image(view: int) -> str:
    return f"{view:08d}.png"
