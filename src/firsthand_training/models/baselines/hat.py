"""HAT, the human action Transformer: chunking over frozen DINOv2 patches.

Source: Qiu et al., Humanoid Policy ~ Human Policy (2025); docs/baselines.md says where this differs from the published
code. Features (B, V, rows, columns, C) come from the encoder that the world model has too; both views share one
projection, and a view number in the positions tells them apart.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from firsthand.space.hand_state import HEAD_ROTATION
from firsthand_training.models.baselines.chunking import ChunkingOutput, ChunkingTransformer, TransformerSettings
from firsthand_training.models.baselines.detr import image_positions


@dataclass(frozen=True)
class HatSettings:
    """Everything that rebuilds the network. The sizes are the published ones but for the pictures."""

    horizon: int = 100
    """H, actions in a chunk."""
    views: int = 2
    rows: int = 16
    """Patches of one view from top to bottom."""
    columns: int = 28
    channels: int = 384
    """Numbers per patch."""
    transformer: TransformerSettings = field(default_factory=TransformerSettings)
    state_dropout: float = 0.1
    """Share of training states that are replaced by the mean state."""

    def __post_init__(self) -> None:
        """Refuse sizes that mean nothing."""
        for name in ("horizon", "views", "rows", "columns", "channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if not 0 <= self.state_dropout < 1:
            raise ValueError(f"expected state_dropout in [0, 1), got {self.state_dropout}")


class HatPolicy(nn.Module):
    """Patch features and a hand state to an action chunk."""

    positions: Tensor

    def __init__(self, settings: HatSettings) -> None:
        super().__init__()
        self.settings = settings
        width = settings.transformer.width
        self.embed = nn.Linear(settings.channels, width)
        self.chunking = ChunkingTransformer(settings.horizon, settings.transformer)
        place = image_positions(settings.rows, settings.columns, width)
        views = [place / 2 + view - 0.5 for view in range(settings.views)]
        self.register_buffer("positions", torch.cat(views, dim=1).flatten(0, 1), persistent=False)

    def forward(
        self, features: Tensor, state: Tensor, actions: Tensor | None = None, mask: Tensor | None = None
    ) -> ChunkingOutput:
        """Predict.

        Args:
            features: (B, V, rows, columns, C).
            state: (B, 54).
            actions: In training the true actions (B, H, 54), from which the style is read; without them it is zero.
            mask: (B, H), true inside the episode; goes with the actions.
        """
        state = self._hide(state)
        style = None if actions is None or mask is None else self.chunking.posterior(state, actions, mask)
        drawn = self.chunking.average_style(state) if style is None else style.sample()
        images = self.embed(features.transpose(1, 2).flatten(1, 3))  # views side by side, row by row
        return ChunkingOutput(self.chunking(images, self.positions, state, drawn), style)

    def _hide(self, state: Tensor) -> Tensor:
        """The head never enters the state; in training, some whole states do not either."""
        shown = torch.ones_like(state)
        shown[:, HEAD_ROTATION] = 0.0
        if self.training and self.settings.state_dropout > 0:
            shown = shown * (torch.rand(len(state), 1, device=state.device) >= self.settings.state_dropout)
        return state * shown
