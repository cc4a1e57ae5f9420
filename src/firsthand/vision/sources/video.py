"""Stereo pictures out of video files: one file with both views side by side, or a file for each eye.

Pictures come at the rate that is asked for, whatever rate the film has: picture k is what the film shows at k / rate.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ImageError
from firsthand.vision.intrinsics import Intrinsics
from firsthand.vision.sources.interface import StereoFrame

Picture = NDArray[np.uint8]

SECOND = 1_000_000_000  # [ns]
HALF_TICK = 1e-4  # [s]; frame times are rounded to the container's clock


class VideoSource:
    """A film played as if it came from a stereo camera.

    Args:
        paths: One file with the views side by side, or the left and the right eye's.
        rate: Pictures per second of the film's time, [Hz].
        loop: Start again at the end.
        field_of_view: Horizontal, of one view, [deg]; films carry no calibration.
        baseline: Between the eyes, [m].

    Raises:
        ImageError: No readable films, or two of different sizes.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        rate: float = 25.0,
        loop: bool = False,
        field_of_view: float = 90.0,
        baseline: float = 0.063,
    ) -> None:
        if len(paths) not in (1, 2):
            raise ImageError(
                f"expected one video with both views side by side, or two (left, right); got {len(paths)}: "
                f"{', '.join(map(str, paths)) or 'none'}"
            )
        self._films = [_Film(Path(path)) for path in paths]
        self._step_ns = round(SECOND / rate)
        self._loop = loop
        self._grabbed = 0
        self._started = 0  # the value of `_grabbed` when the films last began
        width, height = self._size()
        focal = width / 2 / np.tan(np.deg2rad(field_of_view) / 2)
        self._intrinsics = Intrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2, baseline)

    @property
    def intrinsics(self) -> Intrinsics:
        """The calibration that the given field of view stands for."""
        return self._intrinsics

    def grab(self) -> StereoFrame | None:
        """The next pair, or None at the end of a film that is not looped."""
        images = self._images()
        if images is None and self._loop:
            for film in self._films:
                film.rewind()
            self._started = self._grabbed
            images = self._images()
        if images is None:
            return None
        frame = StereoFrame(self._grabbed * self._step_ns, images)
        self._grabbed += 1
        return frame

    def close(self) -> None:
        """Close the files."""
        for film in self._films:
            film.close()

    def _images(self) -> Picture | None:
        seconds = (self._grabbed - self._started) * self._step_ns / SECOND
        pictures = [film.at(seconds) for film in self._films]
        if len(pictures) == 1:
            return None if pictures[0] is None else _halves(pictures[0])
        left, right = pictures
        return None if left is None or right is None else np.stack([left, right])

    def _size(self) -> tuple[int, int]:
        """Width and height of one view, [px]."""
        sizes = {film.size for film in self._films}
        if len(sizes) > 1:
            both = " and ".join(f"{film.path} {film.size[0]}x{film.size[1]}" for film in self._films)
            raise ImageError(f"expected left and right videos of one size, got {both}")
        width, height = sizes.pop()
        return (width, height) if len(self._films) == 2 else (width // 2, height)


class _Film:
    """One file, decoded forward."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._container = av.open(str(path))
        except (OSError, av.FFmpegError) as error:
            raise ImageError(f"cannot open the video {path}: {error}") from error
        if not self._container.streams.video:
            self._container.close()
            raise ImageError(f"{path} has no video stream")
        stream = self._container.streams.video[0]
        self.size = (stream.codec_context.width, stream.codec_context.height)
        self._start()

    def _start(self) -> None:
        self._frames: Iterator[av.VideoFrame] = self._container.decode(video=0)
        self._shown: av.VideoFrame | None = None
        self._next: av.VideoFrame | None = self._decode()
        self._first_time = float(self._next.time or 0.0) if self._next is not None else 0.0

    def at(self, seconds: float) -> Picture | None:
        """The picture shown `seconds` after the beginning, RGB; times must not go back. None after the end."""
        while self._next is not None and self._time(self._next) <= seconds + HALF_TICK:
            self._shown, self._next = self._next, self._decode()
        if self._shown is None or (self._next is None and seconds > self._end(self._shown) - HALF_TICK):
            return None
        return self._shown.to_ndarray(format="rgb24")

    def rewind(self) -> None:
        """Go back to the first picture."""
        self._container.seek(0)
        self._start()

    def close(self) -> None:
        self._container.close()

    def _decode(self) -> "av.VideoFrame | None":
        try:
            return next(self._frames, None)
        except av.FFmpegError as error:
            raise ImageError(f"the video {self.path} is damaged: {error}") from error

    def _time(self, frame: "av.VideoFrame") -> float:
        return float(frame.time or 0.0) - self._first_time

    def _end(self, last: "av.VideoFrame") -> float:
        """When the last picture has been shown as long as the others, [s]."""
        rate = self._container.streams.video[0].average_rate or 25
        return self._time(last) + 1 / float(rate)


def _halves(picture: Picture) -> Picture:
    width = picture.shape[1] // 2
    return np.stack([picture[:, :width], picture[:, width : 2 * width]])
