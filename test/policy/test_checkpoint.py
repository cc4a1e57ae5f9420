import json
from dataclasses import replace

import pytest

from firsthand.errors import CheckpointError
from firsthand.policy.checkpoint import (
    MANIFEST,
    POLICY,
    WEIGHTS,
    WORLD_MODEL,
    BlockSpec,
    EncoderSpec,
    Manifest,
    NormalizationSpec,
    check_file,
    find_checkpoint,
    load_manifest,
    sha256,
    write_manifest,
)
from firsthand.space.hand_state import NAMES, SIZE


def a_manifest(directory):
    for name in (WORLD_MODEL, POLICY):
        (directory / name).write_bytes(b"not a graph, but hashed like one")
    return Manifest(
        task="push",
        rate=25.0,
        horizon=28,
        stride=4,
        encoder=EncoderSpec("dinov2_vits14", "ab" * 32, (112, 196), (2, 8, 14, 384)),
        state_normalization=NormalizationSpec((0.0,) * SIZE, (1.0,) * SIZE),
        action_normalization=NormalizationSpec((0.5,) * SIZE, (2.0,) * SIZE),
        files={name: sha256(directory / name) for name in (WORLD_MODEL, POLICY)},
        blocks=BlockSpec((4, 7), 2),
        network={"name": "world-model", "network": {"width": 192}},
        provenance={"episodes": 3},
    )


def edit(directory, **changes):
    path = directory / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_there_and_back(tmp_path):
    manifest = a_manifest(tmp_path)
    write_manifest(tmp_path, manifest)
    assert load_manifest(tmp_path) == manifest
    assert manifest.predicted_frames == 7


def test_a_checkpoint_without_a_world_model_predicts_no_frames(tmp_path):
    manifest = a_manifest(tmp_path)
    write_manifest(tmp_path, replace(manifest, files={POLICY: manifest.files[POLICY]}))
    assert not load_manifest(tmp_path).has_world_model
    assert load_manifest(tmp_path).predicted_frames == 0


def test_another_frame_convention_is_refused_with_both_sides(tmp_path):
    write_manifest(tmp_path, replace(a_manifest(tmp_path), frame_convention="camera"))
    with pytest.raises(CheckpointError, match=r"frame_convention 'camera'.*'eyes_gravity'"):
        load_manifest(tmp_path)


def test_row_wise_rotations_are_refused(tmp_path):
    write_manifest(tmp_path, replace(a_manifest(tmp_path), rotation_convention="rows"))
    with pytest.raises(CheckpointError, match=r"rotation_convention 'rows'.*'columns'"):
        load_manifest(tmp_path)


def test_another_order_of_the_numbers_is_refused(tmp_path):
    swapped = (*NAMES[:18], *NAMES[21:24], *NAMES[18:21], *NAMES[24:])
    write_manifest(tmp_path, replace(a_manifest(tmp_path), names=swapped))
    with pytest.raises(
        CheckpointError, match=r"number 18 is 'right_wrist.position.x' there and 'left_wrist.position.x'"
    ):
        load_manifest(tmp_path)


def test_a_damaged_file_is_refused(tmp_path):
    write_manifest(tmp_path, a_manifest(tmp_path))
    (tmp_path / "policy.onnx").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="damaged"):
        load_manifest(tmp_path)


def test_a_robots_copy_needs_no_weights(tmp_path):
    manifest = a_manifest(tmp_path)
    write_manifest(tmp_path, replace(manifest, files={**manifest.files, WEIGHTS: "00"}))
    assert WEIGHTS in load_manifest(tmp_path).files
    with pytest.raises(CheckpointError, match=r"lists 'model.safetensors' and does not have it"):
        check_file(tmp_path, manifest := load_manifest(tmp_path), WEIGHTS)
    (tmp_path / WEIGHTS).write_bytes(b"others")
    with pytest.raises(CheckpointError, match="is damaged"):
        check_file(tmp_path, manifest, WEIGHTS)


def test_a_file_that_cannot_be_read_is_said_as_such(tmp_path):
    write_manifest(tmp_path, a_manifest(tmp_path))
    (tmp_path / POLICY).unlink()
    (tmp_path / POLICY).symlink_to("/proc/self/mem")  # there, a file, and reading from its beginning fails
    with pytest.raises(CheckpointError, match=r"cannot read .*policy.onnx: "):
        load_manifest(tmp_path)
    with pytest.raises(CheckpointError, match="cannot look for"):
        find_checkpoint("x" * 300)  # longer than a name may be


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "format 'other'"),
        ({"format_version": 2}, "format version 2; this firsthand reads 1"),
        ({"horizon": 27}, "27 is no multiple of stride 4"),
        ({"rate": -1}, "must be positive"),
        ({"encoder": {"name": "x"}}, "not a whole manifest"),
        ({"state_normalization": {"mean": [0], "std": [1]}}, "expected 54"),
        ({"surprise": 1}, r"unknown entries \['surprise'\]"),
        ({"files": {"../../etc/passwd": "00"}}, "files lie in the folder itself, not at ../../etc/passwd"),
        ({"files": {POLICY: "00", WORLD_MODEL: "00"}}, "world_model.onnx is damaged"),
        ({"blocks": {"block": 2}}, "not a whole manifest"),
        ({"blocks": {"pooled_grid": [4, 7], "block": 0}}, "blocks of 0 patches"),
        ({"blocks": {"pooled_grid": [3, 7], "block": 2}}, r"on a grid \(3, 7\), pooled from \(8, 14\)"),
        ({"blocks": 5}, "not a whole manifest"),
        ({"files": {}}, "does not list policy.onnx"),
        ({"names": 5}, "not a whole manifest"),
    ],
)
def test_bad_manifests_say_what_is_wrong(tmp_path, changes, message):
    write_manifest(tmp_path, a_manifest(tmp_path))
    edit(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_manifest(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe\x00"])
def test_garbage_is_refused(tmp_path, content):
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(CheckpointError):
        load_manifest(tmp_path)


def test_a_missing_checkpoint_lists_what_ships(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*shipped ones"):
        find_checkpoint(tmp_path / "nowhere")
