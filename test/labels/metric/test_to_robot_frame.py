import json
from dataclasses import replace

import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import angle_between, matrix_from_rpy, rotation_vector_from_matrix
from firsthand_training.hand_bones import MEAN_LENGTH
from firsthand_training.labels.hand_size import SizeSettings
from firsthand_training.labels.mano import MANO_FROM_WRIST
from firsthand_training.labels.pinhole import see
from firsthand_training.labels.stage_files import TIPS, Labels, load_stage, save_stage
from firsthand_training.labels.to_robot_frame import (
    CAMERA_FROM_EYES,
    RobotFrameSettings,
    label_clip,
    to_robot_frame,
)

CALIBRATED = RobotFrameSettings(size=SizeSettings(hand_length=MEAN_LENGTH))


@pytest.fixture(scope="module")
def labels(true_clip):
    return label_clip(true_clip.stamps_ns, true_clip.scene(scale=1.0), true_clip.poses(), CALIBRATED)


def true_state(clip, origin):
    """The truth in the F_R that labels place at `origin`."""
    world_from_robot = matrix_from_rpy(0.0, 0.0, 0.6)
    head = clip.world_from_camera[:, :3, :3] @ CAMERA_FROM_EYES
    wrists = np.tile(np.eye(4), (len(head), 2, 1, 1))
    wrists[..., :3, :3] = world_from_robot.T @ clip.rotations_in_world
    wrists[..., :3, 3] = clip.wrists_in_world @ world_from_robot - origin[:, None]
    return HandState.from_poses(world_from_robot.T @ head, wrists, clip.tips)


def test_exact_keypoints_give_the_54_numbers_back(labels, true_clip):
    found, true = HandState.from_vector(labels.state), true_state(true_clip, labels.origin)
    assert np.median(np.linalg.norm(found.wrist_positions - true.wrist_positions, axis=-1)) < 0.005
    assert np.median(angle_between(found.wrist_rotations, true.wrist_rotations)) < 0.02
    assert np.median(np.linalg.norm(found.fingertips_in_wrist - true.fingertips_in_wrist, axis=-1)) < 0.004
    np.testing.assert_allclose(found.head_rotation, true.head_rotation, atol=0.02)
    assert labels.measured.all()


def test_the_origin_goes_where_the_eyes_go(true_clip):
    eyes = (0.03, 0.06, -0.02)
    settings = replace(CALIBRATED, eyes_in_camera=eyes)
    scene = true_clip.scene(unit=0.25, scale=0.25)
    labels = label_clip(true_clip.stamps_ns, scene, true_clip.poses(), settings)
    camera = true_clip.world_from_camera
    in_world = camera[:, :3, 3] + camera[:, :3, :3] @ eyes
    in_robot = in_world @ matrix_from_rpy(0.0, 0.0, 0.6)
    np.testing.assert_allclose(labels.origin, in_robot, atol=0.02)
    true = true_state(true_clip, in_robot)
    found = HandState.from_vector(labels.state)
    assert np.median(np.linalg.norm(found.wrist_positions - true.wrist_positions, axis=-1)) < 0.01


def test_a_head_that_looks_ahead_with_a_camera_that_looks_down(true_clip):
    level = label_clip(true_clip.stamps_ns, true_clip.scene(), true_clip.poses(), replace(CALIBRATED, camera_pitch=0.8))
    head = HandState.from_vector(level.state).head_rotation
    assert angle_between(np.eye(3), head).max() < 0.1


def test_a_larger_hand_is_farther_away(labels, true_clip):
    large = RobotFrameSettings(size=SizeSettings(hand_length=1.1 * MEAN_LENGTH))
    scaled = label_clip(true_clip.stamps_ns, true_clip.scene(scale=1.0), true_clip.poses(), large)
    found, before = HandState.from_vector(scaled.state), HandState.from_vector(labels.state)
    # two hands are as far apart in height as people's are, however large they are
    np.testing.assert_allclose(found.wrist_positions, 1.1 * before.wrist_positions, rtol=0.01)
    np.testing.assert_allclose(found.fingertips_in_wrist, 1.1 * before.fingertips_in_wrist)
    assert scaled.scale_source[0] == "calibrated"


