"""Bright dots of one colour, as sticky tape on a fingertip makes them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import CalibrationError

Array = NDArray[np.floating]
Picture = NDArray[np.uint8]

HUES = {
    "orange": (12, 10),
    "yellow": (27, 8),
    "green": (60, 18),
    "cyan": (90, 10),
    "blue": (112, 12),
    "magenta": (150, 14),
}
"""Hue in OpenCV's half degrees, and how far from it still counts. Red is skin and wood: not offered."""
SATURATION, VALUE = 110, 60  # of 255, at least
SMALLEST = 10  # [px] of area
ROUND = 0.45  # area over that of the circle around it
SOLE = 0.5  # a second blob larger than this share of the first: which of them is the dot?


def find_dot(picture: Picture, colour: str) -> Array | None:
    """The centre (2,) of the one dot of a colour in a picture (H, W, 3) RGB, to a fraction of a pixel; None if unsure.

    Raises:
        CalibrationError: No such colour.
    """
    if colour not in HUES:
        raise CalibrationError(f"expected a colour of {', '.join(HUES)}, got {colour!r}")
    hue, tolerance = HUES[colour]
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    away = np.abs((hsv[..., 0].astype(int) - hue + 90) % 180 - 90)
    mask = ((away <= tolerance) & (hsv[..., 1] >= SATURATION) & (hsv[..., 2] >= VALUE)).astype(np.uint8)
    count, _, statistics, centres = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return None
    areas = statistics[1:, cv2.CC_STAT_AREA]
    best = int(areas.argmax()) + 1
    others = np.delete(areas, best - 1)
    if areas[best - 1] < SMALLEST or (len(others) and others.max() > SOLE * areas[best - 1]):
        return None
    longest = max(statistics[best, cv2.CC_STAT_WIDTH], statistics[best, cv2.CC_STAT_HEIGHT])
    if areas[best - 1] < ROUND * np.pi / 4 * longest**2:
        return None
    return np.asarray(centres[best], dtype=float)
