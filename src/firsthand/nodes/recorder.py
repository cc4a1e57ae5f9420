"""recorder: writes topics into rosbag2 MCAPs as they come over the wire, one bag an episode.

in        the topics of the parameter `topics`, serialized
          ~/task      std_msgs/String: what is about to be shown, of this episode and those after it
          ~/label     std_msgs/String: how the episode in progress, or the last one, went
out       ~/state     std_msgs/String, latched: "ready: ...", "recording: ..." or "failed: ..."
services  ~/start, ~/stop, ~/toggle, ~/discard    Trigger
          Without `autostart` the node waits for the first of them.

It listens all the time, so that an episode begins with the first message after its start; to latched topics it listens
anew for each bag, which then begins with how things stood. A bag's time line is the node's clock at arrival: simulated
time where there is /clock, so that a replay keeps the order of things. Capture stamps stay inside the messages. An
episode that was stopped is judged by `firsthand report`, in a process of its own; what it says is added to the state.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.subscription import Subscription
from std_msgs.msg import String
from std_srvs.srv import Trigger

from firsthand.bags.session import RecordingSession, summary_in_words
from firsthand.bags.storage import BagSettings
from firsthand.bags.write import BagSummary, Topic
from firsthand.errors import BagError
from firsthand.nodes.diagnostics import ERROR, OK, Diagnostics, Status
from firsthand.nodes.intake import Intake
from firsthand.nodes.judge import Judge
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import MEGABYTE, RunnableNode, run
from firsthand.nodes.qos import EVERY, LATCHED, RECORD
from firsthand.nodes.topics import NamedTopic, message_class, read_topic

TOPICS = (
    "left/color/rect/image/compressed",
    "right/color/rect/image/compressed",
    "left/color/rect/camera_info",
    "right/color/rect/camera_info",
    "teleop/hands",
    "teleop/target",
    "teleop/status",
    "source",
    "joint_states",
    "joint_command",
    "motor_command",
    "hand_state",
    "action_chunk",
    "joint_trajectory",
    "gate_state",
    "estop",
    "simulation/state",
    "simulation/status",
    "policy/markers",
    "/diagnostics",
)
WATCH_PERIOD = 0.2  # [s]


@dataclass(frozen=True)
class RecorderSettings:
    """Parameters of the recorder node."""

    bag: str = setting("", "Folder to write; if empty, one named by the time of day, below `folder`.")
    folder: str = setting("recordings", "Where bags go that have no name of their own.")
    topics: tuple[str, ...] = setting(TOPICS, "Topics to record: 'name', or 'name type' for one that is not ours.")
    autostart: bool = setting(True, "Whether to record from the start, or wait for ~/start.")
    task: str = setting("", "What is shown, in words; ~/task changes it.")
    judge: bool = setting(True, "Whether a quality report is made of every bag when it is finished.")
    reserve: int = setting(
        200, "What recording leaves free on the disk: a bag is finished before, [MiB].", minimum=0, maximum=1000000
    )
    queue_size: int = setting(
        64, "What may wait for the disk before messages are dropped, [MiB].", minimum=1, maximum=4096
    )
    format_version: int = setting(9, "Of rosbag2's metadata: 9 for Jazzy and later, 8 for Humble.", choices=(8, 9))


class Recorder(RunnableNode):
    """Passes bytes from subscriptions to a RecordingSession, whose thread waits for the disk."""

    def __init__(self, **options: object) -> None:
        super().__init__("recorder", **options)
        s = read_parameters(self, RecorderSettings)
        self._topics = [read_topic(text) for text in s.topics]
        classes = [message_class(one.type) for one in self._topics]  # fails before there is a bag
        self.session = RecordingSession(
            [Topic(self.resolve_topic_name(one.name), one.type, one.latched) for one in self._topics],
            Path(s.folder),
            Path(s.bag) if s.bag else None,
            BagSettings(version=s.format_version, queue_bytes=s.queue_size * MEGABYTE),
            reserve=s.reserve * MEGABYTE,
        )
        self.session.set_task(s.task)
        self._latched = [(one, kind) for one, kind in zip(self._topics, classes, strict=True) if one.latched]
        self._latched_listeners: list[Subscription] = []
        self._early = 0  # messages before the first /clock
        self._shown = ""
        self._output = self.create_publisher(String, "~/state", LATCHED)
        self._verdicts: SimpleQueue[tuple[Path, str]] = SimpleQueue()
        self._judge = Judge(lambda bag, verdict: self._verdicts.put((bag, verdict))) if s.judge else None
        self._words = Intake(self, "task and label")
        self._offer_control()
        Diagnostics(self).add("recording", self._status)
        if s.autostart:
            self.start_recording()
        for one, kind in zip(self._topics, classes, strict=True):
            if not one.latched:
                self._listen(one, kind)
        self._show()

    def start_recording(self) -> Path:
        """Open a new bag.

        Raises:
            BagError: One is being recorded already, its folder exists, or the disk is full.
        """
        path = self.session.start()
        self._early = 0
        self._latched_listeners = [self._listen(*one) for one in self._latched]
        self.get_logger().info(f"recording {len(self._topics)} topics to {path}")
        return path

    def stop_recording(self) -> BagSummary | None:
        """Finish the bag; None if nothing was being recorded.

        Raises:
            BagError: The disk failed.
        """
        self._forget_latched()
        summary = self.session.stop()
        if summary is not None:
            self.get_logger().info(f"wrote {summary.path}: {summary_in_words(summary)}")
            if self._judge is not None:
                self._judge.ask(summary.path)
        return summary

    def shutdown(self) -> None:
        """Finish the bag, and the report on it."""
        try:
            self.stop_recording()
        except BagError as error:
            self._fail(error)
        if self._judge is not None:
            self._judge.close()

    def _offer_control(self) -> None:
        commands: dict[str, Callable[[], str]] = {
            "start": self._start, "stop": self._stop, "toggle": self._toggle, "discard": self._discard,
        }  # fmt: skip
        for name, command in commands.items():
            self.create_service(Trigger, f"~/{name}", partial(self._answer, command))
        self.create_subscription(String, "~/task", partial(self._on_words, self.session.set_task), EVERY)
        self.create_subscription(String, "~/label", partial(self._on_words, self.session.set_label), EVERY)
        self.create_timer(WATCH_PERIOD, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _answer(self, command: Callable[[], str], _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.message, response.success = command(), True
        except BagError as error:
            self.get_logger().warning(str(error))
            response.message, response.success = str(error), False
        self._show()
        return response

    def _start(self) -> str:
        return str(self.start_recording())

    def _stop(self) -> str:
        summary = self.stop_recording()
        if summary is None:
            raise BagError("nothing was being recorded")
        return f"{summary.path}: {summary_in_words(summary)}"

    def _toggle(self) -> str:
        return self._stop() if self.session.is_recording else self._start()

    def _discard(self) -> str:
        self._forget_latched()
        return str(self.session.discard())

    def _on_words(self, use: Callable[[str], object], message: String) -> None:
        with self._words.reading():
            use(message.data)
        self._show()

    def _watch(self) -> None:
        if self.session.watch():
            self._forget_latched()
            self._fail(BagError(self.session.state.text))
        while not self._verdicts.empty():  # the judge has a thread of its own
            bag, verdict = self._verdicts.get()
            self.get_logger().info(f"{bag}: {verdict}")
            self.session.judge(bag, verdict)
        self._show()

    def _fail(self, error: BagError) -> None:
        """Say that a recording is lost in part; the node lives on for the next one, and its exit code will tell."""
        self.get_logger().error(str(error))
        self.failure = error

    def _show(self) -> None:
        """Publish the state if it has changed."""
        text = str(self.session.state)
        if text != self._shown:
            self._shown = text
            self._output.publish(String(data=text))

    def _listen(self, topic: NamedTopic, kind: Any) -> Subscription:
        name = self.resolve_topic_name(topic.name)
        qos = LATCHED if topic.latched else RECORD
        return self.create_subscription(kind, topic.name, partial(self._on_message, name), qos, raw=True)

    def _forget_latched(self) -> None:
        for listener in self._latched_listeners:
            self.destroy_subscription(listener)
        self._latched_listeners = []

    def _on_message(self, topic: str, data: bytes) -> None:
        if not self.session.is_recording:
            return
        stamp_ns = self.get_clock().now().nanoseconds
        if stamp_ns == 0:  # simulated time that has not begun
            self._early += 1
            return
        self.session.write(topic, stamp_ns, data)

    def _status(self) -> Status:
        summary, state = self.session.summary(), self.session.state
        if summary is None:
            return Status(ERROR if state.word == "failed" else OK, "not recording; " + str(state))
        dropped = sum(summary.dropped.values()) + self.session.lost
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


def main() -> int:
    """Run the recorder."""
    return run(Recorder)


if __name__ == "__main__":
    sys.exit(main())
