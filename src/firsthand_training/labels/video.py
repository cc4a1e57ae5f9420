"""Videos as the stages see them: upright RGB pictures, counted from 0 as they are decoded, with their time stamps.

A video may have any container and codec that FFmpeg knows, a varying frame rate, rotation metadata or oblong pixels,
and may lack its end. Its frames are counted by decoding it once, since what a header promises need not be there.
"""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError

Image = NDArray[np.uint8]
Integers = NDArray[np.int64]

SECOND = 1_000_000_000  # [ns]
NOMINAL_RATE = 30.0  # [Hz], of a file that has neither time stamps nor a rate
TEXT_CODECS = {"ansi", "bintext", "xbin", "idf"}  # FFmpeg draws text files as pictures
REMEMBERED = 8  # videos whose frames need not be counted again

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Video:
    """What decoding a video once has told."""

    path: Path
    width: int  # [px], upright
    height: int
    turn: int  # [deg], 0, 90, 180 or 270: how far its pictures are turned anticlockwise to be upright
    stamps_ns: Integers  # (N,), rising, when each frame is shown; from the file's own time
    stamped: bool  # False: the file has no usable time stamps, and they come from its rate
    lost: int  # frames that do not decode, and those that its header promises after the last one that does
    digest: str  # sha256 of the file

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.stamps_ns)

    @cached_property
    def fps(self) -> float:
        """Frames per second, from steps like the median one, pauses left out; `NOMINAL_RATE` of a single frame."""
        if self.frames < 2:
            return NOMINAL_RATE
        steps = np.diff(self.stamps_ns)
        usual = np.abs(steps / np.median(steps) - 1) <= 0.5
        return SECOND / float(steps[usual].mean())


def open_video(path: Path) -> Video:
    """Decode a video once, to learn how many frames it has and when each is shown.

    A file whose end is missing gives the frames that decode; how many are lost is logged and in `Video.lost`. The last
    few files are remembered, so that the stages can call this one after another.

    Raises:
        LabelError: There is no such file, it has no video, or nothing of it decodes.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise LabelError(f"cannot open the video {path}: {error.strerror}") from error
    if not path.is_file():
        raise LabelError(f"expected a video file, got {path}, which is a folder or a device")
    return _scan(path.resolve(), status.st_size, status.st_mtime_ns)


def frames(video: Video, first: int = 0, last: int | None = None) -> Iterator[Image]:
    """Upright RGB pictures (H, W, 3) uint8, one at a time.

    Args:
        video: From `open_video`.
        first: The first frame.
        last: The frame after the last one; None for the end.

    Raises:
        LabelError: There are no such frames, or the file is another one by now.
    """
    last = video.frames if last is None else last
    if not 0 <= first <= last <= video.frames:
        raise LabelError(f"expected frames between 0 and {video.frames} of {video.path}, got {first} to {last}")
    yielded = first
    for frame in _frames_from(video, first) if first < last else ():
        yield _picture(frame, video)
        yielded += 1
        if yielded == last:
            return
    if yielded < last:
        raise LabelError(
            f"{video.path} has changed: it ends after frame {yielded}, and had {video.frames} frames before"
        )


@lru_cache(maxsize=REMEMBERED)
def _scan(path: Path, size: int, modified_ns: int) -> Video:
    """`size` and `modified_ns` tell one state of a file from the next."""
    times: list[int | None] = []
    broken: list[str] = []
    shape: tuple[int, int, int] | None = None
    with _opened(path) as container:
        stream = _video_stream(container, path)
        base, rate = stream.time_base, float(stream.average_rate or stream.guessed_rate or NOMINAL_RATE)
        promised, seconds = _promised(container, stream, rate)
        stream.codec_context.options = {"skip_loop_filter": "all", "skip_idct": "all"}  # only counting
        for frame in _decode(container, stream, broken):
            shape = shape or _upright_shape(frame, stream)
            times.append(frame.pts)
    if shape is None:
        raise LabelError(
            f"nothing in {path} decodes ({size} bytes, {stream.codec_context.name or 'unknown codec'}): "
            "is the file whole?"
        )
    stamps, stamped = _stamps(times, float(base) if base else 0.0, rate)
    lost = max(promised - len(times), 0)
    if stamped:  # a count may include frames that only repeat the one before, which AVI files leave out
        lost = min(lost, max(round(seconds * rate - (int(stamps[-1]) / SECOND * rate + 1)), 0))
    lost = max(lost, len(broken))
    if lost:
        why = f" ({broken[0]})" if broken else ""
        logger.warning("%s: %d frames decode and %d are lost%s; going on with the others", path, len(times), lost, why)
    width, height, turn = shape
    return Video(path, width, height, turn, stamps, stamped, lost, _digest(path))


def _opened(path: Path) -> Any:
    try:
        return av.open(str(path), metadata_errors="replace")
    except (OSError, ValueError, av.FFmpegError) as error:
        raise LabelError(f"{path} is no video that FFmpeg can open ({_reason(error)}); is the file whole?") from error


def _reason(error: Exception) -> str:
    """What FFmpeg says, without the number and the path that Python adds."""
    return getattr(error, "strerror", None) or str(error)


def _video_stream(container: Any, path: Path) -> Any:
    streams = [s for s in container.streams.video if not s.disposition & type(s.disposition).attached_pic]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        raise LabelError(f"{path} has no video stream; it has {', '.join(kinds) or 'nothing'}")
    stream = streams[0]
    codec = stream.codec_context.name if stream.codec_context is not None else None
    if codec is None or codec in TEXT_CODECS:
        reason = f"(codec {codec or 'unknown'}); expected a video: is the file whole?"
        raise LabelError(f"{path} has no pictures to decode {reason}")
    stream.thread_count = 1  # the stages share the cores in their own way
    return stream


def _promised(container: Any, stream: Any, rate: float) -> tuple[int, float]:
    """How many frames the header says there are, and until when, [s]; 0 where it does not say."""
    seconds = container.duration / av.time_base if container.duration else 0.0
    if stream.duration and stream.time_base:
        seconds = float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    return int(stream.frames or seconds * rate + 0.01), seconds


def _decode(container: Any, stream: Any, broken: list[str] | None = None) -> Iterator[Any]:
    """Every frame that decodes; what is wrong with packets in between is added to `broken`."""
    broken = [] if broken is None else broken
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            yield from packet.decode()
        except av.FFmpegError as error:
            broken.append(str(error.strerror))
            if not isinstance(error, av.error.InvalidDataError):  # reading ends, not a packet
                return


def _stamps(times: list[int | None], base: float, rate: float) -> tuple[Integers, bool]:
    """Stamps in [ns] out of the file's own, or out of its rate where those are missing or do not rise."""
    known = [time for time in times if time is not None]
    if len(known) == len(times) and base > 0:
        stamps = np.round(np.array(known, np.float64) * base * SECOND).astype(np.int64)
        if (np.diff(stamps) > 0).all():
            return stamps, True
    return np.round(np.arange(len(times)) * SECOND / rate).astype(np.int64), False


