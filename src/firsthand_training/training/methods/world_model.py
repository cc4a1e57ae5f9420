"""The paper's method: the world model, eq. (5), and the two graphs that the robot runs.

world_model.onnx   features (1, V, gh, gw, C), state (1, 54) -> latent (1, D), future_features (1, T, V, gh', gw', C)
policy.onnx        those four -> actions (1, H, 54), selected (1, layers, heads, H, k)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from firsthand.policy.checkpoint import POLICY, WORLD_MODEL, BlockSpec
from firsthand_training.models.world_model import WorldModelPolicy, WorldModelSettings
from firsthand_training.training.graphs import Graph, feature_scaling, number_scaling
from firsthand_training.training.losses import LossSettings, world_model_loss
from firsthand_training.training.methods.interface import Losses
from firsthand_training.training.windows import Batch, Statistics, WindowSettings


@dataclass(frozen=True)
class WorldModelMethod:
    """The world model of the paper: predicts features, and actions from what it predicts."""

    network: WorldModelSettings = field(default_factory=WorldModelSettings)
    losses: LossSettings = field(default_factory=LossSettings)

    @property
    def window(self) -> WindowSettings:
        """Current features and state, T pooled future frames, H actions."""
        n = self.network
        return WindowSettings(
            n.horizon, n.views, n.rows, n.columns, n.channels, stride=n.stride, frames=n.frames, pool=n.pool
        )

    @property
    def learning_rates(self) -> Mapping[str, float]:
        """Everything learns at the same rate."""
        return {}

    def build(self) -> WorldModelPolicy:
        """The network with fresh weights: untrained, it holds its wrists still and copies the current frame."""
        return WorldModelPolicy(self.network)

    def begin(self, network: nn.Module) -> None:
        """Nothing comes from elsewhere."""

    def loss(self, network: nn.Module, batch: Batch) -> Losses:
        """L_total, eq. (5), in float32 whatever the network runs in."""
        model = cast(WorldModelPolicy, network)
        output = model(batch.features, batch.state)
        with torch.autocast(batch.state.device.type, enabled=False):
            return world_model_loss(output, batch, model.layout, self.losses)

    def graphs(self, network: nn.Module, statistics: Statistics) -> tuple[Graph, ...]:
        """First what will be seen, then what to do about it."""
        model, seen = cast(WorldModelPolicy, network), ("features", "state")
        imagined = ("latent", "future_features")
        blocks = BlockSpec(self.network.pooled_grid, self.network.block)
        return (
            Graph(WORLD_MODEL, Imagination(model, statistics), seen, imagined),
            Graph(POLICY, Acting(model, statistics), (*seen, *imagined), ("actions", "selected"), blocks),
        )


class Imagination(nn.Module):
    """What becomes `world_model.onnx`."""

    def __init__(self, model: WorldModelPolicy, statistics: Statistics) -> None:
        super().__init__()
        self.model = model
        self.features, self.numbers = feature_scaling(statistics), number_scaling(statistics)

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Raw features and physical state to the latent state and raw future features."""
        latent, levels = self.model.imagine(self.features(features), self.numbers(state))
        return latent, self.features.inverse(self.model.final(levels))


class Acting(nn.Module):
    """What becomes `policy.onnx`."""

    def __init__(self, model: WorldModelPolicy, statistics: Statistics) -> None:
        super().__init__()
        self.model = model
        self.features, self.numbers = feature_scaling(statistics), number_scaling(statistics)

    def forward(
        self, features: Tensor, state: Tensor, latent: Tensor, future_features: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Raw features, physical state, latent and raw future features to physical actions and selected blocks."""
        actions, selections = self.model.act(
            self.features(features), self.numbers(state), latent, self.features(future_features)
        )
        return self.numbers.inverse(actions), torch.stack([each.indices for each in selections], dim=1)
