"""The pictures of a stretch of a video, upright, one after the other."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError

Image = NDArray[np.uint8]


class ClipFrame(NamedTuple):
    """One decoded picture."""

    number: int  # in the video
    seconds: float  # of its presentation
    picture: Image  # (H, W, 3), RGB


def clip_frames(video: Path, first: int = 0, last: int | None = None) -> Iterator[ClipFrame]:
    """Yield frames `first` to `last` of a video, the last not included; to its end if None.

    Raises:
        LabelError: There is no such video, it is damaged, or it ends before `last`.
    """
    count = 0
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise LabelError(f"{video} has no video stream")
            stream = container.streams.video[0]
            stream.thread_count = 1  # others share the cores
            for count, frame in enumerate(container.decode(stream)):
                if last is not None and count >= last:
                    return
                if count >= first:
                    picture = np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90))
                    yield ClipFrame(count, float(frame.time or 0.0), np.ascontiguousarray(picture))
            count += 1
    except FileNotFoundError:
        raise LabelError(f"no video at {video}") from None
    except (av.FFmpegError, OSError) as error:
        raise LabelError(f"{video} cannot be decoded after {count} frames: {error}; convert it again") from error
    if last is not None and count < last:
        raise LabelError(f"{video} has {count} frames, but {last} are asked for; was it cut since it was trimmed?")
