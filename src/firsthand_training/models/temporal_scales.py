"""The Temporal-scale Autoregressive Transformer: future features, coarse times first (paper, Appendix III-A and VI).

Time steps are counted in strides of r frames: index τ stands for the frame t + r τ, and T = H / r is the last one.
First come the index sets, literally Algorithms 3 to 5, then the network that runs over them.

Readings of what the paper leaves open (`docs/world_model.md` has the reasons): queries are time + place + level; the
latent state is a memory token; predictions are residuals to the current features; training is free-running, since with
teacher forcing a level could copy the truth of the level before; the last level is the answer.

Shapes: B batch (views folded in), P patches of one frame, C feature channels, D width.
"""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log2
from typing import Literal

import torch
from torch import Tensor, nn

from firsthand_training.models.layers import Attention, FeedForward, embedding

Mode = Literal["scales", "new_only", "steps"]
MODES = ("scales", "new_only", "steps")


@dataclass(frozen=True)
class Node:
    """A node of the midpoint binary tree."""

    index: int
    left: "Node | None"
    right: "Node | None"


def build_tree(left: int, right: int) -> Node | None:
    """The balanced midpoint binary tree over [left, right] (Algorithm 3)."""
    if left > right:
        return None
    middle = (left + right) // 2
    return Node(middle, build_tree(left, middle - 1), build_tree(middle + 1, right))


def bfs_levels(root: Node | None) -> list[list[int]]:
    """The indices of a tree, one list a depth (Algorithm 4)."""
    levels: list[list[int]] = []
    queue = deque([root] if root else [])
    while queue:
        level = [queue.popleft() for _ in range(len(queue))]
        levels.append([node.index for node in level])
        queue.extend(child for node in level for child in (node.left, node.right) if child)
    return levels


def index_sets(T: int) -> list[tuple[int, ...]]:
    """I_1 to I_L of Algorithm 5: the time indices that each pass after the jump generates, accumulated over depths."""
    depth = ceil(log2(T + 1))
    levels = [[index for index in level if index != T] for level in bfs_levels(build_tree(1, T))]
    accumulated: set[int] = set()
    sets = []
    for level in levels[:depth]:
        accumulated |= {*level, T}
        sets.append(tuple(sorted(accumulated)))
    return sets


def passes(T: int, mode: Mode = "scales", skip_repeated: bool = True) -> tuple[tuple[int, ...], ...]:
    """The indices that each pass of the network generates, the jump to T first.

    Args:
        T: Number of future time steps.
        mode: `scales` is the paper's scheme (Algorithm 5); `new_only` generates each index once; `steps` is
            conventional autoregression (Algorithm 1).
        skip_repeated: Leave out a level that has the indices of the level before: for T = 2^k the deepest one only
            repeats them, at twice the cost.

    Raises:
        ValueError: T is not positive or the mode is unknown.
    """
    if T < 1:
        raise ValueError(f"expected at least one future time step, got {T}")
    if mode not in MODES:
        raise ValueError(f"expected a mode among {', '.join(MODES)}, got {mode!r}")
    if mode == "steps":
        return tuple((index,) for index in range(1, T + 1))
    sets = [(T,), *index_sets(T)]
    if mode == "new_only":
        seen = [set(sets[0]), *({*new} - {*old} for old, new in pairwise(sets))]
        return tuple(tuple(sorted(new)) for new in seen if new)
    if skip_repeated:
        sets = [sets[0], *(new for old, new in pairwise(sets) if new != old)]
    return tuple(sets)


@dataclass(frozen=True)
class Level:
    """What one pass predicted."""

    indices: tuple[int, ...]  # time indices τ, ascending
    features: Tensor  # (B, len(indices), P, C), normalised


