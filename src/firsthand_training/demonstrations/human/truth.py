"""What is true of a rendered clip: written beside it, to hold against what an estimator says.

truth.npz   the arrays of `Truth`
dense.npz   those of `DenseTruth`, where they were asked for

N frames; the axis of 2 is left, right; pixel (u, v) = (0, 0) is the centre of the upper left one. The camera looks
along its z, x points right and y down; the world's z points up.

A wrist frame is that of `space/frames.py`: its origin is the wrist joint, from which bones and hand size are measured,
and where WebXR's headsets have it too. What others call wrist lies elsewhere: MediaPipe's landmark 0 is 13 mm further
towards the fingers and 5 mm towards the back of the hand.

Keypoints are counted as by MediaPipe, OpenPose and WiLoR: wrist, then each digit, thumb to little, from its base (1) to
its tip (4). All but the tips are centres of joints, inside the hand; a tip is where the flesh of the finger ends.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand.space.frames import inverse
from firsthand_training.episodes.arrays import read_arrays
from firsthand_training.episodes.durable import whole_file

Array = NDArray[np.floating]

TRUTH_FILE, DENSE_FILE = "truth.npz", "dense.npz"


@dataclass(frozen=True)
class Truth:
    """Camera and hands of every frame."""

    seed: NDArray[np.int64]  # (1,)
    tone: NDArray[np.int64]  # (1,), index of the skin in `person.SKINS`, fair to dark
    size: NDArray[np.int64]  # (2,), width and height of a picture, [px]
    intrinsics: Array  # (3, 3), [px]
    world_from_camera: Array  # (N, 4, 4)
    world_from_wrist: Array  # (N, 2, 4, 4)
    keypoints_in_world: Array  # (N, 2, 21, 3), [m]
    keypoints: Array  # (N, 2, 21, 2), [px]; may lie outside the picture
    visible: NDArray[np.bool_]  # (N, 2, 21), in the picture, with nothing but the hand's own flesh in front
    state: Array  # (N, 54), `space/hand_state.py`; F_R at the camera, x along its mean horizontal heading
    origin: Array  # (N, 3), [m], where F_R is, in a fixed frame with the same axes
    hand_size: Array  # (1,), [m], wrist to middle knuckle
    hand_length: Array  # (1,), [m], wrist to the tip of the middle finger when it is straight

    @property
    def keypoints_in_camera(self) -> Array:
        """(N, 2, 21, 3), [m]."""
        camera_from_world = inverse(self.world_from_camera)
        turned = np.einsum("nij,nskj->nski", camera_from_world[:, :3, :3], self.keypoints_in_world)
        return turned + camera_from_world[:, None, None, :3, 3]

    @property
    def camera_from_wrist(self) -> Array:
        """(N, 2, 4, 4)."""
        return inverse(self.world_from_camera)[:, None] @ self.world_from_wrist

    @property
    def up_in_camera(self) -> Array:
        """Unit vectors against gravity, (N, 3)."""
        return self.world_from_camera[:, 2, :3]


@dataclass(frozen=True)
class DenseTruth:
    """What is seen in every pixel."""

    depth: NDArray[np.float16]  # (N, H, W), [m], along the optical axis
    hands: NDArray[np.uint8]  # (N, H, W), 0 neither, 1 bare skin of the left hand and forearm, 2 of the right


Kind = TypeVar("Kind", Truth, DenseTruth)


def save_truth(path: Path, truth: Truth | DenseTruth) -> Path:
    """Write it, at once."""
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **{field.name: getattr(truth, field.name) for field in fields(truth)})
    return path


def load_truth(path: Path, kind: type[Kind]) -> Kind:
    """Read it.

    Raises:
        LabelError: It is missing, damaged or of another kind.
    """
    try:
        arrays = read_arrays(path, [field.name for field in fields(kind)])
        return kind(**{field.name: arrays[field.name] for field in fields(kind)})
    except FileNotFoundError:
        raise LabelError(f"{path} is missing; clips with truth come from firsthand-lab render-hands") from None
    except (ValueError, KeyError) as error:
        raise LabelError(
            f"{path} is no {kind.__name__} ({error}); remove its folder and render the clip again"
        ) from error


def project(intrinsics: Array, points: Array) -> Array:
    """Pixels (..., 2) of points (..., 3) in the camera; NaN for those behind it."""
    z = np.where(points[..., 2:] > 0, points[..., 2:], np.nan)
    return np.einsum("ij,...j->...i", intrinsics[:2, :2], points[..., :2] / z) + intrinsics[:2, 2]
