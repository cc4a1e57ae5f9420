"""features: stereo pictures in, what the policy's encoder makes of them out, always of the newest pair.

in   left/color/rect/image[/compressed], right/...   the same stamp on both
out  features                                        Image 32FC384 (DINOv2) or 32FC3 (pixels), both views, same stamp
"""

import time
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from firsthand.errors import ImageError
from firsthand.inference import PROVIDERS, Runtime
from firsthand.nodes.diagnostics import OK, Diagnostics, Status
from firsthand.nodes.image_messages import read_compressed_image, read_image, write_features
from firsthand.nodes.intake import Intake, Latencies, LatestWorker, check_age
from firsthand.nodes.messages import SECOND, ns_from_stamp
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import RunnableNode, run
from firsthand.nodes.qos import LATEST, PUBLISH
from firsthand.policy.checkpoint import find_checkpoint, load_manifest
from firsthand.vision.encoder import NAME
from firsthand.vision.encoders import SOURCES, StereoEncoder, open_encoder
from firsthand.vision.precision import PRECISIONS

ASPECT_TOLERANCE = 0.1  # 16:9 is 1.78, 196x112 is 1.75
Picture: TypeAlias = CompressedImage | Image


@dataclass(frozen=True)
class FeaturesSettings:
    """Parameters of the features node."""

    checkpoint: str = setting(
        "", "Encode as this checkpoint was trained (a folder, or a shipped one's name); empty: as the next three say."
    )
    encoder: str = setting(NAME, "What makes the features.", choices=tuple(SOURCES))
    image_height: int = setting(112, "Height that the encoder sees, [px], a multiple of 14.", minimum=14, maximum=1400)
    image_width: int = setting(196, "Width that the encoder sees, [px], a multiple of 14.", minimum=14, maximum=1400)
    transport: str = setting("compressed", "Which pictures to read.", choices=("compressed", "raw"))
    max_age: float = setting(0.5, "Pairs older than this are not encoded, [s].", minimum=0.02, maximum=10.0)
    threads: int = setting(1, "CPU threads of the encoder.", minimum=1, maximum=64)
    provider: str = setting("auto", "What runs the encoder; auto is CUDA where it is, else the CPU.", choices=PROVIDERS)
    precision: str = setting("float32", "int8 takes about 0.6 of the time on a CPU.", choices=PRECISIONS)
    half: bool = setting(False, "With tensorrt: compute in float16, compared with float32 at the start.")
    cuda_graph: bool = setting(False, "With cuda or tensorrt: launch all kernels of the graph at once.")


class Features(RunnableNode):
    """Encodes the newest stereo pair; pairs that come meanwhile are skipped and counted."""

    def __init__(self, **options: object) -> None:
        super().__init__("features", **options)
        self._settings = read_parameters(self, FeaturesSettings)
        self._encoder = _open_encoder(self._settings)
        self._pictures = Intake(self, "pictures")
        self._latency, self._encoding = Latencies(), Latencies()
        self._newest: dict[str, Picture] = {}
        self._publisher = self.create_publisher(Image, "features", PUBLISH)
        self._worker = LatestWorker(self._encode, self.fail, name="encoder")
        for side in ("left", "right"):
            self._subscribe(side)
        diagnostics = Diagnostics(self)
        diagnostics.add("pictures", self._pictures.status)
        diagnostics.add("features", self._status)

    def shutdown(self) -> None:
        """Let the pair in progress finish."""
        self._worker.stop()

    def _subscribe(self, side: str) -> None:
        compressed = self._settings.transport == "compressed"
        topic = f"{side}/color/rect/image" + ("/compressed" if compressed else "")
        message_type = CompressedImage if compressed else Image
        self.create_subscription(message_type, topic, lambda message: self._on_picture(side, message), LATEST)

    def _on_picture(self, side: str, message: Picture) -> None:
        self._newest[side] = message
        left, right = self._newest.get("left"), self._newest.get("right")
        if left is not None and right is not None and left.header.stamp == right.header.stamp:
            self._newest.clear()
            self._worker.offer((left, right))

    def _encode(self, pair: tuple[Picture, Picture]) -> None:
        stamp_ns = ns_from_stamp(pair[0].header.stamp)
        with self._pictures.reading():
            check_age("pictures", stamp_ns, self._now_ns(), self._settings.max_age)
            images = self._read(pair)
            started = time.perf_counter()
            features = self._encoder.encode(images)
            self._encoding.add(time.perf_counter() - started)
            self._publisher.publish(write_features(features, stamp_ns, pair[0].header.frame_id))
            self._latency.add((self._now_ns() - stamp_ns) / SECOND)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _read(self, pair: tuple[Picture, Picture]) -> NDArray[np.uint8]:
        """The pair as (2, H, W, 3), of a shape that the network was trained on."""
        read = read_compressed_image if self._settings.transport == "compressed" else read_image
        left, right = (read(message) for message in pair)
        if left.shape != right.shape:
            raise ImageError(f"expected views of one size, got left {_size(left)} and right {_size(right)}")
        height, width = self._encoder.image_size
        ratio = (left.shape[1] / left.shape[0]) / (width / height)
        if left.shape[0] < height or left.shape[1] < width or abs(ratio - 1) > ASPECT_TOLERANCE:
            raise ImageError(
                f"expected pictures of at least {width}x{height} and about that shape, got {_size(left)}; "
                "set checkpoint, or image_width and image_height, to what the policy runs"
            )
        return np.stack([left, right])

    def _status(self) -> Status:
        encoded, skipped = self._latency.count, self._worker.skipped
        values = {**self._latency.values("picture to features"), **self._encoding.values("encoding")}
        return Status(
            OK, f"{encoded} pairs encoded, {skipped} skipped", {"encoded": encoded, "skipped": skipped, **values}
        )


def _open_encoder(settings: FeaturesSettings) -> StereoEncoder:
    name, size = settings.encoder, (settings.image_height, settings.image_width)
    if settings.checkpoint:
        spec = load_manifest(find_checkpoint(settings.checkpoint), check_files=False).encoder
        name, size = spec.name, spec.image_size
    runtime = Runtime(settings.provider, settings.threads, half=settings.half, cuda_graph=settings.cuda_graph)
    return open_encoder(name, size, 2, runtime, settings.precision)


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def main() -> int:
    """Run the node."""
    return run(Features)
