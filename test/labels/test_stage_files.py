"""Stage files come back as they went, and damaged ones are refused in words."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand_training.labels.stage_files import (
    KEYPOINTS,
    TIPS,
    Clip,
    HandPoses,
    Hands,
    load_clips,
    load_stage,
    save_clips,
    save_stage,
)

HANDS = Hands(
    frame=np.array([0, 0, 3]),
    side=np.array([0, 1, 1]),
    score=np.array([0.9, 0.8, 0.7]),
    box=np.arange(12.0).reshape(3, 4),
    keypoints=np.full((3, 21, 2), np.nan),
    frames=np.array([5]),
)


def test_a_stage_comes_back_as_it_went(tmp_path: Path) -> None:
    loaded = load_stage(save_stage(tmp_path / "deep" / "hands.npz", HANDS), Hands)
    for field in fields(Hands):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(HANDS, field.name))


def test_poses_of_one_look_at_each_hand_are_read_too(tmp_path: Path) -> None:
    shapes = {"keypoints": (21, 2), "confidence": (), "mano_shape": (10,), "mano_pose": (48,)}
    path = tmp_path / "poses.npz"
    np.savez(path, **{name: np.zeros((3, 2, *shape)) for name, shape in shapes.items()}, frames=np.arange(3))
    poses = load_stage(path, HandPoses)
    assert np.isnan(poses.depths)
    assert np.isnan(poses.spread)


def test_another_kind_of_file_is_refused_by_name(tmp_path: Path) -> None:
    path = save_stage(tmp_path / "hands.npz", HANDS)
    with pytest.raises(LabelError, match="not a HandPoses: it has no confidence"):
        load_stage(path, HandPoses)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"\x93NUMPY", b"\x80\x04pickle"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hands.npz"
    path.write_bytes(content)
    with pytest.raises(LabelError, match="damaged"):
        load_stage(path, Hands)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = save_stage(tmp_path / "hands.npz", HANDS)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(LabelError, match="damaged"):
        load_stage(path, Hands)


def test_no_damage_to_a_file_goes_further_than_a_label_error(tmp_path: Path) -> None:
    path, rng, refused = save_stage(tmp_path / "hands.npz", HANDS), np.random.default_rng(0), 0
    whole = path.read_bytes()
    for _ in range(300):
        content = bytearray(whole)
        for place in rng.integers(len(content), size=3):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            load_stage(path, Hands)
        except LabelError:
            refused += 1
    assert refused > 100


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="run the stage that makes it"):
        load_stage(tmp_path / "hands.npz", Hands)


def test_clips_come_back_as_they_went(tmp_path: Path) -> None:
    path = save_clips(tmp_path / "clips.json", [Clip(3, 120)], {"too short": 2})
    assert load_clips(path) == [Clip(3, 120)]
    path.write_text('{"clips": [{"first": 1}]}')
    with pytest.raises(LabelError, match="damaged"):
        load_clips(path)


def test_fingertips_are_the_last_point_of_each_digit() -> None:
    assert [KEYPOINTS[tip] for tip in TIPS] == ["thumb_4", "index_4", "middle_4", "ring_4", "little_4"]
    assert len(KEYPOINTS) == 21
