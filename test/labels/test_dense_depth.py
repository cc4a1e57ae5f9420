"""Depth maps of a clip against the truth, kept, gone on with, or refused in words."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest

from firsthand.errors import LabelError
from firsthand_training.labels.dense_depth import DepthSettings, dense_depth
from firsthand_training.labels.depth import colmap
from firsthand_training.labels.depth.agreement import count_agreeing
from firsthand_training.labels.depth.views import Views, choose_sources
from firsthand_training.labels.depth_maps import INDEX, depth_intrinsics, load_depth
from firsthand_training.labels.stage_files import Scene, save_stage

QUICK = DepthSettings(longest_side=160, every=3, sources=4, backend="sweep", device="cpu")


@pytest.fixture
def film(shoot, Shot):
    return shoot(Shot(frames=10, sway=0.06, turn=0.02, room="patterned", seed=3, crf=8))


def true_scene(film, unit: float = 0.5) -> Scene:
    """What a perfect reconstruction would leave, in units of half a metre."""
    poses = film.world_from_camera.copy()
    poses[:, :3, 3] /= unit
    height, width = film.depth.shape[1:]
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(height, size=300), rng.integers(width, size=300)
    depth = film.depth[0][rows, columns]
    rays = np.stack([columns, rows, np.ones(300)], axis=1) @ np.linalg.inv(film.intrinsics).T
    points = (rays * depth[:, None]) @ film.world_from_camera[0, :3, :3].T + film.world_from_camera[0, :3, 3]
    return Scene(
        frames=np.arange(len(poses)),
        size=np.array([width, height]),
        intrinsics=film.intrinsics,
        world_from_camera=poses,
        points=points / unit,
        reprojection_error=np.array([0.3]),
        parallax=np.array([True]),
        gravity_sigma=np.array([0.01]),
        scale=np.array([np.nan]),
    )


@pytest.fixture
def densify(film, tmp_path):
    def run(scene: Scene | None = None, settings: DepthSettings = QUICK, name: str = "depth") -> Path:
        path = save_stage(tmp_path / f"{name}.npz", scene or true_scene(film))
        return dense_depth(film.video, path, film.hands, tmp_path / name, settings)

    return run


def test_depth_is_right_where_it_is_given_and_hands_have_none(film, densify):
    output = densify(settings=replace(QUICK, longest_side=320))
    told = json.loads((output / INDEX).read_text())
    assert told["frames"] == [0, 3, 6, 9]
    made = load_depth(output, 3)
    truth = cv2.resize(film.depth[3], (320, 240), interpolation=cv2.INTER_NEAREST) / 0.5
    skin = cv2.resize(film.skin[3].astype(np.uint8), (320, 240)) > 0
    given = np.isfinite(made.depth)
    assert given[~skin].mean() > 0.4
    assert np.median(np.abs(made.depth / truth - 1)[given]) < 0.03
    assert (given & skin).sum() < 0.05 * skin.sum()
    assert (made.confidence[given] > 0).all()
    assert (made.confidence[~given] == 0).all()
    assert depth_intrinsics(output)[0, 0] == pytest.approx(film.intrinsics[0, 0])


def test_maps_that_are_there_are_gone_on_with(densify, monkeypatch, tmp_path):
    import firsthand_training.labels.dense_depth as module

    whole, made = module._swept, []

    def interrupted(views, view, settings):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(view)
        return whole(views, view, settings)

    monkeypatch.setattr(module, "_swept", interrupted)
    with pytest.raises(KeyboardInterrupt):
        densify()
    assert not (tmp_path / "depth" / INDEX).exists()
    again = []
    monkeypatch.setattr(
        module, "_swept", lambda views, view, settings: again.append(view) or whole(views, view, settings)
    )
    output = densify()
    assert made == [0, 3]
    assert again == [6, 9]
    assert sorted(path.name for path in output.iterdir()) == sorted(
        [INDEX, *(f"{frame:08d}.npz" for frame in (0, 3, 6, 9))]
    )


def test_a_finished_folder_is_left_alone(densify, tmp_path):
    (tmp_path / "depth").mkdir()
    (tmp_path / "depth" / INDEX).write_text("mine")
    densify()
    assert [path.name for path in (tmp_path / "depth").iterdir()] == [INDEX]


def test_a_scene_without_parallax_has_no_depth(film, densify):
    with pytest.raises(LabelError, match="no parallax"):
        densify(replace(true_scene(film), parallax=np.array([False])))


@pytest.mark.skipif(colmap.has_patch_match(), reason="has CUDA")
def test_patch_match_without_cuda_is_refused(densify):
    with pytest.raises(LabelError, match="needs a pycolmap with CUDA"):
        densify(settings=replace(QUICK, backend="colmap"))


def test_a_missing_and_a_damaged_map_are_refused(tmp_path):
    with pytest.raises(LabelError, match="run dense_depth first"):
        load_depth(tmp_path, 3)
    (tmp_path / "00000003.npz").write_bytes(b"nothing")
    with pytest.raises(LabelError, match="damaged"):
        load_depth(tmp_path, 3)


@pytest.fixture
def views() -> Views:
    """Level cameras side by side in front of a wall 2 away."""
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, 0, 3] = [0.0, 0.01, 0.2, 0.21, -0.2]
    K = np.array([[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]])
    wall = np.random.default_rng(0).uniform([-1, -1, 2], [1, 1, 2], (50, 3))
    return Views(np.arange(10, 15), np.zeros((5, 48, 64), np.uint8), np.zeros((5, 48, 64), bool), K, poses, wall)


def test_sources_are_seen_from_aside_and_each_from_another_side(views):
    assert set(choose_sources(views, 0, 2)) in ({2, 4}, {3, 4})


def test_maps_that_say_the_same_agree_and_others_do_not(views):
    wall, nearer = np.full((48, 64), 2.0), np.full((48, 64), 1.9)
    agreeing = count_agreeing(views, 0, wall, [2, 4], [wall, nearer], 0.01)
    assert agreeing[24, 2] == 0  # out of sight of view 2
    assert agreeing[24, 50] == 1
    assert (count_agreeing(views, 0, np.full_like(wall, np.nan), [2], [wall], 0.01) == 0).all()


def test_colmap_reads_the_workspace_as_it_was_meant(views, tmp_path):
    workspace = colmap.write_workspace(views, {0: [2, 4], 3: [1]}, tmp_path / "work")
    model = pycolmap.Reconstruction(workspace / "sparse")
    np.testing.assert_allclose(model.images[3].projection_center(), [0.2, 0, 0], atol=1e-12)
    assert model.cameras[1].params.tolist() == [50.0, 50.0, 32.0, 24.0]
    told = (workspace / "stereo/patch-match.cfg").read_text().splitlines()
    assert told == ["00000000.png", "00000002.png, 00000004.png", "00000003.png", "00000001.png"]
    assert cv2.imread(str(workspace / "images/00000004.png"), cv2.IMREAD_GRAYSCALE).shape == (48, 64)


def test_maps_of_colmap_are_read_and_cut_ones_refused(tmp_path):
    path = tmp_path / "map.bin"
    values = np.array([[1.5, 0.0, 2.0], [3.0, 4.0, 0.0]], dtype="<f4")
    path.write_bytes(b"3&2&1&" + values.tobytes())
    np.testing.assert_array_equal(colmap.read_map(path), np.where(values > 0, values, np.nan))
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(LabelError, match="no whole depth map"):
        colmap.read_map(path)
