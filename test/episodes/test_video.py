import numpy as np
import pytest

from firsthand.errors import EpisodeError
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.video import VideoWriter, decode_frames

SETTINGS = EpisodeSettings(height=72, width=128)


def picture(index):
    """A soft gradient that moves, as camera images are soft."""
    y, x = np.mgrid[: SETTINGS.height, : SETTINGS.width]
    channels = [128 + 90 * np.sin(x / 20 + index / 7), 128 + 90 * np.cos(y / 15 - index / 9), 0.9 * x + index]
    return np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    with VideoWriter(path, SETTINGS) as writer:
        for index in range(57):
            writer.add(picture(index))
    return path


def test_pictures_survive(video):
    frames = list(decode_frames(video, 0, 57, SETTINGS.fps))
    errors = [np.abs(frame.astype(float) - picture(i)).mean() for i, frame in enumerate(frames)]
    assert len(frames) == 57
    assert max(errors) < 4.0  # grey levels of 255


@pytest.mark.parametrize("first", [0, 1, 4, 5, 31, 56])
def test_random_access_is_exact(video, first):
    whole = list(decode_frames(video, 0, 57, SETTINGS.fps))
    part = list(decode_frames(video, first, 57 - first, SETTINGS.fps))
    np.testing.assert_array_equal(part, whole[first:])


def test_frame_times_are_exact(video):
    av = pytest.importorskip("av")
    with av.open(str(video)) as container:
        times = [packet.pts * packet.time_base for packet in container.demux(video=0) if packet.pts is not None]
        keys = sum(packet.is_keyframe for packet in av.open(str(video)).demux(video=0) if packet.pts is not None)
    assert [time * SETTINGS.fps for time in times] == list(range(57))
    assert keys == 12  # every fifth of 57


def test_too_short_missing_and_damaged_are_named(video, tmp_path):
    with pytest.raises(EpisodeError, match="ends after 7 frames of the 8 expected from frame 50"):
        list(decode_frames(video, 50, 8, SETTINGS.fps))
    with pytest.raises(EpisodeError, match="no video at"):
        list(decode_frames(tmp_path / "none.mp4", 0, 1, SETTINGS.fps))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.read_bytes()[:3000])
    with pytest.raises(EpisodeError, match=r"cut\.mp4 is damaged"):
        list(decode_frames(cut, 0, 57, SETTINGS.fps))
