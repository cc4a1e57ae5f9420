"""camera: stereo pictures of a source, both with the stamp of the instant that they show.

in   simulation/state                    with source simulation: what to render, and of which scene
out  left/color/rect/image/compressed    JPEG; and right/...
     left/color/rect/image               raw, where asked for; and right/...
     left/color/rect/camera_info         and right/...
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState

from firsthand.nodes.diagnostics import OK, Diagnostics, Status
from firsthand.nodes.image_messages import (
    LEFT_FRAME,
    RIGHT_FRAME,
    write_camera_infos,
    write_compressed_image,
    write_image,
)
from firsthand.nodes.intake import Intake, Latencies
from firsthand.nodes.messages import SECOND
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import RunnableNode, run
from firsthand.nodes.qos import LATEST, PUBLISH
from firsthand.nodes.scene_messages import SceneState, read_scene_state
from firsthand.vision.intrinsics import Intrinsics
from firsthand.vision.sources.video import VideoSource

FRAMES = {"left": LEFT_FRAME, "right": RIGHT_FRAME}


@dataclass(frozen=True)
class CameraSettings:
    """Parameters of the camera node."""

    source: str = setting("simulation", "Where pictures come from.", choices=("simulation", "video"))
    rate: float = setting(25.0, "Pictures a second, [Hz].", minimum=0.5, maximum=120.0)
    width: int = setting(640, "Of one rendered view, [px].", minimum=64, maximum=3840)
    height: int = setting(360, "Of one rendered view, [px].", minimum=36, maximum=2160)
    videos: tuple[str, ...] = setting((), "With source video: one file with both views side by side, or left, right.")
    loop: bool = setting(False, "Begin a video again at its end.")
    field_of_view: float = setting(90.0, "Of a video's view, horizontal, [deg].", minimum=10.0, maximum=170.0)
    baseline: float = setting(0.063, "Between a video's two eyes, [m].", minimum=0.0, maximum=1.0)
    jpeg_quality: int = setting(90, "1 to 100.", minimum=1, maximum=100)
    raw: bool = setting(False, "Publish raw images, too.")


class Camera(RunnableNode):
    """Publishes stereo pairs of one source."""

    def __init__(self, **options: object) -> None:
        super().__init__("camera", **options)
        self._settings = s = read_parameters(self, CameraSettings)
        self._outputs = {side: self._publish_side(side) for side in FRAMES}
        self._making = Latencies()
        self._published = 0
        self._reported = (0, time.monotonic())
        diagnostics = Diagnostics(self, hardware_id=s.source)
        diagnostics.add("pictures", self._status)
        self._source = _SceneCamera(self, diagnostics) if s.source == "simulation" else _FilmCamera(self)

    @property
    def settings(self) -> CameraSettings:
        """The parameters."""
        return self._settings

    def shutdown(self) -> None:
        """Give files and the OpenGL context back."""
        self._source.close()

    def publish(self, images: NDArray[np.uint8], intrinsics: Intrinsics, stamp_ns: int, making: float) -> None:
        """Publish a pair.

        Args:
            images: (2, H, W, 3) RGB, left then right.
            intrinsics: Of both.
            stamp_ns: Of the instant that they show.
            making: How long rendering or decoding took, [s].
        """
        infos = write_camera_infos(intrinsics, stamp_ns)
        for image, info, (side, frame) in zip(images, infos, FRAMES.items(), strict=True):
            publishers = self._outputs[side]
            publishers["compressed"].publish(
                write_compressed_image(image, stamp_ns, frame, self._settings.jpeg_quality)
            )
            publishers["info"].publish(info)
            if self._settings.raw:
                publishers["raw"].publish(write_image(image, stamp_ns, frame))
        self._making.add(making)
        self._published += 1

    def _publish_side(self, side: str) -> dict[str, Publisher]:
        topic = f"{side}/color/rect/image"
        publishers = {
            "compressed": self.create_publisher(CompressedImage, f"{topic}/compressed", PUBLISH),
            "info": self.create_publisher(CameraInfo, f"{side}/color/rect/camera_info", PUBLISH),
        }
        if self._settings.raw:
            publishers["raw"] = self.create_publisher(Image, topic, PUBLISH)
        return publishers

    def _status(self) -> Status:
        count, since = self._reported
        now = time.monotonic()
        rate = (self._published - count) / (now - since)
        self._reported = (self._published, now)
        values = {"rate [Hz]": rate, "pairs": self._published, **self._making.values("making")}
        return Status(OK, f"{rate:.1f} pairs a second", values)


class _FilmCamera:
    """Plays video files at the node's rate."""

    def __init__(self, node: Camera) -> None:
        s = node.settings
        self._node = node
        self._film = VideoSource(s.videos, s.rate, s.loop, s.field_of_view, s.baseline)
        self._timer = node.create_timer(1 / s.rate, self._play, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _play(self) -> None:
        started = time.perf_counter()
        stamp_ns = self._node.get_clock().now().nanoseconds
        frame = self._film.grab()
        if frame is None:
            self._node.get_logger().info("the video is over")
            self._timer.cancel()
            self._node.finished.set()
            return
        self._node.publish(frame.images, self._film.intrinsics, stamp_ns, time.perf_counter() - started)

    def close(self) -> None:
        self._film.close()


class _SceneCamera:
    """Renders the newest state of the scene that the body simulates. Everything runs on the executor's thread, the only
    one that may use the OpenGL context."""

    def __init__(self, node: Camera, diagnostics: Diagnostics) -> None:
        from firsthand.nodes.scene_view import SceneView  # needs the [sim] extra
        from firsthand.simulation.gl import require_backend

        require_backend()
        s = node.settings
        self._node, self._view = node, SceneView(s.width, s.height)
        self._states = Intake(node, "simulation/state")
        self._rendered_ns = -SECOND
        self._period_ns = round(0.9 * SECOND / s.rate)  # states come on a grid of their own
        node.create_subscription(JointState, "simulation/state", self._on_state, LATEST)
        diagnostics.add("simulation/state", self._states.status)

    def _on_state(self, message: JointState) -> None:
        with self._states.reading():
            state = read_scene_state(message)
            if 0 <= state.stamp_ns - self._rendered_ns < self._period_ns:
                return
            self._rendered_ns = state.stamp_ns
            self._render(state)

    def _render(self, state: SceneState) -> None:
        started = time.perf_counter()
        images = self._view.render(state)
        self._node.publish(images, self._view.intrinsics, state.stamp_ns, time.perf_counter() - started)

    def close(self) -> None:
        self._view.close()


def main() -> int:
    """Run the node."""
    return run(Camera)
