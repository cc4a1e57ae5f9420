"""Other light on pictures: brightness, contrast and saturation, the same for both views of an episode.

As torchvision's ColorJitter, whose 0.4 each HAT trains with. Geometry is left alone: a crop or a turn would have to
move the hand states with it. Cached features cannot be jittered, so whole variants of an episode are encoded.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # of RGB, ITU-R BT.601


@dataclass(frozen=True)
class JitterSettings:
    """Widest changes: a factor is drawn from [1 - x, 1 + x]."""

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.0
    """Largest turn of the colour circle, as a fraction of it, either way."""

    def __post_init__(self) -> None:
        """Refuse changes that would turn pictures black or around."""
        for name, most in (("brightness", 1.0), ("contrast", 1.0), ("saturation", 1.0), ("hue", 0.5)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"expected {name} in [0, {most}], got {getattr(self, name)}")


@dataclass(frozen=True)
class Jitter:
    """One light: 1, 1, 1, 0 leaves pictures as they are."""

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0


def draw_jitter(settings: JitterSettings, *seed: int) -> Jitter:
    """The light that a seed stands for."""
    random = np.random.default_rng(seed)
    widths = (settings.brightness, settings.contrast, settings.saturation)
    brightness, contrast, saturation = (float(random.uniform(1 - width, 1 + width)) for width in widths)
    return Jitter(brightness, contrast, saturation, float(random.uniform(-settings.hue, settings.hue)))


def jitter_pictures(images: NDArray[np.uint8], jitter: Jitter) -> NDArray[np.uint8]:
    """Put (V, H, W, 3) RGB pictures taken at one time into another light, all views alike.

    Contrast is taken around the mean grey of all views together: a mean of each view would tell them apart.
    """
    if jitter == Jitter():
        return images
    pixels = np.clip(images.astype(np.float32) * jitter.brightness, 0, 255)
    pixels = np.clip(_blend(pixels, (pixels @ GRAY).mean(), jitter.contrast), 0, 255)
    pixels = np.clip(_blend(pixels, (pixels @ GRAY)[..., None], jitter.saturation), 0, 255)
    jittered: NDArray[np.uint8] = np.rint(pixels).astype(np.uint8)
    return _turn_hue(jittered, jitter.hue) if jitter.hue else jittered


def _blend(pixels: Array, towards: Array, factor: float) -> Array:
    return towards + factor * (pixels - towards)


def _turn_hue(images: NDArray[np.uint8], turn: float) -> NDArray[np.uint8]:
    """OpenCV keeps the hue of 8-bit pictures in half degrees, 0 to 179."""
    turned = []
    for image in images:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + round(180 * turn)) % 180
        turned.append(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
    return np.stack(turned)
