"""Videos of every kind are counted as they decode, and what cannot be used is refused in words."""

import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand_training.labels.video import SECOND, frames, open_video

TICKS = 15360  # per second, of the files made here
STEP = TICKS // 30
SIZE = (96, 64)  # width, height
GREYS = 4  # grey levels from one frame to the next


def write_film(
    path: Path,
    count: int = 30,
    size: tuple[int, int] = SIZE,
    time: Callable[[int], int] = lambda number: number * STEP,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    noise: int = 0,
) -> Path:
    """Frames of rising grey with a white upper left corner, a keyframe every 8, B-frames between."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "8", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.codec_context.thread_count = 1
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for number in range(count):
            picture = np.full((size[1], size[0], 3), 20 + GREYS * number % 200, np.uint8)
            picture[: size[1] // 4, : size[0] // 4] = 255
            picture[: size[1] // 2] -= rng.integers(0, noise + 1, (size[1] // 2, size[0], 1), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time(number), Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn_in_header(path: Path, turn: int) -> None:
    """Set the turn (clockwise, as a player shows it) in an MP4's track header."""
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn]
    matrix = np.array([cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 14], np.int64) << 16
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    data[start : start + 36] = matrix.astype(">i4").tobytes()
    path.write_bytes(data)


def levels(video, first=0, last=None):
    return [round((float(picture[-4:, -4:].mean()) - 20) / GREYS) for picture in frames(video, first, last)]


def test_frames_come_in_order_with_their_stamps(tmp_path: Path) -> None:
    video = open_video(write_film(tmp_path / "film.mp4"))
    assert (video.frames, video.width, video.height, video.turn, video.lost) == (30, *SIZE, 0, 0)
    assert levels(video) == list(range(30))
    np.testing.assert_allclose(video.stamps_ns, np.arange(30) * SECOND / 30, atol=1)
    assert video.fps == pytest.approx(30)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize("first", [0, 1, 7, 8, 13, 29])
def test_any_frame_can_be_first(tmp_path: Path, suffix: str, first: int) -> None:
    video = open_video(write_film(tmp_path / f"film{suffix}"))
    assert levels(video, first) == list(range(first, 30))
    assert levels(video, first, first + 1) == [first]


def test_a_varying_rate_keeps_its_stamps(tmp_path: Path) -> None:
    times = np.cumsum([0, *(STEP if number % 7 else 5 * STEP for number in range(29))])
    video = open_video(write_film(tmp_path / "film.mp4", time=lambda number: int(times[number])))
    np.testing.assert_allclose(video.stamps_ns, times * SECOND / TICKS, atol=1)
    assert video.fps == pytest.approx(30)
    assert levels(video, 20) == list(range(20, 30))


@pytest.mark.parametrize(("turn", "corner"), [(90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_pictures_are_turned_upright(tmp_path: Path, turn: int, corner: tuple[int, int]) -> None:
    path = write_film(tmp_path / "film.mp4")
    turn_in_header(path, turn)
    video = open_video(path)
    picture = next(frames(video))
    assert (video.width, video.height) == (SIZE if turn == 180 else SIZE[::-1])
    assert picture.shape == (video.height, video.width, 3)
    white = [(row, column) for row in (0, -1) for column in (0, -1) if picture[row, column].mean() > 200]
    assert white == [corner]


def test_oblong_pixels_become_square(tmp_path: Path) -> None:
    video = open_video(write_film(tmp_path / "film.mp4", aspect=Fraction(3, 2)))
    assert (video.width, video.height) == (144, 64)
    assert next(frames(video)).shape == (64, 144, 3)


def test_a_file_that_breaks_off_gives_what_decodes_and_says_what_is_lost(tmp_path: Path, caplog) -> None:
    path = write_film(tmp_path / "film.mp4", options={"movflags": "faststart"}, noise=20)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    with caplog.at_level(logging.WARNING):
        video = open_video(path)
    assert 0 < video.frames < 30
    assert video.lost >= 30 - video.frames
    assert levels(video) == list(range(video.frames))
    assert f"{video.frames} frames decode and {video.lost} are lost" in caplog.text


@pytest.mark.parametrize("kept", [0, 20, 1000])
def test_a_file_of_which_nothing_decodes_is_refused(tmp_path: Path, kept: int) -> None:
    path = write_film(tmp_path / "film.mp4")  # its index is at the end
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(LabelError, match="is the file whole"):
        open_video(path)


@pytest.mark.parametrize(("name", "reason"), [("notes.mp4", "no video that FFmpeg can open"), ("notes.txt", "no pict")])
def test_text_is_no_video(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / name).write_text("hands, hands, hands\n" * 1000)
    with pytest.raises(LabelError, match=reason):
        open_video(tmp_path / name)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no video stream; it has audio"):
        open_video(write_sound(tmp_path / "talk.wav"))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="No such file"):
        open_video(tmp_path / "film.mp4")
    with pytest.raises(LabelError, match="folder"):
        open_video(tmp_path)


def test_frames_beyond_the_end_are_refused(tmp_path: Path) -> None:
    video = open_video(write_film(tmp_path / "film.mp4"))
    with pytest.raises(LabelError, match="between 0 and 30"):
        next(frames(video, 20, 31))


def test_a_file_that_was_replaced_is_looked_at_again(tmp_path: Path) -> None:
    before = open_video(write_film(tmp_path / "film.mp4"))
    after = open_video(write_film(tmp_path / "film.mp4", count=12))
    assert (after.frames, before.frames) == (12, 30)
    assert after.digest != before.digest
    with pytest.raises(LabelError, match="has changed"):
        list(frames(before))
