"""HAT as a method: the paper's baseline."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from firsthand_training.models.baselines.hat import HatPolicy, HatSettings
from firsthand_training.training.graphs import Graph
from firsthand_training.training.methods.chunking import ChunkingLossSettings, acting_graph, chunking_loss
from firsthand_training.training.methods.interface import Losses
from firsthand_training.training.windows import Batch, Statistics, WindowSettings

PACKING = 128  # numbers of HAT's own vectors, over which its L1 averages; all but our 54 are constant


@dataclass(frozen=True)
class HatMethod:
    """HAT: a chunking Transformer over the same patch features, as published."""

    network: HatSettings = field(default_factory=HatSettings)
    losses: ChunkingLossSettings = field(default_factory=lambda: ChunkingLossSettings(wrist=2.0, dimensions=PACKING))

    @property
    def window(self) -> WindowSettings:
        """Features and state, H actions, no future."""
        n = self.network
        return WindowSettings(n.horizon, n.views, n.rows, n.columns, n.channels)

    @property
    def learning_rates(self) -> Mapping[str, float]:
        """The encoder is frozen and not in the network; all that is learns alike."""
        return {}

    def build(self) -> HatPolicy:
        """The network with fresh weights."""
        return HatPolicy(self.network)

    def begin(self, network: nn.Module) -> None:
        """Nothing comes from elsewhere."""

    def loss(self, network: nn.Module, batch: Batch) -> Losses:
        """L1 + KL + extra wrist L1."""
        output = network(batch.features, batch.state, batch.actions, batch.action_mask)
        return chunking_loss(output, batch, self.losses)

    def graphs(self, network: nn.Module, statistics: Statistics) -> tuple[Graph, ...]:
        """Features and state to actions."""
        return acting_graph(network, statistics)
