"""A stereo camera that is none: side-by-side pictures at a steady rate, for tests and benchmarks of the graph.

It sends what a ZED sends on USB, by `vision/sources/picture_stream.py`. Pictures come from films or from those that
ship; each carries its number in black and white blocks, so that whoever receives one knows which it is.

It fails on demand: it can fall silent with the connection left open, leave pictures out, break the connection, or die.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ImageError
from firsthand.vision.precision import stereo_pictures
from firsthand.vision.sources.fake_camera_settings import FakeCameraSettings
from firsthand.vision.sources.picture_stream import PictureServer, PictureStream, as_yuyv
from firsthand.vision.sources.video import VideoSource

Picture = NDArray[np.uint8]

BITS, BLOCK, BLOCK_AT = 16, 16, 720  # of the number; [px] each block, in pictures that are so high
BLACK, WHITE, GREY = 16, 235, 128  # luma limits of video, and no colour
GREY_BETWEEN = (90, 165)  # neither black nor white
REMEMBERED = 1000  # stamps
KEPT = 50  # different pictures, at most; they are sent round and round


@dataclass
class FakeCamera:
    """Serves one reader at a time, again and again.

    Attributes:
        stalled: Set to fall silent, clear to go on.
        sent: Pictures sent so far, to all readers.
        stamps: Of the last thousand pictures by their number, on the monotonic clock, [us].
    """

    settings: FakeCameraSettings = field(default_factory=FakeCameraSettings)
    stalled: threading.Event = field(default_factory=threading.Event)
    sent: int = 0
    stamps: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        s = self.settings
        self._pictures = [_as_yuyv(pair, s) for pair in _load_pictures(s)]
        self._server = PictureServer(s.port, s.width, s.height, s.rate)
        self._stop = threading.Event()
        self._began: float | None = None

    @property
    def address(self) -> str:
        """What a reader opens."""
        return self._server.address

    def run(self) -> None:
        """Serve until `stop`, or until the camera dies."""
        try:
            while not self._stop.is_set():
                stream = self._server.accept(timeout=0.1)
                if stream is not None:
                    with stream:
                        self._serve(stream)
        finally:
            self._server.close()

    def start(self) -> threading.Thread:
        """Run on a thread, for tests."""
        thread = threading.Thread(target=self.run, name="fake camera", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """Break the connection and end."""
        self._stop.set()

    def turn(self) -> None:
        """Fall silent, or go on."""
        (self.stalled.clear if self.stalled.is_set() else self.stalled.set)()

    def _serve(self, stream: PictureStream) -> None:
        """Send pictures to one reader until it or the camera goes."""
        for number in self._due(stream):
            picture = self._pictures[number % len(self._pictures)]
            _draw_number(picture, number, self.settings)
            self.stamps[number] = stamp = time.monotonic_ns() // 1000
            self.stamps.pop(number - REMEMBERED, None)
            stream.send(picture, stamp)
            self.sent += 1

    def _due(self, stream: PictureStream) -> Iterator[int]:
        """The numbers of the pictures, each when its time has come; ends when the reader has gone."""
        due = time.monotonic()
        if self._began is None:
            self._began = due
        while not self._stop.is_set():
            due = max(due + 1 / self.settings.rate, time.monotonic() - 1)
            time.sleep(max(due - time.monotonic(), 0))
            if self._dead():
                self._stop.set()
            elif stream.closed:
                return
            elif not self._silent() and not self._drops():
                yield self.sent
            elif self._drops():
                self.sent += 1

    def _drops(self) -> bool:
        every = self.settings.drop_every
        return every > 0 and self.sent % every == every - 1

    def _silent(self) -> bool:
        s, elapsed = self.settings, self._elapsed()
        planned = 0 < s.stall_after <= elapsed and (s.stall_for == 0 or elapsed < s.stall_after + s.stall_for)
        return planned or self.stalled.is_set()

    def _dead(self) -> bool:
        return 0 < self.settings.die_after <= self._elapsed()

    def _elapsed(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began


def read_number(view: NDArray[np.uint8]) -> int:
    """The number that is drawn into a picture (H, W, 3), at any size and after JPEG: its lower 16 bits.

    Raises:
        ImageError: There is none.
    """
    block = BLOCK * view.shape[0] / BLOCK_AT
    columns, row = ((np.arange(BITS) + 0.5) * block).astype(int), int(block / 2)
    if columns[-1] >= view.shape[1]:
        raise ImageError(f"expected a picture of the fake camera, got one of {view.shape[1]}x{view.shape[0]}")
    greys = view[row, columns].mean(axis=-1)
    if np.any((greys > GREY_BETWEEN[0]) & (greys < GREY_BETWEEN[1])):
        raise ImageError(f"expected black and white blocks in the upper left corner, got greys {greys.astype(int)}")
    return int(((greys > GREY) * (1 << np.arange(BITS))).sum())


def _draw_number(picture: Picture, number: int, s: FakeCameraSettings) -> None:
    """Into the upper left corner of both views of (H, 2 W, 2) YUYV."""
    bits = (number >> np.arange(BITS)) & 1
    luma = np.repeat(np.where(bits, WHITE, BLACK).astype(np.uint8), _block(s))
    for left in (0, s.width):
        corner = picture[: _block(s), left : left + luma.size]
        corner[..., 0], corner[..., 1] = luma, GREY


def _block(s: FakeCameraSettings) -> int:
    """[px] of a block; it grows with the picture, so that a reader finds it at any size."""
    return max(round(BLOCK * s.height / BLOCK_AT), 1)


def _load_pictures(s: FakeCameraSettings) -> Iterator[Picture]:
    """Pairs (2, H, W, 3) RGB."""
    if not s.videos:
        yield from stereo_pictures()
        return
    film = VideoSource([Path(video) for video in s.videos], rate=s.rate)
    for _ in range(KEPT):
        frame = film.grab()
        if frame is None:
            break
        yield frame.images
    film.close()


def _as_yuyv(pair: Picture, s: FakeCameraSettings) -> Picture:
    """(H, 2 W, 2) of a pair of any size."""
    return as_yuyv(*(cv2.resize(view, (s.width, s.height), interpolation=cv2.INTER_AREA) for view in pair))
