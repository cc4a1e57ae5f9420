import json
import shutil
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from firsthand.errors import CheckpointError, ProviderError, ShapeError
from firsthand.inference import Runtime
from firsthand.policy.checkpoint import MANIFEST, find_checkpoint
from firsthand.policy.session import Policy
from firsthand.robot.model import RobotModel


@pytest.fixture(scope="module")
def policy():
    return Policy.load("push")


def test_the_shipped_policy_says_where_the_hands_go_next(policy):
    model = RobotModel.load()
    state = model.hand_state(model.neutral).to_vector()
    prediction = policy.act(np.zeros(policy.feature_shape, np.float32), state)
    assert prediction.actions.shape == (policy.manifest.horizon, 54)
    assert len(prediction.future_features) == policy.manifest.predicted_frames


def test_a_policy_of_one_view_looks_with_the_left_eye(policy):
    encoder = policy.manifest.encoder
    mono = Policy(
        replace(policy.manifest, encoder=replace(encoder, feature_shape=(1, *encoder.feature_shape[1:]))), None, None
    )
    features = np.random.default_rng(0).normal(size=(2, 8, 14, 384)).astype(np.float32)
    np.testing.assert_array_equal(mono._inputs(features, np.zeros(54))["features"], features[None, :1])


def test_what_is_no_observation_is_refused(policy):
    state = np.zeros(54)
    with pytest.raises(ShapeError, match="expected features of shape"):
        policy.act(np.zeros((1, 8, 14, 384), np.float32), state)
    with pytest.raises(ShapeError, match="one finite hand state"):
        policy.act(np.zeros(policy.feature_shape, np.float32), np.full(54, np.nan))


@pytest.mark.parametrize(
    "changes",
    [
        {"horizon": 24},
        {"encoder": {"feature_shape": [2, 8, 14, 192]}},
        {"encoder": {"feature_shape": [1, 8, 14, 384]}},
    ],
)
def test_a_manifest_that_does_not_fit_its_graphs_is_refused_before_the_robot_moves(tmp_path, changes):
    folder = tmp_path / "push"
    shutil.copytree(find_checkpoint("push"), folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    for key, value in changes.items():
        manifest[key] = manifest[key] | value if isinstance(value, dict) else value
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"expected finite|do not fit its manifest"):
        Policy.load(folder)


def test_a_prediction_stays_when_the_next_one_is_made(policy):
    state = np.array(policy.manifest.state_normalization.mean)
    first = policy.act(np.zeros(policy.feature_shape, np.float32), state)
    kept = first.actions.copy(), first.future_features.copy()
    policy.act(np.ones(policy.feature_shape, np.float32), state)
    np.testing.assert_array_equal(first.actions, kept[0])
    np.testing.assert_array_equal(first.future_features, kept[1])


def test_a_provider_that_is_missing_is_said_as_such():
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(ProviderError, match="onnxruntime-gpu"):
        Policy.load("push", Runtime("cuda"))
