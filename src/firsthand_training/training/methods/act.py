"""ACT as a method: pictures in, its image backbone trained with the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from torch import nn

from firsthand.errors import CheckpointError
from firsthand_training.models.baselines.act import ActPolicy, ActSettings
from firsthand_training.models.baselines.resnet import load_imagenet_weights
from firsthand_training.training.graphs import Graph
from firsthand_training.training.methods.chunking import ChunkingLossSettings, acting_graph, chunking_loss
from firsthand_training.training.methods.interface import Losses
from firsthand_training.training.windows import Batch, Statistics, WindowSettings


@dataclass(frozen=True)
class ActMethod:
    """ACT: a chunking Transformer over pictures (`--cache.encoder pixels`)."""

    network: ActSettings = field(default_factory=ActSettings)
    losses: ChunkingLossSettings = field(default_factory=ChunkingLossSettings)
    backbone_weights: str = ""
    """File of torchvision's ImageNet weights of ResNet-18 (.safetensors) to begin with; empty: from scratch."""
    backbone_rate: float = 0.1
    """Learning rate of the backbone over that of the rest; 1 from scratch."""

    def __post_init__(self) -> None:
        """Refuse weights that the network has no place for."""
        if self.backbone_weights and self.network.backbone_norm != "frozen_batch":
            raise ValueError(
                f"ImageNet weights come with frozen batch normalisation, got backbone_norm {self.network.backbone_norm}"
            )
        if self.backbone_rate < 0:
            raise ValueError(f"expected a backbone_rate of at least 0, got {self.backbone_rate}")

    @property
    def window(self) -> WindowSettings:
        """Pictures and state, H actions, no future."""
        n = self.network
        return WindowSettings(n.horizon, n.views, n.rows, n.columns, n.channels)

    @property
    def learning_rates(self) -> Mapping[str, float]:
        """The backbone has its own."""
        return {"backbone.": self.backbone_rate}

    def build(self) -> ActPolicy:
        """The network with fresh weights."""
        return ActPolicy(self.network)

    def begin(self, network: nn.Module) -> None:
        """Load the backbone's ImageNet weights.

        Raises:
            CheckpointError: They cannot be read, or the frozen normalisation has none to take its statistics from.
        """
        if self.backbone_weights:
            load_imagenet_weights(cast(ActPolicy, network).backbone, Path(self.backbone_weights))
        elif self.network.backbone_norm == "frozen_batch":
            raise CheckpointError(
                "frozen batch normalisation takes its statistics from ImageNet weights and there are none: give "
                "torchvision's resnet18 file as backbone_weights, or learn from scratch with backbone_norm group "
                "and backbone_rate 1"
            )

    def loss(self, network: nn.Module, batch: Batch) -> Losses:
        """L1 + KL."""
        output = network(batch.features, batch.state, batch.actions, batch.action_mask)
        return chunking_loss(output, batch, self.losses)

    def graphs(self, network: nn.Module, statistics: Statistics) -> tuple[Graph, ...]:
        """Pictures and state to actions."""
        return acting_graph(network, statistics)
