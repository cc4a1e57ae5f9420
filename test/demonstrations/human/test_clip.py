from dataclasses import replace

import numpy as np
import pytest

from firsthand.errors import LabelError, SimulationError
from firsthand.space.frames import inverse
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import angle_between
from firsthand_training.demonstrations.human.clip import NOTE_FILE, ClipSettings, measure_clip, render_clip
from firsthand_training.demonstrations.human.head_motion import MOTIONS, move_head
from firsthand_training.demonstrations.human.truth import DENSE_FILE, TRUTH_FILE, DenseTruth, Truth, load_truth, project
from firsthand_training.demonstrations.scripted import EXPERTS
from firsthand_training.episodes.video import decode_frames
from firsthand_training.labels.stage_files import KEYPOINTS

SETTINGS = ClipSettings(
    task="push", motion="large", duration=0.2, fps=15, width=320, height=240, surface="capsules", dense=True
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three frames of somebody who pushes something."""
    output = tmp_path_factory.mktemp("clips") / "clip_00001"
    render_clip(1, SETTINGS, output, EXPERTS)
    return output


@pytest.fixture(scope="module")
def truth(folder):
    return load_truth(folder / TRUTH_FILE, Truth)


def test_a_frame_of_truth_for_every_frame_of_video(folder, truth):
    frames = list(decode_frames(folder / "clip_00001.mp4", 0, SETTINGS.frames, SETTINGS.fps))
    assert len(frames) == len(truth.state) == SETTINGS.frames == 3
    assert frames[0].shape == (240, 320, 3)
    assert truth.keypoints.shape == (3, 2, len(KEYPOINTS), 2)


def test_depth_of_a_clip_can_be_measured_again_without_its_pictures(folder):
    dense = load_truth(folder / DENSE_FILE, DenseTruth)
    again = list(measure_clip(folder, EXPERTS))
    assert len(again) == SETTINGS.frames
    np.testing.assert_array_equal(np.array(again).astype(np.float16), dense.depth)


def test_depth_of_a_clip_of_other_settings_is_refused(folder, tmp_path):
    other = tmp_path / folder.name
    other.mkdir()
    (other / TRUTH_FILE).write_bytes((folder / TRUTH_FILE).read_bytes())
    note = (folder / NOTE_FILE).read_text()
    (other / NOTE_FILE).write_text(note.replace('"seed": 1', '"seed": 2'))
    with pytest.raises(SimulationError, match="plays differently"):
        next(measure_clip(other, EXPERTS))
    (other / NOTE_FILE).write_text("{}")
    with pytest.raises(SimulationError, match="does not say how"):
        next(measure_clip(other, EXPERTS))


def test_what_is_visible_lies_on_the_hands(folder, truth):
    dense = load_truth(folder / DENSE_FILE, DenseTruth)
    on_its_hand = []
    for frame, side, joint in np.argwhere(truth.visible):
        u, v = truth.keypoints[frame, side, joint].round().astype(int)
        depth, z = float(dense.depth[frame, v, u]), truth.keypoints_in_camera[frame, side, joint, 2]
        on_its_hand.append(dense.hands[frame, v, u] == side + 1 and -0.01 < z - depth < 0.035)
    assert len(on_its_hand) > 20
    assert np.mean(on_its_hand) > 0.85  # a tip lies on the rim of the picture of its finger


def test_keypoints_wrists_and_the_54_numbers_agree(truth):
    state = HandState.from_vector(truth.state)
    np.testing.assert_allclose(truth.keypoints_in_world[:, :, 0], truth.world_from_wrist[..., :3, 3], atol=1e-9)
    tips = truth.keypoints_in_camera[:, :, 4::4]
    wrist = truth.camera_from_wrist
    in_wrist = np.einsum("nsij,nsfi->nsfj", wrist[..., :3, :3], tips - wrist[:, :, None, :3, 3])
    np.testing.assert_allclose(state.fingertips_in_wrist, in_wrist, atol=1e-9)
    distance = np.linalg.norm(truth.keypoints_in_camera[:, :, 0], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(state.wrist_positions, axis=-1), distance, atol=1e-9)
    robot_from_head = state.head_rotation
    np.testing.assert_allclose(robot_from_head[:, 2] @ [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], truth.up_in_camera)
    size = np.linalg.norm(truth.keypoints_in_world[:, :, 9] - truth.keypoints_in_world[:, :, 0], axis=-1)
    np.testing.assert_allclose(size, truth.hand_size[0], rtol=0.01)  # joints give a little in contact


def test_pixels_are_the_keypoints_seen_by_the_camera(truth):
    camera_from_world = inverse(truth.world_from_camera)[0]
    point = truth.keypoints_in_world[0, 1, 8] @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    np.testing.assert_allclose(project(truth.intrinsics, point), truth.keypoints[0, 1, 8], atol=1e-9)
    assert np.isnan(project(truth.intrinsics, -point)).all()


def test_a_clip_that_is_there_is_left_alone_and_another_refused(folder):
    before = (folder / TRUTH_FILE).stat().st_mtime_ns
    assert render_clip(1, SETTINGS, folder, EXPERTS) == folder / "clip_00001.mp4"
    assert (folder / TRUTH_FILE).stat().st_mtime_ns == before
    with pytest.raises(SimulationError, match="other settings"):
        render_clip(1, replace(SETTINGS, noise=0.0), folder, EXPERTS)


def test_the_same_seed_gives_the_same_clip(folder, tmp_path):
    again = render_clip(1, SETTINGS, tmp_path / "clip_00001", EXPERTS)
    assert again.read_bytes() == (folder / "clip_00001.mp4").read_bytes()


def test_damaged_truth_is_refused(folder, tmp_path):
    cut = tmp_path / TRUTH_FILE
    cut.write_bytes((folder / TRUTH_FILE).read_bytes()[:1000])
    with pytest.raises(LabelError, match="render the clip again"):
        load_truth(cut, Truth)
    with pytest.raises(LabelError, match="is missing"):
        load_truth(tmp_path / "none.npz", Truth)


@pytest.mark.parametrize("motion", MOTIONS)
def test_the_head_gets_as_far_as_its_motion_says(motion):
    mean = np.eye(4)
    mean[:3, 3] = [0.1, 0.2, 1.5]
    poses = move_head(motion, mean, 90, 30.0, np.random.default_rng(0))
    far = np.linalg.norm(poses[:, :3, 3] - mean[:3, 3], axis=1).max()
    assert far == pytest.approx(MOTIONS[motion].reach, abs=1e-12)
    assert angle_between(poses[:, :3, :3], mean[:3, :3]).max() == pytest.approx(MOTIONS[motion].turn, abs=1e-9)
    assert np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).max() < 0.012  # [m] a frame: no jumps


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"task": "juggle"}, "no task 'juggle'"),
        ({"motion": "dance"}, "no head motion 'dance'"),
        ({"tone": 6}, "skin tone from 0 to 5"),
        ({"duration": 60.0}, "up to 10 s"),
        ({"width": 641}, "even size"),
        ({"field_of_view": 170.0}, "field of view of 20 to 110"),
        ({"surface": "gloves"}, "mesh or capsules"),
        ({"blur": 0}, "blur of 1 or more"),
    ],
)
def test_clips_that_cannot_be_filmed_are_refused(wrong, message):
    with pytest.raises(SimulationError, match=message):
        ClipSettings(**wrong)
