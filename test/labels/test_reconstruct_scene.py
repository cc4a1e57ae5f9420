"""The camera of a clip is found, or it is said why not; truth comes from rendered films."""

import tempfile
from dataclasses import replace

import cv2
import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand.space.rotations import angle_between
from firsthand_training.labels.reconstruct_scene import reconstruct_scene
from firsthand_training.labels.scene.camera import KnownCamera
from firsthand_training.labels.scene.mapping import MappingSettings
from firsthand_training.labels.scene.settings import SceneSettings
from firsthand_training.labels.stage_files import Clip, Hands, Scene, load_stage, save_stage

QUICK = SceneSettings(mapping=MappingSettings(corners=250, order=("tracks",)))


@pytest.fixture
def reconstruct(tmp_path):
    def run(film, settings: SceneSettings = QUICK, known: KnownCamera = KnownCamera(), name: str = "scene") -> Scene:  # noqa: B008
        clip = Clip(0, len(film.world_from_camera))
        return load_stage(
            reconstruct_scene(film.video, film.hands, clip, tmp_path / f"{name}.npz", settings, known), Scene
        )

    return run


@pytest.fixture
def walk(shoot, Shot):
    return shoot(Shot(frames=30, sway=0.06, turn=0.15, room="patterned", seed=3, crf=8))


