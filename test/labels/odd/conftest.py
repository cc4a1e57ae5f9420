"""Videos as they come out of phones, editors and crashes, all made from the same pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

TICKS = 15_360  # a second
RATE = 30
STEP = TICKS // RATE


@dataclass(frozen=True)
class Encoding:
    """How pictures become a file."""

    rate: int = RATE  # [Hz], what the header says
    times: Sequence[int] | None = None  # [ticks], one a picture; None: evenly, at `RATE`
    aspect: Fraction | None = None  # of a pixel
    options: tuple[tuple[str, str], ...] = ()  # of the container


PLAIN = Encoding()
INDEX_FIRST = Encoding(options=(("movflags", "faststart"),))


def write(path: Path, pictures: np.ndarray, encoding: Encoding = PLAIN) -> Path:
    """H.264, a keyframe every 4 pictures, of RGB pictures (N, H, W, 3)."""
    times = encoding.times or [number * STEP for number in range(len(pictures))]
    with av.open(str(path), "w", options=dict(encoding.options)) as container:
        settings = {"g": "4", "crf": "16", "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=encoding.rate, options=settings)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.codec_context.thread_count = 1
        if encoding.aspect:
            stream.codec_context.sample_aspect_ratio = encoding.aspect
        for picture, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def resized(pictures: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.stack([cv2.resize(each, (width, height), interpolation=cv2.INTER_CUBIC) for each in pictures])


def varying_rate(path: Path, pictures: np.ndarray) -> Path:
    """Every seventh picture is missing; the others keep their times."""
    kept = [number for number in range(len(pictures)) if number % 7 != 3]
    return write(path, pictures[kept], replace(PLAIN, times=[number * STEP for number in kept]))


def pause(path: Path, pictures: np.ndarray) -> Path:
    """Nothing for two seconds in the middle."""
    half = len(pictures) // 2
    times = [(number + 2 * RATE * (number >= half)) * STEP for number in range(len(pictures))]
    return write(path, pictures, replace(PLAIN, times=times))


def turned(degrees: int) -> Callable[[Path, np.ndarray], Path]:
    """Pictures lie in the file, and its header says how a player turns them upright, clockwise."""

    def make(path: Path, pictures: np.ndarray) -> Path:
        write(path, np.rot90(pictures, degrees // 90, axes=(1, 2)))
        cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
        matrix = np.array([cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 14], np.int64) << 16
        data = bytearray(path.read_bytes())
        start = data.index(b"tkhd") + 4 + 40
        data[start : start + 36] = matrix.astype(">i4").tobytes()
        path.write_bytes(data)
        return path

    return make


def cut_off(path: Path, pictures: np.ndarray) -> Path:
    """The last third of the file is missing; its index is at the beginning."""
    data = write(path, pictures, INDEX_FIRST).read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


def without_index(path: Path, pictures: np.ndarray) -> Path:
    """A recording that was never closed: its index would be at the end."""
    data = write(path, pictures).read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


def broken_middle(path: Path, pictures: np.ndarray) -> Path:
    """A tenth of the file is noise."""
    data = bytearray(write(path, pictures, INDEX_FIRST).read_bytes())
    start, stop = len(data) * 50 // 100, len(data) * 60 // 100
    data[start:stop] = np.random.default_rng(0).bytes(stop - start)
    path.write_bytes(data)
    return path


def oblong_pixels(path: Path, pictures: np.ndarray) -> Path:
    """Pixels that are shown wider than high, as on a DVD."""
    height, width = pictures.shape[1:3]
    return write(path, resized(pictures, width * 3 // 4, height), replace(PLAIN, aspect=Fraction(4, 3)))


def wild_rate(path: Path, pictures: np.ndarray) -> Path:
    """The header says 90000 frames a second; the pictures have their right times."""
    return write(path, pictures, replace(PLAIN, rate=90_000))


def too_fast(path: Path, pictures: np.ndarray) -> Path:
    """All pictures within a tenth of a second."""
    step = max(1, TICKS // 10 // len(pictures))
    return write(path, pictures, replace(PLAIN, times=[number * step for number in range(len(pictures))]))


def uhd(path: Path, pictures: np.ndarray) -> Path:
    """3840x2160, the lower part of the pictures."""
    height, width = pictures.shape[1:3]
    high = width * 9 // 16
    return write(path, resized(pictures[:, height - high :], 3840, 2160))


def portrait(path: Path, pictures: np.ndarray) -> Path:
    """Higher than wide: grey bars above and below."""
    height, width = pictures.shape[1:3]
    tall = np.full((len(pictures), width * 2 // 3 * 2, width, 3), 90, np.uint8)
    top = (tall.shape[1] - height) // 2
    tall[:, top : top + height] = pictures
    return write(path, tall)


def one_hand(path: Path, pictures: np.ndarray) -> Path:
    """The left half of the pictures is painted over."""
    half = pictures.copy()
    half[:, :, : pictures.shape[2] * 11 // 20] = 90
    return write(path, half)


def three_hands(path: Path, pictures: np.ndarray) -> Path:
    """Somebody else's hand reaches in: the right half once more, beside the picture."""
    return write(path, np.concatenate([pictures, pictures[:, :, pictures.shape[2] // 2 :]], axis=2))


def no_hands(path: Path, pictures: np.ndarray) -> Path:
    """The upper quarter, that is the wall behind the table, enlarged."""
    height, width = pictures.shape[1:3]
    return write(path, resized(pictures[:, : height // 4, : width // 3], width, height))


def one_frame(path: Path, pictures: np.ndarray) -> Path:
    return write(path, pictures[:1])


def picture(path: Path, pictures: np.ndarray) -> Path:
    cv2.imwrite(str(path), pictures[0, :, :, ::-1])
    return path


def sound(path: Path, pictures: np.ndarray) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def nothing(path: Path, pictures: np.ndarray) -> Path:
    path.write_bytes(b"")
    return path


ODD: dict[str, Callable[[Path, np.ndarray], Path]] = {
    "plain.mp4": write,
    "varying rate.mp4": varying_rate,
    "pause.mp4": pause,
    "turned 90.mp4": turned(90),
    "turned 180.mp4": turned(180),
    "turned 270.mp4": turned(270),
    "cut off.mp4": cut_off,
    "without index.mp4": without_index,
    "broken middle.mp4": broken_middle,
    "oblong pixels.mp4": oblong_pixels,
    "wild rate.mkv": wild_rate,
    "too fast.mp4": too_fast,
    "4K.mp4": uhd,
    "portrait.mp4": portrait,
    "one hand.mp4": one_hand,
    "three hands.mp4": three_hands,
    "no hands.mp4": no_hands,
    "one frame.mp4": one_frame,
    "picture.png": picture,
    "sound.m4a": sound,
    "nothing.mp4": nothing,
}


@pytest.fixture(scope="session")
def make_odd() -> dict[str, Callable[[Path, np.ndarray], Path]]:
    """Makers of odd videos by file name: path and pictures (N, H, W, 3) to path."""
    return ODD
