"""WiLoR, from a file of the user's: boxes to MANO parameters and keypoints. Its weights and MANO are not free.

The file is an ONNX graph or a TorchScript module (a name that ends in .onnx, or in .pt, .pth or .ts) of this signature:

image             (N, 3, 256, 256) float32: RGB, less ImageNet's mean, over its deviation; left hands mirrored; the
                  network looks at the middle 192 columns
global_orient     (N, 1, 3, 3)   the wrist's rotation as matrices,
hand_pose         (N, 15, 3, 3)  and that of the other joints in MANO's order,
betas             (N, 10)        the shape,
pred_cam          (N, 3)         scale and shift of the hand in the crop,
pred_keypoints_3d (N, 21, 3)     [m], as MANO places them, in the order of `KEYPOINTS`; MANO is inside the file

A TorchScript module returns them as a dictionary or, in this order, as a tuple. The crop is seen by a camera of focal
length 5000 px straight ahead; the wrist's rotation therefore is in a camera that looks at the crop's centre, not in the
one that took the picture: towards the border of a picture of 90 degrees they are up to 45 degrees apart.
`pinhole.turned_to` is what is between them, as soon as the focal length is known.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand.inference import DEFAULT, Runtime
from firsthand_training.labels.hand_networks.regions import Picture, Region
from firsthand_training.labels.user_graphs import UserGraph

Array = NDArray[np.floating]

CROP = 256  # [px]
WIDTH = 192  # [px], of the middle that the network looks at
BOX_SCALE = 2.0  # side of the crop over that of the box (WiLoR's demo)
FOCAL = 5000.0  # [px], of the crop's camera
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
OUTPUTS = {
    "global_orient": (1, 3, 3),
    "hand_pose": (15, 3, 3),
    "betas": (10,),
    "pred_cam": (3,),
    "pred_keypoints_3d": (21, 3),
}

Network = Callable[[NDArray[np.float32]], Mapping[str, NDArray[Any]]]


@dataclass(frozen=True)
class WilorHands:
    """What it says about N crops, left hands no longer mirrored."""

    keypoints: Array  # (N, 21, 2), [px] of the picture
    mano_shape: Array  # (N, 10)
    mano_pose: Array  # (N, 48), axis-angle; the wrist in a camera that looks at the crop's centre
    depths: Array  # (N, 21), farther than the wrist, in pixels of the picture


@dataclass(frozen=True)
class Wilor:
    """Crops to hands."""

    network: Network
    name: str

    @classmethod
    def load(cls, weights: Path, runtime: Runtime = DEFAULT) -> "Wilor":
        """Open it.

        Raises:
            LabelError: It is missing, or not of the signature above.
        """
        if weights.suffix == ".onnx":
            graph = UserGraph(weights, runtime)
            if missing := OUTPUTS.keys() - set(graph.outputs):
                raise LabelError(
                    f"{weights} gives {', '.join(graph.outputs)}; expected {', '.join(sorted(missing))} too"
                )
            return cls(graph.run, str(weights))
        if weights.suffix in (".pt", ".pth", ".ts"):
            return cls(_load_torchscript(weights), str(weights))
        raise LabelError(f"expected WiLoR as an .onnx file, or as TorchScript in .pt, .pth or .ts, got {weights}")

    def crop(self, picture: Picture, box: Array, side: int) -> NDArray[np.float32]:
        """What the network sees of a hand: (3, 256, 256).

        Args:
            picture: The picture.
            box: (4,), [px], around the hand.
            side: 0 left, which is mirrored, 1 right.
        """
        cut = picture.cut(region_of_crop(box), CROP, cv2.BORDER_CONSTANT)
        if side == 0:
            cut = cut[:, ::-1]
        return ((cut.astype(np.float32) / 255 - IMAGENET_MEAN) / IMAGENET_STD).transpose(2, 0, 1)

    def estimate(self, crops: NDArray[np.float32], boxes: Array, sides: NDArray[np.int64]) -> WilorHands:
        """Hands of crops (N, 3, 256, 256) that were cut for boxes (N, 4) and sides (N,).

        Raises:
            LabelError: The network gives other shapes, or numbers that are not finite.
        """
        outputs = {
            name: np.asarray(value, np.float64) for name, value in self.network(crops).items() if name in OUTPUTS
        }
        for name, shape in OUTPUTS.items():
            found = outputs[name].shape if name in outputs else "nothing"
            if found != (len(crops), *shape):
                raise LabelError(f"{self.name} gives {name} of shape {found}; expected {(len(crops), *shape)}")
            if not np.isfinite(outputs[name]).all():
                raise LabelError(f"{self.name} gives {name} that is not finite")
        left = (np.asarray(sides) == 0)[:, None]
        rotations = np.concatenate([outputs["global_orient"], outputs["hand_pose"]], axis=1)
        pose = np.array([[cv2.Rodrigues(matrix)[0][:, 0] for matrix in hand] for hand in rotations])
        pose = np.where(left[..., None], pose * [1.0, -1.0, -1.0], pose)  # of the mirrored hand
        points = project_in_crop(outputs["pred_keypoints_3d"], outputs["pred_cam"])
        mirrored = np.stack([CROP - 1 - points[..., 0], points[..., 1]], axis=-1)
        points = np.where(left[..., None], mirrored, points)
        regions = [region_of_crop(box) for box in boxes]
        keypoints = [region.to_picture(each, CROP) for region, each in zip(regions, points, strict=True)]
        pixels_a_metre = np.array([region.side for region in regions]) * outputs["pred_cam"][:, 0] / 2
        deep = outputs["pred_keypoints_3d"][..., 2]
        depths = (deep - deep[:, :1]) * pixels_a_metre[:, None]
        return WilorHands(np.array(keypoints), outputs["betas"], pose.reshape(len(crops), 48), depths)


def region_of_crop(box: Array) -> Region:
    """The square that is cut for a box (4,): twice as large, and as high as its middle columns ask for."""
    x, y = (box[:2] + box[2:]) / 2
    width, height = BOX_SCALE * (box[2:] - box[:2])
    return Region(float(x), float(y), float(max(width * CROP / WIDTH, height)))


def project_in_crop(points: Array, camera: Array) -> Array:
    """Pixels (N, 21, 2) of the crop for points (N, 21, 3), [m], and scale and shift (N, 3)."""
    depth = 2 * FOCAL / (CROP * camera[:, :1] + 1e-9)
    shifted = points[..., :2] + camera[:, None, 1:]
    return FOCAL * shifted / (points[..., 2:] + depth[:, None]) + (CROP - 1) / 2


def _load_torchscript(weights: Path) -> Network:
    import torch

    if not weights.is_file():
        raise LabelError(f"no weights at {weights}; expected a TorchScript file")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        module: Any = torch.jit.load(str(weights), map_location=device)  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise LabelError(f"{weights} does not open as TorchScript: {str(error)[:300]}") from error
    module.eval()

    def run(crops: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            outputs = module(torch.from_numpy(np.ascontiguousarray(crops)).to(device))
        named = outputs if isinstance(outputs, dict) else dict(zip(OUTPUTS, outputs, strict=False))
        return {name: value.float().cpu().numpy() for name, value in named.items()}

    return run
