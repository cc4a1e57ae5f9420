"""Odd videos give the hands of the upright original, or a reason; nothing crashes and nothing is left half-written."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from firsthand.errors import LabelError, ModelError
from firsthand_training.labels.detect_hands import DetectSettings
from firsthand_training.labels.hand_networks.prepare import landmark_graph, palm_graph
from firsthand_training.labels.label_videos import Done, LabelSettings, Spread, VideoTask, find_clips, label_videos
from firsthand_training.labels.manifest import Manifest
from firsthand_training.labels.stage_files import CLIPS, HANDS, Hands, load_clips, load_stage
from firsthand_training.labels.trim_clips import TrimSettings
from firsthand_training.labels.video import SECOND, open_video

FRAMES = 10
SETTINGS = LabelSettings(detect=DetectSettings(detectors="palms"), trim=TrimSettings(min_duration=0.2))

SAME = {  # files, and frames of the original that they show
    "varying rate.mp4": [number for number in range(FRAMES) if number % 7 != 3],
    "pause.mp4": list(range(FRAMES)),
    "turned 90.mp4": list(range(FRAMES)),
    "turned 180.mp4": list(range(FRAMES)),
    "turned 270.mp4": list(range(FRAMES)),
    "oblong pixels.mp4": list(range(FRAMES)),
    "wild rate.mkv": list(range(FRAMES)),
}
REFUSED = {
    "without index.mp4": "is no video that FFmpeg can open",
    "nothing.mp4": "is no video that FFmpeg can open",
    "sound.m4a": "has no video stream; it has audio",
}
NO_CLIP = {
    "no hands.mp4": f"no clip: no hand ({FRAMES} frames)",
    "one hand.mp4": f"no clip: one hand ({FRAMES} frames)",
    "three hands.mp4": f"no clip: more than two hands ({FRAMES} frames)",
    "one frame.mp4": "no clip: too short (1 frames)",
    "picture.png": "no clip: too short (1 frames)",
    "too fast.mp4": "too short",
}


@dataclass(frozen=True)
class Found:
    """What came of one file."""

    video: Path
    folder: Path
    done: Done | None
    reason: str

    @property
    def middles(self) -> np.ndarray:
        """Of the left and the right hand in each frame, in shares of the picture's width and height, (N, 2, 2)."""
        hands, video = load_stage(self.folder / HANDS, Hands), open_video(self.video)
        middles = np.full((video.frames, 2, 2), np.nan)
        middles[hands.frame, hands.side] = hands.keypoints.mean(axis=1) / [video.width, video.height]
        return middles


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    try:
        palm_graph(), landmark_graph()
    except ModelError as error:
        pytest.skip(str(error))
    image = cv2.imread(str(Path(__file__).parents[1] / "data" / "two_hands.jpg"))[:, :, ::-1]
    return np.stack([np.roll(image, 2 * number, axis=1) for number in range(FRAMES)])


@pytest.fixture(scope="module")
def find(pictures, make_odd, tmp_path_factory):
    """Make an odd file and look for clips in it, once."""
    folder, found = tmp_path_factory.mktemp("odd"), dict[str, Found]()

    def find_in(name: str) -> Found:
        if name not in found:
            video, work = make_odd[name](folder / name, pictures), folder / f"{name}.work"
            try:
                found[name] = Found(video, work, find_clips(VideoTask(video, work, SETTINGS)), "")
            except LabelError as error:
                found[name] = Found(video, work, None, str(error))
        return found[name]

    return find_in


@pytest.mark.parametrize("name", SAME)
def test_hands_are_those_of_the_upright_original(find, name):
    here, original = find(name), find("plain.mp4")
    assert load_clips(here.folder / CLIPS)[0].first == 0
    # 5 of 640 pixels
    np.testing.assert_allclose(here.middles, original.middles[SAME[name]], atol=0.008)


@pytest.mark.parametrize("name", ["cut off.mp4", "broken middle.mp4"])
def test_of_a_damaged_file_the_frames_that_decode_count(find, name):
    here, original = find(name), find("plain.mp4")
    video = open_video(here.video)
    assert 0 < video.frames <= FRAMES
    assert video.frames + video.lost >= FRAMES
    shown = np.round(video.stamps_ns / SECOND * 30).astype(int)
    off = np.abs(here.middles - original.middles[shown]).max(axis=(1, 2))
    assert np.median(off) < 0.008


def test_4k_gives_the_hands_of_the_small_picture(find):
    here, original = find("4K.mp4").middles, find("plain.mp4").middles
    # The lower 360 of 480 rows.
    np.testing.assert_allclose(here, (original - [0, 0.25]) / [1, 0.75], atol=0.02)


def test_a_portrait_gives_the_hands_of_the_picture_in_it(find):
    video = open_video(find("portrait.mp4").video)
    top = (video.height - 480) / 2
    here, original = find("portrait.mp4").middles, find("plain.mp4").middles
    np.testing.assert_allclose(here * [640, video.height], original * [640, 480] + [0, top], atol=5)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_video_is_refused_and_leaves_nothing(find, name):
    here = find(name)
    assert REFUSED[name] in here.reason
    assert not here.folder.exists() or not list(here.folder.iterdir())


@pytest.mark.parametrize("name", NO_CLIP)
def test_a_video_without_a_clip_says_why(find, name):
    here = find(name)
    assert here.done is not None, here.reason
    assert NO_CLIP[name] in here.done.note
    assert load_clips(here.folder / CLIPS) == []


def test_one_call_goes_on_behind_those_that_fail(find, tmp_path):
    videos = [find(name).video for name in ("nothing.mp4", "sound.m4a", "one frame.mp4", "without index.mp4")]
    with pytest.raises(LabelError, match="nothing could be labelled; 4 videos"):
        label_videos(videos, tmp_path / "work", tmp_path / "data", SETTINGS, Spread(workers=2))
    rows = {Path(row.source).name: row for row in Manifest(tmp_path / "work" / "manifest.jsonl")}
    assert [rows[video.name].status for video in videos] == ["failed", "failed", "trimmed", "failed"]
    assert all(row.reason for row in rows.values())
    assert not (tmp_path / "data").exists()
    left = {path.name for path in (tmp_path / "work").rglob("*") if path.is_file()}
    assert left == {"manifest.jsonl", "settings.json", HANDS, CLIPS}
