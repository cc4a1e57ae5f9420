"""Pictures, patch features and camera calibrations, to messages and back. Pictures are (H, W, 3) uint8 RGB inside."""

import re
from array import array
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from firsthand.errors import ImageError
from firsthand.nodes.messages import stamp_from_ns
from firsthand.vision.intrinsics import Intrinsics

Picture = NDArray[np.uint8]
Array = NDArray[np.floating]
Pixels = NDArray[Any]

LEFT_FRAME = "left_eye_optical"
RIGHT_FRAME = "right_eye_optical"
JPEG_FORMAT = "rgb8; jpeg compressed bgr8"  # as compressed_image_transport writes it
TO_RGB = {
    "rgb8": None,
    "bgr8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
}
"""Encodings that `read_image` takes, and how each becomes RGB."""
CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
FEATURES_ENCODING = re.compile(r"32FC([1-9][0-9]*)")


def write_compressed_image(image: Picture, stamp_ns: int, frame_id: str, quality: int = 90) -> CompressedImage:
    """A JPEG.

    Args:
        image: (H, W, 3) RGB.
        stamp_ns: When the shutter opened.
        frame_id: The camera's optical frame.
        quality: 1 to 100.
    """
    bgr = cv2.cvtColor(_checked(image), cv2.COLOR_RGB2BGR)
    encoded, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise ImageError(f"OpenCV cannot encode an image of shape {image.shape} as JPEG")
    message = CompressedImage(header=Header(stamp=stamp_from_ns(stamp_ns), frame_id=frame_id), format=JPEG_FORMAT)
    _fill(message, jpeg)
    return message


def read_compressed_image(message: CompressedImage, size: tuple[int, int] | None = None) -> Picture:
    """The picture of a JPEG or PNG message, (H, W, 3) RGB.

    Args:
        message: From any camera.
        size: Width and height that it must have, [px].

    Raises:
        ImageError: The data is no picture, or one of another size.
    """
    data = np.frombuffer(message.data, np.uint8)
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except cv2.error:  # a header that promises more pixels than OpenCV allows
        bgr = None
    if bgr is None:
        raise ImageError(f"expected a JPEG or PNG, got {len(data)} bytes of format {message.format!r} that are none")
    _check_size(bgr, size)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def write_image(image: Picture, stamp_ns: int, frame_id: str) -> Image:
    """A raw rgb8 image that shares its pixels with `image`: leave those alone until it is published."""
    image = np.ascontiguousarray(_checked(image))
    return _write_raw(image, "rgb8", stamp_ns, frame_id)


def read_image(message: Image, size: tuple[int, int] | None = None) -> Picture:
    """The picture of a raw message, (H, W, 3) RGB; rgb8 is a view of the message's bytes.

    Args:
        message: In any encoding of `TO_RGB`.
        size: Width and height that it must have, [px].

    Raises:
        ImageError: Another encoding, another size, or fewer bytes than promised.
    """
    if message.encoding not in TO_RGB:
        raise ImageError(f"expected an encoding of {', '.join(TO_RGB)}, got {message.encoding!r}")
    image = _pixels(message, np.dtype(np.uint8), CHANNELS[message.encoding])
    _check_size(image, size)
    conversion = TO_RGB[message.encoding]
    return image if conversion is None else cv2.cvtColor(image, conversion)


def write_depth(depth: NDArray[np.float32], stamp_ns: int, frame_id: str) -> Image:
    """A depth map (H, W), [m] along the optical axis, as 32FC1; NaN and infinity where there is none."""
    if np.ndim(depth) != 2 or 0 in np.shape(depth):
        raise ImageError(f"expected a depth map (height, width), got shape {np.shape(depth)}")
    return _write_raw(np.ascontiguousarray(depth, dtype="<f4")[..., None], "32FC1", stamp_ns, frame_id)


def write_features(features: Array, stamp_ns: int, frame_id: str = LEFT_FRAME) -> Image:
    """Patch features as an image of many channels, the views stacked from top to bottom.

    Args:
        features: (V, gh, gw, channels).
        stamp_ns: Of the pictures.
        frame_id: Optical frame of the first view.
    """
    if np.ndim(features) != 4 or 0 in np.shape(features):
        raise ImageError(f"expected features (views, rows, columns, channels), got shape {np.shape(features)}")
    views, rows, columns, channels = features.shape
    stacked = np.ascontiguousarray(features, dtype="<f4").reshape(views * rows, columns, channels)
    return _write_raw(stacked, f"32FC{channels}", stamp_ns, frame_id)


