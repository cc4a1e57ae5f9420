"""Which stretches of a video are kept, and why the rest is not."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand_training.labels.stage_files import Clip, Hands, load_clips, save_stage
from firsthand_training.labels.trim_clips import TrimSettings, measure_motion, trim_clips

SIZE = (320, 240)
SHORT = TrimSettings(min_duration=0.4)


def texture(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    return cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC)


def windows(offsets: np.ndarray, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """What a camera sees that glides over a picture, its corner at each of these offsets (N, 2)."""
    scale = size[0] / SIZE[0]
    whole = cv2.resize(texture(), None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    corners = np.round(scale * np.asarray(offsets)).astype(int)
    return [whole[y : y + size[1], x : x + size[0]] for x, y in corners]


def hands_in(present: list[tuple[int, int]], frames: int) -> Hands:
    """(frame, side) of each hand, with a box too small to hide much."""
    count = len(present)
    return Hands(
        frame=np.array([frame for frame, _ in present], dtype=int),
        side=np.array([side for _, side in present], dtype=int),
        score=np.ones(count),
        box=np.tile([300.0, 220.0, 310.0, 230.0], (count, 1)),
        keypoints=np.full((count, 21, 2), np.nan),
        frames=np.array([frames]),
    )


def both_in(frames: range | list[int], count: int) -> Hands:
    return hands_in([(frame, side) for frame in frames for side in range(2)], count)


@pytest.fixture
def trim(tmp_path: Path, write_video):
    def run(offsets, hands: Hands, settings: TrimSettings = SHORT, fps: int = 30):
        video = write_video(tmp_path / "video.mp4", windows(offsets), fps)
        found = save_stage(tmp_path / "hands.npz", hands)
        path = trim_clips(video, found, tmp_path / "clips.json", settings)
        return load_clips(path), json.loads(path.read_text())["report"]

    return run


def glide(*steps: float) -> np.ndarray:
    """Offsets (N, 2) of a camera that goes to the right by so many pixels from frame to frame."""
    return np.stack([np.cumsum([0.0, *steps]), np.full(len(steps) + 1, 20.0)], axis=1)


@pytest.mark.parametrize("size", [(320, 240), (640, 480)])
def test_the_motion_score_is_the_shift_in_pixels_of_640x480_whatever_the_size(tmp_path, write_video, size):
    video = write_video(tmp_path / "video.mp4", windows(glide(0.0, 4.0), size))
    scores = measure_motion(video, both_in(range(3), 3), np.ones(3, dtype=bool))
    assert scores[0] == pytest.approx(0.0, abs=0.3)
    assert scores[1] == pytest.approx(8.0, rel=0.05)


def test_a_stretch_ends_where_the_camera_jumps_and_the_longest_is_kept(trim):
    steps = [1.0] * 13 + [30.0] + [1.0] * 15
    clips, report = trim(glide(*steps), both_in(range(30), 30))
    assert clips == [Clip(14, 30)]
    assert report["left_out"] == {"too much motion": 1, "not the longest": 14}
    assert report["motion"][13] == pytest.approx(60.0, rel=0.05)


def test_all_stretches_are_kept_on_request(trim):
    steps = [1.0] * 13 + [30.0] + [1.0] * 15
    clips, _ = trim(glide(*steps), both_in(range(30), 30), TrimSettings(min_duration=0.4, keep="all"))
    assert clips == [Clip(0, 14), Clip(14, 30)]


def test_other_motion_is_kept_on_request(trim):
    clips, _ = trim(glide(*[30.0] * 8), both_in(range(9), 9), TrimSettings(min_duration=0.3, motion="any"))
    assert clips == [Clip(0, 9)]


def test_a_single_bad_pair_is_forgiven_on_request(trim):
    steps = [1.0] * 13 + [30.0] + [1.0] * 15
    clips, _ = trim(glide(*steps), both_in(range(30), 30), TrimSettings(min_duration=0.4, smooth=3))
    assert clips == [Clip(0, 30)]


def test_three_seconds_are_needed_and_are_enough(trim):
    standing = glide(*[0.0] * 89)
    assert trim(standing, both_in(range(90), 90), TrimSettings())[0] == [Clip(0, 90)]


def test_a_stretch_too_short_is_no_clip_and_is_counted(trim):
    clips, report = trim(glide(*[0.0] * 9), both_in(range(10), 10), TrimSettings())
    assert clips == []
    assert report["left_out"] == {"too short": 10}


@pytest.mark.parametrize("smooth", [1, 3])
def test_a_single_frame_is_too_short(trim, smooth):
    clips, report = trim(glide(), both_in([0], 1), TrimSettings(smooth=smooth))
    assert clips == []
    assert report["left_out"] == {"too short": 1}


def test_the_threshold_is_a_speed(trim):
    # 3.5 px of 320x240 are 7 px of 640x480 in 1/60 s: 14 px in 1/30 s.
    assert trim(glide(*[3.5] * 24), both_in(range(25), 25), fps=60)[0] == []


def test_seven_pixels_at_thirty_hertz_are_static(trim):
    assert trim(glide(*[3.5] * 24), both_in(range(25), 25))[0] == [Clip(0, 25)]


def test_frames_without_two_hands_are_filtered_out_and_do_not_end_a_stretch(trim):
    present = both_in([*range(8), *range(10, 18)], 18)
    clips, report = trim(glide(*[0.0] * 17), present)
    assert clips == [Clip(0, 18)]
    assert (report["kept"], report["bridged"], report["left_out"]) == (16, 2, {"no hand": 2})


def test_they_do_not_count_for_its_length(trim):
    present = both_in([*range(5), *range(8, 14)], 14)
    clips, report = trim(glide(*[0.0] * 13), present)  # 14 frames, but 11 of the 12 that are needed
    assert clips == []
    assert report["left_out"] == {"no hand": 3, "too short": 11}


def test_a_camera_that_moved_meanwhile_ends_a_stretch(trim):
    present = both_in([*range(14), *range(17, 30)], 30)
    steps = [0.0] * 13 + [6.0, 6.0, 6.0, 6.0] + [0.0] * 12
    clips, report = trim(glide(*steps), present)
    assert clips == [Clip(0, 14)]
    assert report["left_out"]["too much motion"] == 1
    assert report["motion"][16] == pytest.approx(48.0, rel=0.05)


@pytest.mark.parametrize(("bridge", "expected"), [(0.1, []), (0.14, [Clip(0, 20)])])
def test_a_gap_longer_than_the_bridge_ends_a_stretch(trim, bridge, expected):
    present = both_in([*range(8), *range(12, 20)], 20)
    assert trim(glide(*[0.0] * 19), present, TrimSettings(min_duration=0.4, bridge=bridge))[0] == expected


def test_no_texture_is_no_homography(tmp_path, write_video):
    flat = [np.full((240, 320, 3), 128, dtype=np.uint8)] * 3
    scores = measure_motion(write_video(tmp_path / "v.mp4", flat), both_in(range(3), 3), np.ones(3, dtype=bool))
    assert np.isinf(scores).all()


def test_a_finished_file_is_left_alone(tmp_path):
    (tmp_path / "clips.json").write_text("mine")
    trim_clips(tmp_path / "no.mp4", tmp_path / "no.npz", tmp_path / "clips.json")
    assert (tmp_path / "clips.json").read_text() == "mine"


def test_hands_of_another_video_are_refused(trim, tmp_path):
    with pytest.raises(LabelError, match=r"has 5 frames, .* made from 7"):
        trim(glide(*[0.0] * 4), both_in(range(7), 7))
    assert not (tmp_path / "clips.json").exists()


def test_a_truncated_video_is_refused(tmp_path, write_video):
    video = write_video(tmp_path / "video.mp4", windows(glide(*[0.0] * 9)))
    video.write_bytes(video.read_bytes()[:2000])
    with pytest.raises(LabelError, match=r"video\.mp4"):
        trim_clips(video, save_stage(tmp_path / "h.npz", both_in(range(10), 10)), tmp_path / "clips.json")


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(LabelError, match="max_motion=-1"):
        TrimSettings(max_motion=-1)
    with pytest.raises(LabelError, match="longest"):
        TrimSettings(keep="best")
