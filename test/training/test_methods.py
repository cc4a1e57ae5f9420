"""The loop, validation and export know methods only through their interface: here is one that they have never met."""

import json
from collections import namedtuple
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from firsthand.errors import CheckpointError
from firsthand_training.models.world_model import WorldModelSettings
from firsthand_training.training.export import check_parity, write_graphs
from firsthand_training.training.graphs import Graph, feature_scaling, number_scaling
from firsthand_training.training.log import METRICS
from firsthand_training.training.losses import LossSettings, action_loss
from firsthand_training.training.methods.interface import Losses
from firsthand_training.training.methods.registry import METHODS, describe_method, rebuild_method
from firsthand_training.training.methods.world_model import WorldModelMethod
from firsthand_training.training.train import TrainSettings, fit
from firsthand_training.training.training_state import load_trained_model, read_training_state
from firsthand_training.training.windows import Statistics, Windows, WindowSettings

Answer = namedtuple("Answer", "actions future_features")


class MeanPatch(nn.Module):
    """Actions from the mean patch by one linear layer."""

    def __init__(self, horizon, channels):
        super().__init__()
        self.horizon, self.out = horizon, nn.Linear(channels, 54 * horizon)

    def forward(self, features, state):
        actions = self.out(features.mean(dim=(1, 2, 3))).unflatten(-1, (self.horizon, 54))
        return Answer(state[:, None] + actions, None)


class Physical(nn.Module):
    def __init__(self, network, statistics):
        super().__init__()
        self.network, self.features, self.numbers = network, feature_scaling(statistics), number_scaling(statistics)

    def forward(self, features, state):
        return self.numbers.inverse(self.network(self.features(features), self.numbers(state)).actions)


@dataclass(frozen=True)
class MeanPatchMethod:
    horizon: int = 4
    weight: float = 1.0

    @property
    def window(self):
        return WindowSettings(self.horizon, 2, 4, 6, 8)

    @property
    def learning_rates(self):
        return {}

    def build(self):
        return MeanPatch(self.horizon, 8)

    def begin(self, network):
        pass

    def loss(self, network, batch):
        loss = action_loss(network(batch.features, batch.state).actions, batch.actions, batch.action_mask)
        return Losses(self.weight * loss, {"action": loss})

    def graphs(self, network, statistics):
        return (Graph("policy.onnx", Physical(network, statistics), ("features", "state"), ("actions",)),)


@pytest.fixture
def trained(episodes, tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS, "mean-patch", MeanPatchMethod)
    settings = TrainSettings(
        method=MeanPatchMethod(weight=2.0),
        steps=4,
        batch=4,
        micro_batch=4,
        held_out=0.2,
        validate_every=2,
        save_every=2,
        device="cpu",
        threads=1,
    )
    return fit(episodes, tmp_path, settings, progress=False)


def test_any_method_trains_validates_and_comes_back(trained):
    last = json.loads((trained.parent / METRICS).read_text().splitlines()[-1])
    assert last["loss/total"] == pytest.approx(2 * last["loss/action"], rel=1e-5)
    assert "validation/robot/action/wrist_mm" in last
    assert not any("skill" in name for name in last)  # it predicts no features
    again = load_trained_model(trained)
    assert again.method == MeanPatchMethod(weight=2.0)
    assert isinstance(again.model, MeanPatch)
    assert torch.equal(again.model.out.weight, read_training_state(trained)[0]["average/out.weight"])


def test_any_method_exports_with_parity(trained, tmp_path):
    again = load_trained_model(trained)
    graphs = write_graphs(again.method, again.model, again.statistics_of("robot"), tmp_path)
    assert check_parity(graphs, again.method.window, again.statistics_of("robot"), tmp_path)["actions"] < 1e-5
    again.model.out.bias.data += 1.0
    with pytest.raises(CheckpointError, match="differ from the network"):
        check_parity(graphs, again.method.window, again.statistics_of("robot"), tmp_path, samples=1)


def test_a_method_survives_its_description():
    method = WorldModelMethod(replace(WorldModelSettings(), width=64), LossSettings(dynamics=0.3))
    assert rebuild_method(json.loads(json.dumps(describe_method(method)))) == method


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"name": "diffusion"}, "no method 'diffusion'; there are world-model, hat, act"),
        ({"name": "world-model", "network": {"depth": 3}}, "settings that this version of world-model does not know"),
        ({"name": "world-model", "trunk": {"depth": 3}}, "settings that this version .* does not know: .*'trunk'"),
    ],
)
def test_methods_that_are_not_there_are_refused(description, message):
    with pytest.raises(CheckpointError, match=message):
        rebuild_method(description)


def test_an_unregistered_method_is_refused_before_training(episodes, tmp_path):
    with pytest.raises(CheckpointError, match="MeanPatchMethod is not among the methods world-model, hat, act"):
        fit(episodes, tmp_path, TrainSettings(method=MeanPatchMethod(), device="cpu", threads=1), progress=False)
    assert not np.any(list(tmp_path.iterdir()))


def test_in_bfloat16_the_same_blocks_are_selected_and_the_loss_is_float32(episodes, method):
    torch.manual_seed(0)
    network, windows = method.build(), Windows(episodes, Statistics.fit(episodes), method.window)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    batch = windows.batch(range(0, 140, 5))
    network.eval()
    plain = network(batch.features, batch.state), method.loss(network, batch)
    with torch.autocast("cpu", torch.bfloat16):
        halved = network(batch.features, batch.state), method.loss(network, batch)
    pairs = zip(plain[0].selections, halved[0].selections, strict=True)
    assert min((a.indices == b.indices).float().mean() for a, b in pairs) > 0.95
    assert halved[0].selections[0].scores.dtype == torch.float32
    for name, value in plain[1].terms.items():
        assert halved[1].terms[name].dtype == torch.float32
        torch.testing.assert_close(halved[1].terms[name], value, rtol=0.05, atol=0.01)
    halved[1].total.backward()
    assert {each.grad.dtype for each in network.parameters() if each.grad is not None} == {torch.float32}
