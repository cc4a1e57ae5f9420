"""The objective of ACT and HAT, and the one graph that the robot runs of them: no world model, a style of zero.

policy.onnx   features (1, V, rows, columns, C), state (1, 54) -> actions (1, H, 54)
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from firsthand.policy.checkpoint import POLICY
from firsthand.space.hand_state import (
    LEFT_WRIST_POSITION,
    LEFT_WRIST_ROTATION,
    RIGHT_WRIST_POSITION,
    RIGHT_WRIST_ROTATION,
    SIZE,
)
from firsthand_training.models.baselines.chunking import ChunkingOutput
from firsthand_training.training.graphs import Graph, feature_scaling, number_scaling
from firsthand_training.training.methods.interface import Losses
from firsthand_training.training.windows import Batch, Statistics

WRISTS = ((LEFT_WRIST_POSITION, LEFT_WRIST_ROTATION), (RIGHT_WRIST_POSITION, RIGHT_WRIST_ROTATION))


@dataclass(frozen=True)
class ChunkingLossSettings:
    """Weights of L = L1 + style * KL + wrist * (L1 of the left wrist + L1 of the right wrist)."""

    style: float = 10.0
    """Weight of the divergence of the style from a standard normal distribution."""
    wrist: float = 0.0
    """Extra weight of the wrist poses, each 9 numbers."""
    dimensions: int = SIZE
    """Numbers that the first L1 averages over; beyond 54 they are numbers that are always zero."""

    def __post_init__(self) -> None:
        """Refuse fewer numbers than there are."""
        if self.dimensions < SIZE:
            raise ValueError(f"expected at least {SIZE} dimensions, got {self.dimensions}")


def chunking_loss(output: ChunkingOutput, batch: Batch, settings: ChunkingLossSettings) -> Losses:
    """The objective of a training batch as published: steps beyond the episode count as errors of zero."""
    assert output.style is not None, "the style is read from the true actions; pass them to the network"
    error = (output.actions - batch.actions).abs() * batch.action_weight[..., None]
    wrists = [torch.cat([error[..., piece] for piece in wrist], dim=-1).mean() for wrist in WRISTS]
    terms = {
        "action": error.mean() * (SIZE / settings.dimensions),
        "style": output.style.divergence(),
        "wrist": torch.stack(wrists).sum(),
    }
    return Losses(terms["action"] + settings.style * terms["style"] + settings.wrist * terms["wrist"], terms)


class Acting(nn.Module):
    """What becomes `policy.onnx`."""

    def __init__(self, model: nn.Module, statistics: Statistics) -> None:
        super().__init__()
        self.model = model
        self.features, self.numbers = feature_scaling(statistics), number_scaling(statistics)

    def forward(self, features: Tensor, state: Tensor) -> Tensor:
        """Raw features and a physical state to physical actions."""
        output: ChunkingOutput = self.model(self.features(features), self.numbers(state))
        return self.numbers.inverse(output.actions)


def acting_graph(model: nn.Module, statistics: Statistics) -> tuple[Graph, ...]:
    """The only graph of a policy without a world model."""
    return (Graph(POLICY, Acting(model, statistics), ("features", "state"), ("actions",)),)
