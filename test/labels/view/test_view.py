"""What is drawn of a clip is where it was, and every frame is there."""

import av
import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import matrix_from_rpy
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.video import VideoWriter
from firsthand_training.labels.stage_files import HandPoses, Labels, Scene, save_stage
from firsthand_training.labels.to_robot_frame import CAMERA_FROM_EYES, RobotFrameSettings
from firsthand_training.labels.view.film import COLORS, draw_frame, make_film
from firsthand_training.labels.view.labelled_clip import LabelledClip
from firsthand_training.labels.view.page import write_page
from firsthand_training.labels.view.rerun_recording import camera_poses, record_clip, scene_points

N, WIDTH, HEIGHT = 5, 320, 240
INTRINSICS = np.array([[250.0, 0, 159.5], [0, 250, 119.5], [0, 0, 1]])
PITCH, HEADING, UNIT = 0.7, 0.4, 2.5  # the camera looks down; the world is turned; its unit is so many metres
EYES = (0.03, 0.01, 0.0)
WRISTS = np.array([[0.4, 0.15, -0.3], [0.35, -0.12, -0.35]])  # [m] in F_R
TIPS = np.stack([np.linspace([0.05, y, -0.01], [0.1, -y, -0.02], 5) for y in (-0.03, 0.03)])
GAP = 2  # the frame without a right hand


@pytest.fixture
def clip(tmp_path):
    """Two hands that hold still in F_R under a head that moves, told by hand."""
    head = matrix_from_rpy(0.0, PITCH, 0.0)
    wrists = np.tile(np.eye(4), (2, 1, 1))
    wrists[:, :3, 3] = WRISTS
    state = np.tile(HandState.from_poses(head, wrists, TIPS).to_vector(), (N, 1))
    measured = np.ones((N, 2), bool)
    measured[GAP, 1] = False
    broken = HandState.from_poses(head, wrists * [[[1]], [[np.nan]]], TIPS * [[[1]], [[np.nan]]]).to_vector()
    state[GAP] = broken
    origin = np.linspace([0, 0, 0], [0.04, 0.02, 0.01], N)
    turn = matrix_from_rpy(0.0, 0.0, HEADING)  # world from the fixed frame
    camera = np.tile(np.eye(4), (N, 1, 1))
    robot_from_camera = head @ CAMERA_FROM_EYES.T
    camera[:, :3, :3] = turn @ robot_from_camera
    camera[:, :3, 3] = (origin - robot_from_camera @ EYES) @ turn.T / UNIT
    points = np.array([[0.5, 0.1, -0.4], [0.6, -0.2, -0.4]])
    scene = Scene(
        np.arange(N), np.array([WIDTH, HEIGHT]), INTRINSICS, camera, points @ turn.T / UNIT,
        np.array([0.3]), np.array([True]), np.array([0.01]), np.array([np.nan]),
    )  # fmt: skip
    keypoints = np.full((N, 2, 21, 2), 100.0)
    keypoints[GAP, 1] = np.nan
    poses = HandPoses(np.arange(N), keypoints, measured * 1.0, np.full((N, 2, 10), np.nan), np.full((N, 2, 48), np.nan))
    sigma = np.where(measured, 0.01, np.nan)
    labels = Labels(
        np.arange(N), np.arange(N) * 40_000_000, state, origin, sigma, 10 * sigma, sigma, measured,
        np.array([0.06]), np.array(["prior"]),
    )  # fmt: skip
    video, folder = tmp_path / "clip.mp4", tmp_path / "clip_000"
    writer = VideoWriter(video, EpisodeSettings(height=HEIGHT, width=WIDTH))
    for _ in range(N):
        writer.add(np.full((HEIGHT, WIDTH, 3), 128, np.uint8))
    writer.close()
    for name, stage in (("scene", scene), ("poses", poses), ("labels", labels)):
        save_stage(folder / f"{name}.npz", stage)
    return LabelledClip.load(video, folder, RobotFrameSettings(eyes_in_camera=EYES))


def test_points_in_the_robot_frame_fall_where_the_camera_sees_them(clip):
    axis = matrix_from_rpy(0.0, PITCH, 0.0)[:, 0]  # where the head looks
    ahead = clip.project(0, axis)
    np.testing.assert_allclose(ahead, [159.5 + 250 * 0.03, 119.5 + 250 * 0.01])
    left, right = clip.project(0, WRISTS)
    assert left[0] < right[0]
    assert np.isnan(clip.project(0, -axis)).all()


def test_the_camera_and_the_points_of_the_scene_come_back_in_metres(clip):
    np.testing.assert_allclose(scene_points(clip), [[0.5, 0.1, -0.4], [0.6, -0.2, -0.4]], atol=1e-9)
    poses = camera_poses(clip)
    np.testing.assert_allclose(poses[-1, :3, 3] - poses[0, :3, 3], [0.04, 0.02, 0.01], atol=1e-12)


def test_a_ring_is_drawn_around_every_fingertip(clip):
    picture = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image = draw_frame(clip, 0, picture)
    scale = 800 / WIDTH
    for side in (0, 1):
        for tip in scale * clip.project(0, clip.state.fingertips_in_robot[0, side]):
            x, y = np.round(tip).astype(int)
            around = image[y - 8 : y + 9, x - 8 : x + 9].reshape(-1, 3)
            assert (np.abs(around.astype(int) - COLORS[side]).max(axis=1) < 40).any()


def test_the_film_has_every_frame_and_stills(clip, tmp_path):
    film = make_film(clip, tmp_path / "film.mp4")
    with av.open(str(film)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == N
    assert film.with_suffix(".png").stat().st_size > 5000
    assert not list(tmp_path.glob("*.partial"))


def test_the_page_tells_what_is_known(clip, tmp_path):
    film = make_film(clip, tmp_path / "film.mp4")
    text = write_page(clip, film, tmp_path / "clip.html").read_text()
    assert "left 100%, right 80%" in text
    assert "focal length 250 px of 320x240" in text
    assert "from prior, known to 6.0%" in text
    assert text.count("data:image/png;base64,") == 2
    assert "http" not in text.replace("<!doctype html>", "")


def test_a_recording_can_be_opened_again(clip, tmp_path):
    rerun = pytest.importorskip("rerun", reason="the extra `view` is not installed")
    path = record_clip(clip, tmp_path / "clip.rrd")
    assert path.stat().st_size > 10_000
    assert path.read_bytes()[:3] == b"RRF"
    assert rerun.__version__


def test_files_of_different_clips_are_refused(clip, tmp_path):
    labels = clip.labels
    short = Labels(labels.frames[:-1], labels.stamps_ns[:-1], *[getattr(labels, name) for name in (
        "state", "origin", "wrist_sigma", "rotation_sigma", "tips_sigma", "measured", "scale_sigma", "scale_source",
    )])  # fmt: skip
    with pytest.raises(LabelError, match="of one clip"):
        LabelledClip(clip.video, clip.scene, clip.poses, short, clip.settings)
