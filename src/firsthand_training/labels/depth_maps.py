"""Depth maps of a clip, as `dense_depth` leaves them: a file a frame, along the optical axis, in the scene's units."""

import json
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError

Array = NDArray[np.floating]


def load_depth(folder: Path, frame: int) -> Array:
    """The map of a frame, (H, W); NaN where unsure.

    Raises:
        LabelError: There is none, or it is damaged.
    """
    path = folder / f"{frame:08d}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            return data["depth"].astype(float)
    except FileNotFoundError:
        raise LabelError(f"{path} is missing; run dense_depth on every frame first") from None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise LabelError(f"{path} is damaged ({error}); remove {folder} and run dense_depth again") from error


def depth_intrinsics(folder: Path) -> Array:
    """Intrinsics (3, 3) of a folder's maps, [px] of the maps.

    Raises:
        LabelError: The folder is not finished.
    """
    try:
        intrinsics = np.array(json.loads((folder / "depth.json").read_text("utf-8"))["intrinsics"], dtype=float)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabelError(f"{folder} is not a finished folder of depth maps ({error!r}); run dense_depth") from error
    if intrinsics.shape != (3, 3):
        raise LabelError(f"{folder} says intrinsics of shape {intrinsics.shape}, expected (3, 3)")
    return intrinsics
