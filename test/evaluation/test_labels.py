import json
from dataclasses import replace

import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import matrix_from_rotation_vector, matrix_from_rpy
from firsthand_training.demonstrations.human.truth import Truth, project, save_truth
from firsthand_training.evaluation.figures import plot_label_errors
from firsthand_training.evaluation.label_oracles import (
    substitute,
    true_camera,
    true_distance,
    true_keypoints,
)
from firsthand_training.evaluation.labels import (
    Stages,
    align,
    camera_errors,
    clip_errors,
    clips_table,
    evaluate_labels,
    hand_errors,
    keypoint_errors,
    labels_table,
    summarize,
    tones_table,
    write_errors,
)
from firsthand_training.labels.stage_files import (
    HandPoses,
    Labels,
    Scene,
    clip_folder,
    load_stage,
    save_stage,
    video_folder,
)

N = 12
HEAD_FROM_CAMERA = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@pytest.fixture(scope="module")
def truth():
    """A camera that looks ahead and down while it moves by some centimetres, and two hands in front of it."""
    rng = np.random.default_rng(0)
    heads = matrix_from_rpy(0.0, 0.8, 0.0) @ matrix_from_rotation_vector(rng.normal(0, 0.05, (N, 3)))
    cameras = np.tile(np.eye(4), (N, 1, 1))
    cameras[:, :3, :3], cameras[:, :3, 3] = heads @ HEAD_FROM_CAMERA, rng.normal([0.1, 0.0, 1.5], 0.03, (N, 3))
    wrists = np.tile(np.eye(4), (N, 2, 1, 1))
    wrists[:, :, :3, 3] = np.array([[0.5, 0.15, 1.1], [0.5, -0.15, 1.1]]) + rng.normal(0, 0.02, (N, 2, 3))
    points = wrists[:, :, None, :3, 3] + np.concatenate([np.zeros((1, 3)), rng.uniform(-0.05, 0.1, (20, 3))])
    robot_from_world = np.tile(np.eye(4), (N, 1, 1))
    robot_from_world[:, :3, 3] = -cameras[:, :3, 3]
    tips = points[:, :, 4::4] - wrists[:, :, None, :3, 3]
    intrinsics = np.array([[500.0, 0, 319.5], [0, 500.0, 239.5], [0, 0, 1]])
    in_camera = np.einsum("nij,nski->nskj", cameras[:, :3, :3], points - cameras[:, None, None, :3, 3])
    return Truth(
        seed=np.array([3]),
        tone=np.array([4]),
        size=np.array([640, 480]),
        intrinsics=intrinsics,
        world_from_camera=cameras,
        world_from_wrist=wrists,
        keypoints_in_world=points,
        keypoints=project(intrinsics, in_camera),
        visible=np.ones((N, 2, 21), bool),
        state=HandState.from_poses(heads, robot_from_world[:, None] @ wrists, tips).to_vector(),
        origin=cameras[:, :3, 3],
        hand_size=np.array([0.09]),
        hand_length=np.array([0.18]),
    )


@pytest.fixture
def stages(truth):
    """What stages that make no mistake would leave of frames 2 to 9, in a scene of half the size, turned and moved."""
    frames = np.arange(2, 10)
    turn = matrix_from_rpy(0.0, 0.0, 0.7)
    cameras = truth.world_from_camera[frames].copy()
    cameras[:, :3, :3] = turn @ cameras[:, :3, :3]
    cameras[:, :3, 3] = 0.5 * cameras[:, :3, 3] @ turn.T + [1.0, 2.0, 3.0]
    one = np.zeros(1)
    scene = Scene(
        frames, truth.size, truth.intrinsics, cameras, np.zeros((0, 3)), one, np.array([True]), one, np.array([2.0])
    )
    unknown = np.full((8, 2, 58), np.nan)
    poses = HandPoses(frames, truth.keypoints[frames], np.ones((8, 2)), unknown[..., :10], unknown[..., 10:])
    sigma = np.zeros((8, 2))
    labels = Labels(
        frames=frames,
        stamps_ns=frames * 33_333_333,
        state=truth.state[frames],
        origin=truth.origin[frames],
        wrist_sigma=sigma,
        rotation_sigma=sigma,
        tips_sigma=sigma,
        measured=np.ones((8, 2), bool),
        scale_sigma=one,
        scale_source=np.array(["calibrated"]),
    )
    return Stages(scene, poses, labels)


