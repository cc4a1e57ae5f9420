"""fake_headset: a wearer for graphs without one. Serves hands over gRPC as a Vision Pro does; no topic carries them.

in       teleop/status   what the operator is told: asked to take the clutch, the wearer does, if `takes_clutch`

The same server as `firsthand fake-headset`; a node, so that a launch file can start it.
"""

from dataclasses import dataclass

from rclpy.clock import Clock, ClockType
from std_msgs.msg import String

from firsthand.headset.fake_tracking_streamer import FakeTrackingStreamer, read_fault
from firsthand.headset.hand_motion import GeneratedMotion, Gesture, read_gesture
from firsthand.headset.recording import make_motion
from firsthand.headset.tracking_streamer_messages import PORT
from firsthand.nodes.diagnostics import OK, Diagnostics, Status
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import RunnableNode, run
from firsthand.nodes.qos import LATCHED

REACTION = 0.3  # [s] until the wearer does what is asked
PATIENCE = 4.0  # [s] before the wearer tries again


@dataclass(frozen=True)
class FakeHeadsetSettings:
    """Parameters of the fake_headset node."""

    motion: str = setting("reach", "What the wearer does: reach, pinch, still, or the file of a recording.")
    gestures: tuple[str, ...] = setting((), "Gestures at times, such as clutch@5 or stop@20, [s].")
    faults: tuple[str, ...] = setting(
        (), "Faults at times, such as freeze@10:2; firsthand fake-headset --help has all."
    )
    takes_clutch: bool = setting(True, "Take the clutch whenever the operator is asked to.")
    port: int = setting(PORT, "To listen on, on this computer only; 0: any.", minimum=0, maximum=65535)
    rate: float = setting(90.0, "Samples a second, [Hz].", minimum=1.0, maximum=1000.0)
    repeats: int = setting(1, "How often each is sent.", minimum=1, maximum=10)


class FakeHeadset(RunnableNode):
    """Serves a wearer who does as asked."""

    def __init__(self, **options: object) -> None:
        super().__init__("fake_headset", **options)
        s = read_parameters(self, FakeHeadsetSettings)
        self._motion = make_motion(s.motion, tuple(read_gesture(text) for text in s.gestures))
        self.server = FakeTrackingStreamer(
            self._motion,
            port=s.port,
            rate=s.rate,
            repeats=s.repeats,
            faults=tuple(read_fault(text) for text in s.faults),
        )
        self._told = ""
        self._tried_at = float("-inf")
        self.server.start()
        self.get_logger().info(f"serves hands on port {self.server.port}")
        Diagnostics(self).add("stream", lambda: Status(OK, f"sent {self.server.sent} messages"))
        if s.takes_clutch:
            self.create_subscription(String, "teleop/status", self._on_status, LATCHED)
            self.create_timer(0.2, self._do_as_told, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def shutdown(self) -> None:
        """Hang up."""
        self.server.stop()

    def _on_status(self, message: String) -> None:
        self._told = message.data

    def _do_as_told(self) -> None:
        now = self.server.time
        asked = self._told.startswith("ready: touch thumb") and now - self._tried_at > PATIENCE
        if asked and isinstance(self._motion, GeneratedMotion):
            self._tried_at = now
            self._motion.gestures = (*self._motion.gestures, Gesture("clutch", now + REACTION))


def main() -> int:
    """Run the node."""
    return run(FakeHeadset)
