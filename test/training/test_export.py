import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from firsthand.errors import CheckpointError
from firsthand.policy.checkpoint import find_checkpoint, load_manifest
from firsthand.policy.session import Policy
from firsthand.space.normalization import Normalization
from firsthand_training.evaluation.recordings import feature_spread
from firsthand_training.experiments.methods import METHODS, find_method
from firsthand_training.training import export as export_module
from firsthand_training.training.export import agreement, check_parity, export, write_graphs
from firsthand_training.training.methods.registry import rebuild_method
from firsthand_training.training.train import TrainSettings, fit
from firsthand_training.training.training_state import load_trained_model
from firsthand_training.training.windows import Statistics

CACHE = {"encoder": "dinov2_vits14", "source_sha256": "0" * 64, "image_size": [56, 84], "every": 1, "fps": 25}


@pytest.fixture(scope="module")
def training_state(episodes, method, tmp_path_factory):
    settings = TrainSettings(
        method=method, steps=30, batch=8, warm_up=1, learning_rate=3e-3, held_out=0.0, device="cpu", threads=1
    )
    return fit(episodes, tmp_path_factory.mktemp("run"), settings, {"cache": CACHE}, progress=False)


@pytest.fixture(scope="module")
def checkpoint(training_state, tmp_path_factory):
    return export(training_state, tmp_path_factory.mktemp("checkpoint"), task="reach")


def test_the_robot_predicts_what_training_predicts(training_state, checkpoint, episodes):
    trained, episode = load_trained_model(training_state), episodes[0]
    policy = Policy.load(checkpoint)
    for time in (0, 7, 20):
        features = episode.features[time].astype(np.float32)
        prediction = policy.act(features, episode.state[time])
        statistics = trained.statistics_of("robot")
        normalized = (features - statistics.feature_mean) / statistics.feature_std
        state = torch.tensor(statistics.numbers.normalize(episode.state[time]), dtype=torch.float32)
        output = trained.model(torch.from_numpy(normalized)[None], state[None])
        actions = statistics.numbers.denormalize(output.actions[0].detach().numpy())
        np.testing.assert_allclose(prediction.actions[:, 18:], actions[:, 18:], atol=1e-4)  # rotations: orthonormalised
        future = output.future_features[0].detach().numpy() * statistics.feature_std + statistics.feature_mean
        np.testing.assert_allclose(prediction.future_features, future, atol=1e-4)
        selected = torch.stack([each.indices[0] for each in output.selections])
        assert (prediction.selected == selected.numpy()).mean() > 0.99


def test_a_graph_says_in_which_spread_its_features_are_measured(training_state, checkpoint):
    """What `firsthand-lab evaluate --recording` reads."""
    expected = load_trained_model(training_state).statistics_of("robot").feature_std
    np.testing.assert_array_equal(feature_spread(checkpoint), expected)
    assert feature_spread(find_checkpoint("push")).shape == (384,)


def test_the_folder_explains_itself(checkpoint, training_state):
    manifest = load_manifest(checkpoint)
    assert (manifest.task, manifest.rate, manifest.horizon, manifest.stride) == ("reach", 25.0, 6, 2)
    assert manifest.encoder.feature_shape == (2, 4, 6, 8)
    assert manifest.provenance["step"] == 30
    assert manifest.provenance["export_parity"]["actions"] <= 1e-4
    model = rebuild_method(manifest.network).build()
    tensors = load_file(checkpoint / "model.safetensors")
    model.load_state_dict({name: each for name, each in tensors.items() if not name.startswith("statistics/")})
    trained = load_trained_model(training_state)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), trained.model.parameters(), strict=True))
    np.testing.assert_allclose(manifest.action_normalization.std, trained.statistics_of("robot").numbers.std)


NETWORKS = {json.dumps(asdict(find_method(name).train.method.network)): name for name in reversed(METHODS)}