def _upright_shape(frame: Any, stream: Any) -> tuple[int, int, int]:
    """Width and height of an upright picture with square pixels, and its turn."""
    aspect = stream.sample_aspect_ratio
    width = round(frame.width * float(aspect)) if aspect else frame.width
    turn = round(frame.rotation / 90) * 90 % 360
    return (frame.height, width, turn) if turn in (90, 270) else (width, frame.height, turn)


def _picture(frame: Any, video: Video) -> Image:
    lying = video.turn in (90, 270)
    width, height = (video.height, video.width) if lying else (video.width, video.height)
    image: Image = frame.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(np.rot90(image, video.turn // 90)) if video.turn else image


def _frames_from(video: Video, first: int) -> Iterator[Any]:
    """Decoded frames from `first` on: from the keyframe before it where time stamps tell, else from the beginning."""
    if first and video.stamped:
        with _opened(video.path) as container:
            stream = _video_stream(container, video.path)
            ticks = round(int(video.stamps_ns[first]) / SECOND / stream.time_base)
            container.seek(ticks, stream=stream)
            found = _skip_to(_decode(container, stream), ticks)
            frame = next(found, None)
            if frame is not None and frame.pts == ticks:
                yield frame
                yield from found
                return
    with _opened(video.path) as container:
        decoded = _decode(container, _video_stream(container, video.path))
        for _ in range(first):
            next(decoded, None)
        yield from decoded


def _skip_to(decoded: Iterator[Any], ticks: int) -> Iterator[Any]:
    """What is decoded from a time on; nothing if it begins later than that."""
    before = False
    for frame in decoded:
        if frame.pts is not None and (frame.pts >= ticks):
            if not before and frame.pts > ticks:
                return
            before = True
            yield frame
        before = True


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
