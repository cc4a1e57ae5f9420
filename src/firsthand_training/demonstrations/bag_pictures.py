"""The camera's side of a bag: which pictures belong together, which of them become frames, and their pixels."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.bags.contents import picture
from firsthand.bags.read import Bag
from firsthand.errors import BagError

Stamps = NDArray[np.int64]
Picture = NDArray[np.uint8]

SECOND = 1_000_000_000  # [ns]
LEFT_IMAGES = "left/color/rect/image/compressed"
RIGHT_IMAGES = "right/color/rect/image/compressed"
GAP = 1.5  # a period this many times the usual one is a gap
SLOW = 1.25  # a camera's period may be this many times a frame's


def camera_pairs(bag: Bag, max_skew: float) -> Stamps:
    """Stamps of left pictures and the right ones taken within `max_skew` seconds of them, (N, 2), rising.

    Raises:
        BagError: A camera was not recorded, or hardly any pictures belong together.
    """
    left, right = (_image_stamps(bag, name) for name in (LEFT_IMAGES, RIGHT_IMAGES))
    nearest = right[np.clip(_nearest(right, left), 0, len(right) - 1)]
    pairs = np.stack([left, nearest], axis=1)[np.abs(left - nearest) <= max_skew * SECOND]
    pairs = pairs[np.unique(pairs[:, 1], return_index=True)[1]]  # no picture is half of two pairs
    if len(pairs) < 2:
        raise BagError(
            f"{bag.path} has {len(left)} left and {len(right)} right pictures, but {len(pairs)} pairs taken within "
            f"{max_skew * 1e3:g} ms of each other"
        )
    return pairs


def _image_stamps(bag: Bag, name: str) -> Stamps:
    topic = bag.find_topic(name)
    stamps = np.array([bag.header_stamp_ns(raw) or 0 for raw in bag.raw_messages([topic])], dtype=np.int64)
    if len(stamps) == 0 or not stamps.all():
        without = int((stamps == 0).sum())
        raise BagError(f"{bag.path}: expected pictures with stamps on {topic}, got {len(stamps)}, {without} without")
    return np.unique(stamps)


def _nearest(stamps: Stamps, times: Stamps) -> NDArray[np.intp]:
    """Index of the stamp nearest to each time."""
    after = np.clip(np.searchsorted(stamps, times), 1, max(len(stamps) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(stamps) - 1)
    return np.where(np.abs(stamps[after] - times) < np.abs(stamps[before] - times), after, before)


def at_rate(pairs: Stamps, fps: int, path: Path) -> tuple[Stamps, NDArray[np.bool_]]:
    """Leave pairs out so that `fps` a second remain; a camera of that rate keeps all, whatever its jitter.

    Returns:
        The pairs that stay, (N, 2), and before which of them the camera paused, (N,).

    Raises:
        BagError: The camera was slower than that.
    """
    period = SECOND / fps
    periods = np.diff(pairs[:, 0], prepend=pairs[0, 0])
    camera_period = float(np.median(periods[1:]))
    if camera_period > SLOW * period:
        raise BagError(f"{path}: the camera ran at {SECOND / camera_period:.2f} Hz, too slow for {fps} frames a second")
    pauses = np.cumsum(periods > GAP * max(camera_period, period))
    slack = min(camera_period, period) / 2
    kept, due = [], float(pairs[0, 0])
    for i, stamp in enumerate(pairs[:, 0].tolist()):
        if stamp >= due - slack:
            kept.append(i)
            due = max(due + period, stamp + period / 2)
    return pairs[kept], np.diff(pauses[kept], prepend=0) > 0


def decode_pairs(bag: Bag, stamps: Stamps, size: tuple[int, int] | None = None) -> Iterator[Picture]:
    """Decode the pairs with these stamps in order, each (2, H, W, 3) RGB; what waits for its partner is few.

    Args:
        bag: An open one.
        stamps: (N, 2), left and right.
        size: Height and width to shrink them to, [px]; None leaves them.
    """
    topics = [bag.find_topic(LEFT_IMAGES), bag.find_topic(RIGHT_IMAGES)]
    wanted = [set(stamps[:, side].tolist()) for side in (0, 1)]
    waiting: list[dict[int, Picture]] = [{}, {}]
    due = iter(stamps.tolist())
    pair = next(due)
    for raw in bag.raw_messages(topics):
        side, stamp = topics.index(raw.topic), bag.header_stamp_ns(raw) or 0
        if stamp in wanted[side]:
            waiting[side][stamp] = _sized(picture(bag.decode(raw)), size)
        while pair is not None and pair[0] in waiting[0] and pair[1] in waiting[1]:
            yield _stacked(waiting[0].pop(pair[0]), waiting[1].pop(pair[1]), bag.path)
            pair = next(due, None)
    if pair is not None:
        raise BagError(f"{bag.path}: the pictures taken at {pair[0]} and {pair[1]} ns are not where the index has them")


def _sized(image: Picture, size: tuple[int, int] | None) -> Picture:
    if size is None or image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _stacked(left: Picture, right: Picture, path: Path) -> Picture:
    if left.shape != right.shape:
        raise BagError(f"{path}: expected pictures of one size, got left {left.shape} and right {right.shape}")
    return np.stack([left, right])