def changed(labels, change):
    """Labels whose hand states have been changed."""
    return replace(labels, state=change(HandState.from_vector(labels.state)).to_vector())


def seen_from(turn):
    return lambda state: HandState.from_poses(
        turn @ state.head_rotation,
        np.block([[turn, np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]]) @ state.wrist_poses,
        state.fingertips_in_wrist,
    )


def test_labels_without_a_mistake_have_no_error(stages, truth):
    errors = clip_errors("one", [stages], truth)
    assert errors.labelled == errors.measured == pytest.approx(8 / N)
    for name in ("wrist_mm", "tips_mm", "tips_in_wrist_mm", "wrist_deg"):
        assert getattr(errors.hands, name).shape == (16,)
        np.testing.assert_allclose(getattr(errors.hands, name), 0.0, atol=1e-4)
    camera = errors.camera
    np.testing.assert_allclose([camera.camera_ate_mm, camera.camera_scale_percent, camera.focal_percent], 0, atol=1e-6)
    assert camera.gravity_deg == pytest.approx(0.0, abs=1e-5)
    np.testing.assert_allclose(errors.keypoint_px, 0.0)


def test_hands_that_are_said_to_be_farther_away(stages, truth):
    labels = changed(stages.labels, lambda state: replace(state, wrist_positions=1.1 * state.wrist_positions))
    errors = hand_errors(labels, truth)
    far = np.linalg.norm(HandState.from_vector(truth.state[2:10]).wrist_positions, axis=-1)
    np.testing.assert_allclose(np.sort(errors.wrist_mm), np.sort(100 * far.ravel()))
    assert errors.hand_scale_percent == pytest.approx(10.0)
    np.testing.assert_allclose(errors.tips_in_wrist_mm, 0.0, atol=1e-9)


def test_fingertips_count_in_the_wrist_frame_and_a_turned_wrist_moves_them_in_the_robots(stages, truth):
    turn = matrix_from_rotation_vector(np.array([0.0, 0.0, 0.2]))
    poses = HandState.from_vector(stages.labels.state).wrist_poses
    poses[..., :3, :3] = poses[..., :3, :3] @ turn
    labels = changed(
        stages.labels, lambda state: HandState.from_poses(state.head_rotation, poses, state.fingertips_in_wrist)
    )
    errors = hand_errors(labels, truth)
    np.testing.assert_allclose(errors.wrist_deg, np.rad2deg(0.2))
    np.testing.assert_allclose(errors.tips_in_wrist_mm, 0.0, atol=1e-9)
    assert errors.tips_mm.min() > 1.0


def test_another_heading_is_no_error_and_another_vertical_is(stages, truth):
    turned = changed(stages.labels, seen_from(matrix_from_rpy(0.0, 0.0, 1.2)))
    assert hand_errors(turned, truth).wrist_mm.max() < 1e-6
    tilted = changed(stages.labels, seen_from(matrix_from_rpy(0.1, 0.0, 0.0)))
    assert hand_errors(tilted, truth).wrist_mm.min() > 20.0


def test_a_camera_of_another_focal_length_scale_and_vertical(stages, truth):
    scene = stages.scene
    tilted = scene.world_from_camera.copy()
    tilted[:, :3, :3] = matrix_from_rpy(0.0, 0.05, 0.0) @ tilted[:, :3, :3]
    errors = camera_errors(
        replace(scene, intrinsics=1.1 * scene.intrinsics, scale=np.array([2.2]), world_from_camera=tilted), truth
    )
    assert errors.focal_percent == pytest.approx(10.0)
    assert errors.camera_scale_percent == pytest.approx(10.0)
    assert errors.gravity_deg == pytest.approx(np.rad2deg(0.05))
    assert errors.camera_ate_mm == pytest.approx(0.0, abs=1e-6)


