"""ACT: chunking over a ResNet-18 that is trained with the rest.

Source: Zhao et al., Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware (2023); docs/baselines.md says
where this differs from the published code. Its features are the pictures themselves, (B, V, height, width, 3),
standardised; the backbone has the same weights for every view.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from firsthand_training.models.baselines.chunking import ChunkingOutput, ChunkingTransformer, TransformerSettings
from firsthand_training.models.baselines.detr import image_positions
from firsthand_training.models.baselines.resnet import Norm, ResNet18, output_grid


@dataclass(frozen=True)
class ActSettings:
    """Everything that rebuilds the network. The sizes are the published ones but for the pictures."""

    horizon: int = 100
    """H, actions in a chunk."""
    views: int = 2
    rows: int = 224
    """Height of a picture, [px]."""
    columns: int = 392
    """Width of a picture, [px]."""
    channels: int = 3
    transformer: TransformerSettings = field(default_factory=TransformerSettings)
    backbone_width: int = 64
    """Channels after the first convolution."""
    backbone_norm: Norm = "frozen_batch"
    """`frozen_batch` is as published and needs ImageNet weights; `group` learns from scratch."""

    def __post_init__(self) -> None:
        """Refuse sizes that mean nothing."""
        for name in ("horizon", "views", "rows", "columns", "backbone_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if self.channels != 3:
            raise ValueError(f"expected pictures of 3 channels (the encoder `pixels`), got {self.channels}")
        if self.backbone_norm not in ("frozen_batch", "group"):
            raise ValueError(f"expected backbone_norm frozen_batch or group, got {self.backbone_norm!r}")


class ActPolicy(nn.Module):
    """Pictures and a hand state to an action chunk."""

    positions: Tensor

    def __init__(self, settings: ActSettings) -> None:
        super().__init__()
        self.settings = settings
        width = settings.transformer.width
        self.backbone = ResNet18(settings.backbone_width, settings.backbone_norm)
        self.embed = nn.Conv2d(self.backbone.channels, width, 1)
        self.chunking = ChunkingTransformer(settings.horizon, settings.transformer)
        place = image_positions(*output_grid(settings.rows, settings.columns), width)
        self.register_buffer("positions", torch.cat([place] * settings.views, dim=1).flatten(0, 1), persistent=False)

    def forward(
        self, features: Tensor, state: Tensor, actions: Tensor | None = None, mask: Tensor | None = None
    ) -> ChunkingOutput:
        """Predict.

        Args:
            features: (B, V, height, width, 3), standardised pictures.
            state: (B, 54).
            actions: In training the true actions (B, H, 54), from which the style is read; without them it is zero.
            mask: (B, H), true inside the episode; goes with the actions.
        """
        style = None if actions is None or mask is None else self.chunking.posterior(state, actions, mask)
        drawn = self.chunking.average_style(state) if style is None else style.sample()
        return ChunkingOutput(self.chunking(self._see(features), self.positions, state, drawn), style)

    def _see(self, pictures: Tensor) -> Tensor:
        """Image tokens (B, M, D), the views side by side, row by row."""
        # contiguous: on a permuted view, convolutions of few channels of torch 2.13's CPU build write out of bounds
        images = pictures.flatten(0, 1).permute(0, 3, 1, 2).contiguous()
        cells = self.embed(self.backbone(images))
        cells = cells.unflatten(0, pictures.shape[:2])  # (B, V, D, rows, columns)
        return cells.permute(0, 3, 1, 4, 2).flatten(1, 3)
