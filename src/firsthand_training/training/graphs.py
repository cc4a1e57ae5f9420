"""A network as the robot runs it: graphs with normalisation inside; physical numbers and raw features pass."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from firsthand.policy.checkpoint import BlockSpec
from firsthand_training.training.windows import Statistics


@dataclass(frozen=True)
class Graph:
    """One file of a checkpoint: a module with named inputs and outputs, all of batch 1.

    Inputs are "features" (1, V, gh, gw, C), "state" (1, 54) and outputs of graphs before it. Outputs that export and
    robot know are "actions" (1, H, 54), "future_features" (1, T, V, gh', gw', C) and "selected", indices of blocks
    (1, layers, heads, H, k).
    """

    file: str
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    blocks: BlockSpec | None = None  # what "selected" counts


class Scaling(nn.Module):
    """Physical units to normalised ones and back."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: NDArray[np.floating], std: NDArray[np.floating]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))

    def forward(self, values: Tensor) -> Tensor:
        """To normalised units."""
        return (values - self.mean) / self.std

    def inverse(self, values: Tensor) -> Tensor:
        """To physical units."""
        return values * self.std + self.mean


def number_scaling(statistics: Statistics) -> Scaling:
    """Of the 54 numbers, states and actions alike."""
    return Scaling(statistics.numbers.mean, statistics.numbers.std)


def feature_scaling(statistics: Statistics) -> Scaling:
    """Of the feature channels."""
    return Scaling(statistics.feature_mean, statistics.feature_std)
