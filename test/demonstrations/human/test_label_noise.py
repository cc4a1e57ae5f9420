import numpy as np
import pytest

from firsthand.errors import EpisodeError
from firsthand.space.hand_state import HandState, orthonormalize
from firsthand.space.rotations import angle_between
from firsthand_training.demonstrations.human.label_noise import LabelNoise, LabelNoiseSettings

FRAMES, RATE = 6, 25.0


@pytest.fixture(scope="module")
def truth():
    state = HandState.from_vector(orthonormalize(np.random.default_rng(0).normal(size=54)))
    wrists = state.wrist_poses
    wrists[:, :3, 3] = [[0.3, 0.2, -0.48], [0.3, -0.2, -0.48]]  # 0.6 m away
    return HandState.from_poses(state.head_rotation, wrists, state.fingertips_in_wrist)


@pytest.fixture(scope="module")
def labels(truth):
    clips = [LabelNoise(seed, FRAMES, RATE) for seed in range(200)]
    vectors = [[clip.apply(truth.to_vector(), frame) for frame in (3, 4, 5)] for clip in clips]
    return HandState.from_vector(np.array(vectors))


def test_errors_are_as_large_as_measured(truth, labels):
    wrist = np.linalg.norm(labels.wrist_positions - truth.wrist_positions, axis=-1).mean()
    tips = np.linalg.norm(labels.fingertips_in_wrist - truth.fingertips_in_wrist, axis=-1).mean()
    turn = angle_between(labels.wrist_rotations, truth.wrist_rotations).mean()
    assert wrist == pytest.approx(0.029, rel=0.15)
    assert tips == pytest.approx(0.025, rel=0.1)
    assert turn == pytest.approx(0.157, rel=0.1)


def test_errors_change_smoothly_and_differ_from_clip_to_clip(truth, labels):
    error = labels.wrist_positions - truth.wrist_positions
    assert np.linalg.norm(np.diff(error, axis=1), axis=-1).mean() < 0.15 * np.linalg.norm(error, axis=-1).mean()
    assert np.linalg.norm(error[0] - error[1], axis=-1).min() > 0


def test_a_clip_knows_how_far_its_labels_are_off(truth):
    """Along the line of sight for a wrist, in every direction for fingertips; over clips in their own sigmas."""
    ahead = truth.wrist_positions / np.linalg.norm(truth.wrist_positions, axis=-1, keepdims=True)
    wrists, tips = [], []
    for seed in range(400):
        noise = LabelNoise(seed, 1, RATE, LabelNoiseSettings(gravity=0.0))
        label = HandState.from_vector(noise.apply(truth.to_vector(), 0))
        wrists.append(((label.wrist_positions - truth.wrist_positions) * ahead).sum(axis=-1) / noise.sigma[:2])
        tips.append((label.fingertips_in_wrist - truth.fingertips_in_wrist) / noise.sigma[4:].reshape(2, 1, 1))
    assert np.std(wrists) == pytest.approx(1, rel=0.1)
    assert np.std(tips) == pytest.approx(1, rel=0.05)


def test_no_noise_leaves_the_labels_alone(truth):
    silent = LabelNoise(0, FRAMES, RATE, LabelNoiseSettings().scaled(0.0))
    np.testing.assert_allclose(silent.apply(truth.to_vector(), 7), truth.to_vector(), atol=1e-12)
    np.testing.assert_array_equal(silent.sigma, 0)


def test_sizes_below_nothing_are_refused():
    with pytest.raises(EpisodeError, match="label errors of 0 or more"):
        LabelNoiseSettings(wrist=-0.01)
