"""The state encoder: 54 normalised numbers to the latent state z_t (paper, section II-C).

The numbers enter as one token per body part, so that attention can weigh hands against wrists. In training, whole
states are sometimes replaced by a learned "unknown": otherwise the quickest way to a small error is to copy
proprioception and to ignore the images.
"""

import torch
from torch import Tensor, nn

from firsthand.space.hand_state import (
    HEAD_ROTATION,
    LEFT_FINGERTIPS,
    LEFT_WRIST_POSITION,
    LEFT_WRIST_ROTATION,
    RIGHT_FINGERTIPS,
    RIGHT_WRIST_POSITION,
    RIGHT_WRIST_ROTATION,
)
from firsthand_training.models.layers import EncoderLayer, embedding

PARTS: dict[str, tuple[slice, ...]] = {
    "head": (HEAD_ROTATION,),
    "left wrist": (LEFT_WRIST_ROTATION, LEFT_WRIST_POSITION),
    "right wrist": (RIGHT_WRIST_ROTATION, RIGHT_WRIST_POSITION),
    "left hand": (LEFT_FINGERTIPS,),
    "right hand": (RIGHT_FINGERTIPS,),
}
"""The body parts that become tokens, and their numbers."""

LARGEST = 5.0  # [standard deviations] further than this out is clipped, so that a stray state stays in range


class StateEncoder(nn.Module):
    """A Transformer over the body parts of one hand state."""

    def __init__(self, width: int, heads: int, layers: int, ratio: int, dropout: float, state_dropout: float) -> None:
        super().__init__()
        self.state_dropout = state_dropout
        self.parts = nn.ModuleList([_part_embedding(part, width) for part in PARTS.values()])
        self.part = embedding(len(PARTS), width)
        self.unknown = embedding(width)
        self.readout = embedding(width)
        self.layers = nn.Sequential(*[EncoderLayer(width, heads, ratio, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)

    def forward(self, state: Tensor) -> Tensor:
        """Latent state z_t, (B, 54) normalised to (B, D)."""
        state = state.clamp(-LARGEST, LARGEST)
        numbers = [torch.cat([state[:, piece] for piece in part], dim=-1) for part in PARTS.values()]
        tokens = torch.stack([embed(part) for embed, part in zip(self.parts, numbers, strict=True)], dim=1)
        tokens = self._forget(tokens) + self.part
        readout = self.readout.expand(len(state), 1, -1)
        return self.norm(self.layers(torch.cat([readout, tokens], dim=1))[:, 0])

    def _forget(self, tokens: Tensor) -> Tensor:
        """Replace some whole states of a training batch by "unknown"."""
        if not self.training or self.state_dropout == 0:
            return tokens
        forgotten = torch.rand(len(tokens), 1, 1, device=tokens.device) < self.state_dropout
        return torch.where(forgotten, self.unknown, tokens)


def _part_embedding(part: tuple[slice, ...], width: int) -> nn.Sequential:
    size = sum(piece.stop - piece.start for piece in part)
    return nn.Sequential(nn.Linear(size, width), nn.GELU(), nn.Linear(width, width))
