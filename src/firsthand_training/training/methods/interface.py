"""What the training loop, validation and export ask of a network and its objective.

A method is a frozen dataclass of settings: what it says rebuilds the network, so settings are all that a training state
keeps of it. To add one: write the class, and enter it in `registry.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from firsthand_training.training.graphs import Graph
from firsthand_training.training.windows import Batch, Statistics, WindowSettings


@dataclass(frozen=True)
class Losses:
    """An objective and what it is made of."""

    total: Tensor  # what is minimised
    terms: dict[str, Tensor]  # unweighted, for logs; "action" is always there


class Output(Protocol):
    """What a network answers to `network(features, state)`, in normalised units."""

    @property
    def actions(self) -> Tensor:
        """(B, H, 54), for t+1 .. t+H."""
        ...

    @property
    def future_features(self) -> Tensor | None:
        """(B, T, V, gh', gw', C), pooled, at t+r .. t+H; None if the network predicts none."""
        ...


class Method(Protocol):
    """A network and its objective. Networks map (B, V, gh, gw, C) features and (B, 54) states to an `Output`."""

    @property
    def window(self) -> WindowSettings:
        """What the network wants to see of an episode."""
        ...

    @property
    def learning_rates(self) -> Mapping[str, float]:
        """Parts of the network, by how their parameters' names begin, that learn at a multiple of the rate."""
        ...

    def build(self) -> nn.Module:
        """The network with fresh weights, drawn from torch's own generator."""
        ...

    def begin(self, network: nn.Module) -> None:
        """Put weights that come from elsewhere into a fresh network, once, as training begins."""
        ...

    def loss(self, network: nn.Module, batch: Batch) -> Losses:
        """Run the network on normalised windows and score it."""
        ...

    def graphs(self, network: nn.Module, statistics: Statistics) -> tuple[Graph, ...]:
        """What the robot will run, in order: physical numbers and raw features in and out."""
        ...
