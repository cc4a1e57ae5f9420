"""player: publishes a bag again, with /clock, as it was recorded.

out       every topic of the bag, or those of the parameter `topics`; rename them with ROS remappings
          /clock    the bag's time, so that nodes with use_sim_time see stamps that fit

The node ends when the bag does.
"""

import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rclpy.duration import Duration
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock

from firsthand.bags.read import Bag, RawMessage, open_bag
from firsthand.errors import BagError, FirsthandError
from firsthand.nodes.diagnostics import OK, Diagnostics, Status
from firsthand.nodes.messages import SECOND, write_clock
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import RunnableNode, run
from firsthand.nodes.qos import CLOCK, LATCHED, PUBLISH
from firsthand.nodes.topics import message_class

POLL = 0.02  # [s]
DELIVERY_TIME = 2.0  # [s] a topic's slow readers have at the end to take its last messages


@dataclass(frozen=True)
class PlayerSettings:
    """Parameters of the player node."""

    bag: str = setting("", "The bag to play: a rosbag2 folder or an .mcap file.")
    rate: float = setting(1.0, "Seconds of the bag in a real one.", minimum=0.01, maximum=100.0)
    topics: tuple[str, ...] = setting((), "Topics to play, by their names in the bag; all if empty.")
    start: float = setting(0.0, "Where in the bag to begin, [s].", minimum=0.0)
    duration: float = setting(0.0, "How much of the bag to play, [s]; 0 plays it to its end.", minimum=0.0)
    loop: bool = setting(False, "Whether to begin again at the end; time jumps back then.")
    clock_rate: float = setting(
        100.0, "/clock messages a real second, [Hz]; 0 publishes none.", minimum=0.0, maximum=1000.0
    )
    wait_for: tuple[str, ...] = setting((), "Topics that must have a subscriber before playing begins.")
    wait_timeout: float = setting(30.0, "How long to wait for them, [s].", minimum=0.0, maximum=600.0)


class Player(RunnableNode):
    """Publishes from a thread of its own: pauses between messages are no work for an executor."""

    def __init__(self, **options: object) -> None:
        super().__init__("player", **options)
        self._settings = read_parameters(self, PlayerSettings)
        if not self._settings.bag:
            raise BagError("no bag to play; give the parameter bag (firsthand launch replay bag:=recordings/NAME)")
        self._bag = open_bag(self._settings.bag)
        try:
            self._outputs = self._make_publishers(self._bag)
        except FirsthandError:
            self._bag.close()
            raise
        self._clock_output = self.create_publisher(Clock, "/clock", CLOCK) if self._settings.clock_rate else None
        self._stop = threading.Event()
        self._played, self._late, self._next_clock = 0, 0.0, 0.0
        Diagnostics(self).add("playing", self._status)
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)
        self._thread.start()

    def shutdown(self) -> None:
        """Stop publishing and close the bag."""
        self._stop.set()
        self._thread.join()
        self._bag.close()
        self.get_logger().info(f"played {self._played} messages, at most {self._late * 1e3:.0f} ms late")

    def _make_publishers(self, bag: Bag) -> dict[str, Publisher]:
        names = [bag.find_topic(name) for name in self._settings.topics] or [n for n in bag.topics if n != "/clock"]
        found = [bag.topics[name] for name in names]
        return {
            topic.name: self.create_publisher(
                message_class(topic.type), topic.name, LATCHED if topic.latched else PUBLISH
            )
            for topic in found
        }

    def _run(self) -> None:
        try:
            self._wait_for_subscribers()
            self._play()
            while self._settings.loop and not self._stop.is_set():
                if not self._played:
                    raise BagError(f"no message of {self._settings.bag} is in what is to be played again and again")
                self._play()
            for output in self._outputs.values():
                output.wait_for_all_acked(Duration(seconds=DELIVERY_TIME))
            self.finished.set()
        except Exception as error:  # a damaged bag, or ROS going down: the process must not idle on
            self.fail(error)

    def _wait_for_subscribers(self) -> None:
        deadline = time.monotonic() + self._settings.wait_timeout
        wanted = [self._outputs[self._bag.find_topic(name)] for name in self._settings.wait_for]
        while not self._stop.is_set() and not all(output.get_subscription_count() for output in wanted):
            if time.monotonic() > deadline:
                missing = [output.topic_name for output in wanted if not output.get_subscription_count()]
                raise BagError(f"nobody subscribed to {', '.join(missing)} in {self._settings.wait_timeout} s")
            self._stop.wait(POLL)

    def _play(self) -> None:
        """Publish every message when its time has come, and /clock in between."""
        start_ns, messages = self._messages()
        begin = time.monotonic()
        for message in messages:
            due = (message.stamp_ns - start_ns) / SECOND / self._settings.rate
            self._tick_until(begin, due, start_ns)
            if self._stop.is_set():
                return
            self._outputs[message.topic].publish(message.data)
            self._played += 1
            self._late = max(self._late, time.monotonic() - begin - due)

    def _messages(self) -> tuple[int, Iterator[RawMessage]]:
        """When playing begins on the bag's time line, and what to play."""
        start_ns = self._bag.start_ns + int(self._settings.start * SECOND)
        length = int(self._settings.duration * SECOND)
        end_ns = start_ns + length if length else None
        return start_ns, self._bag.raw_messages(self._outputs, start_ns, end_ns)

    def _tick_until(self, begin: float, due: float, start_ns: int) -> None:
        """Wait until `due` seconds after `begin`, publishing /clock at its rate."""
        while not self._stop.is_set():
            elapsed = time.monotonic() - begin
            self._publish_clock(start_ns, min(elapsed, due))
            if elapsed >= due:
                return
            self._stop.wait(min(due, self._next_clock - begin) - elapsed if self._clock_output else due - elapsed)

    def _publish_clock(self, start_ns: int, elapsed: float) -> None:
        now = time.monotonic()
        if self._clock_output is not None and now >= self._next_clock:
            self._clock_output.publish(write_clock(start_ns + int(elapsed * self._settings.rate * SECOND)))
            self._next_clock = now + 1 / self._settings.clock_rate

    def _status(self) -> Status:
        values = {"messages": self._played, "of": self._bag.message_count, "latest [ms]": self._late * 1e3}
        return Status(OK, f"playing {self._settings.bag}", values)


def main() -> int:
    """Run the player."""
    return run(Player)


if __name__ == "__main__":
    sys.exit(main())
