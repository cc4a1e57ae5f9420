"""The CVAE of ACT and HAT: in training, a style z is read from the true actions; at run time it is zero.

Source: Zhao et al., Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware (2023), section IV.
Shapes: B batch, H actions, Z latent numbers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from firsthand.space.hand_state import SIZE
from firsthand_training.models.baselines.detr import Encoder, sequence_positions


@dataclass(frozen=True)
class Gaussian:
    """A normal distribution with independent numbers."""

    mean: Tensor  # (B, Z)
    log_variance: Tensor  # (B, Z)

    def sample(self) -> Tensor:
        """A draw (B, Z) that gradients flow through."""
        return self.mean + (self.log_variance / 2).exp() * torch.randn_like(self.mean)

    def divergence(self) -> Tensor:
        """Kullback-Leibler divergence from the standard normal distribution: sum over Z, mean over B."""
        each = (self.mean**2 + self.log_variance.exp() - 1 - self.log_variance) / 2
        return each.sum(dim=1).mean()


class ActionPosterior(nn.Module):
    """q(z | state, actions): an encoder over a class token, the state and the actions."""

    positions: Tensor

    def __init__(
        self, horizon: int, latent: int, width: int, heads: int, hidden: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.token = nn.Embedding(1, width)
        self.embed_state = nn.Linear(SIZE, width)
        self.embed_action = nn.Linear(SIZE, width)
        self.encoder = Encoder(width, heads, hidden, layers, dropout)
        self.mean = nn.Linear(width, latent)
        self.log_variance = nn.Linear(width, latent)
        self.register_buffer("positions", sequence_positions(2 + horizon, width), persistent=False)

    def forward(self, state: Tensor, actions: Tensor, mask: Tensor) -> Gaussian:
        """From normalised (B, 54) states and (B, H, 54) actions; the (B, H) mask is true inside the episode."""
        token = self.token.weight.expand(len(state), 1, -1)
        tokens = torch.cat([token, self.embed_state(state)[:, None], self.embed_action(actions)], dim=1)
        padding = torch.cat([mask.new_zeros(len(mask), 2), ~mask], dim=1)
        style = self.encoder(tokens, self.positions, padding)[:, 0]
        return Gaussian(self.mean(style), self.log_variance(style))
