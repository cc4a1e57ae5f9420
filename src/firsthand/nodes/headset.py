"""headset: what a headset sees of its wearer, as messages; and what the robot sees, for the wearer.

in       left/color/rect/image/compressed, right/..., left/color/rect/camera_info
                        what the wearer is shown, with `view`
         teleop/status  and told
out      teleop/hands   the raw joints of both hands and the head, stamped when they arrived; kept in bags

A Vision Pro with Tracking Streamer is connected to and connected to again whatever happens; a headset's browser opens
the page that shows the robot's pictures, and sends hands from there. Samples that repeat themselves or cannot be are
dropped and counted, hands that are not seen are left out of the message.
"""

import math
from dataclasses import dataclass

from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import String
from trajectory_msgs.msg import MultiDOFJointTrajectory

from firsthand.headset.hands_sample import HandsSample
from firsthand.headset.tracking_streamer import TrackingStreamer
from firsthand.headset.view_server import ViewServer
from firsthand.headset.web_hands import WebHands
from firsthand.nodes.diagnostics import OK, STALE, WARN, Diagnostics, Status
from firsthand.nodes.hands_messages import write_hands
from firsthand.nodes.messages import SECOND, ns_from_stamp
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import RunnableNode, run
from firsthand.nodes.qos import LATCHED, LATEST, PUBLISH
from firsthand.space.hand_state import SIDES

SOURCES = ("tracking_streamer", "web")
SILENCE = 0.5  # [s]
LARGEST_PICTURE = 4 << 20  # [bytes]


@dataclass(frozen=True)
class HeadsetSettings:
    """Parameters of the headset node."""

    source: str = setting("tracking_streamer", "Of hands: the Vision Pro's app, or the page.", choices=SOURCES)
    address: str = setting(
        "127.0.0.1:12345", "Of the Vision Pro, as Tracking Streamer shows it; the port may be left out."
    )
    hand_lead: float = setting(
        0.033, "The app predicts hands so far ahead of the head, [s]; the head is carried on.", minimum=0.0, maximum=0.2
    )
    view: bool = setting(False, "Serve the page that shows the robot's pictures; always there with source web.")
    view_host: str = setting("127.0.0.1", "Address that the page is served on; 0.0.0.0 lets a headset in.")
    view_port: int = setting(8012, "Port that the page is served on; 0: any.", minimum=0, maximum=65535)
    certificate: str = setting("", "PEM file; headsets show both eyes only over https.")
    key: str = setting("", "PEM file of the certificate's private key.")


class Headset(RunnableNode):
    """Publishes what a source of hands says, and shows pictures."""

    moves_robot = True

    def __init__(self, **options: object) -> None:
        super().__init__("headset", **options)
        s = read_parameters(self, HeadsetSettings)
        self._publisher = self.create_publisher(MultiDOFJointTrajectory, "teleop/hands", PUBLISH)
        self._published = self._reported = 0
        self._last: HandsSample | None = None
        self._reported_ns = self._now_ns()
        self._hands: TrackingStreamer | WebHands
        self.view: ViewServer | None = None
        if s.source == "web":
            self._hands = WebHands(self._publish, now_ns=self._now_ns)
        else:
            self._hands = TrackingStreamer(
                s.address, self._publish, lead=s.hand_lead, now_ns=self._now_ns, on_error=self.fail
            )
        diagnostics = Diagnostics(self, hardware_id=s.address if s.source == "tracking_streamer" else s.source)
        diagnostics.add("stream", self._status)
        if s.view or s.source == "web":
            on_hands = self._hands.take if s.source == "web" else None
            self.view = ViewServer(s.view_host, s.view_port, s.certificate, s.key, on_hands)
            self._show_pictures()
            diagnostics.add("view", self._view_status)
            scheme = "https" if s.certificate else "http"
            self.get_logger().info(f"shows the robot's pictures on {scheme}://{s.view_host}:{self.view.port}")
        if isinstance(self._hands, TrackingStreamer):
            self._hands.start()

    def shutdown(self) -> None:
        """Hang up."""
        if isinstance(self._hands, TrackingStreamer):
            self._hands.stop()
        if self.view is not None:
            self.view.stop()

    def _publish(self, sample: HandsSample) -> None:
        """On the source's thread."""
        self._publisher.publish(write_hands(sample))
        self._last = sample
        self._published += 1

    # The view

    def _show_pictures(self) -> None:
        self._left: CompressedImage | None = None
        self.create_subscription(CompressedImage, "left/color/rect/image/compressed", self._on_left, LATEST)
        self.create_subscription(CompressedImage, "right/color/rect/image/compressed", self._on_right, LATEST)
        self.create_subscription(CameraInfo, "left/color/rect/camera_info", self._on_camera, LATEST)
        self.create_subscription(String, "teleop/status", self._on_status, LATCHED)
        self._camera = (0.0, 0.0)

    def _on_left(self, message: CompressedImage) -> None:
        self._left = message

    def _on_right(self, message: CompressedImage) -> None:
        """The right picture comes last; only pictures of one instant are shown together."""
        left = self._left
        if left is None or left.header.stamp != message.header.stamp or self.view is None:
            return
        if 0 < len(left.data) < LARGEST_PICTURE and 0 < len(message.data) < LARGEST_PICTURE:
            self.view.show(ns_from_stamp(message.header.stamp), bytes(left.data), bytes(message.data))

    def _on_camera(self, message: CameraInfo) -> None:
        focal = message.p[5]
        if self.view is None or not (math.isfinite(focal) and focal > 0 and message.height and message.width):
            return
        camera = (2 * math.atan(message.height / 2 / focal), message.width / message.height)
        if camera != self._camera:
            self._camera = camera
            self.view.tell(fovY=camera[0], aspect=camera[1])

    def _on_status(self, message: String) -> None:
        if self.view is not None:
            self.view.tell(status=message.data)

    # Health

    def _status(self) -> Status:
        now_ns, watch, last = self._now_ns(), self._hands.watch, self._last
        elapsed = max(now_ns - self._reported_ns, 1) / SECOND
        fresh, self._reported, self._reported_ns = self._published - self._reported, self._published, now_ns
        values: dict[str, object] = {
            "rate [Hz]": fresh / elapsed,
            "messages": self._hands.messages,
            "repeated": watch.duplicates,
            "connections": self._hands.connections,
            **{f"refused: {reason}": count for reason, count in watch.refused.items()},
            **{
                f"{side} hand not tracked: {reason}": count
                for side, reasons in zip(SIDES, watch.untracked, strict=True)
                for reason, count in reasons.items()
            },
        }
        if last is None or now_ns - last.stamp_ns > SILENCE * SECOND:
            return Status(STALE, f"no samples: {self._hands.state}; {watch.last_error}".rstrip("; "), values)
        values["age [ms]"] = (now_ns - last.stamp_ns) / 1e6
        if not all(last.tracked):
            return Status(WARN, "a hand is not tracked", values)
        return Status(OK, f"both hands at {fresh / elapsed:.0f} Hz", values)

    def _view_status(self) -> Status:
        assert self.view is not None, "registered with it"
        delays = {f"shown after {name} [ms]": value * 1e3 for name, value in self.view.delays().items()}
        return Status(OK, f"{self.view.viewers} look on", {"shown": self.view.shown, **delays})

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def main() -> int:
    """Run the node."""
    return run(Headset)
