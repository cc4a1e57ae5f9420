"""The world model of the paper: what will be seen, and what to do about it (section II-C).

features v_t ─┬──────────────────────────────┐
              ├─▶ temporal scales ─▶ v̂_t+r.. ─┼─▶ sparse attention ─▶ actions a_t+1 .. a_t+H
state s_t ─▶ z_t ────────────────────────────┘

Everything here is in normalised units; `training/export.py` bakes the physical ones into the graphs.
Shapes: B batch, V views, gh x gw patches of C numbers, T predicted frames of gh' x gw' pooled patches, H actions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from firsthand.space.hand_state import SIZE, WRIST_POSITIONS, WRIST_ROTATIONS
from firsthand_training.models.action_decoder import ActionDecoder, SceneTokens, scene_layout
from firsthand_training.models.layers import grid_positions, pool_grid
from firsthand_training.models.sparse_attention import BlockLayout, Selection
from firsthand_training.models.state_encoder import StateEncoder
from firsthand_training.models.temporal_scales import Level, Mode, TemporalScaleTransformer, passes


@dataclass(frozen=True)
class WorldModelSettings:
    """Everything that rebuilds the network. The defaults are the shipped size."""

    horizon: int = 28
    """H, actions in a chunk."""
    stride: int = 4
    """r, steps between predicted observations; T = H / r, best of the form 2^k - 1."""
    views: int = 2
    rows: int = 8
    """Patches of one view from top to bottom."""
    columns: int = 14
    channels: int = 384
    """Numbers per patch."""
    pool: int = 2
    """Predicted frames have one patch for `pool` x `pool` of the current one."""
    latent_width: int = 128
    state_layers: int = 2
    dynamics_width: int = 96
    dynamics_layers: int = 1
    dynamics_heads: int = 2
    dynamics_ratio: int = 2
    """Feed-forward width of the temporal-scale Transformer over its width."""
    scales: Mode = "scales"
    """Order of generation: the paper's `scales`, or for ablation `new_only` or `steps` (Algorithm 1)."""
    skip_repeated: bool = True
    """Leave out temporal scales that add no new time step."""
    detach_levels: bool = False
    """Stop gradients between temporal scales."""
    width: int = 128
    """Of the sparse attention Transformer."""
    scene_layers: int = 1
    """Self-attention layers over the current patches of both views before they are attended to."""
    action_layers: int = 2
    ratio: int = 4
    heads: int = 4
    block: int = 2
    """Patches along each side of a block."""
    selected: int = 16
    """k, blocks that each head and query selects."""
    dropout: float = 0.0
    state_dropout: float = 0.1
    """Share of training states that the network does not get to see."""

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit together."""
        for name in ("horizon", "stride", "views", "rows", "columns", "channels", "pool", "heads", "block", "selected"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if self.horizon % self.stride:
            raise ValueError(f"the horizon must be a multiple of the stride, got {self.horizon} and {self.stride}")
        if self.rows % self.pool or self.columns % self.pool:
            raise ValueError(f"a grid of {self.rows} x {self.columns} patches cannot be pooled by {self.pool}")
        for name, heads in (("width", "heads"), ("dynamics_width", "dynamics_heads"), ("latent_width", "heads")):
            width, count = getattr(self, name), getattr(self, heads)
            if width % count or width % 4:
                raise ValueError(f"{name} must be a multiple of 4 and of {heads} = {count}, got {width}")
        for name in ("dropout", "state_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"expected {name} in [0, 1), got {getattr(self, name)}")

    @property
    def frames(self) -> int:
        """T, predicted frames."""
        return self.horizon // self.stride

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of current patches."""
        return self.rows, self.columns

    @property
    def pooled_grid(self) -> tuple[int, int]:
        """Rows and columns of predicted patches."""
        return self.rows // self.pool, self.columns // self.pool


@dataclass(frozen=True)
class WorldModelOutput:
    """One forward pass, in normalised units."""

    actions: Tensor  # (B, H, 54)
    future_features: Tensor  # (B, T, V, gh', gw', C), the last word on every time step
    levels: tuple[Level, ...]  # what each temporal scale predicted, features (B, V, len(indices), P, C)
    selections: tuple[Selection, ...]  # one per layer of the sparse attention Transformer


