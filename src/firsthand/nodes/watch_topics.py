"""Listens to topics for a while and prints, as one line of JSON, who publishes them and what came; for the doctor.

    python -m firsthand.nodes.watch_topics --seconds 3 'joint_states sensor_msgs/msg/JointState' ...
    python -m firsthand.nodes.watch_topics --say firsthand_doctor/hello     publish there instead

Any publisher is heard, reliable or not, latched or not; messages are not decoded.
"""

import argparse
import json
import sys
import time
from functools import partial
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from firsthand.bags.message_types import header_stamp_ns, starts_with_header, typestore
from firsthand.nodes.messages import SECOND
from firsthand.nodes.process import prepare_process
from firsthand.nodes.qos import LATCHED, PUBLISH
from firsthand.nodes.topics import NamedTopic, message_class, read_topic

ANY = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT, durability=DurabilityPolicy.VOLATILE)
DISCOVERY = 1.0  # [s] before counting begins
SAY_PERIOD = 0.1  # [s]


class Watch:
    """One topic that is listened to."""

    def __init__(self, node: Node, topic: NamedTopic) -> None:
        self.topic, self._node = topic, node
        self.count, self._counting, self._newest_ns, self._came_ns = 0, topic.latched, 0, 0
        self._stamped = starts_with_header(topic.type, typestore())
        qos = LATCHED if topic.latched else ANY
        node.create_subscription(message_class(topic.type), topic.name, self._on_message, qos, raw=True)

    def begin(self) -> None:
        """Count from here on; what is latched came before."""
        self._counting = True

    def result(self, seconds: float) -> dict[str, Any]:
        """What came in so many seconds."""
        name = self._node.resolve_topic_name(self.topic.name)
        infos = self._node.get_publishers_info_by_topic(name)
        comparable = self._newest_ns and not self._node.count_publishers("/clock")  # simulated stamps are not of today
        age = (self._came_ns - self._newest_ns) / SECOND if comparable else None
        return {
            "topic": name,
            "publishers": sorted({info.node_name for info in infos}),
            "writers": len(infos),
            "types": sorted({info.topic_type for info in infos}),
            "count": self.count,
            "rate": self.count / seconds,
            "age": age,
        }

    def _on_message(self, data: bytes) -> None:
        if self._counting:
            self.count += 1
        if self._stamped:
            self._newest_ns, self._came_ns = header_stamp_ns(data) or 0, time.time_ns()


def main() -> int:
    """Listen, or speak, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topics", nargs="*")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--until-heard", action="store_true", help="end as soon as every topic has been heard")
    parser.add_argument("--say", default="")
    options = parser.parse_args()
    prepare_process()
    rclpy.init(args=[])
    node = Node("firsthand_doctor")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    if options.say:
        output = node.create_publisher(String, options.say, PUBLISH)
        node.create_timer(SAY_PERIOD, partial(output.publish, String(data="hello")))
    watches = [Watch(node, read_topic(text)) for text in options.topics]
    _spin(executor, DISCOVERY)
    for watch in watches:
        watch.begin()
    begin = time.monotonic()
    while time.monotonic() < begin + options.seconds:
        _spin(executor, 0.1)
        if options.until_heard and all(watch.count for watch in watches):
            break
    seconds = time.monotonic() - begin
    print(json.dumps([watch.result(seconds) for watch in watches]), flush=True)
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


def _spin(executor: SingleThreadedExecutor, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=left)


if __name__ == "__main__":
    sys.exit(main())
