"""Pictures, features and calibrations go there and back; what does not fit is refused."""

import zlib

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from firsthand.errors import ImageError
from firsthand.nodes.image_messages import (
    read_camera_infos,
    read_compressed_image,
    read_features,
    read_image,
    write_camera_infos,
    write_compressed_image,
    write_features,
    write_image,
)
from firsthand.nodes.messages import ns_from_stamp
from firsthand.vision.intrinsics import Intrinsics

INTRINSICS = Intrinsics(width=640, height=360, fx=320.0, fy=321.0, cx=319.5, cy=179.5, baseline=0.063)


def picture(height=36, width=64):
    """A smooth picture whose channels differ, so that swapped colours show."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 30)], axis=-1).astype(np.uint8)


def over_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


def test_raw_image_there_and_back():
    message = over_the_wire(write_image(picture(), 5_000_000_001, "left_eye_optical"))
    np.testing.assert_array_equal(read_image(message, size=(64, 36)), picture())
    assert (message.encoding, message.step, message.header.frame_id) == ("rgb8", 192, "left_eye_optical")
    assert ns_from_stamp(message.header.stamp) == 5_000_000_001


def test_a_part_of_a_picture_is_written_whole():
    np.testing.assert_array_equal(
        read_image(over_the_wire(write_image(picture()[::2, ::3], 0, "x"))), picture()[::2, ::3]
    )


@pytest.mark.parametrize(
    ("encoding", "conversion"),
    [("bgr8", cv2.COLOR_RGB2BGR), ("rgba8", cv2.COLOR_RGB2RGBA), ("bgra8", cv2.COLOR_RGB2BGRA)],
)
def test_other_cameras_encodings(encoding, conversion):
    pixels = cv2.cvtColor(picture(), conversion)
    message = Image(height=36, width=64, encoding=encoding, step=pixels.strides[0])
    message.data = pixels.tobytes()
    np.testing.assert_array_equal(read_image(message), picture())


def test_padding_at_the_end_of_rows():
    padded = np.zeros((36, 64 * 3 + 8), np.uint8)
    padded[:, :192] = picture().reshape(36, 192)
    message = Image(height=36, width=64, encoding="rgb8", step=200)
    message.data = padded.tobytes()
    np.testing.assert_array_equal(read_image(message), picture())


def test_jpeg_there_and_back_in_the_right_colours():
    message = over_the_wire(write_compressed_image(picture(), 7, "right_eye_optical", quality=95))
    assert message.format == "rgb8; jpeg compressed bgr8"
    assert np.abs(read_compressed_image(message, size=(64, 36)).astype(int) - picture()).mean() < 3


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"encoding": "32FC1"}, "expected an encoding of rgb8, bgr8, rgba8, bgra8, mono8; got '32FC1'"),
        ({"height": 40}, "expected 40 rows of at least 192 bytes for 64x40 rgb8, got 6912 bytes"),
        ({"step": 100}, "in steps of 100"),
        ({"width": 0, "height": 0, "step": 0}, "expected 0 rows"),
    ],
)
def test_images_that_are_not_what_they_say(change, error):
    message = over_the_wire(write_image(picture(), 0, "x"))
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(ImageError) as caught:
        read_image(message)
    assert error.replace("; got", ", got") in str(caught.value)


def test_another_size_than_promised():
    with pytest.raises(ImageError, match="expected an image of 640x360 pixels, got 64x36"):
        read_image(write_image(picture(), 0, "x"), size=(640, 360))
    with pytest.raises(ImageError, match="expected an image of 640x360 pixels, got 64x36"):
        read_compressed_image(write_compressed_image(picture(), 0, "x"), size=(640, 360))


HUGE = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0\1\x11\x70" * 2 + b"\x08\2\0\0\0"
BOMB = HUGE + zlib.crc32(HUGE[12:]).to_bytes(4, "big")
"""The head of a PNG of 70000 x 70000 pixels."""


@pytest.mark.parametrize("data", [b"", b"no picture at all", bytes(100), BOMB])
def test_jpegs_that_are_none(data):
    with pytest.raises(ImageError, match="expected a JPEG or PNG"):
        read_compressed_image(CompressedImage(format="jpeg", data=data))


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_picture_is_not_written(image):
    for write in (write_image, write_compressed_image):
        with pytest.raises(ImageError, match=r"expected an RGB image \(height, width, 3\) of uint8"):
            write(image, 0, "x")


def test_features_there_and_back():
    features = np.random.default_rng(0).normal(size=(2, 8, 14, 384)).astype(np.float32)
    message = over_the_wire(write_features(features, 9))
    assert (message.encoding, message.height, message.width) == ("32FC384", 16, 14)
    np.testing.assert_array_equal(read_features(message), features)


def test_features_that_are_none():
    features = np.zeros((2, 8, 14, 4), np.float32)
    with pytest.raises(ImageError, match="an encoding 32FC<channels>, got 'rgb8'"):
        read_features(write_image(picture(), 0, "x"))
    with pytest.raises(ImageError, match="3 views on top of each other, got 16 rows"):
        read_features(write_features(features, 0), views=3)
    with pytest.raises(ImageError, match=r"expected features \(views, rows, columns, channels\)"):
        write_features(features[0], 0)
    features[1, 2, 3, 0] = np.nan
    with pytest.raises(ImageError, match="NaN"):
        read_features(write_features(features, 0))


def test_calibration_there_and_back():
    left, right = map(over_the_wire, write_camera_infos(INTRINSICS, 3))
    assert read_camera_infos(left, right) == INTRINSICS
    assert (left.header.frame_id, right.header.frame_id) == ("left_eye_optical", "right_eye_optical")
    assert right.p[3] == pytest.approx(-320.0 * 0.063)  # Tx as sensor_msgs defines it


def test_calibrations_that_do_not_fit():
    left, right = write_camera_infos(INTRINSICS, 3)
    with pytest.raises(ImageError, match="calibrated left camera"):
        read_camera_infos(CameraInfo(), right)
    right.width = 320
    with pytest.raises(ImageError, match="two rectified cameras of one size"):
        read_camera_infos(left, right)
