"""What ACT and HAT share: image tokens, the state and a style z go through an encoder, a decoder reads H actions out.

Unlike the world model they imagine no future and predict hand states absolutely. Everything is in normalised units.
Shapes: B batch, V views, M image tokens, H actions, Z latent numbers, D width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from firsthand.space.hand_state import SIZE
from firsthand_training.models.baselines.detr import Decoder, DecoderOutput, Encoder
from firsthand_training.models.baselines.posterior import ActionPosterior, Gaussian


@dataclass(frozen=True)
class TransformerSettings:
    """The Transformer that ACT and HAT were published with."""

    width: int = 512
    heads: int = 8
    feed_forward: int = 3200
    encoder_layers: int = 4
    """Of the observation's encoder and of the action posterior's."""
    decoder_layers: int = 7
    decoder_output: DecoderOutput = "first"
    """Which layer's output becomes actions. The published code takes the first one's, so that one of seven is used."""
    latent: int = 32
    """Z, numbers of the style."""
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit together."""
        for name in ("width", "heads", "feed_forward", "encoder_layers", "decoder_layers", "latent"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if self.width % self.heads or self.width % 4:
            raise ValueError(f"the width must be a multiple of 4 and of heads = {self.heads}, got {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"expected dropout in [0, 1), got {self.dropout}")


@dataclass(frozen=True)
class ChunkingOutput:
    """One forward pass, in normalised units."""

    actions: Tensor  # (B, H, 54)
    style: Gaussian | None  # what was read from the true actions, in training
    future_features: None = None  # none are predicted


class ChunkingTransformer(nn.Module):
    """From image tokens and a hand state to an action chunk."""

    def __init__(self, horizon: int, settings: TransformerSettings) -> None:
        super().__init__()
        width, sizes = settings.width, (settings.heads, settings.feed_forward)
        self.latent = settings.latent
        self.posterior = ActionPosterior(
            horizon, settings.latent, width, *sizes, settings.encoder_layers, settings.dropout
        )
        self.embed_style = nn.Linear(settings.latent, width)
        self.embed_state = nn.Linear(SIZE, width)
        self.extra_positions = nn.Embedding(2, width)  # of the style and the state
        self.encoder = Encoder(width, *sizes, settings.encoder_layers, settings.dropout)
        self.decoder = Decoder(
            horizon, width, *sizes, settings.decoder_layers, settings.dropout, settings.decoder_output
        )
        self.out = nn.Linear(width, SIZE)
        for parameter in (*self.encoder.parameters(), *self.decoder.layers.parameters()):
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, images: Tensor, positions: Tensor, state: Tensor, style: Tensor) -> Tensor:
        """Actions (B, H, 54) from (B, M, D) image tokens at (M, D) positions, (B, 54) states and a (B, Z) style."""
        extra = torch.stack([self.embed_style(style), self.embed_state(state)], dim=1)
        positions = torch.cat([self.extra_positions.weight, positions])
        memory = self.encoder(torch.cat([extra, images], dim=1), positions)
        return self.out(self.decoder(memory, positions))

    def average_style(self, state: Tensor) -> Tensor:
        """The style of run time: the mean of the prior, zero, (B, Z)."""
        return state.new_zeros(len(state), self.latent)
