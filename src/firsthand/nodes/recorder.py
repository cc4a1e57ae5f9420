"""recorder: writes topics into a rosbag2 MCAP, as they come over the wire.

in        the topics of the parameter `topics`, serialized
services  ~/start, ~/stop    Trigger: the node starts with a recording unless `autostart` is off

A bag's time line is the node's clock at arrival: simulated time where there is /clock, so that a replay keeps the order
of things. Capture stamps stay inside the messages.
"""

import sys
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from rclpy.subscription import Subscription
from std_srvs.srv import Trigger

from firsthand.bags.storage import BagSettings
from firsthand.bags.write import BagSummary, BagWriter, Topic
from firsthand.errors import BagError
from firsthand.nodes.diagnostics import ERROR, OK, Diagnostics, Status
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import MEGABYTE, RunnableNode, run
from firsthand.nodes.qos import LATCHED, RECORD
from firsthand.nodes.topics import NamedTopic, message_class, read_topic

TOPICS = (
    "left/color/rect/image/compressed",
    "right/color/rect/image/compressed",
    "left/color/rect/camera_info",
    "right/color/rect/camera_info",
    "joint_states",
    "joint_command",
    "motor_command",
    "hand_state",
    "action_chunk",
    "teleop/target",
    "joint_trajectory",
    "gate_state",
    "simulation/state",
    "simulation/status",
    "policy/markers",
    "/diagnostics",
)


@dataclass(frozen=True)
class RecorderSettings:
    """Parameters of the recorder node."""

    bag: str = setting("", "Folder to write; if empty, one named by the time of day, below `folder`.")
    folder: str = setting("recordings", "Where bags go that have no name of their own.")
    topics: tuple[str, ...] = setting(TOPICS, "Topics to record: 'name', or 'name type' for one that is not ours.")
    autostart: bool = setting(True, "Whether to record from the start, or wait for ~/start.")
    queue_size: int = setting(
        64, "What may wait for the disk before messages are dropped, [MiB].", minimum=1, maximum=4096
    )
    format_version: int = setting(9, "Of rosbag2's metadata: 9 for Jazzy and later, 8 for Humble.", choices=(8, 9))


class Recorder(RunnableNode):
    """Passes bytes from subscriptions to a BagWriter, whose thread waits for the disk."""

    def __init__(self, **options: object) -> None:
        super().__init__("recorder", **options)
        self._settings = read_parameters(self, RecorderSettings)
        self._topics = [read_topic(text) for text in self._settings.topics]
        self._classes = [message_class(one.type) for one in self._topics]  # fails before there is a bag
        self._writer: BagWriter | None = None
        self._listeners: list[Subscription] = []
        self._early = 0  # messages before the first /clock
        self._recordings = 0
        self.create_service(Trigger, "~/start", self._on_start)
        self.create_service(Trigger, "~/stop", self._on_stop)
        Diagnostics(self).add("recording", self._status)
        if self._settings.autostart:
            self.start_recording()

    def start_recording(self) -> Path:
        """Open a new bag and listen.

        Raises:
            BagError: One is being recorded already, or the folder exists.
        """
        if self._writer is not None:
            raise BagError(f"already recording to {self._writer.summary().path}")
        topics = [Topic(self.resolve_topic_name(one.name), one.type, one.latched) for one in self._topics]
        settings = BagSettings(version=self._settings.format_version, queue_bytes=self._settings.queue_size * MEGABYTE)
        self._writer = BagWriter(self._next_path(), topics, settings)
        self._recordings += 1
        self._early = 0
        self._listeners = [self._listen(*one) for one in zip(self._topics, self._classes, strict=True)]
        path = self._writer.summary().path
        self.get_logger().info(f"recording {len(topics)} topics to {path}")
        return path

    def stop_recording(self) -> BagSummary | None:
        """Stop listening and finish the bag; None if nothing was being recorded."""
        for listener in self._listeners:
            self.destroy_subscription(listener)
        self._listeners = []
        writer, self._writer = self._writer, None
        if writer is None:
            return None
        summary = writer.close()
        self.get_logger().info(f"wrote {summary.path}: {_in_words(summary)}")
        return summary

    def shutdown(self) -> None:
        """Finish the bag."""
        try:
            self.stop_recording()
        except BagError as error:
            self.fail(error)

    def _listen(self, topic: NamedTopic, kind: Any) -> Subscription:
        name = self.resolve_topic_name(topic.name)
        qos = LATCHED if topic.latched else RECORD
        callback = partial(self._on_message, name)
        return self.create_subscription(kind, topic.name, callback, qos, raw=True)

    def _on_message(self, topic: str, data: bytes) -> None:
        stamp_ns = self.get_clock().now().nanoseconds
        if self._writer is None:  # stopped while this message waited for the executor
            return
        if stamp_ns == 0:  # simulated time that has not begun
            self._early += 1
            return
        try:
            self._writer.write(topic, stamp_ns, data)
        except BagError as error:
            self.fail(error)

    def _next_path(self) -> Path:
        if not self._settings.bag:
            return Path(self._settings.folder) / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
        path = Path(self._settings.bag)
        return path if self._recordings == 0 else path.with_name(f"{path.name}_{self._recordings + 1}")

    def _on_start(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.message, response.success = str(self.start_recording()), True
        except BagError as error:
            response.message, response.success = str(error), False
        return response

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            summary = self.stop_recording()
        except BagError as error:
            response.message, response.success = str(error), False
        else:
            response.success = summary is not None
            response.message = f"{summary.path}: {_in_words(summary)}" if summary else "nothing was being recorded"
        return response

    def _status(self) -> Status:
        if self._writer is None:
            return Status(OK, "not recording")
        summary = self._writer.summary()
        dropped = sum(summary.dropped.values())
        return Status(
            ERROR if dropped else OK,
            f"recording to {summary.path}",
            {
                "messages": sum(summary.written.values()),
                "written [MB]": summary.bytes / 1e6,
                "dropped by the queue": dropped,
                "before the first clock": self._early,
            },
        )


def _in_words(summary: BagSummary) -> str:
    dropped = sum(summary.dropped.values())
    text = f"{sum(summary.written.values())} messages, {summary.bytes / 1e6:.1f} MB"
    return f"{text}, {dropped} dropped because the disk was too slow" if dropped else text


def main() -> int:
    """Run the recorder."""
    return run(Recorder)


if __name__ == "__main__":
    sys.exit(main())
