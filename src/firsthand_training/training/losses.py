"""The training objective: actions, dynamics and the three regularisers of sparse attention (paper, eq. (1) to (5))."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from firsthand.space.hand_state import SIZE, WRIST_POSITIONS, WRIST_ROTATIONS
from firsthand_training.models.sparse_attention import BlockLayout, Selection
from firsthand_training.models.temporal_scales import Level
from firsthand_training.models.world_model import WorldModelOutput
from firsthand_training.training.methods.interface import Losses
from firsthand_training.training.regularizers import concentration, focus, overlap, repulsion
from firsthand_training.training.windows import Batch


@dataclass(frozen=True)
class LossSettings:
    """Weights of the terms of eq. (5), whose names the fields carry."""

    dynamics: float = 1.0
    """omega, of the smooth L1 error of predicted features in standard deviations of each channel."""
    concentration: float = 0.01
    """alpha; all three regularisers are normalised to at most about 1."""
    overlap: float = 0.01
    """beta."""
    repulsion: float = 0.01
    """gamma."""
    temperature: float = 0.2
    """Softness of the overlap's gradient, in standard deviations of the scores."""
    sigma: float = 0.7071
    """Reach of the repulsion, a fraction of the image."""
    wrist: float = 3.0
    """Weight of the wrist poses in the action error against fingertips and head."""


def world_model_loss(output: WorldModelOutput, batch: Batch, layout: BlockLayout, settings: LossSettings) -> Losses:
    """L_total, eq. (5), of a training batch, and its terms by the names of `LossSettings`.

    Of a micro-batch, it is a share of its batch's: see `Batch.divisors`.
    """
    acted, shown = batch.divisors()
    terms = {
        "action": action_loss(output.actions, batch.actions, batch.action_weight, settings.wrist, acted),
        "dynamics": dynamics_loss(output.levels, batch.future, batch.future_mask, shown),
        **_regularizers(output.selections, layout, settings),
    }
    weights = {"action": 1.0, **asdict(settings)}
    total = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
    return Losses(total, terms)


def action_loss(
    predicted: Tensor, actions: Tensor, mask: Tensor, wrist: float = 1.0, count: Tensor | None = None
) -> Tensor:
    """L_act: mean absolute error of (B, H, 54) normalised actions where the (B, H) mask is true.

    Args:
        predicted: (B, H, 54).
        actions: (B, H, 54), the truth.
        mask: Which steps count, (B, H); or how far, `Batch.action_weight`: one of half the quality pulls half as much.
        wrist: Weight of the wrist poses against fingertips and head.
        count: What the sum over steps is divided by, (); None: the number of those that count.
    """
    weights = torch.ones(SIZE, device=actions.device)
    weights[WRIST_ROTATIONS] = wrist
    weights[WRIST_POSITIONS] = wrist
    error = ((predicted - actions).abs() * (weights / weights.mean())).mean(dim=-1)
    return _masked_mean(error, mask, (mask > 0).sum() if count is None else count)


def dynamics_loss(levels: tuple[Level, ...], future: Tensor, mask: Tensor, counts: Tensor | None = None) -> Tensor:
    """L_dyn: smooth L1 error of every temporal scale, each counting the same.

    Args:
        levels: Predictions, features (B, V, len(indices), P, C).
        future: (B, V, T, P, C), normalised true features at t+r, .., t+H.
        mask: (B, T), which of them lie inside the episode.
        counts: What the sum over each of them is divided by, (T,); None: the number of windows that show it.
    """
    counts = mask.sum(dim=0) if counts is None else counts
    errors = []
    for level in levels:
        rows = [index - 1 for index in level.indices]
        error = smooth_l1_loss(level.features, future[:, :, rows], reduction="none").mean(dim=(1, 3, 4))
        errors.append(_masked_mean(error, mask[:, rows], counts[rows].sum()))
    return torch.stack(errors).mean()


def _regularizers(selections: tuple[Selection, ...], layout: BlockLayout, settings: LossSettings) -> dict[str, Tensor]:
    """L_conc, L_overlap and L_repulse, mean over layers."""
    looking = [focus(selection, layout) for selection in selections]
    terms = {
        "concentration": [concentration(each) for each in looking],
        "overlap": [overlap(selection, settings.temperature) for selection in selections],
        "repulsion": [repulsion(each, settings.sigma) for each in looking],
    }
    return {name: torch.stack(values).mean() for name, values in terms.items()}


def _masked_mean(values: Tensor, mask: Tensor, count: Tensor) -> Tensor:
    """Zero where nothing counts."""
    return (values * mask).sum() / torch.where(count > 0, count, 1)
