"""H.264 in MP4 through PyAV: written frame by frame, read from any frame on.

Frame n is shown at n / fps exactly. There are no B-frames, so the order on disk is the order in time, and a
keyframe every few frames bounds what a random access decodes.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import EpisodeError
from firsthand_training.episodes.layout import EpisodeSettings

Image = NDArray[np.uint8]


class VideoWriter:
    """Encodes RGB frames into one file, on the caller's thread."""

    def __init__(self, path: Path, settings: EpisodeSettings) -> None:
        self.count = 0
        self._container = av.open(str(path), "w", format="mp4")
        options = {
            "preset": settings.preset,
            "crf": str(settings.crf),
            "g": str(settings.keyframe_interval),
            "bf": "0",
        }
        self._stream: Any = self._container.add_stream("libx264", rate=settings.fps, options=options)
        self._stream.width = settings.width
        self._stream.height = settings.height
        self._stream.pix_fmt = "yuv420p"
        self._frame_time = Fraction(1, settings.fps)
        self._stream.time_base = self._frame_time  # the muxer soon makes it finer
        self._stream.codec_context.thread_count = 1  # others share the cores; also makes the bytes repeatable

    def add(self, image: Image) -> None:
        """Append one (H, W, 3) RGB frame."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts = self.count
        frame.time_base = self._frame_time
        self._container.mux(self._stream.encode(frame))
        self.count += 1

    def close(self) -> None:
        """Finish the file."""
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()

    def abandon(self) -> None:
        """Let go of a file that nobody wants any more, whatever state the encoder is in."""
        self._container.close()

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def decode_frames(path: Path, first: int, count: int, fps: int) -> Iterator[Image]:
    """Yield RGB frames `first` to `first + count - 1` of a file, each (H, W, 3).

    Raises:
        EpisodeError: The file is missing, damaged, or ends early.
    """
    if not path.is_file():
        raise EpisodeError(f"no video at {path}; copy the dataset again with its videos/ folder")
    decoded = 0
    try:
        with av.open(str(path)) as container:
            for frame in _frames_from(container, first, fps):
                if decoded == count:
                    return
                decoded += 1
                yield frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, IndexError) as error:
        raise EpisodeError(f"{path} is damaged after {decoded} frames of {count}: {error}") from error
    if decoded < count:
        raise EpisodeError(f"{path} ends after {decoded} frames of the {count} expected from frame {first}")


def _frames_from(container: Any, first: int, fps: int) -> Iterator[Any]:
    stream = container.streams.video[0]
    stream.thread_count = 1
    if first > 0:
        container.seek(round(first / fps / stream.time_base), stream=stream)
    for frame in container.decode(stream):
        if round(frame.pts * frame.time_base * fps) >= first:
            yield frame
