import json
from dataclasses import replace

import av
import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand.space.hand_state import LEFT_WRIST_POSITION, ROTATIONS, SIZE, WRIST_POSITIONS
from firsthand_training.episodes.check import check_dataset
from firsthand_training.episodes.layout import SIGMA
from firsthand_training.episodes.read import Episodes
from firsthand_training.episodes.tables import read_frames
from firsthand_training.labels.stage_files import Clip, Labels, save_stage
from firsthand_training.labels.write_episodes import (
    WriteSettings,
    find_runs,
    fit_picture,
    on_grid,
    quality_of,
    write_episodes,
)
from firsthand_training.models.world_model import WorldModelSettings
from firsthand_training.training.feature_cache import CacheSettings, cache_features
from firsthand_training.training.methods.world_model import WorldModelMethod
from firsthand_training.training.train import TrainSettings, train
from firsthand_training.training.training_state import load_trained_model

SMALL = WriteSettings(height=48, width=64, shortest=0.2)
FRAMES, RATE = 60, 30


def write_video(path, frames=FRAMES, rate=RATE, size=(80, 60)):
    """Every frame is as bright as its number."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(frames):
            picture = np.full((size[1], size[0], 3), 20 + 3 * i, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def make_labels(frames=FRAMES, rate=RATE, first=0):
    """Hands that stay where they are in the room, while the head moves to the left at 0.3 m/s."""
    times = np.arange(frames) / rate
    state = np.zeros((frames, SIZE))
    state[:, ROTATIONS] = np.tile([1.0, 0, 0, 0, 1, 0], 3)
    origin = np.column_stack([np.zeros(frames), 0.3 * times, np.zeros(frames)])
    state[:, WRIST_POSITIONS] = np.tile([0.4, 0.2, -0.3], 2) - np.tile(origin, 2)
    return Labels(
        frames=first + np.arange(frames),
        stamps_ns=np.rint(1e9 * (first / rate + times)).astype(np.int64),
        state=state,
        origin=origin,
        wrist_sigma=np.full((frames, 2), 0.05),
        rotation_sigma=np.zeros((frames, 2)),
        tips_sigma=np.zeros((frames, 2)),
        measured=np.ones((frames, 2), dtype=bool),
        scale_sigma=np.array([0.06]),
        scale_source=np.array(["prior"]),
    )


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "video.mp4")


def write(tmp_path, video, labels, settings=SMALL, clip=None):
    clip = clip or Clip(int(labels.frames[0]), int(labels.frames[-1]) + 1)
    return write_episodes(video, clip, save_stage(tmp_path / "labels.npz", labels), tmp_path / "episodes", settings)


def test_a_clip_becomes_a_dataset_that_the_check_finds_whole(tmp_path, video):
    root = write(tmp_path, video, make_labels())
    report = check_dataset(root, decode=True)
    assert not report.problems, str(report)
    dataset = Episodes.open(root)
    assert (dataset.fps, dataset.embodiment, dataset.joint_names) == (25, "video", ())
    assert len(dataset.episode(0)) == 49  # of 50 on the grid, the last one is only gone to


def test_pictures_and_labels_are_of_the_same_frame(tmp_path, video):
    dataset = Episodes.open(write(tmp_path, video, make_labels()))
    frames = np.rint(dataset.episode(0).stamp_ns * RATE / 1e9).astype(int)
    for frame, picture in zip(frames, dataset.frames(0, "left"), strict=True):
        assert picture[24, 32].mean() == pytest.approx(20 + 3 * frame, abs=2)


def test_both_eyes_see_the_one_picture_and_the_dataset_says_so(tmp_path, video):
    root = write(tmp_path, video, make_labels())
    for left, right in Episodes.open(root).stereo_frames(0):
        np.testing.assert_array_equal(left, right)
    features = json.loads((root / "meta/info.json").read_text())["features"]
    assert features["observation.images.right"]["info"]["video.copy_of"] == "observation.images.left"
    assert "video.copy_of" not in features["observation.images.left"]["info"]


def test_actions_are_the_next_state_seen_from_here(tmp_path, video):
    data = Episodes.open(write(tmp_path, video, make_labels())).episode(0)
    np.testing.assert_allclose(data.action[:, WRIST_POSITIONS], data.state[:, WRIST_POSITIONS], atol=1e-6)
    moved = data.state[1:, LEFT_WRIST_POSITION] - data.state[:-1, LEFT_WRIST_POSITION]
    np.testing.assert_allclose(moved, -np.diff(data.origin, axis=0), atol=1e-6)


def test_frames_without_a_hand_part_episodes(tmp_path, video):
    labels = make_labels()
    labels.state[25:30, LEFT_WRIST_POSITION] = np.nan
    dataset = Episodes.open(write(tmp_path, video, labels))
    assert len(dataset) == 2
    assert dataset.episode(0).stamp_ns[-1] < labels.stamps_ns[25]
    assert dataset.episode(1).stamp_ns[0] >= labels.stamps_ns[30]


def test_bridged_frames_are_kept_and_count_nothing(tmp_path, video):
    labels = make_labels()
    labels.measured[25:30, 1] = False
    data = Episodes.open(write(tmp_path, video, labels)).episode(0)
    bridged = (data.stamp_ns >= labels.stamps_ns[25]) & (data.stamp_ns < labels.stamps_ns[30])
    assert bridged.any()
    np.testing.assert_array_equal(data.quality[bridged], 0.0)
    np.testing.assert_allclose(data.quality[~bridged], 0.5)


def test_the_usual_sigma_counts_half_and_the_worse_hand_decides():
    labels = make_labels(3)
    np.testing.assert_allclose(quality_of(labels), 0.5)
    labels.tips_sigma[1, 0] = 0.03
    np.testing.assert_allclose(quality_of(labels), [0.5, 1 / 3, 0.5])
    exact = replace(labels, wrist_sigma=np.zeros((3, 2)), tips_sigma=np.zeros((3, 2)))
    np.testing.assert_array_equal(quality_of(exact), 1.0)


def test_sigmas_are_kept_beside_the_state(tmp_path, video):
    dataset = Episodes.open(write(tmp_path, video, make_labels()))
    columns = read_frames(dataset.record(0).data_path(dataset.root), 0)
    np.testing.assert_allclose(columns[SIGMA], np.tile([0.05, 0.05, 0, 0, 0, 0], (49, 1)))


@pytest.mark.parametrize("rate", [24, 25, 30, 50, 59.94])
def test_videos_of_any_rate_are_thinned_to_an_even_grid(rate):
    stamps = np.rint(1e9 * np.arange(200) / rate).astype(np.int64)
    rows = on_grid(stamps, 25)
    assert (np.diff(rows) > 0).all()
    seconds = stamps[rows] / 1e9
    assert np.abs(seconds * 25 - np.rint(seconds * 25)).max() <= 0.6 * 25 / rate
    assert len(rows) == pytest.approx(min(25, rate) * 200 / rate, abs=2)


def test_a_pause_of_the_video_parts_episodes():
    labels = make_labels()
    labels.stamps_ns[30:] += 200_000_000
    runs, left_out = find_runs(labels, SMALL)
    assert [bool((run < 30).all()) for run in runs] == [True, False]
    assert not left_out


@pytest.mark.parametrize("rate", [25, 30, 60])
@pytest.mark.parametrize(("missing", "episodes"), [(1, 1), (4, 2)])
def test_a_frame_that_the_video_dropped_does_not_part_an_episode(rate, missing, episodes):
    labels = make_labels(rate=rate, frames=2 * rate)
    kept = np.r_[:rate, rate + missing : 2 * rate]
    thinned = replace(
        labels, **{name: getattr(labels, name)[kept] for name in ("frames", "stamps_ns", "state", "origin")}
    )
    assert len(find_runs(thinned, replace(SMALL, shortest=0.2))[0]) == episodes


def test_a_slow_video_is_refused_with_what_would_work(tmp_path):
    labels = make_labels(rate=15)
    video = write_video(tmp_path / "slow.mp4", rate=15)
    with pytest.raises(LabelError, match="set fps to 15"):
        write(tmp_path, video, labels)
    assert Episodes.open(write(tmp_path, video, labels, replace(SMALL, fps=15))).fps == 15


def test_too_short_a_clip_is_refused_with_reasons_and_leaves_nothing(tmp_path, video):
    labels = make_labels()
    labels.state[::4, 20] = np.nan
    with pytest.raises(LabelError, match=r"\d+ frames are in too short a run, \d+ frames lack a hand"):
        write(tmp_path, video, labels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.npz", "video.mp4"]


def test_a_video_that_ends_early_is_refused_and_leaves_nothing(tmp_path, video):
    with pytest.raises(LabelError, match="60 frames"):
        write(tmp_path, video, make_labels(90))
    assert not list(tmp_path.glob("episodes*"))


def test_labels_of_another_clip_are_refused(tmp_path, video):
    with pytest.raises(LabelError, match="expected those of the clip"):
        write(tmp_path, video, make_labels(), clip=Clip(0, 30))


def test_a_dataset_that_is_there_is_left_alone(tmp_path, video):
    root = write(tmp_path, video, make_labels())
    before = (root / "meta/info.json").stat().st_mtime_ns
    video.unlink()
    assert (write(tmp_path, video, make_labels()) / "meta/info.json").stat().st_mtime_ns == before


def test_pictures_keep_their_shape_in_a_frame_of_another():
    portrait = np.full((64, 32, 3), 200, dtype=np.uint8)
    fitted = fit_picture(portrait, 32, 64)
    assert fitted.shape == (32, 64, 3)
    np.testing.assert_array_equal(fitted[:, 24:40], 200)
    np.testing.assert_array_equal(fitted[:, :24], 0)
    np.testing.assert_array_equal(fitted[:, 40:], 0)


@pytest.mark.parametrize("wrong", [{"task": " "}, {"width": 65}, {"fps": 0}, {"usual_tips": 0.0}])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(LabelError):
        WriteSettings(**wrong)


@pytest.mark.slow
def test_a_policy_trains_on_it(tmp_path, video):
    labels = make_labels(20)
    labels.measured[:4] = False
    root = write(tmp_path, video, labels, replace(SMALL, height=112, width=196))
    cache = cache_features(root, tmp_path / "cache", CacheSettings(every=2), progress=False)
    network = WorldModelSettings(horizon=4, stride=2, latent_width=8, dynamics_width=8, width=8, heads=2, selected=2)
    settings = TrainSettings(
        WorldModelMethod(network), steps=3, batch=4, micro_batch=4, warm_up=1, held_out=0.0, device="cpu", threads=1
    )
    state = train([(root, cache)], tmp_path / "run", settings, progress=False)
    last = json.loads((state.parent / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 3
    assert np.isfinite(last["loss/action"])
    assert set(load_trained_model(state).statistics) == {"video"}