@pytest.mark.parametrize("name", NETWORKS.values())  # of methods that train the same network, one
def test_every_method_exports_with_parity(name, tmp_path):
    """Random weights and inputs at full size: trained zeros and regular inputs would hide a wrong graph."""
    torch.manual_seed(0)
    method, random = find_method(name).train.method, np.random.default_rng(0)
    model = method.build()
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    channels = method.window.channels
    spread = Normalization(random.normal(size=54), random.uniform(0.01, 0.3, size=54))
    features = random.normal(size=channels).astype(np.float32), random.uniform(0.5, 3, channels).astype(np.float32)
    statistics = Statistics(spread, *features)
    graphs = write_graphs(method, model, statistics, tmp_path)
    parity = check_parity(graphs, method.window, statistics, tmp_path, samples=1)
    assert parity["actions"] < 1e-5
    assert parity["selected"] > 0.99


def selections(*queries):
    """(1, layers, 1, H, k): one head."""
    return np.array(queries)[None, :, None]


def test_selections_are_compared_as_sets():
    ours = selections([[0, 1], [2, 3]], [[4, 5], [6, 7]])
    share, alike = agreement(ours, ours[..., ::-1])
    assert share == 1
    assert alike.tolist() == [[True, True]]


class OtherOrder(torch.nn.Module):
    """A policy that names the blocks it selected in another order, as rounding of close scores does."""

    def __init__(self, policy):
        super().__init__()
        self.policy = policy

    def forward(self, *inputs):
        actions, selected = self.policy(*inputs)
        return actions, selected.flip(-1)


def test_the_order_of_selected_blocks_stops_no_export(training_state, checkpoint):
    trained = load_trained_model(training_state)
    statistics = trained.statistics_of("robot")
    world_model, policy = trained.method.graphs(trained.model, statistics)
    graphs = world_model, replace(policy, module=OtherOrder(policy.module))
    assert check_parity(graphs, trained.method.window, statistics, checkpoint, samples=1)["selected"] == 1


def test_only_actions_that_rest_on_the_same_blocks_are_compared():
    ours = selections([[0, 1], [2, 3]], [[4, 5], [6, 7]])
    last = selections([[0, 1], [2, 3]], [[4, 5], [6, 8]])
    assert agreement(ours, last)[0] == 7 / 8
    assert agreement(ours, last)[1].tolist() == [[True, False]]
    first = selections([[0, 1], [2, 9]], [[4, 5], [6, 7]])  # what one query saw, all hear in the next layer
    assert agreement(ours, first)[1].tolist() == [[False, False]]


def test_weights_have_the_mode_of_other_files(checkpoint):
    modes = {path.name: path.stat().st_mode for path in checkpoint.iterdir()}
    assert modes["model.safetensors"] == modes["manifest.json"]


def test_graphs_of_another_network_are_refused(checkpoint, training_state):
    trained = load_trained_model(training_state)
    graphs = trained.method.graphs(trained.model, trained.statistics_of("robot"))
    with torch.no_grad():
        trained.model.action_decoder.out.bias += 1
    with pytest.raises(CheckpointError, match="differ from the network"):
        check_parity(graphs, trained.method.window, trained.statistics_of("robot"), checkpoint, samples=1)


def test_a_failed_export_leaves_no_checkpoint(training_state, checkpoint, tmp_path, monkeypatch):
    output = shutil.copytree(checkpoint, tmp_path / "older")
    monkeypatch.setattr(export_module, "TOLERANCE", -1.0)
    with pytest.raises(CheckpointError, match="differ from the network"):
        export(training_state, output, task="reach")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        Policy.load(output)


def test_features_of_unknown_origin_are_not_exported(episodes, method, tmp_path):
    settings = TrainSettings(method=method, steps=1, batch=2, held_out=0.0, device="cpu", threads=1)
    with pytest.raises(CheckpointError, match="which encoder"):
        export(fit(episodes, tmp_path, settings, progress=False), tmp_path / "out", task="reach")


def test_the_manifest_is_plain_json(checkpoint):
    assert json.loads((checkpoint / "manifest.json").read_text())["network"]["network"]["horizon"] == 6
