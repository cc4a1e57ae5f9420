"""A node's health on /diagnostics, once a second, as rqt and Foxglove show it (REP-107)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import Header

from firsthand.nodes.messages import stamp_from_ns

OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE


@dataclass(frozen=True)
class Status:
    """How one thing does."""

    level: bytes  # OK, WARN, ERROR or STALE
    message: str  # one line for people
    values: Mapping[str, object] = field(default_factory=dict)  # numbers behind it, by name with unit


class Diagnostics:
    """Asks every registered task for its status and publishes them together."""

    def __init__(
        self, node: Node, hardware_id: str = "", period: float = 1.0, now_ns: Callable[[], int] | None = None
    ) -> None:
        """Start publishing.

        Args:
            node: Whose health it is.
            hardware_id: The device behind the node, if there is one.
            period: [s] of real time: health is reported when a simulated clock stands still, too.
            now_ns: Stamps the messages; the node's clock if None. For a node that makes the time of all others.
        """
        self._now_ns = now_ns or (lambda: node.get_clock().now().nanoseconds)
        self._node = node
        self._hardware_id = hardware_id
        self._tasks: dict[str, Callable[[], Status]] = {}
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = node.create_timer(period, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def add(self, name: str, task: Callable[[], Status]) -> None:
        """Ask `task` for a status each time; it appears as "node: name"."""
        self._tasks[name] = task

    def publish(self) -> None:
        """Publish now; the timer does it, and a node may before it ends."""
        message = DiagnosticArray(header=Header(stamp=stamp_from_ns(self._now_ns())))
        message.status = [self._status(name, task()) for name, task in self._tasks.items()]
        self._publisher.publish(message)

    def _status(self, name: str, status: Status) -> DiagnosticStatus:
        message = DiagnosticStatus(level=status.level, message=status.message, hardware_id=self._hardware_id)
        message.name = f"{self._node.get_name()}: {name}"
        message.values = [KeyValue(key=key, value=_text(value)) for key, value in status.values.items()]
        return message


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
