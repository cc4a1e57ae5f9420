"""camera: stereo pictures of a source, both with the stamp of the instant that they show.

in   simulation/state                    with source simulation: what to render, and of which scene
out  left/color/rect/image/compressed    JPEG; and right/...
     left/color/rect/image               raw, where asked for; and right/...
     left/color/rect/camera_info         and right/...
     depth/depth_registered              32FC1, [m], of the left view, with source zed and depth asked for

A camera that is unplugged, or falls silent, is opened again until it comes back. Meanwhile nothing is published: those
who act on pictures see by their stamps that they are old, and /diagnostics says why.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState

from firsthand.errors import FirsthandError
from firsthand.nodes.diagnostics import ERROR, OK, WARN, Diagnostics, Status
from firsthand.nodes.image_messages import (
    LEFT_FRAME,
    RIGHT_FRAME,
    write_camera_infos,
    write_compressed_image,
    write_depth,
    write_image,
)
from firsthand.nodes.intake import Intake, Latencies, LatestWorker
from firsthand.nodes.messages import SECOND
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import RunnableNode, run
from firsthand.nodes.qos import LATEST, PUBLISH
from firsthand.nodes.scene_messages import SceneState, read_scene_state
from firsthand.vision.intrinsics import Intrinsics
from firsthand.vision.sources.interface import Capture, StereoCamera
from firsthand.vision.sources.live import CameraHealth, LiveSettings, LiveSource
from firsthand.vision.sources.uvc import FORMATS, UvcCamera, UvcSettings
from firsthand.vision.sources.video import VideoSource
from firsthand.vision.sources.zed import AUTO, DEPTH_MODES, RESOLUTIONS, ZedCamera, ZedSettings, load_sdk

FRAMES = {"left": LEFT_FRAME, "right": RIGHT_FRAME}
SOURCES = ("simulation", "video", "zed", "uvc")
SLOW = 0.9  # of the rate that a camera should have; below, it is a warning
RENDERER = "renderer"  # the thread
END = 1.0  # [s] that rendering may take to end
SLOW_RENDERING = 2.0  # [s] for one picture, as the first of a scene


@dataclass(frozen=True)
class CameraSettings:
    """Parameters of the camera node."""

    source: str = setting("simulation", "Where pictures come from.", choices=SOURCES)
    rate: float = setting(25.0, "Pairs published a second, [Hz].", minimum=0.5, maximum=120.0)
    width: int = setting(640, "Of one view, rendered or published by a camera, [px].", minimum=64, maximum=3840)
    height: int = setting(360, "Of one view, rendered or published by a camera, [px].", minimum=36, maximum=2160)
    videos: tuple[str, ...] = setting((), "With source video: one file with both views side by side, or left, right.")
    loop: bool = setting(False, "Begin a video again at its end.")
    field_of_view: float = setting(
        90.0, "Of a view without calibration (video, uvc), horizontal, [deg].", minimum=10.0, maximum=170.0
    )
    baseline: float = setting(0.063, "Between eyes without calibration (video, uvc), [m].", minimum=0.0, maximum=1.0)
    device: str = setting("/dev/video0", "With source uvc: the device, or tcp://127.0.0.1:PORT of a fake camera.")
    calibration: str = setting("", "With source uvc: Stereolabs' SN<serial>.conf; empty: pictures come rectified.")
    pixel_format: str = setting("yuyv422", "With source uvc: how the device sends pictures.", choices=FORMATS)
    capture_width: int = setting(1280, "With source uvc: of one view as it is taken, [px].", minimum=64, maximum=3840)
    capture_height: int = setting(720, "With source uvc: of one view as it is taken, [px].", minimum=36, maximum=2160)
    capture_rate: float = setting(60.0, "With a camera: pairs taken a second, [Hz].", minimum=1.0, maximum=240.0)
    resolution: str = setting("HD720", "With source zed: how pictures are taken.", choices=RESOLUTIONS)
    serial: int = setting(0, "With source zed: which one; 0 is the first.", minimum=0)
    svo: str = setting("", "With source zed: a recording in place of the camera.")
    exposure: int = setting(
        AUTO, "With source zed: percent of the frame time; -1 is automatic.", minimum=-1, maximum=100
    )
    gain: int = setting(AUTO, "With source zed: 0 to 100; -1 is automatic.", minimum=-1, maximum=100)
    depth: str = setting("NONE", "With source zed: depth, which takes the GPU's time.", choices=DEPTH_MODES)
    delay: float = setting(
        0.0, "With a camera: how far its stamps are behind the exposure, taken off, [s].", minimum=0.0, maximum=1.0
    )
    max_age: float = setting(0.3, "A camera's pictures older than this are dropped, [s].", minimum=0.02, maximum=10.0)
    stall_after: float = setting(
        0.5, "A camera that is silent for so long is opened again, [s].", minimum=0.05, maximum=60.0
    )
    real_time_factor: float = setting(
        1.0, "With a camera: below 1 for a fake robot's in slow motion; all times here are the robot's.",
        minimum=0.02, maximum=20.0,
    )  # fmt: skip
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
        self._source = self._open_source(diagnostics)

    @property
    def settings(self) -> CameraSettings:
        """The parameters."""
        return self._settings

    def shutdown(self) -> None:
        """Give files and the OpenGL context back."""
        self._source.close()

    def _open_source(self, diagnostics: Diagnostics) -> "_SceneCamera | _FilmCamera | _LiveCamera":
        if self._settings.source == "simulation":
            return _SceneCamera(self, diagnostics)
        return _FilmCamera(self) if self._settings.source == "video" else _LiveCamera(self, diagnostics)

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


class _LiveCamera:
    """A camera that takes pictures by itself: kept alive on one thread, converted and published on another."""

    def __init__(self, node: Camera, diagnostics: Diagnostics) -> None:
        s = node.settings
        self._node, self._state = node, ""
        self._period_ns = SECOND / s.rate / s.real_time_factor
        self._half_gap_ns = SECOND / s.capture_rate / s.real_time_factor / 2  # half the time between two captures
        self._due_ns = 0.0  # stamp from which on the next pair is published
        self._pairs, self._age = Intake(node, "pairs"), Latencies()
        self._depth = node.create_publisher(Image, "depth/depth_registered", PUBLISH) if _with_depth(s) else None
        self._worker = LatestWorker(self._publish, node.fail, name="pictures")
        live = LiveSettings(stall_after=s.stall_after / s.real_time_factor, max_age=s.max_age / s.real_time_factor)
        self._source = LiveSource(_opener(s), self._on_capture, live, self._on_end)
        node.create_timer(0.1, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME))
        diagnostics.add("camera", self._status)
        diagnostics.add("pairs", self._pairs.status)
        self._source.start()

    def _on_capture(self, capture: Capture, intrinsics: Intrinsics) -> None:
        """Let through as many as are to be published, by their stamps."""
        half = self._half_gap_ns
        if capture.time_ns < self._due_ns - half and self._due_ns - capture.time_ns < SECOND:
            return
        if not 0 <= capture.time_ns - self._due_ns + half < self._period_ns + half:  # the first, or after a gap
            self._due_ns = capture.time_ns
        self._due_ns += self._period_ns
        self._worker.offer((capture, intrinsics))

    def _publish(self, taken: tuple[Capture, Intrinsics]) -> None:
        capture, intrinsics = taken
        with self._pairs.reading():
            started = time.perf_counter()
            images = capture.images()
            stamp_ns = self._node_time(capture.time_ns)
            self._node.publish(images, intrinsics, stamp_ns, time.perf_counter() - started)
            if self._depth is not None and capture.depth is not None:
                self._depth.publish(write_depth(capture.depth, stamp_ns, LEFT_FRAME))
            self._age.add((time.time_ns() - capture.time_ns) / SECOND)

    def _node_time(self, time_ns: int) -> int:
        """A time of the system's clock on the node's, which differs where time is simulated."""
        if not self._node.get_parameter("use_sim_time").value:
            return time_ns
        age = (time.time_ns() - time_ns) * self._node.settings.real_time_factor
        return int(self._node.get_clock().now().nanoseconds) - round(age)

    def _on_end(self, error: BaseException | None) -> None:
        if error is not None:
            self._node.fail(error)
            return
        self._node.get_logger().info("the recording is over")
        self._node.finished.set()

    def _watch(self) -> None:
        """Say once when the camera falls silent, and when it is back."""
        health = self._source.health()
        if health.state == self._state:
            return
        self._state = health.state
        if health.state == "silent":  # rclpy lets a line of code log at one severity only
            self._node.get_logger().error(f"the camera is silent: {health.reason}")
        else:
            self._node.get_logger().info(f"camera {health.state}: {health.reason}")

    def _status(self) -> Status:
        health = self._source.health()
        values = {
            "rate [Hz]": health.rate,
            "received": health.received,
            "lost": health.lost,
            "late": health.late,
            "out of order": health.disordered,
            "opened": health.opened,
            "silence [s]": health.silence,
            **self._age.values("exposure to published"),
        }
        return Status(_level(health, self._node.settings), f"{health.state}: {health.reason}", values)

    def close(self) -> None:
        self._source.stop()
        self._worker.stop()


def _level(health: CameraHealth, settings: CameraSettings) -> bytes:
    if health.state != "streaming":
        return ERROR if health.state == "silent" else WARN
    return WARN if health.rate < SLOW * settings.capture_rate * settings.real_time_factor else OK


def _with_depth(settings: CameraSettings) -> bool:
    return settings.source == "zed" and settings.depth != "NONE"


def _opener(s: CameraSettings) -> Callable[[], StereoCamera]:
    """What opens the camera, each time anew."""
    output = (s.width, s.height)
    if s.source == "uvc":
        uvc = UvcSettings(
            s.device, s.capture_width, s.capture_height, s.capture_rate * s.real_time_factor, s.pixel_format,
            s.calibration, s.field_of_view, s.baseline, output, s.delay,
        )  # fmt: skip
        return lambda: UvcCamera(uvc)
    sdk = load_sdk()
    zed = ZedSettings(
        s.resolution, round(s.capture_rate), s.exposure, s.gain, s.depth, s.serial, s.svo, output=output, delay=s.delay
    )
    return lambda: ZedCamera(zed, sdk)


class _SceneCamera:
    """Renders the newest state of the scene that the body simulates, on a thread of its own, the only one that may use
    the OpenGL context.

    The first picture of a scene takes half a minute on a busy machine, for the scene is built first. The executor goes
    on meanwhile: /diagnostics says what is being done, and the node can be ended.
    """

    def __init__(self, node: Camera, diagnostics: Diagnostics) -> None:
        from firsthand.nodes.scene_view import SceneView  # needs the [sim] extra
        from firsthand.simulation.gl import require_backend

        require_backend()
        s = node.settings
        self._node, self._view = node, SceneView(s.width, s.height)
        self._states = Intake(node, "simulation/state")
        self._wanted_ns = -SECOND  # stamp of the newest state that is to be rendered
        self._period_ns = round(0.9 * SECOND / s.rate)  # states come on a grid of their own
        self._making: tuple[str, float] | None = None  # of which scene a picture is being made, and since when
        self._closed = False
        self._worker = LatestWorker(self._render, self._on_error, name=RENDERER, at_end=self._view.close)
        node.create_subscription(JointState, "simulation/state", self._on_state, LATEST)
        diagnostics.add("simulation/state", self._states.status)
        diagnostics.add("renderer", self._status)

    def _on_state(self, message: JointState) -> None:
        with self._states.reading():
            state = read_scene_state(message)
            if not 0 <= state.stamp_ns - self._wanted_ns < self._period_ns:
                self._wanted_ns = state.stamp_ns
                self._worker.offer(state)

    def _render(self, state: SceneState) -> None:
        started = time.perf_counter()
        self._making = str(state.scene), time.monotonic()
        try:
            images = self._view.render(state)
        except FirsthandError as error:
            self._states.refuse(str(error))
        else:
            if not self._closed:
                self._node.publish(images, self._view.intrinsics, state.stamp_ns, time.perf_counter() - started)
        finally:
            self._making = None

    def _on_error(self, error: BaseException) -> None:
        if not self._closed:  # a picture that was being made when the node ended is nobody's any more
            self._node.fail(error)

    def _status(self) -> Status:
        making, skipped = self._making, self._worker.skipped
        values = {"skipped": skipped}
        if making is None:
            return Status(OK, "waits for states", values)
        scene, since = making
        seconds = time.monotonic() - since
        slow = seconds > SLOW_RENDERING
        return Status(WARN if slow else OK, f"has been rendering {scene} for {seconds:.1f} s", values)

    def close(self) -> None:
        """A picture in the making may take long; it is not waited for."""
        self._closed = True
        self._worker.stop(END)


def main() -> int:
    """Run the node."""
    code = run(Camera)
    if any(thread.name == RENDERER for thread in threading.enumerate()):
        os._exit(code)  # it is in the middle of OpenGL, which Python's own end would tear down under it
    return code
