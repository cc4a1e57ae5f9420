"""From videos to a dataset: what fails is a row with its reason, what is done stays done."""

import json
from dataclasses import replace

import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.video import VideoWriter
from firsthand_training.labels.label_videos import LabelSettings, Spread, claim, label_videos, summary
from firsthand_training.labels.manifest import Manifest, Row
from firsthand_training.labels.stage_files import video_folder
from firsthand_training.labels.to_robot_frame import RobotFrameSettings
from firsthand_training.labels.trim_clips import TrimSettings

SETTINGS, SPREAD = LabelSettings(), Spread(workers=2)


@pytest.fixture
def empty_room(tmp_path):
    """A video without hands."""
    path = tmp_path / "empty room.mp4"
    writer = VideoWriter(path, EpisodeSettings(height=120, width=160))
    for k in range(6):
        writer.add(np.full((120, 160, 3), 90 + k, np.uint8))
    writer.close()
    return path


def test_videos_without_clips_are_rows_with_reasons_and_are_not_tried_again(empty_room, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(empty_room.read_bytes()[:500])
    work, output = tmp_path / "work", tmp_path / "data"
    with pytest.raises(LabelError, match="nothing could be labelled"):
        label_videos([empty_room, broken, empty_room], work, output, SETTINGS, SPREAD)
    rows = {row.source: row for row in Manifest(work / "manifest.jsonl")}
    assert set(rows) == {str(empty_room), str(broken)}
    assert rows[str(empty_room)].status == "trimmed"
    assert rows[str(empty_room)].last == 6
    assert rows[str(empty_room)].reason.startswith("no clip: ")
    assert rows[str(broken)].status == "failed"
    assert "broken.mp4" in rows[str(broken)].reason
    before = (work / "manifest.jsonl").read_text()
    with pytest.raises(LabelError, match="nothing could be labelled"):
        label_videos([empty_room, broken], work, output, SETTINGS, SPREAD)
    assert (work / "manifest.jsonl").read_text() == before
    assert not output.exists()


def test_a_folder_of_work_is_of_one_kind_of_settings(tmp_path):
    claim(tmp_path, SETTINGS)
    claim(tmp_path, LabelSettings())
    with pytest.raises(LabelError, match=r"other settings \(trim .*min_duration.*name another folder"):
        claim(tmp_path, replace(SETTINGS, trim=TrimSettings(min_duration=1.0)))


def test_a_damaged_note_of_settings_is_told(tmp_path):
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(LabelError, match="damaged"):
        claim(tmp_path, SETTINGS)


def test_nothing_is_begun_for_a_video_that_is_not_there(tmp_path):
    with pytest.raises(LabelError, match=r"no such video: .*gone\.mp4"):
        label_videos([tmp_path / "gone.mp4"], tmp_path / "work", tmp_path / "data", SETTINGS, SPREAD)
    assert not (tmp_path / "work").exists()


def test_a_dataset_is_not_overwritten(empty_room, tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(LabelError, match="exists already"):
        label_videos([empty_room], tmp_path / "work", tmp_path / "data", SETTINGS, SPREAD)


def test_a_video_is_known_by_its_content(empty_room, tmp_path):
    moved = tmp_path / "elsewhere" / empty_room.name
    moved.parent.mkdir()
    moved.write_bytes(empty_room.read_bytes())
    assert video_folder(tmp_path, moved) == video_folder(tmp_path, empty_room)
    moved.write_bytes(empty_room.read_bytes() + b"x")
    assert video_folder(tmp_path, moved) != video_folder(tmp_path, empty_room)


def test_keypoints_are_taken_for_what_their_backend_makes():
    assert SETTINGS.metric_settings.keypoints == "mediapipe"
    assert LabelSettings(metric=RobotFrameSettings(keypoints="joints")).metric_settings.keypoints == "mediapipe"


def test_back_projection_without_depth_maps_is_refused_at_once():
    with pytest.raises(LabelError, match="set dense"):
        LabelSettings(metric=RobotFrameSettings(method="back_projection"))


def test_the_summary_counts_reasons_and_times(tmp_path):
    manifest = Manifest(tmp_path / "manifest.jsonl")
    manifest.add(Row("a", "a.mp4", None, "trimmed", last=900, stages={"detect_hands": 2.0}))
    for clip, reason in enumerate(["no model", "no model", ""]):
        status = "failed" if reason else "labelled"
        manifest.add(Row("a", "a.mp4", clip, status, reason, 0, 100, 0 if reason else 90))
    text = summary(manifest)
    assert "1 videos, 900 frames: 3 clips, 1 of them labelled" in text
    assert "90 of the 100 frames" in text
    assert "2 x no model" in text
    assert "detect_hands: 2 s" in text


def test_settings_can_be_written_down():
    json.dumps(SETTINGS, default=lambda each: each.__dict__)
