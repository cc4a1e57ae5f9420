"""Pictures as features: for a policy that trains its own image backbone, as ACT does.

It stands where DINOv2 stands, so that such a policy is cached, trained, checked and run like every other.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ImageError

NAME = "pixels"
CHANNELS = 3


@dataclass(frozen=True)
class Pixels:
    """Stereo images to resized pictures."""

    image_size: tuple[int, int]  # height, width [px]
    views: int = 2

    storage = np.uint8
    """The type that holds its features without loss."""

    def __post_init__(self) -> None:
        """Refuse sizes of nothing."""
        if min(*self.image_size, self.views) < 1:
            raise ImageError(f"expected pictures of at least 1 px and 1 view, got {self.image_size} and {self.views}")

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The pictures themselves.

        Args:
            images: (views, H, W, 3) RGB, any size; resized by pixel area to `image_size`.

        Returns:
            (views, height, width, 3), whole numbers from 0 to 255.

        Raises:
            ImageError: Not that many uint8 RGB images.
        """
        return resize(images, self.views, self.image_size).astype(np.float32)

    @property
    def feature_shape(self) -> tuple[int, int, int, int]:
        """(views, height, width, 3) of `encode`."""
        return (self.views, *self.image_size, CHANNELS)


def resize(images: NDArray[np.uint8], views: int, image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """(views, H, W, 3) RGB images by pixel area to a height and width.

    Raises:
        ImageError: Not that many uint8 RGB images.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[0] != views or images.shape[3] != 3:
        raise ImageError(
            f"expected {views} RGB images as (views, height, width, 3) uint8, got {images.shape} {images.dtype}"
        )
    height, width = image_size
    return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images])