def similarity(positions: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and what is left of positions (N, 3) laid over the truth (Umeyama), [m]."""
    a, b = positions - positions.mean(axis=0), truth - truth.mean(axis=0)
    left, values, right = np.linalg.svd(b.T @ a)
    signs = np.diag([1.0, 1.0, np.linalg.det(left @ right)])
    rotation, scale = left @ signs @ right, (values * np.diag(signs)).sum() / (a**2).sum()
    return float(scale), rotation, np.linalg.norm(scale * a @ rotation.T - b, axis=1)


def up_error(scene: Scene, truth: np.ndarray) -> float:
    """Between the scene's vertical and the true one, as the cameras see them, [deg]."""
    here, there = scene.world_from_camera[:, 2, :3], truth[:, 2, :3]
    return float(np.degrees(np.arccos(np.clip((here * there).sum(axis=1), -1, 1))).max())


def test_way_focal_length_and_vertical_are_found(walk, reconstruct):
    scene = reconstruct(walk)
    assert scene.parallax[0]
    assert scene.intrinsics[0, 0] == pytest.approx(walk.intrinsics[0, 0], rel=0.03)
    scale, _, off = similarity(scene.world_from_camera[:, :3, 3], walk.world_from_camera[:, :3, 3])
    assert off.max() < 0.0015
    assert up_error(scene, walk.world_from_camera) < np.degrees(3 * scene.gravity_sigma[0])
    # One unit is the median distance of the points: the table is about half a metre to a metre away.
    assert 0.4 < scale < 2.0
    assert np.isnan(scene.scale[0])


def test_the_scene_begins_at_its_first_camera_and_looks_along_x(walk, reconstruct):
    scene = reconstruct(walk)
    np.testing.assert_allclose(scene.world_from_camera[0, :3, 3], 0.0, atol=1e-9)
    looks = scene.world_from_camera[:, :3, 2].mean(axis=0)
    assert looks[0] > 0
    assert looks[1] == pytest.approx(0.0, abs=1e-6)


def test_known_intrinsics_gravity_and_positions_are_kept(walk, reconstruct):
    gravity = -walk.world_from_camera[:, 2, :3]
    known = KnownCamera(walk.intrinsics, gravity, walk.world_from_camera[:, :3, 3])
    scene = reconstruct(walk, known=known)
    np.testing.assert_allclose(scene.intrinsics, walk.intrinsics, rtol=1e-9)
    assert up_error(scene, walk.world_from_camera) < 0.3
    way, truth = scene.world_from_camera[:, :3, 3], walk.world_from_camera[:, :3, 3]
    assert np.linalg.norm(scene.scale[0] * (way[-1] - way[0])) == pytest.approx(
        np.linalg.norm(truth[-1] - truth[0]), rel=0.02
    )
    assert "vertical: given" in scene.notes


def test_the_same_clip_gives_the_same_scene(walk, reconstruct):
    first, second = reconstruct(walk, name="first"), reconstruct(walk, name="second")
    np.testing.assert_array_equal(first.world_from_camera, second.world_from_camera)
    np.testing.assert_array_equal(first.points, second.points)


def test_a_camera_that_only_turns_is_said_to(shoot, Shot, reconstruct):
    film = shoot(Shot(frames=24, sway=0.0, turn=0.15, room="patterned", seed=1, crf=8))
    scene = reconstruct(film, known=KnownCamera(film.intrinsics))
    assert not scene.parallax[0]
    assert len(scene.points) == 0
    assert "turning alone" in scene.notes[0]
    assert (scene.world_from_camera[:, :3, 3] == 0).all()
    here, there = scene.world_from_camera[:, :3, :3], film.world_from_camera[:, :3, :3]
    turned = np.swapaxes(here[:1], 1, 2) @ here, np.swapaxes(there[:1], 1, 2) @ there
    assert np.degrees(angle_between(*turned)).max() < 0.2
    assert up_error(scene, film.world_from_camera) < np.degrees(2.5 * scene.gravity_sigma[0])


def test_a_room_without_texture_is_refused(shoot, Shot, reconstruct, tmp_path, write_video):
    film = shoot(Shot(frames=6, room="plain", hands=False))
    blank = np.full_like(film.pictures, 127)
    video = film.video.with_name("blank.mp4")
    with pytest.raises(LabelError, match="too little texture"):
        reconstruct(replace(film, video=write_video(video, list(blank))))
    assert not (tmp_path / "scene.npz").exists()


def test_a_background_that_moves_is_refused_and_nothing_is_left_behind(
    walk, reconstruct, tmp_path, monkeypatch, write_video
):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8), (480, 360), interpolation=cv2.INTER_CUBIC)
    pictures = []
    for index in range(16):  # three strips that glide, each in a way of its own
        strips = [
            texture[80 * strip : 80 * strip + 80, 60 + way * index : 380 + way * index]
            for strip, way in enumerate((3, -3, 2))
        ]
        pictures.append(np.concatenate(strips))
    still = Hands(
        np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros((0, 4)), np.zeros((0, 21, 2)), np.array([16])
    )
    film = replace(
        walk,
        video=write_video(tmp_path / "strips.mp4", pictures),
        hands=save_stage(tmp_path / "hands.npz", still),
        world_from_camera=walk.world_from_camera[:16],
    )
    with pytest.raises(LabelError, match="Does the background move"):
        reconstruct(film)
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "scene.npz").exists()


def test_two_frames_are_no_clip(walk, tmp_path):
    with pytest.raises(LabelError, match="3 frames or more"):
        reconstruct_scene(walk.video, walk.hands, Clip(4, 6), tmp_path / "scene.npz")


def test_a_clip_past_the_end_of_the_video_is_refused(walk, tmp_path):
    with pytest.raises(LabelError, match="has 30 frames, but 40"):
        reconstruct_scene(walk.video, walk.hands, Clip(0, 40), tmp_path / "scene.npz")


def test_intrinsics_that_are_none_are_refused(walk, tmp_path):
    with pytest.raises(LabelError, match="intrinsics"):
        reconstruct_scene(
            walk.video, walk.hands, Clip(0, 30), tmp_path / "s.npz", QUICK, KnownCamera(np.full((3, 3), np.nan))
        )


def test_a_finished_scene_is_left_alone(walk, tmp_path):
    (tmp_path / "scene.npz").write_text("mine")
    reconstruct_scene(walk.video, walk.hands, Clip(0, 30), tmp_path / "scene.npz")
    assert (tmp_path / "scene.npz").read_text() == "mine"
