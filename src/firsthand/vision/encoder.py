"""The frozen visual encoder Phi of the paper: DINOv2 ViT-S/14 patch features through ONNX Runtime.

Training caches features with this same session, so that a policy never sees other features than at run time.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.inference import Session, open_session
from firsthand.vision.dinov2_graph import CHANNELS, PATCH, SOURCE_SHA256, build_encoder_graph, find_source
from firsthand.vision.pixels import resize

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
    def load(cls, image_size: tuple[int, int] = IMAGE_SIZE, views: int = 2, threads: int = 1) -> "Encoder":
        """Open the encoder, building its graph in the cache folder at the first call (a few seconds).

        Args:
            image_size: Height and width that images are resized to, [px], multiples of 14.
            views: Images per call: 2 for a stereo pair.
            threads: CPU threads; one per process is the fastest on a busy machine.

        Raises:
            ModelError: The weights are not installed, or are not the known ones.
        """
        height, width = image_size
        graph = cache_directory() / f"{NAME}-{SOURCE_SHA256[:8]}-{views}x{height}x{width}.onnx"
        if not graph.exists():
            build_encoder_graph(find_source(), graph, image_size, views)
        return cls(open_session(graph, threads), image_size, views)

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


def cache_directory() -> Path:
    """Where graphs built on this machine are kept: $FIRSTHAND_CACHE, else the user's cache folder."""
    if override := os.environ.get("FIRSTHAND_CACHE"):
        return Path(override)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "firsthand"
