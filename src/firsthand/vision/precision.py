"""The encoder in fewer bits, and the gate that such an encoder has to pass.

int8: the weights of all linear layers as 8-bit integers with a scale per output channel, activations quantised as they
come (`onnxruntime.quantization`, dynamic). Softmax, LayerNorm, GELU and the products of attention stay in float32.

A policy was trained on float32 features. So whatever computes in fewer bits is compared with float32, patch by patch,
on rendered pictures that ship with the package, and refused where it loses them.
"""

import importlib.util
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import InferenceError, ModelError
from firsthand.inference import Runtime, Session, open_session
from firsthand.share import share_directory
from firsthand.vision.pixels import resize

PRECISIONS = ("float32", "int8")
RECIPE = "int8-1"  # part of a graph's file name: a change of the recipe builds anew
REFERENCE = Runtime(provider="cpu")


@dataclass(frozen=True)
class Parity:
    """Cosines between the patch features of two encoders."""

    mean: float
    percentile_1: float  # 99 of 100 patches are at least that close
    minimum: float

    def __str__(self) -> str:
        return f"mean {self.mean:.4f}, first percentile {self.percentile_1:.4f}, minimum {self.minimum:.4f}"


THRESHOLDS = Parity(mean=0.996, percentile_1=0.98, minimum=0.92)
"""Below any of these an encoder is refused. int8 as above reaches 0.998, 0.99 and 0.98; without scales per channel it
reaches 0.996, 0.984 and 0.969, and moves the actions of the shipped policy half as much again."""


def build_int8_graph(graph: Path, output: Path) -> Path:
    """Quantise an encoder graph; an existing `output` is left alone.

    Args:
        graph: From `build_encoder_graph`.
        output: Where the int8 graph goes, written to a temporary name and renamed once it has passed the gate.

    Returns:
        `output`.

    Raises:
        ModelError: The onnx library, which quantising takes, is not installed.
        InferenceError: The result is too far from what it was made of.
    """
    if output.exists():
        return output
    if importlib.util.find_spec("onnx") is None:
        raise ModelError("making the int8 encoder takes the onnx library: pip install 'firsthand[models]'")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    temporary = output.with_suffix(f".{os.getpid()}.tmp")
    try:
        with _quiet():  # it asks for a pre-processing that changes nothing here
            quantize_dynamic(
                graph, temporary, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8
            )
        check_parity(open_session(temporary, REFERENCE), open_session(graph, REFERENCE))
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    return output


def check_parity(encoder: Session, reference: Session) -> Parity:
    """Compare an encoder with the float32 one on the shipped pictures.

    Raises:
        InferenceError: It is below `THRESHOLDS`.
    """
    cosines = np.concatenate([_cosines(encoder, reference, pair).ravel() for pair in _pairs(reference)])
    parity = Parity(float(cosines.mean()), float(np.quantile(cosines, 0.01)), float(cosines.min()))
    found = (parity.mean, parity.percentile_1, parity.minimum)
    least = (THRESHOLDS.mean, THRESHOLDS.percentile_1, THRESHOLDS.minimum)
    if not all(value >= limit for value, limit in zip(found, least, strict=True)):
        raise InferenceError(
            f"features are too far from float32: cosine {parity}; expected at least {THRESHOLDS}. Use float32."
        )
    return parity


def stereo_pictures(root: Path | None = None) -> list[NDArray[np.uint8]]:
    """The rendered stereo pairs that ship for comparisons, each (2, H, W, 3) RGB."""
    files = sorted((root or share_directory() / "pictures").glob("stereo_*.jpg"))
    side_by_side = [cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB) for file in files]
    if not side_by_side:
        raise InferenceError(
            f"no pictures to compare features on: expected stereo_*.jpg in {root or share_directory() / 'pictures'}"
        )
    return [np.stack(np.split(image, 2, axis=1)) for image in side_by_side]


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings in the log."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _pairs(session: Session) -> Iterator[NDArray[np.uint8]]:
    """The pictures in the size and number of views that an encoder takes."""
    views, height, width, _ = session.tensors["images"].shape
    for pair in stereo_pictures():
        yield resize(pair[np.arange(views) % 2], views, (height, width))


def _cosines(encoder: Session, reference: Session, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    ours, theirs = (session.run(["features"], {"images": images})[0] for session in (encoder, reference))
    return (ours * theirs).sum(-1) / (np.linalg.norm(ours, axis=-1) * np.linalg.norm(theirs, axis=-1))