def test_a_jump_of_the_camera_shows(stages, truth):
    path = stages.scene.world_from_camera.copy()
    path[3, :3, 3] += [0.0, 0.01, 0.0]
    errors = camera_errors(replace(stages.scene, world_from_camera=path), truth)
    assert 3.0 < errors.camera_ate_mm < 20.0 / np.sqrt(8)


def test_a_camera_without_parallax_has_no_path_to_compare(stages, truth):
    scene = replace(stages.scene, parallax=np.array([False]), scale=np.array([np.nan]))
    errors = camera_errors(scene, truth)
    assert np.isnan(errors.camera_ate_mm)
    assert np.isnan(errors.camera_scale_percent)
    assert errors.gravity_deg == pytest.approx(0.0, abs=1e-5)


def test_frames_without_a_camera_are_left_out(stages, truth):
    poses = stages.scene.world_from_camera.copy()
    poses[2] = np.nan
    assert camera_errors(replace(stages.scene, world_from_camera=poses), truth).camera_ate_mm < 1e-6
    nowhere = camera_errors(replace(stages.scene, world_from_camera=np.full_like(poses, np.nan)), truth)
    assert np.isnan(nowhere.gravity_deg)


def test_similarities_are_found_again():
    rng = np.random.default_rng(1)
    points, rotation = rng.normal(size=(20, 3)), matrix_from_rotation_vector(rng.normal(size=3))
    scale, found, offset = align(points, 2.5 * points @ rotation.T + [1, 2, 3])
    assert scale == pytest.approx(2.5)
    np.testing.assert_allclose(found, rotation, atol=1e-12)
    np.testing.assert_allclose(offset, [1, 2, 3], atol=1e-12)
    mirrored = align(points, points * [1, 1, -1])[1]
    assert np.linalg.det(mirrored) == pytest.approx(1.0)


def test_a_side_without_numbers_is_not_labelled(stages, truth):
    state = stages.labels.state.copy()
    state[:, 12:18] = np.nan
    errors = clip_errors("half", [stages._replace(labels=replace(stages.labels, state=state))], truth)
    assert errors.labelled == pytest.approx(4 / N)
    assert errors.hands.wrist_mm.shape == (8,)


def test_a_clip_of_which_nothing_was_labelled_counts_as_such(stages, truth):
    nothing, all_of_it = clip_errors("none", [], truth), clip_errors("one", [stages], truth)
    assert nothing.labelled == 0.0
    assert np.isnan(nothing.hands.hand_scale_percent)
    summary = summarize([nothing, all_of_it])
    assert summary["labelled percent"].value == pytest.approx(100 * 4 / N)
    assert summary["wrist_mm median"].value == pytest.approx(0.0, abs=1e-4)


def test_frames_beyond_the_truth_are_refused(stages, truth):
    with pytest.raises(LabelError, match="frames 2 to 99 were labelled of a clip whose truth has 12"):
        hand_errors(replace(stages.labels, frames=np.array([2, 3, 4, 5, 6, 7, 8, 99])), truth)


def test_keypoints_are_compared_where_there_is_a_hand(stages, truth):
    keypoints, confidence = stages.poses.keypoints + np.array([3.0, 4.0]), np.ones((8, 2))
    confidence[:, 0] = 0.0
    errors = keypoint_errors(replace(stages.poses, keypoints=keypoints, confidence=confidence), truth)
    np.testing.assert_allclose(errors, np.full((8, 21), 5.0))


def test_oracles_put_the_truth_in_place_of_a_stage(stages, truth):
    blind = replace(stages.poses, keypoints=stages.poses.keypoints + 50.0, confidence=np.zeros((8, 2)))
    blind = replace(blind, depths=np.ones((8, 2, 21)), spread=np.ones((8, 2)))
    seeing = true_keypoints(blind, truth)
    assert keypoint_errors(seeing, truth).max() == 0.0
    assert not np.isfinite(seeing.depths).any()  # what a network said of other keypoints
    assert not np.isfinite(seeing.spread).any()
    lost = replace(stages.scene, intrinsics=2 * stages.scene.intrinsics, parallax=np.array([False]))
    errors = camera_errors(true_camera(lost, truth), truth)
    np.testing.assert_allclose([errors.camera_ate_mm, errors.camera_scale_percent, errors.focal_percent], 0, atol=1e-6)