class WorldModelPolicy(nn.Module):
    """State encoder, temporal-scale Transformer and sparse attention Transformer."""

    residual: Tensor

    def __init__(self, settings: WorldModelSettings) -> None:
        super().__init__()
        self.settings = settings
        layout = scene_layout(settings.grid, settings.pooled_grid, settings.views, settings.frames, settings.block)
        self.state_encoder = StateEncoder(
            width=settings.latent_width,
            heads=settings.heads,
            layers=settings.state_layers,
            ratio=settings.ratio,
            dropout=settings.dropout,
            state_dropout=settings.state_dropout,
        )
        self.dynamics = TemporalScaleTransformer(
            schedule=passes(settings.frames, settings.scales, settings.skip_repeated),
            channels=settings.channels,
            positions=grid_positions(*settings.pooled_grid, settings.dynamics_width).flatten(0, 1),
            views=settings.views,
            latent_width=settings.latent_width,
            width=settings.dynamics_width,
            heads=settings.dynamics_heads,
            layers=settings.dynamics_layers,
            ratio=settings.dynamics_ratio,
            detach_levels=settings.detach_levels,
        )
        self.scene = SceneTokens(
            channels=settings.channels,
            grid=settings.grid,
            pooled=settings.pooled_grid,
            views=settings.views,
            frames=settings.frames,
            width=settings.width,
            heads=settings.heads,
            layers=settings.scene_layers,
            ratio=settings.ratio,
            dropout=settings.dropout,
        )
        self.action_decoder = ActionDecoder(
            outputs=SIZE,
            horizon=settings.horizon,
            latent_width=settings.latent_width,
            layout=layout,
            selected=settings.selected,
            width=settings.width,
            heads=settings.heads,
            layers=settings.action_layers,
            ratio=settings.ratio,
            dropout=settings.dropout,
        )
        self.register_buffer("residual", residual_channels(), persistent=False)

    @property
    def layout(self) -> BlockLayout:
        """The blocks that `Selection.indices` count, on the device of the network."""
        return self.action_decoder.layout

    def forward(self, features: Tensor, state: Tensor) -> WorldModelOutput:
        """Predict.

        Args:
            features: (B, V, gh, gw, C), v_t.
            state: (B, 54), s_t.
        """
        latent, levels = self.imagine(features, state)
        future = self.final(levels)
        actions, selections = self.act(features, state, latent, future)
        return WorldModelOutput(actions, future, levels, selections)

    def imagine(self, features: Tensor, state: Tensor) -> tuple[Tensor, tuple[Level, ...]]:
        """The latent state (B, latent width) and every temporal scale of the future."""
        latent = self.state_encoder(state)
        pooled = pool_grid(features, self.settings.pool).flatten(2, 3)
        return latent, self.dynamics(pooled, latent)

    def final(self, levels: tuple[Level, ...]) -> Tensor:
        """The last word on each future frame, (B, T, V, gh', gw', C)."""
        answer = self.dynamics.answer(levels).transpose(1, 2)
        return answer.reshape(*answer.shape[:3], *self.settings.pooled_grid, -1)

    def act(
        self, features: Tensor, state: Tensor, latent: Tensor, future: Tensor
    ) -> tuple[Tensor, tuple[Selection, ...]]:
        """Actions (B, H, 54) from the current and the predicted scene, and what was looked at.

        Wrists are predicted as a change to the current state, so that an untrained network holds still; fingertips and
        head are absolute, because a squeezing finger is commanded further than it gets. States and actions must be
        normalised alike.
        """
        change, selections = self.action_decoder(self.scene(features, future), latent)
        return self.residual * state[:, None] + change, selections


def residual_channels() -> Tensor:
    """1 for the numbers that are predicted as a change to the state (wrist poses), 0 for the rest, (54,)."""
    channels = torch.zeros(SIZE)
    channels[WRIST_ROTATIONS] = 1.0
    channels[WRIST_POSITIONS] = 1.0
    return channels
