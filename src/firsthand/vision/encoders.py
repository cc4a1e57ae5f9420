"""The visual encoders that a checkpoint can name, opened by that name."""

from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from firsthand.errors import ModelError
from firsthand.inference import DEFAULT, Runtime
from firsthand.vision import dinov2_graph, encoder, pixels

SOURCES = {encoder.NAME: dinov2_graph.SOURCE_SHA256, pixels.NAME: ""}
"""Every encoder, and the hash of the file that its weights come from; pixels have none."""


class StereoEncoder(Protocol):
    """What all encoders do: pictures to features, (views, H, W, 3) RGB to (views, rows, columns, channels)."""

    @property
    def storage(self) -> DTypeLike:
        """The type that features are cached in."""
        ...

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that pictures are resized to, [px]."""
        ...

    @property
    def feature_shape(self) -> tuple[int, int, int, int]:
        """(views, rows, columns, channels) of `encode`."""
        ...

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features of one instant."""
        ...


def open_encoder(
    name: str = encoder.NAME,
    image_size: tuple[int, int] = encoder.IMAGE_SIZE,
    views: int = 2,
    runtime: Runtime = DEFAULT,
    precision: str = "float32",
) -> StereoEncoder:
    """Open an encoder by its name; pixels have no graph to run, nor to run in fewer bits.

    Raises:
        ModelError: There is no encoder of that name, or its weights are not installed.
        InferenceError: It cannot run as asked.
    """
    if name == encoder.NAME:
        return encoder.Encoder.load(image_size, views, runtime, precision)
    if name == pixels.NAME:
        return pixels.Pixels(image_size, views)
    raise ModelError(f"no encoder {name!r}; there are {', '.join(SOURCES)}")
