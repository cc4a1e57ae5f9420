"""The Sparse Attention Transformer: learned queries read an action chunk out of current and predicted patches.

Current patches come in at full resolution, because where the object and the hands are decides success; predicted ones
are pooled. Every patch knows its view, its place in the image and its time (paper, section II-C and Appendix III-B).

Shapes: B batch, V views, T predicted frames, H actions, M patches in all, D width, C feature channels.
"""

import torch
from torch import Tensor, nn

from firsthand_training.models.layers import Attention, EncoderLayer, FeedForward, embedding, grid_positions
from firsthand_training.models.sparse_attention import (
    BlockLayout,
    Grid,
    Selection,
    SparseCrossAttention,
    block_layout,
    compress,
)


class SceneTokens(nn.Module):
    """Current and predicted features as one list of tokens: current view by view, then predicted frame by frame."""

    positions: Tensor
    pooled_positions: Tensor

    def __init__(
        self,
        channels: int,
        grid: tuple[int, int],
        pooled: tuple[int, int],
        views: int,
        frames: int,
        width: int,
        heads: int,
        layers: int,
        ratio: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.register_buffer("positions", grid_positions(*grid, width).flatten(0, 1), persistent=False)
        self.register_buffer("pooled_positions", grid_positions(*pooled, width).flatten(0, 1), persistent=False)
        self.embed = nn.Linear(channels, width)
        self.embed_predicted = nn.Linear(channels, width)
        self.view = embedding(views, 1, width)
        self.time = embedding(frames, 1, 1, width)
        self.encoder = nn.Sequential(*[EncoderLayer(width, heads, ratio, dropout) for _ in range(layers)])

    def forward(self, current: Tensor, predicted: Tensor) -> Tensor:
        """(B, V, gh, gw, C) current and (B, T, V, gh', gw', C) predicted features to (B, M, D) tokens."""
        here = self.embed(current.flatten(2, 3)) + self.positions + self.view
        here = self.encoder(here.flatten(1, 2))  # both views together: this is where stereo is matched
        later = self.embed_predicted(predicted.flatten(3, 4)) + self.pooled_positions + self.view + self.time
        return torch.cat([here, later.flatten(1, 3)], dim=1)


def scene_layout(grid: tuple[int, int], pooled: tuple[int, int], views: int, frames: int, block: int) -> BlockLayout:
    """The blocks of `SceneTokens`, in its order."""
    current = [Grid(*grid, view) for view in range(views)]
    return block_layout([*current, *[Grid(*pooled, view) for _ in range(frames) for view in range(views)]], block)


class ActionLayer(nn.Module):
    """Queries talk among themselves, look at the scene, think."""

    def __init__(self, width: int, heads: int, ratio: int, dropout: float, layout: BlockLayout, selected: int) -> None:
        super().__init__()
        self.self_norm, self.cross_norm, self.feed_forward_norm = (nn.LayerNorm(width) for _ in range(3))
        self.self_attention = Attention(width, heads)
        self.cross_attention = SparseCrossAttention(width, heads, layout, selected)
        self.feed_forward = FeedForward(width, ratio)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, patches: Tensor, blocks: Tensor) -> tuple[Tensor, Selection]:
        """One layer, (B, H, D) to (B, H, D), and what it selected; patches and blocks begin with the latent state."""
        normed = self.self_norm(queries)
        queries = queries + self.dropout(self.self_attention(normed, normed))
        seen, selection = self.cross_attention(self.cross_norm(queries), patches, blocks, sinks=1)
        queries = queries + self.dropout(seen)
        return queries + self.dropout(self.feed_forward(self.feed_forward_norm(queries))), selection


class ActionDecoder(nn.Module):
    """Action queries over scene tokens, with the latent state as a sink that is always visible."""

    averaging: Tensor

    def __init__(
        self,
        outputs: int,
        horizon: int,
        latent_width: int,
        layout: BlockLayout,
        selected: int,
        width: int,
        heads: int,
        layers: int,
        ratio: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.queries = embedding(horizon, width)
        self.embed_latent = nn.Linear(latent_width, width)
        self.scene_norm = nn.LayerNorm(width)
        self.register_buffer("averaging", layout.averaging, persistent=False)
        self.layers = nn.ModuleList(
            [ActionLayer(width, heads, ratio, dropout, layout, selected) for _ in range(layers)]
        )
        self.out_norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, outputs)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @property
    def layout(self) -> BlockLayout:
        """The blocks of the scene, on the device of the network."""
        first = self.layers[0]
        assert isinstance(first, ActionLayer)
        return first.cross_attention.layout

    def forward(self, scene: Tensor, latent: Tensor) -> tuple[Tensor, tuple[Selection, ...]]:
        """(B, M, D) scene tokens and (B, latent width) state to (B, H, outputs), and each layer's selection."""
        sink = self.embed_latent(latent)[:, None]
        patches = self.scene_norm(scene)
        blocks = torch.cat([sink, compress(patches, self.averaging)], dim=1)
        patches = torch.cat([sink, patches], dim=1)
        queries = self.queries + sink
        selections = []
        for layer in self.layers:
            queries, selection = layer(queries, patches, blocks)
            selections.append(selection)
        return self.out(self.out_norm(queries)), tuple(selections)