def test_without_a_measured_hand_the_sigma_says_so(labels, true_clip):
    guessed = label_clip(true_clip.stamps_ns, true_clip.scene(), true_clip.poses())
    assert (guessed.scale_source[0], guessed.scale_sigma[0]) == ("prior", 0.06)
    assert (guessed.wrist_sigma > 0.05 * np.linalg.norm(guessed.state[:, 18:21], axis=1)[:, None]).all()
    assert (guessed.wrist_sigma > labels.wrist_sigma).all()


def table_under(clip):
    """Points in the world on a plane that the right hand's lowest fingertip touches."""
    tips = np.einsum("tsij,tskj->tski", clip.rotations_in_world, clip.tips) + clip.wrists_in_world[:, :, None]
    height = tips[..., 2].min() - 0.005
    grid = np.stack(np.meshgrid(np.linspace(-1, 2, 60), np.linspace(-2, 2, 80)), axis=-1).reshape(-1, 2)
    return np.column_stack([grid, np.full(len(grid), height)])


def test_touching_a_scene_of_known_scale_tells_the_size_of_hands(true_clip):
    """The person's hand is 15 % larger than the mean, and so is everything else: pictures stay the same."""
    scene = true_clip.scene(unit=1.0, scale=1.15, points=table_under(true_clip))
    labels = label_clip(true_clip.stamps_ns, scene, true_clip.poses())
    assert labels.scale_source[0] == "contact"
    depth = np.linalg.norm(HandState.from_vector(labels.state).wrist_positions, axis=-1)
    true = np.linalg.norm(true_state(true_clip, labels.origin / 1.15).wrist_positions, axis=-1)
    ratio = np.median(depth / true)
    assert 1.0 < ratio < 1.16
    assert labels.scale_sigma[0] < 0.06


def test_touching_tells_the_scale_of_a_scene_from_a_measured_hand(true_clip):
    scene = true_clip.scene(unit=0.2, points=table_under(true_clip))
    labels = label_clip(true_clip.stamps_ns, scene, true_clip.poses(), CALIBRATED)
    moved, true = np.ptp(labels.origin, axis=0), np.ptp(true_clip.world_from_camera[:, :3, 3], axis=0)
    assert np.linalg.norm(moved) == pytest.approx(np.linalg.norm(true), rel=0.2)


def test_a_second_eye_tells_the_size(true_clip, intrinsics):
    baseline = 0.063
    poses = true_clip.poses()
    right = true_clip.poses()
    camera = true_clip.pose.position[:, 2].reshape(-1, 2)
    palm = camera + 0.07 * true_clip.pose.rotation[:, 2, 0].reshape(-1, 2)
    right.keypoints[..., 0] -= (intrinsics[0, 0] * baseline / (1.2 * palm))[..., None]
    settings = RobotFrameSettings(size=SizeSettings(baseline=baseline))
    labels = label_clip(true_clip.stamps_ns, true_clip.scene(), poses, settings, right=right)
    assert labels.scale_source[0] == "stereo"
    truth = 1.2 * np.linalg.norm(true_clip.pose.position, axis=1).reshape(-1, 2)
    found = np.linalg.norm(labels.state[:, 18:24].reshape(-1, 2, 3), axis=-1)
    np.testing.assert_allclose(np.median(found / truth), 1.0, atol=0.03)
    with pytest.raises(LabelError, match="baseline"):
        label_clip(true_clip.stamps_ns, true_clip.scene(), poses, right=right)


def test_a_camera_that_only_turned_has_an_origin_that_stays(true_clip):
    labels = label_clip(true_clip.stamps_ns, true_clip.scene(parallax=False), true_clip.poses(), CALIBRATED)
    np.testing.assert_array_equal(labels.origin, 0.0)
    assert np.isfinite(labels.state).all()


