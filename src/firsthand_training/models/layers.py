"""Building blocks shared by the networks: multi-head attention, feed-forward, pre-norm blocks, grid positions.

Shapes: B batch, Q queries, M memory tokens, D width, h heads. Everything is pre-norm; attention is plain softmax.
"""

from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class Attention(nn.Module):
    """Multi-head attention whose keys and values can be computed once and kept."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"the width must be a multiple of the heads, got width {width} and {heads} heads")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def remember(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of memory tokens (B, M, D), each (B, h, M, D / h)."""
        return split_heads(self.key(memory), self.heads), split_heads(self.value(memory), self.heads)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attention of (B, Q, D) queries over remembered keys and values, (B, Q, D)."""
        mixed = scaled_dot_product_attention(split_heads(self.query(queries), self.heads), keys, values)
        return self.out(merge_heads(mixed))

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        """Attention of (B, Q, D) queries over (B, M, D) memory tokens, (B, Q, D)."""
        return self.attend(queries, *self.remember(memory))


class FeedForward(nn.Sequential):
    """Two linear layers with a GELU between, (..., D) to (..., D)."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__(nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width))


class EncoderLayer(nn.Module):
    """Pre-norm self-attention and feed-forward over (B, M, D) tokens."""

    def __init__(self, width: int, heads: int, ratio: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, ratio)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """One layer, (B, M, D) to (B, M, D)."""
        normed = self.attention_norm(tokens)
        tokens = tokens + self.dropout(self.attention(normed, normed))
        return tokens + self.dropout(self.feed_forward(self.feed_forward_norm(tokens)))


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """(B, M, D) to (B, h, M, D / h)."""
    return tokens.reshape(*tokens.shape[:2], heads, -1).transpose(1, 2)


def merge_heads(tokens: Tensor) -> Tensor:
    """(B, h, M, D / h) to (B, M, D)."""
    return tokens.transpose(1, 2).flatten(2)


def embedding(*shape: int) -> nn.Parameter:
    """A learned embedding table that starts as small noise; the last axis is the width."""
    return nn.Parameter(torch.randn(*shape) * 0.02)


def pool_grid(features: Tensor, pool: int) -> Tensor:
    """Mean over `pool` x `pool` patches: (..., gh, gw, C) to (..., gh / pool, gw / pool, C).

    Sums of slices: on a CPU more than twenty times as fast as a mean over two axes that do not touch.
    """
    rows = reduce(torch.add, [features[..., row::pool, :, :] for row in range(pool)])
    return reduce(torch.add, [rows[..., column::pool, :] for column in range(pool)]) / pool**2


def grid_positions(rows: int, columns: int, width: int) -> Tensor:
    """Fixed 2-D sine and cosine positions of patch centres in the image, (rows, columns, width).

    The first half of the width tells the row, the second the column. Frequencies run from half a period to `width / 8`
    octaves above over the image, and centres are in [0, 1], so that a coarser grid has consistent positions.
    """
    if width % 4:
        raise ValueError(f"2-D positions need a width that is a multiple of 4, got {width}")
    frequencies = torch.pi * torch.logspace(0, 5, width // 4, base=2.0)
    row = ((torch.arange(rows) + 0.5) / rows)[:, None] * frequencies
    column = ((torch.arange(columns) + 0.5) / columns)[:, None] * frequencies
    rows_part = torch.cat([row.sin(), row.cos()], dim=-1)[:, None].expand(rows, columns, -1)
    columns_part = torch.cat([column.sin(), column.cos()], dim=-1)[None].expand(rows, columns, -1)
    return torch.cat([rows_part, columns_part], dim=-1)
