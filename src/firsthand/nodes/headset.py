"""headset: what a headset sees of its wearer, as messages.

out      teleop/hands   the raw joints of both hands and the head, stamped when they arrived; kept in bags

A Vision Pro with Tracking Streamer is connected to and connected to again whatever happens; samples that repeat
themselves or cannot be are dropped and counted, hands that are not seen are left out of the message.
"""

from dataclasses import dataclass

from trajectory_msgs.msg import MultiDOFJointTrajectory

from firsthand.headset.hands_sample import HandsSample
from firsthand.headset.tracking_streamer import TrackingStreamer
from firsthand.nodes.diagnostics import OK, STALE, WARN, Diagnostics, Status
from firsthand.nodes.hands_messages import write_hands
from firsthand.nodes.messages import SECOND
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import RunnableNode, run
from firsthand.nodes.qos import PUBLISH

SILENCE = 0.5  # [s]


@dataclass(frozen=True)
class HeadsetSettings:
    """Parameters of the headset node."""

    address: str = setting(
        "127.0.0.1:12345", "Of the Vision Pro, as Tracking Streamer shows it; the port may be left out."
    )
    hand_lead: float = setting(
        0.033, "The app predicts hands so far ahead of the head, [s]; the head is carried on.", minimum=0.0, maximum=0.2
    )


class Headset(RunnableNode):
    """Publishes what a reader hears."""

    def __init__(self, **options: object) -> None:
        super().__init__("headset", **options)
        settings = read_parameters(self, HeadsetSettings)
        self._publisher = self.create_publisher(MultiDOFJointTrajectory, "teleop/hands", PUBLISH)
        self._published = self._reported = 0
        self._last: HandsSample | None = None
        self._reported_ns = self._now_ns()
        diagnostics = Diagnostics(self, hardware_id=settings.address)
        diagnostics.add("stream", self._status)
        self._reader = TrackingStreamer(
            settings.address, self._publish, lead=settings.hand_lead, now_ns=self._now_ns, on_error=self.fail
        )
        self._reader.start()

    def shutdown(self) -> None:
        """Hang up."""
        self._reader.stop()

    def _publish(self, sample: HandsSample) -> None:
        """On the reader's thread."""
        self._publisher.publish(write_hands(sample))
        self._last = sample
        self._published += 1

    def _status(self) -> Status:
        now_ns, watch, last = self._now_ns(), self._reader.watch, self._last
        elapsed = max(now_ns - self._reported_ns, 1) / SECOND
        fresh, self._reported, self._reported_ns = self._published - self._reported, self._published, now_ns
        values: dict[str, object] = {
            "rate [Hz]": fresh / elapsed,
            "messages": self._reader.messages,
            "repeated": watch.duplicates,
            "connections": self._reader.connections,
            **{f"refused: {reason}": count for reason, count in watch.refused.items()},
            **{
                f"{side} hand not tracked: {reason}": count
                for side, reasons in zip(("left", "right"), watch.untracked, strict=True)
                for reason, count in reasons.items()
            },
        }
        if last is None or now_ns - last.stamp_ns > SILENCE * SECOND:
            return Status(STALE, f"no samples: {self._reader.state}; {watch.last_error}".rstrip("; "), values)
        values["age [ms]"] = (now_ns - last.stamp_ns) / 1e6
        if not all(last.tracked):
            return Status(WARN, "a hand is not tracked", values)
        return Status(OK, f"both hands at {fresh / elapsed:.0f} Hz", values)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def main() -> int:
    """Run the node."""
    return run(Headset)