HIDDEN = [(frame, 1) for frame in range(10, 14)]


def test_gaps_are_marked_and_not_filled(true_clip):
    labels = label_clip(true_clip.stamps_ns, true_clip.scene(), true_clip.poses(hidden=HIDDEN), CALIBRATED)
    assert not labels.measured[10:14, 1].any()
    assert labels.measured[:, 0].all()
    right = np.r_[12:18, 21:24, 39:54]
    assert np.isnan(labels.state[10:14][:, right]).all()
    assert np.isfinite(labels.state[10:14, :12]).all()
    assert np.isnan(labels.wrist_sigma[10:14, 1]).all()


def test_frames_whose_camera_is_unknown_have_no_numbers_and_change_no_others(true_clip):
    scene = true_clip.scene()
    lost = scene.world_from_camera.copy()
    lost[[0, 7]] = np.nan
    whole = label_clip(true_clip.stamps_ns, scene, true_clip.poses())
    some = label_clip(true_clip.stamps_ns, replace(scene, world_from_camera=lost), true_clip.poses())
    assert np.isnan(some.state[[0, 7]]).all()
    assert np.isnan(some.origin[[0, 7]]).all()
    assert not some.measured[[0, 7]].any()
    others = np.setdiff1d(np.arange(len(lost)), [0, 7])
    np.testing.assert_allclose(some.state[others], whole.state[others], atol=5e-3)  # the heading is a mean


def test_short_gaps_are_bridged_if_asked_and_still_marked(true_clip):
    settings = replace(CALIBRATED, bridge=0.2)
    labels = label_clip(true_clip.stamps_ns, true_clip.scene(scale=1.0), true_clip.poses(hidden=HIDDEN), settings)
    assert not labels.measured[10:14, 1].any()
    assert np.isfinite(labels.state).all()
    assert (labels.wrist_sigma[10:14, 1] > 0.9 * labels.wrist_sigma[9, 1]).all()
    true = true_state(true_clip, labels.origin)
    off = HandState.from_vector(labels.state).wrist_positions - true.wrist_positions
    assert np.linalg.norm(off[10:14, 1], axis=-1).max() < 0.03
    longer = label_clip(
        true_clip.stamps_ns, true_clip.scene(), true_clip.poses(hidden=HIDDEN), replace(settings, bridge=0.1)
    )
    assert np.isnan(longer.state[12]).any()


def test_hands_never_seen_are_nowhere_and_none_at_all_is_refused(true_clip):
    frames = range(len(true_clip.stamps_ns))
    one = label_clip(true_clip.stamps_ns, true_clip.scene(), true_clip.poses(hidden=[(i, 0) for i in frames]))
    assert not one.measured[:, 0].any()
    assert one.measured[:, 1].all()
    none = true_clip.poses(hidden=[(i, side) for i in frames for side in (0, 1)])
    with pytest.raises(LabelError, match="none of 30 frames"):
        label_clip(true_clip.stamps_ns, true_clip.scene(), none)


def write_depth(folder, clip, intrinsics, hands=True):
    """Maps of half the size in which a patch around every wrist and fingertip is as deep as it is."""
    folder.mkdir()
    (folder / "depth.json").write_text(json.dumps({"intrinsics": (np.diag([0.5, 0.5, 1]) @ intrinsics).tolist()}))
    seen = see(clip.pose, clip.side, np.zeros((1, 21)), intrinsics, None)
    points, pixels = (part.reshape(-1, 42, part.shape[-1]) for part in (seen.in_camera, seen.pixels))
    for i in range(len(points)):
        depth = np.full((240, 320), np.nan, dtype=np.float32)
        for k in (0, *TIPS, 21, *(21 + tip for tip in TIPS)) if hands else ():
            column, row = np.rint(0.5 * pixels[i, k]).astype(int)
            depth[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4] = points[i, k, 2]
        np.savez(folder / f"{i:08d}.npz", depth=depth, confidence=np.ones_like(depth))