class TemporalScaleLayer(nn.Module):
    """Pre-norm cross-attention from the queries of a pass to all that is known so far."""

    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, ratio)

    def remember(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of memory tokens (B, M, D)."""
        return self.attention.remember(memory)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """One layer, (B, Q, D) to (B, Q, D)."""
        queries = queries + self.attention.attend(self.attention_norm(queries), keys, values)
        return queries + self.feed_forward(self.feed_forward_norm(queries))


class TemporalScaleTransformer(nn.Module):
    """Predicts the patch features of T future frames in about log2 T passes with shared weights."""

    positions: Tensor

    def __init__(
        self,
        schedule: tuple[tuple[int, ...], ...],
        channels: int,
        positions: Tensor,
        views: int,
        latent_width: int,
        width: int,
        heads: int,
        layers: int,
        ratio: int,
        detach_levels: bool = False,
    ) -> None:
        """Build the network.

        Args:
            schedule: Indices of each pass, from `passes`.
            channels: C, numbers per patch.
            positions: (P, D) fixed place of each patch.
            views: Number of cameras; they share all weights but one embedding.
            latent_width: Width of z_t.
            width: D.
            heads: Attention heads.
            layers: Layers of each pass.
            ratio: Feed-forward width over D.
            detach_levels: Stop gradients from one level into the levels before it.
        """
        super().__init__()
        self.schedule = schedule
        self.detach_levels = detach_levels
        self.answer_order = _answer_order(schedule)
        self.register_buffer("positions", positions, persistent=False)
        self.embed = nn.Linear(channels, width)
        self.embed_latent = nn.Linear(latent_width, width)
        self.time = embedding(max(max(level) for level in schedule) + 1, width)
        self.level = embedding(len(schedule) + 1, width)
        self.view = embedding(views, width)
        self.query = embedding(width)
        self.memory_norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(TemporalScaleLayer(width, heads, ratio) for _ in range(layers))
        self.out_norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, channels)
        nn.init.zeros_(self.out.weight)  # untrained, every future frame is a copy of the current one
        nn.init.zeros_(self.out.bias)

    def forward(self, current: Tensor, latent: Tensor) -> tuple[Level, ...]:
        """Generate every level from what the levels before generated.

        Args:
            current: (B, V, P, C), normalised features v_t.
            latent: (B, latent width), z_t.

        Returns:
            One `Level` a pass with features (B, V, len(indices), P, C).
        """
        batch, views = current.shape[:2]
        place = (self.positions + self.view[:, None]).repeat(batch, 1, 1)  # (B V, P, D)
        current = current.flatten(0, 1)
        here = self.embed(current)
        state = self.embed_latent(latent).repeat_interleave(views, dim=0)[:, None]
        memory = self._remember(torch.cat([state, here + place + self.time[0] + self.level[0]], dim=1))
        levels = []
        for number, indices in enumerate(self.schedule, start=1):
            tags = self.time[list(indices)] + self.level[number]
            features = self._generate(current, here + place, tags, memory)
            levels.append(Level(indices, features.reshape(batch, views, *features.shape[1:])))
            if number < len(self.schedule):  # nothing reads the last level
                known = features.detach() if self.detach_levels else features
                tokens = self.embed(known) + place[:, None] + tags[:, None]
                memory = _append(memory, self._remember(tokens.flatten(1, 2)))
        return tuple(levels)

    def answer(self, levels: tuple[Level, ...]) -> Tensor:
        """The final prediction of every time step, (B, V, T, P, C): the latest level that has it."""
        if self.answer_order == [(len(levels) - 1, place) for place in range(len(self.answer_order))]:
            return levels[-1].features
        return torch.stack([levels[level].features[:, :, place] for level, place in self.answer_order], dim=2)

    def _generate(self, current: Tensor, here: Tensor, tags: Tensor, memory: list[tuple[Tensor, Tensor]]) -> Tensor:
        """One pass: (B V, P, C) current features and (len(indices), D) tags to (B V, len(indices), P, C)."""
        queries = (self.query + here[:, None] + tags[:, None]).flatten(1, 2)
        for layer, (keys, values) in zip(self._layers(), memory, strict=True):
            queries = layer(queries, keys, values)
        change = self.out(self.out_norm(queries)).reshape(len(current), len(tags), *current.shape[1:])
        return current[:, None] + change

    def _layers(self) -> list[TemporalScaleLayer]:
        return [layer for layer in self.layers if isinstance(layer, TemporalScaleLayer)]

    def _remember(self, tokens: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of memory tokens for every layer; they never change, so each is computed once."""
        normed = self.memory_norm(tokens)
        return [layer.attention.remember(normed) for layer in self._layers()]


def _append(memory: list[tuple[Tensor, Tensor]], new: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """Grow every layer's keys and values by new tokens."""
    return [
        (torch.cat([keys, more_keys], dim=2), torch.cat([values, more_values], dim=2))
        for (keys, values), (more_keys, more_values) in zip(memory, new, strict=True)
    ]


def _answer_order(schedule: tuple[tuple[int, ...], ...]) -> list[tuple[int, int]]:
    """Where the latest prediction of each time index is: (level, place in it), by index."""
    latest = {index: (level, place) for level, indices in enumerate(schedule) for place, index in enumerate(indices)}
    return [latest[index] for index in sorted(latest)]
