"""The pictures of a stretch of a video with their numbers and times, as `video.py` decodes them."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from firsthand.errors import LabelError
from firsthand_training.labels.video import SECOND, Image, frames, open_video


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
    opened = open_video(video)
    if last is not None and opened.frames < last:
        raise LabelError(
            f"{video} has {opened.frames} frames, but {last} are asked for; was it cut since it was trimmed?"
        )
    for number, picture in enumerate(frames(opened, first, last), first):
        yield ClipFrame(number, int(opened.stamps_ns[number]) / SECOND, picture)
