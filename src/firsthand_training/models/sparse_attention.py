"""Compressed and selected attention from action queries to patches (paper, Appendix III-B).

The mechanism is that of Native Sparse Attention. Patches are grouped into blocks of b x b neighbours of one frame and
view. Compressed attention looks at one mean token per block; its scores choose, for every head and query, the k blocks
whose patches selected attention then looks at. Sigmoid gates mix the two. The sinks (the latent state) are visible to
both, outside the selection.

For a few hundred patches this is an inductive bias and a window into the network, not a speed-up: selected attention
runs as dense attention under a mask, and `selected_attention_naive` is the loop it must equal.

Shapes: B batch, h heads, Q queries, M patches, N blocks, k selected blocks, S sinks, D width, d = D / h.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from firsthand_training.models.layers import merge_heads, split_heads


@dataclass(frozen=True)
class Grid:
    """The patches of one frame of one view, row by row."""

    rows: int
    columns: int
    view: int


@dataclass(frozen=True)
class BlockLayout:
    """Which patches make up which block. A block at a ragged border holds fewer patches, never padding."""

    block_of_patch: Tensor  # (M,) int64
    centres: Tensor  # (N, 2), row and column of a block's patches on average, as fractions of the image
    views: Tensor  # (N,) int64
    averaging: Tensor  # (N, M), each row 1 / size on the block's patches

    @property
    def blocks(self) -> int:
        """N."""
        return len(self.centres)


@dataclass(frozen=True)
class Selection:
    """What one sparse attention layer looked at, for the regularisers and for pictures."""

    scores: Tensor  # (B, h, Q, N), compressed attention logits, float32
    indices: Tensor  # (B, h, Q, k) int64, selected blocks, highest score first


def block_layout(grids: Sequence[Grid], block: int) -> BlockLayout:
    """Group the patches of several grids, one after the other, into blocks of `block` x `block` neighbours."""
    if block < 1:
        raise ValueError(f"expected blocks of at least one patch, got {block}")
    block_of_patch, centres, views, first = [], [], [], 0
    for grid in grids:
        row, column = (axis.flatten() for axis in _mesh(grid.rows, grid.columns))
        block_columns = ceil(grid.columns / block)
        own = row // block * block_columns + column // block
        count = ceil(grid.rows / block) * block_columns
        place = torch.stack([(row + 0.5) / grid.rows, (column + 0.5) / grid.columns], dim=-1)
        block_of_patch.append(own + first)
        centres.append(_averaging(own, count) @ place)
        views.append(torch.full((count,), grid.view))
        first += count
    blocks = torch.cat(block_of_patch)
    return BlockLayout(blocks, torch.cat(centres), torch.cat(views), _averaging(blocks, first))


def compressed_attention(queries: Tensor, keys: Tensor, values: Tensor, sinks: int = 0) -> tuple[Tensor, Tensor]:
    """Attention over sinks and one key per block.

    Args:
        queries: (B, h, Q, d).
        keys: (B, h, S + N, d), sinks first.
        values: As the keys.
        sinks: S.

    Returns:
        The mixture (B, h, Q, d) and the scores of the blocks (B, h, Q, N). Scores are float32 whatever the precision
        around them, because the order of close ones decides what is selected.
    """
    with torch.autocast(queries.device.type, enabled=False):
        scores = queries.float() @ keys.float().transpose(-1, -2) / sqrt(queries.shape[-1])
    weights = scores.softmax(dim=-1).to(values.dtype)
    return weights @ values, scores[..., sinks:]


def select_blocks(scores: Tensor, k: int) -> Tensor:
    """The k blocks with the highest scores (..., N), highest first, (..., k); of equal ones the first counts."""
    if not 1 <= k <= scores.shape[-1]:
        raise ValueError(f"expected between 1 and {scores.shape[-1]} selected blocks (all there are), got {k}")
    if torch.onnx.is_in_onnx_export():
        return scores.topk(k, dim=-1).indices  # ONNX TopK itself puts the lower index first
    return scores.detach().sort(dim=-1, descending=True, stable=True).indices[..., :k]


def selection_mask(indices: Tensor, blocks: int) -> Tensor:
    """Which blocks are selected, (..., k) indices to a boolean (..., N)."""
    return torch.zeros(*indices.shape[:-1], blocks, device=indices.device).scatter(-1, indices, 1.0) > 0


def selected_attention(
    queries: Tensor, keys: Tensor, values: Tensor, indices: Tensor, layout: BlockLayout, sinks: int = 0
) -> Tensor:
    """Attention over sinks and the patches of selected blocks, as dense attention under a mask.

    Args:
        queries: (B, h, Q, d).
        keys: (B, h, S + M, d), sinks first.
        values: As the keys.
        indices: (B, h, Q, k), from `select_blocks`.
        layout: Of the M patches.
        sinks: S.
    """
    visible = selection_mask(indices, layout.blocks)[..., layout.block_of_patch]
    always = torch.ones(*visible.shape[:-1], sinks, dtype=torch.bool, device=visible.device)
    return scaled_dot_product_attention(queries, keys, values, attn_mask=torch.cat([always, visible], dim=-1))


def selected_attention_naive(
    queries: Tensor, keys: Tensor, values: Tensor, indices: Tensor, layout: BlockLayout, sinks: int = 0
) -> Tensor:
    """The same as `selected_attention`, one query at a time, by gathering: slow, and plainly right."""
    out = torch.empty_like(queries)
    for where in torch.cartesian_prod(*(torch.arange(size) for size in queries.shape[:3])).tolist():
        batch, head, query = where
        patches = torch.isin(layout.block_of_patch, indices[batch, head, query]).nonzero().flatten()
        gathered = torch.cat([torch.arange(sinks), patches + sinks])
        scores = keys[batch, head, gathered] @ queries[batch, head, query] / sqrt(queries.shape[-1])
        out[batch, head, query] = scores.softmax(dim=0) @ values[batch, head, gathered]
    return out


class SparseCrossAttention(nn.Module):
    """Gated compressed and selected attention of queries to patches; every head selects for itself."""

    block_of_patch: Tensor
    centres: Tensor
    views: Tensor
    averaging: Tensor

    def __init__(self, width: int, heads: int, layout: BlockLayout, selected: int) -> None:
        super().__init__()
        if not 1 <= selected <= layout.blocks:
            raise ValueError(f"expected between 1 and {layout.blocks} selected blocks, got {selected}")
        self.heads, self.selected = heads, selected
        for name in ("block_of_patch", "centres", "views", "averaging"):
            self.register_buffer(name, getattr(layout, name), persistent=False)
        self.query = nn.Linear(width, width)
        self.block_key, self.block_value = nn.Linear(width, width), nn.Linear(width, width)
        self.patch_key, self.patch_value = nn.Linear(width, width), nn.Linear(width, width)
        self.gate = nn.Linear(width, 2 * heads)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, patches: Tensor, blocks: Tensor, sinks: int = 0) -> tuple[Tensor, Selection]:
        """Attend.

        Args:
            queries: (B, Q, D).
            patches: (B, S + M, D), sinks first.
            blocks: (B, S + N, D), sinks first, then the mean of the patches of each block (`compress`).
            sinks: S, tokens that are always visible.

        Returns:
            (B, Q, D), and what was selected.
        """
        query, keys, values = (
            split_heads(each, self.heads)
            for each in (self.query(queries), self.block_key(blocks), self.block_value(blocks))
        )
        coarse, scores = compressed_attention(query, keys, values, sinks)
        indices = select_blocks(scores, self.selected)
        keys, values = (split_heads(each(patches), self.heads) for each in (self.patch_key, self.patch_value))
        fine = selected_attention(query, keys, values, indices, self.layout, sinks)
        gates = split_heads(self.gate(queries).sigmoid(), self.heads)  # (B, h, Q, 2)
        mixed = gates[..., :1] * coarse + gates[..., 1:] * fine
        return self.out(merge_heads(mixed)), Selection(scores, indices)

    @property
    def layout(self) -> BlockLayout:
        """The blocks, on the device of the network."""
        return BlockLayout(self.block_of_patch, self.centres, self.views, self.averaging)


def compress(patches: Tensor, averaging: Tensor) -> Tensor:
    """Mean token of each block, (B, M, D) to (B, N, D)."""
    return averaging @ patches


def _mesh(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return row, column


def _averaging(block_of_patch: Tensor, count: int) -> Tensor:
    member = torch.nn.functional.one_hot(block_of_patch, count).T.float()
    return member / member.sum(dim=1, keepdim=True)
