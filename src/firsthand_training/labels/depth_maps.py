"""Depth maps of a clip, as `dense_depth` leaves them: a file a frame, along the optical axis, in the scene's units."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand_training.episodes.arrays import read_arrays

Array = NDArray[np.floating]

INDEX = "depth.json"
"""Written last: a folder that has it is complete."""


class DepthMap(NamedTuple):
    """The depth of one frame."""

    depth: Array  # (H, W), along the optical axis, in the scene's units; NaN where unsure and on hands
    confidence: Array  # (H, W), 0 to 1


def map_path(output: Path, frame: int) -> Path:
    """Where the map of a frame is."""
    return output / f"{frame:08d}.npz"


def load_depth(output: Path, frame: int) -> DepthMap:
    """Read the map of one frame; `depth_intrinsics` tells its camera.

    Raises:
        LabelError: There is none, or it is damaged.
    """
    path = map_path(output, frame)
    try:
        arrays = read_arrays(path, DepthMap._fields)
        return DepthMap(arrays["depth"].astype(np.float32), arrays["confidence"].astype(np.float32))
    except FileNotFoundError:
        raise LabelError(f"{path} is missing; run dense_depth first") from None
    except (ValueError, KeyError) as error:
        raise LabelError(f"{path} is damaged ({error}); remove {output} and run dense_depth again") from error


def depth_intrinsics(output: Path) -> Array:
    """Intrinsics (3, 3) of a folder's maps, [px] of the maps.

    Raises:
        LabelError: The folder is not finished.
    """
    try:
        intrinsics = np.array(json.loads((output / INDEX).read_text("utf-8"))["intrinsics"], dtype=float)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabelError(f"{output} is not a finished folder of depth maps ({error!r}); run dense_depth") from error
    if intrinsics.shape != (3, 3):
        raise LabelError(f"{output} says intrinsics of shape {intrinsics.shape}, expected (3, 3)")
    return intrinsics
