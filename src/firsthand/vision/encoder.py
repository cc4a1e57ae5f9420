"""The frozen visual encoder Phi of the paper: DINOv2 ViT-S/14 patch features through ONNX Runtime.

Training caches features with this same session, so that a policy never sees other features than at run time.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import InferenceError
from firsthand.inference import DEFAULT, Runtime, Session, open_session
from firsthand.share import cache_directory
from firsthand.vision.dinov2_graph import CHANNELS, PATCH, SOURCE_SHA256, build_encoder_graph, find_source
from firsthand.vision.pixels import resize
from firsthand.vision.precision import PRECISIONS, RECIPE, REFERENCE, build_int8_graph, check_parity

NAME = "dinov2_vits14"
IMAGE_SIZE = (112, 196)  # height, width [px]: 8 x 14 patches, the shape of a 16:9 camera


@dataclass(frozen=True)
class Encoder:
    """Stereo images to patch features."""

    session: Session
    image_size: tuple[int, int]  # height, width [px] that the network sees
    views: int

    storage = np.float16
    """The type that its features are cached in."""

    @classmethod
    def load(
        cls,
        image_size: tuple[int, int] = IMAGE_SIZE,
        views: int = 2,
        runtime: Runtime = DEFAULT,
        precision: str = "float32",
    ) -> "Encoder":
        """Open the encoder, building its graph in the cache folder at the first call (a few seconds).

        Args:
            image_size: Height and width that images are resized to, [px], multiples of 14.
            views: Images per call: 2 for a stereo pair.
            runtime: Where it runs; in half precision it is compared with float32 at every start.
            precision: `float32`, or `int8` for a CPU: about 0.6 of the time, features a little off (`precision.py`).

        Raises:
            ModelError: The weights are not installed, or are not the known ones.
            InferenceError: It cannot run as asked, or in fewer bits it is too far from float32.
        """
        graph = _find_graph(image_size, views)
        if precision == "int8":
            graph = build_int8_graph(graph, graph.with_name(f"{graph.stem}-{RECIPE}.onnx"))
            runtime = _on_cpu(runtime)
        elif precision not in PRECISIONS:
            raise InferenceError(f"no precision {precision!r}; there are {', '.join(PRECISIONS)}")
        session = open_session(graph, runtime)
        if runtime.half:
            check_parity(session, open_session(graph, REFERENCE))
        return cls(session, image_size, views)

    @property
    def grid(self) -> tuple[int, int]:
        """Patches along height and width."""
        return self.image_size[0] // PATCH, self.image_size[1] // PATCH

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Patch features v_t = Phi(I_t).

        Args:
            images: (views, H, W, 3) RGB, any size; resized by pixel area to `image_size`.

        Returns:
            (views, rows, columns, 384), LayerNormed patch tokens, row-major from the upper left.

        Raises:
            ImageError: Not that many uint8 RGB images.
        """
        (features,) = self.session.run(["features"], {"images": resize(images, self.views, self.image_size)})
        return features

    @property
    def feature_shape(self) -> tuple[int, int, int, int]:
        """(views, rows, columns, channels) of `encode`."""
        return (self.views, *self.grid, CHANNELS)


def _find_graph(image_size: tuple[int, int], views: int) -> Path:
    """The float32 graph in the cache, made if it is not there."""
    height, width = image_size
    graph = cache_directory() / f"{NAME}-{SOURCE_SHA256[:8]}-{views}x{height}x{width}.onnx"
    return graph if graph.exists() else build_encoder_graph(find_source(), graph, image_size, views)


def _on_cpu(runtime: Runtime) -> Runtime:
    """The same on the CPU, for whose instructions the int8 graph is made."""
    if runtime.provider not in ("auto", "cpu"):
        raise InferenceError(
            f"precision 'int8' is for the CPU, got provider {runtime.provider!r}; a GPU is quicker in float32, or with "
            "TensorRT in half precision"
        )
    return replace(runtime, provider="cpu")
