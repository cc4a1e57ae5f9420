"""The Transformer of DETR as ACT and HAT run it: post-norm, ReLU, positions added before every attention.

Sources: Carion et al., End-to-End Object Detection with Transformers (2020); Zhao et al., ACT (2023).
Shapes: B batch, M memory tokens, Q queries, D width.
"""

from math import pi
from typing import Literal, get_args

import torch
from torch import Tensor, nn

DecoderOutput = Literal["first", "last"]


class FeedForward(nn.Sequential):
    """Two linear layers, ReLU and dropout between, (..., D) to (..., D)."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width))


class EncoderLayer(nn.Module):
    """Post-norm self-attention and feed-forward."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, positions: Tensor, padding: Tensor | None = None) -> Tensor:
        """One layer, (B, M, D) to (B, M, D); positions (M, D), padding (B, M) is true where nobody may look."""
        placed = tokens + positions
        mixed, _ = self.attention(placed, placed, tokens, key_padding_mask=padding, need_weights=False)
        tokens = self.attention_norm(tokens + self.dropout(mixed))
        return self.feed_forward_norm(tokens + self.dropout(self.feed_forward(tokens)))


class Encoder(nn.Module):
    """A stack of encoder layers."""

    def __init__(self, width: int, heads: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList([EncoderLayer(width, heads, hidden, dropout) for _ in range(layers)])

    def forward(self, tokens: Tensor, positions: Tensor, padding: Tensor | None = None) -> Tensor:
        """(B, M, D) to (B, M, D); see `EncoderLayer.forward`."""
        for layer in self.layers:
            tokens = layer(tokens, positions, padding)
        return tokens


class DecoderLayer(nn.Module):
    """Post-norm self-attention of the queries, attention to the memory, feed-forward."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.cross_attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.self_norm, self.cross_norm, self.feed_forward_norm = (nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Tensor, queries: Tensor, keys: Tensor, memory: Tensor) -> Tensor:
        """One layer.

        Args:
            values: (B, Q, D), what the queries have gathered so far.
            queries: (Q, D), the positions of the queries.
            keys: (B, M, D), the memory with its positions.
            memory: (B, M, D).
        """
        placed = values + queries
        mixed, _ = self.self_attention(placed, placed, values, need_weights=False)
        values = self.self_norm(values + self.dropout(mixed))
        seen, _ = self.cross_attention(values + queries, keys, memory, need_weights=False)
        values = self.cross_norm(values + self.dropout(seen))
        return self.feed_forward_norm(values + self.dropout(self.feed_forward(values)))


class Decoder(nn.Module):
    """Learned queries read the memory.

    The published code of ACT and HAT keeps the output of every layer (`return_intermediate_dec`) and then takes number
    0 of them, that of the *first* layer; the others are built and never trained (github.com/tonyzhaozh/act, issue 52).
    `output` says whether to do as published or as meant; with `first` the rest is not even run.
    """

    def __init__(
        self, queries: int, width: int, heads: int, hidden: int, layers: int, dropout: float, output: DecoderOutput
    ) -> None:
        super().__init__()
        if output not in get_args(DecoderOutput):
            raise ValueError(f"expected a decoder output among {', '.join(get_args(DecoderOutput))}, got {output!r}")
        self.output = output
        self.queries = nn.Embedding(queries, width)
        self.layers = nn.ModuleList([DecoderLayer(width, heads, hidden, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)

    def forward(self, memory: Tensor, positions: Tensor) -> Tensor:
        """(B, M, D) memory at (M, D) positions to (B, Q, D)."""
        keys, values = memory + positions, memory.new_zeros(len(memory), *self.queries.weight.shape)
        for layer in self.layers if self.output == "last" else self.layers[:1]:
            values = layer(values, self.queries.weight, keys, memory)
        return self.norm(values)


def image_positions(rows: int, columns: int, width: int) -> Tensor:
    """Sine positions of DETR on a grid, (rows, columns, width): the first half tells the row, the second the column."""
    if width % 4:
        raise ValueError(f"2-D positions need a width that is a multiple of 4, got {width}")
    row, column = (_wave(torch.arange(1.0, count + 1) / count * 2 * pi, width // 2) for count in (rows, columns))
    return torch.cat([row[:, None].expand(-1, columns, -1), column[None].expand(rows, -1, -1)], dim=-1)


def sequence_positions(length: int, width: int) -> Tensor:
    """Sine positions of a sequence, (length, width)."""
    return _wave(torch.arange(float(length)), width)


def _wave(places: Tensor, width: int) -> Tensor:
    """Sine and cosine by turns at wavelengths from 2 pi to 10,000 times that, (N,) to (N, width)."""
    angles = places[:, None] / 10_000 ** (torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
