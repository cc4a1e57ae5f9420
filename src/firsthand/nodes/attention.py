"""The part of the policy node that shows what the policy looked at; it costs nothing while nobody looks.

in   left/color/rect/image/compressed, right/...   only while ~/attention has a subscriber
out  ~/attention                                   CompressedImage, the newest observation with the selected blocks
"""

import struct
from collections import deque

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage

from firsthand.errors import CheckpointError
from firsthand.nodes.image_messages import LEFT_FRAME, read_compressed_image, write_compressed_image
from firsthand.nodes.messages import SECOND
from firsthand.nodes.qos import LATEST, PUBLISH
from firsthand.policy.attention import Blocks, draw_attention
from firsthand.policy.checkpoint import Manifest

SIDES = ("left", "right")
KEPT = 30  # pictures of each side: more than a second, which is longer than a chunk takes
PERIOD = 0.5  # [s] between two looks at whether anybody listens
STAMP = struct.Struct("<4xiI")  # of a serialized message that begins with a header: encapsulation, seconds, nanoseconds


class AttentionView:
    """Keeps recent pictures while somebody looks, and draws on those of an observation."""

    def __init__(self, node: Node, manifest: Manifest) -> None:
        self._node, self._logger = node, node.get_logger()
        self._pictures = {side: deque[bytes](maxlen=KEPT) for side in SIDES}
        self._subscriptions: list[object] = []
        try:
            self._blocks: Blocks | None = Blocks.of(manifest)
        except CheckpointError as error:
            self._blocks = None
            self._logger.info(f"~/attention is not published: {error}")
            return
        self._publisher = node.create_publisher(CompressedImage, "~/attention", PUBLISH)
        node.create_timer(PERIOD, self._follow_audience)

    def show(self, stamp_ns: int, selected: NDArray[np.int64] | None) -> None:
        """Publish the picture of an observation, if anybody looks and its pictures are here."""
        if self._blocks is None or selected is None or not self._subscriptions:
            return
        try:
            pair = [self._find(side, stamp_ns) for side in SIDES]
            if any(message is None for message in pair):
                return
            images = [read_compressed_image(deserialize_message(message, CompressedImage)) for message in pair]
            drawn = draw_attention(np.stack(images), selected, self._blocks)
        except Exception as error:  # of OpenCV, of the middleware: nothing that is only looked at may stop the policy
            self._logger.warning(f"no picture of the attention: {error}", throttle_duration_sec=5.0)
            return
        self._publisher.publish(write_compressed_image(drawn, stamp_ns, LEFT_FRAME))

    def _follow_audience(self) -> None:
        watched = self._publisher.get_subscription_count() > 0
        if watched and not self._subscriptions:
            self._subscriptions = [self._subscribe(side) for side in SIDES]
        elif not watched and self._subscriptions:
            for subscription in self._subscriptions:
                self._node.destroy_subscription(subscription)
            self._subscriptions = []

    def _subscribe(self, side: str) -> object:
        topic = f"{side}/color/rect/image/compressed"
        return self._node.create_subscription(
            CompressedImage, topic, lambda message: self._pictures[side].append(message), LATEST, raw=True
        )  # a built-in has no signature, which rclpy asks for

    def _find(self, side: str, stamp_ns: int) -> bytes | None:
        for message in tuple(self._pictures[side]):  # one step of the interpreter: the executor appends meanwhile
            seconds, nanoseconds = STAMP.unpack_from(message)
            if seconds * SECOND + nanoseconds == stamp_ns:
                return message
        return None