def test_back_projection_through_perfect_depth_finds_the_hands(true_clip, intrinsics, tmp_path):
    write_depth(tmp_path / "depth", true_clip, intrinsics)
    poses = true_clip.poses()
    turns = rotation_vector_from_matrix(
        true_clip.pose.rotation.reshape(-1, 2, 3, 3) @ np.swapaxes(MANO_FROM_WRIST, 1, 2)
    )
    poses.mano_pose[..., :3] = turns
    settings = replace(CALIBRATED, method="back_projection")
    labels = label_clip(true_clip.stamps_ns, true_clip.scene(scale=1.0), poses, settings, depth=tmp_path / "depth")
    found, true = HandState.from_vector(labels.state), true_state(true_clip, labels.origin)
    assert np.nanmedian(np.linalg.norm(found.wrist_positions - true.wrist_positions, axis=-1)) < 0.01
    known = labels.measured
    assert known.mean() > 0.5
    np.testing.assert_allclose(found.wrist_rotations[known], true.wrist_rotations[known], atol=0.02)
    tips = np.linalg.norm(found.fingertips_in_wrist - true.fingertips_in_wrist, axis=-1)[known]
    assert np.median(tips) < 0.015
    assert (labels.wrist_sigma[known] > 0.1).all()


def test_back_projection_through_maps_that_leave_hands_out_is_refused(true_clip, intrinsics, tmp_path):
    write_depth(tmp_path / "depth", true_clip, intrinsics, hands=False)
    settings = replace(CALIBRATED, method="back_projection")
    with pytest.raises(LabelError, match="leave hands out"):
        label_clip(true_clip.stamps_ns, true_clip.scene(), true_clip.poses(), settings, depth=tmp_path / "depth")
    with pytest.raises(LabelError, match="needs depth maps"):
        label_clip(true_clip.stamps_ns, true_clip.scene(), true_clip.poses(), settings)


@pytest.fixture
def stage(true_clip, tmp_path):
    scene = save_stage(tmp_path / "scene.npz", true_clip.scene())
    return scene, save_stage(tmp_path / "poses.npz", true_clip.poses(1.0)), tmp_path / "labels.npz"


def test_the_stage_goes_from_files_to_a_file_and_leaves_it_alone(true_clip, stage):
    scene, poses, output = stage
    assert to_robot_frame(true_clip.stamps_ns, scene, poses, output) == output
    before, labels = output.stat().st_mtime_ns, load_stage(output, Labels)
    assert labels.state.shape == (30, 54)
    poses.unlink()
    assert to_robot_frame(true_clip.stamps_ns, scene, poses, output).stat().st_mtime_ns == before


def test_the_same_clip_gets_the_same_labels(true_clip, labels):
    again = label_clip(true_clip.stamps_ns, true_clip.scene(scale=1.0), true_clip.poses(), CALIBRATED)
    np.testing.assert_array_equal(again.state, labels.state)


def test_other_frames_are_refused_and_nothing_is_left(true_clip, stage, make_true_clip):
    scene, poses, output = stage
    save_stage(scene, make_true_clip(20).scene())
    with pytest.raises(LabelError, match="expected the same clip"):
        to_robot_frame(true_clip.stamps_ns, scene, poses, output)
    save_stage(scene, true_clip.scene())
    with pytest.raises(LabelError, match="outside of the video"):
        to_robot_frame(true_clip.stamps_ns[:10], scene, poses, output)
    with pytest.raises(LabelError, match="stamps that grow"):
        to_robot_frame(np.zeros(30, dtype=np.int64), scene, poses, output)
    assert not output.exists()


@pytest.mark.parametrize(
    "wrong", [{"method": "guess"}, {"keypoints": "toes"}, {"bridge": -1.0}, {"eyes_in_camera": (0.0, np.nan, 0.0)}]
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(LabelError):
        RobotFrameSettings(**wrong)