def read_features(message: Image, views: int = 2) -> NDArray[np.float32]:
    """Patch features (V, gh, gw, channels), a view of the message's bytes.

    Raises:
        ImageError: Another encoding, rows that do not divide into the views, or numbers that are not finite.
    """
    encoding = FEATURES_ENCODING.fullmatch(message.encoding)
    if not encoding:
        raise ImageError(f"expected features in an encoding 32FC<channels>, got {message.encoding!r}")
    if message.height == 0 or message.height % views:
        raise ImageError(f"expected features of {views} views on top of each other, got {message.height} rows")
    channels = int(encoding[1])
    features = _pixels(message, np.dtype(np.float32), channels)
    if not np.isfinite(features).all():
        raise ImageError("expected finite features, got NaN or infinity")
    return features.reshape(views, message.height // views, message.width, channels)


def write_camera_infos(intrinsics: Intrinsics, stamp_ns: int) -> tuple[CameraInfo, CameraInfo]:
    """The calibrations of a rectified stereo pair, left then right."""
    left, right = _camera_info(intrinsics, stamp_ns, LEFT_FRAME), _camera_info(intrinsics, stamp_ns, RIGHT_FRAME)
    right.p[3] = -intrinsics.fx * intrinsics.baseline  # Tx of sensor_msgs/CameraInfo
    return left, right


def read_camera_infos(left: CameraInfo, right: CameraInfo) -> Intrinsics:
    """A rectified stereo pair's calibration.

    Raises:
        ImageError: Uncalibrated, or left and right do not belong together.
    """
    fx, fy, cx, cy = left.p[0], left.p[5], left.p[2], left.p[6]
    if fx <= 0 or fy <= 0 or not np.isfinite([*left.p, *right.p]).all():
        raise ImageError(f"expected a calibrated left camera, got fx = {fx}, fy = {fy}")
    if (left.width, left.height) != (right.width, right.height) or not np.isclose(right.p[0], fx):
        raise ImageError(
            f"expected two rectified cameras of one size and focal length, got {left.width}x{left.height} at {fx} "
            f"and {right.width}x{right.height} at {right.p[0]}"
        )
    return Intrinsics(left.width, left.height, fx, fy, cx, cy, baseline=-right.p[3] / fx)


def _camera_info(intrinsics: Intrinsics, stamp_ns: int, frame_id: str) -> CameraInfo:
    i = intrinsics
    message = CameraInfo(header=Header(stamp=stamp_from_ns(stamp_ns), frame_id=frame_id))
    message.width, message.height = i.width, i.height
    message.distortion_model, message.d = "plumb_bob", [0.0] * 5
    message.k = [i.fx, 0.0, i.cx, 0.0, i.fy, i.cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [i.fx, 0.0, i.cx, 0.0, 0.0, i.fy, i.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def _write_raw(pixels: Pixels, encoding: str, stamp_ns: int, frame_id: str) -> Image:
    message = Image(header=Header(stamp=stamp_from_ns(stamp_ns), frame_id=frame_id), encoding=encoding)
    message.height, message.width = pixels.shape[:2]
    message.step = pixels.strides[0]
    _fill(message, pixels)
    return message


def _fill(message: Image | CompressedImage, data: Pixels) -> None:
    """Hand the bytes over without a copy.

    The setter of `data` checks every byte in Python (0.2 s for a 720p image) unless it gets an array.array, which
    costs a copy; the serializer itself takes any contiguous buffer.
    """
    if hasattr(message, "_data"):
        message._data = memoryview(data).cast("B")  # type: ignore[arg-type]
    else:
        message.data = array("B", data.tobytes())


def _pixels(message: Image, dtype: np.dtype, channels: int) -> Pixels:
    """The pixels of a raw message as (height, width, channels), padding at the end of rows left out."""
    row = message.width * channels * dtype.itemsize
    data = np.frombuffer(message.data, np.uint8)
    if message.step < row or len(data) != message.step * message.height or not row or not len(data):
        raise ImageError(
            f"expected {message.height} rows of at least {row} bytes for {message.width}x{message.height} "
            f"{message.encoding}, got {len(data)} bytes in steps of {message.step}"
        )
    rows = np.ascontiguousarray(data.reshape(message.height, message.step)[:, :row])
    pixels = rows.view(dtype.newbyteorder(">" if message.is_bigendian else "<")).astype(dtype, copy=False)
    return pixels.reshape(message.height, message.width, channels)


def _check_size(image: Pixels, size: tuple[int, int] | None) -> None:
    height, width = image.shape[:2]
    if size is not None and (width, height) != tuple(size):
        raise ImageError(f"expected an image of {size[0]}x{size[1]} pixels, got {width}x{height}")


def _checked(image: Picture) -> Picture:
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ImageError(f"expected an RGB image (height, width, 3) of uint8, got {image.shape} of {image.dtype}")
    return image
