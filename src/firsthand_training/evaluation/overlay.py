"""Predicted hand trajectories drawn into what the robot saw."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.space.hand_state import HandState
from firsthand.vision.intrinsics import Intrinsics

Array = NDArray[np.floating]
Image = NDArray[np.uint8]

COLORS = ((64, 196, 255), (255, 150, 40))  # RGB, left and right hand
SHIFT = 4  # OpenCV draws at 1/16 of a pixel
FINGERS_SHOWN = (0, 1, 2)  # thumb, index, middle: more lines hide the hand


@dataclass(frozen=True)
class Eye:
    """A camera fixed to the head."""

    intrinsics: Intrinsics
    camera_from_robot: Array  # (4, 4), optical frame from robot frame

    def project(self, points_in_robot: Array) -> Array:
        """Pixels (..., 2) of points (..., 3) in the robot frame, [m]."""
        rotation, position = self.camera_from_robot[:3, :3], self.camera_from_robot[:3, 3]
        return self.intrinsics.project(np.asarray(points_in_robot) @ rotation.T + position)


def draw_chunk(image: Image, eye: Eye, actions: Array) -> Image:
    """Draw where a chunk will take palms and fingertips; the future fades.

    Args:
        image: (H, W, 3) RGB of that eye, of the size of its intrinsics; left as it is.
        eye: The camera.
        actions: (N, 54), the rest of the chunk from now on.

    Returns:
        A new image.
    """
    canvas = image.copy()
    if len(actions) < 2:
        return canvas
    state = HandState.from_vector(actions)
    palms = state.wrist_positions + 0.08 * state.wrist_rotations[..., :, 0]  # 8 cm along the fingers
    for side, color in enumerate(COLORS):
        _draw_path(canvas, eye.project(palms[:, side]), color, thickness=3)
        for finger in FINGERS_SHOWN:
            _draw_path(canvas, eye.project(state.fingertips_in_robot[:, side, finger]), color, thickness=1)
    return canvas


def _draw_path(canvas: Image, pixels: Array, color: tuple[int, int, int], thickness: int) -> None:
    """A line that fades towards its end, with a dot there."""
    visible = np.asarray((np.abs(pixels) < 1e4).all(axis=-1))  # NaN, behind the camera, is not
    fixed = np.where(visible[:, None], pixels * (1 << SHIFT), 0).round().astype(np.int32)
    layer = canvas.copy()
    for k in range(len(pixels) - 1, 0, -1):
        if visible[k - 1] and visible[k]:
            weight = 1.0 - 0.75 * k / len(pixels)
            cv2.line(
                layer, fixed[k - 1].tolist(), fixed[k].tolist(), _mix(color, weight), thickness, cv2.LINE_AA, SHIFT
            )
    if visible[-1]:
        cv2.circle(layer, fixed[-1].tolist(), (thickness + 1) << SHIFT, color, -1, cv2.LINE_AA, SHIFT)
    cv2.addWeighted(layer, 0.85, canvas, 0.15, 0, dst=canvas)


def _mix(color: tuple[int, int, int], weight: float) -> tuple[int, int, int]:
    red, green, blue = (int(weight * channel + (1 - weight) * 255) for channel in color)
    return red, green, blue