def test_a_hand_outside_the_picture_is_found_by_no_oracle(stages, truth):
    away = replace(truth, keypoints=truth.keypoints + np.array([[[0.0, 0.0]], [[2000.0, 0.0]]]))
    poses = true_keypoints(stages.poses, away)
    np.testing.assert_array_equal(poses.confidence, np.tile([1.0, 0.0], (8, 1)))


def test_true_distances_leave_the_error_across_the_line_of_sight(stages, truth):
    farther = changed(stages.labels, lambda state: replace(state, wrist_positions=1.2 * state.wrist_positions))
    assert np.median(hand_errors(farther, truth).wrist_mm) > 50
    np.testing.assert_allclose(hand_errors(true_distance(farther, truth), truth).wrist_mm, 0.0, atol=1e-3)
    aside = changed(
        stages.labels, lambda state: replace(state, wrist_positions=state.wrist_positions + np.array([0, 0.05, 0]))
    )
    left = hand_errors(true_distance(aside, truth), truth).wrist_mm
    assert 20 < np.median(left) < 55


def test_a_line_for_every_skin_tone(stages, truth):
    clips = [clip_errors(str(tone), [stages], replace(truth, tone=np.array([tone]))) for tone in (2, 0, 2)]
    lines = tones_table(clips).splitlines()[2:]
    assert [line.split(" | ")[:2] for line in lines] == [["| 0", "1"], ["| 2", "2"]]


def test_from_files_to_tables_json_and_figure(stages, truth, tmp_path):
    save_truth(tmp_path / "clips" / "clip_00003" / "truth.npz", truth)
    save_truth(tmp_path / "clips" / "clip_00004" / "truth.npz", truth)
    for name in ("clip_00003", "clip_00004"):
        (tmp_path / "clips" / name / f"{name}.mp4").write_bytes(name.encode())
    video = tmp_path / "clips" / "clip_00003" / "clip_00003.mp4"
    stretch = clip_folder(video_folder(tmp_path / "work", video), 0)
    for name, stage in zip(("scene", "poses", "labels"), stages, strict=True):
        save_stage(stretch / f"{name}.npz", stage)
    clips = evaluate_labels(tmp_path / "clips", tmp_path / "work")
    assert [clip.labelled for clip in clips] == [pytest.approx(8 / N), 0.0]
    assert "| clip_00004 | 4 | 0% | unknown" in clips_table(clips)
    assert "| wrist_mm median | 0.0 (0.0 to 0.0) |" in labels_table({"ours": clips})
    numbers = json.loads(write_errors(tmp_path / "labels.json", clips).read_text())
    assert numbers["clips"][1]["camera_ate_mm"] is None
    assert numbers["clips"][0]["keypoint_px"]["thumb_4"] == 0.0
    assert plot_label_errors({"ours": clips}, tmp_path / "labels.png").stat().st_size > 5000

    made = substitute(stretch, tmp_path / "oracle" / "clip_000", truth, "camera")
    assert load_stage(made / "scene.npz", Scene).scale[0] == 1.0
    assert not (made / "labels.npz").exists()
    with pytest.raises(LabelError, match="no oracle luck"):
        substitute(stretch, tmp_path / "x", truth, "luck")
    both = substitute(stretch, tmp_path / "both" / "clip_000", truth, "camera", "keypoints")
    assert load_stage(both / "scene.npz", Scene).scale[0] == 1.0
    assert load_stage(both / "poses.npz", HandPoses).confidence.all()
    with pytest.raises(LabelError, match=r"scene\.npz is missing"):
        substitute(tmp_path, tmp_path / "x", truth, "camera")


def test_a_folder_without_clips_is_refused(tmp_path):
    with pytest.raises(LabelError, match="no clips with truth"):
        evaluate_labels(tmp_path, tmp_path)
