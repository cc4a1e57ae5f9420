"""What a landmark network should have said, from rendered hands."""

from dataclasses import replace

import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand_training.demonstrations.human.truth import Truth, project
from firsthand_training.evaluation.landmark_calibration import EVERY, calibrate_landmarks, examples_of, learn_from
from firsthand_training.labels.hand_rig import REST, HandPose, keypoints_in_wrist
from firsthand_training.labels.landmark_bias import STRETCH
from firsthand_training.labels.stage_files import HandPoses

N = 9
INTRINSICS = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])


@pytest.fixture
def truth():
    """A left and a right hand above which a camera looks straight down."""
    rng = np.random.default_rng(0)
    side = np.tile([0, 1], N)
    angles = REST + 0.2 * rng.standard_normal((2 * N, 21))
    down = np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]])
    points = keypoints_in_wrist(angles, side, np.zeros((1, 21))).points @ down.T
    pose = HandPose(np.tile(down, (2 * N, 1, 1)), np.tile([0.0, 0.1, 0.5], (2 * N, 1)), angles)
    in_camera = (points + pose.position[:, None]).reshape(N, 2, 21, 3)
    eye, nothing = np.tile(np.eye(4), (N, 1, 1)), np.zeros((N, 54))
    return Truth(
        seed=np.zeros(1, np.int64),
        tone=np.zeros(1, np.int64),
        size=np.array([640, 480]),
        intrinsics=INTRINSICS,
        world_from_camera=eye,
        world_from_wrist=np.tile(np.eye(4), (N, 2, 1, 1)),
        keypoints_in_world=in_camera,
        keypoints=project(INTRINSICS, in_camera),
        visible=np.ones((N, 2, 21), bool),
        state=nothing,
        origin=np.zeros((N, 3)),
        hand_size=np.array([0.09]),
        hand_length=np.array([0.186]),
    )


def said(truth, stretch):
    """What a network says that is right, but for depths that are too small by a factor."""
    points = truth.keypoints_in_camera
    pixels = truth.keypoints
    middle = pixels.mean(axis=2)
    rays = np.concatenate([(middle - INTRINSICS[:2, 2]) / 500, np.ones((N, 2, 1))], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    depths = (
        np.einsum("nski,nsi->nsk", points - points[:, :, :1], rays) * (500 / points[..., 2].mean(axis=2))[..., None]
    )
    nothing = np.full((N, 2, 10), np.nan), np.full((N, 2, 48), np.nan)
    spread, sure = np.full((N, 2), 2.0), np.full((N, 2), 0.9)
    return HandPoses(np.arange(N), pixels.copy(), sure, *nothing, depths=depths / stretch, spread=spread)


def test_a_network_that_is_right_has_nothing_added(truth):
    described, off = examples_of(said(truth, STRETCH), truth)
    assert described.shape == (2 * len(range(0, N, EVERY)), 65)
    np.testing.assert_allclose(off, 0.0, atol=1e-9)


def test_hands_of_which_not_all_is_said_teach_nothing(truth):
    poses = said(truth, STRETCH)
    poses.keypoints[0, 1] = np.nan
    assert len(examples_of(poses, truth)[0]) == 5
    unseen = replace(poses, spread=np.array(np.nan))
    assert len(examples_of(unseen, truth)[0]) == 0


def test_what_is_said_wrong_is_learnt_from_other_clips(truth):
    poses = said(truth, STRETCH)
    poses.keypoints[:, :, 0] += [10.0, -5.0]
    described, off = examples_of(poses, truth)
    assert np.abs(off[:, :2]).max() > 0.02
    bias = learn_from([(described, off, clip) for clip in range(3)])
    added, _ = bias.predict(described)
    assert np.abs(added - off).mean() < 0.3 * np.abs(off).mean()


def test_a_folder_without_rendered_clips_is_refused(tmp_path):
    with pytest.raises(LabelError, match="no rendered clips"):
        calibrate_landmarks(tmp_path, tmp_path / "work", tmp_path / "bias.npz")
