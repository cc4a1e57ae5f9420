"""What keeps sparse attention compact within a head and diverse across heads: equations (2), (3) and (4).

Each is the mean over batch and queries, normalised so that its largest value is about 1 whatever the number of heads
and blocks; the paper's sums differ by that constant. Places are block centres as fractions of the image. The two views
are two images: variance and distance are taken within a view, weighted by the attention that the view gets; with one
view the equations are the paper's.

Shapes: B batch, h heads, Q queries, N blocks, k selected, V views.
"""

from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from firsthand_training.models.sparse_attention import BlockLayout, Selection, selection_mask

ENOUGH = 1e-4  # error of the sum; below about a tenth of it rounding only makes it worse


@dataclass(frozen=True)
class Focus:
    """Where each head and query looks, view by view."""

    mass: Tensor  # (B, h, Q, V), share of the attention on the selected blocks
    centroid: Tensor  # (B, h, Q, V, 2), mu of the paper
    variance: Tensor  # (B, h, Q), summed over views


def focus(selection: Selection, layout: BlockLayout) -> Focus:
    """Weighted centroids and variances of the selected blocks, weights renormalised over them."""
    weights = selection.scores.gather(-1, selection.indices).softmax(dim=-1)
    places = layout.centres[selection.indices]  # (B, h, Q, k, 2)
    views = int(layout.views.max()) + 1
    by_view = weights[..., None] * one_hot(layout.views[selection.indices], views)  # (B, h, Q, k, V)
    mass = by_view.sum(dim=-2)
    centroid = by_view.transpose(-1, -2) @ places / mass.clamp(min=1e-6)[..., None]
    distance = (places[..., None, :] - centroid[..., None, :, :]).square().sum(dim=-1)
    return Focus(mass, centroid, (by_view * distance).sum(dim=(-1, -2)))


def concentration(looking: Focus) -> Tensor:
    """L_conc, eq. (2), over the number of heads: the weighted variance of what a head looks at."""
    return looking.variance.mean()


def repulsion(looking: Focus, sigma: float = sqrt(0.5)) -> Tensor:
    """L_repulse, eq. (4), over the number of pairs of heads: how close their centroids are.

    Args:
        looking: From `focus`.
        sigma: Reach of the repulsion, a fraction of the image; the paper's is 1 / sqrt(2).
    """
    mass, centroid = looking.mass.transpose(1, 2), looking.centroid.transpose(1, 2)  # heads at axis 2
    squared = (centroid[:, :, :, None] - centroid[:, :, None]).square().sum(dim=-1)  # (B, Q, h, h, V)
    shared = torch.minimum(mass[:, :, :, None], mass[:, :, None])
    close = (shared * torch.exp(-squared / (2 * sigma**2))).sum(dim=-1)
    return _mean_over_pairs(close)


def overlap(selection: Selection, temperature: float = 0.2) -> Tensor:
    """L_overlap, eq. (3), over pairs of heads and k: the share of blocks that two heads both selected.

    The value is exact. Selection has no gradient of its own, so the gradient is that of a soft selection of
    exactly k blocks.

    Args:
        selection: Of one layer.
        temperature: Softness of the stand-in, in standard deviations of a query's scores.
    """
    k = selection.indices.shape[-1]
    hard = selection_mask(selection.indices, selection.scores.shape[-1]).to(selection.scores.dtype)
    soft = soft_top_k(selection.scores, k, temperature)
    mask = (hard + (soft - soft.detach())).transpose(1, 2)  # (B, Q, h, N), heads at axis 2
    return _mean_over_pairs(mask @ mask.transpose(-1, -2)) / k


def soft_top_k(scores: Tensor, k: int, temperature: float) -> Tensor:
    """Soft selection that sums to exactly k: sigmoid((scores - threshold) / T), (..., N).

    T is `temperature` standard deviations of the scores and counts as a constant; the threshold does not.
    """
    if k == scores.shape[-1]:
        return torch.ones_like(scores)
    spread = temperature * scores.detach().std(dim=-1, keepdim=True).clamp(min=1e-6)
    scaled = (scores - scores.detach().mean(dim=-1, keepdim=True)) / spread
    soft: Tensor = _ExactlyK.apply(scaled, k)  # type: ignore[no-untyped-call]
    return soft


class _ExactlyK(torch.autograd.Function):
    """sigmoid(x - threshold) that sums to k.

    The threshold is found without a graph; its derivative follows from the sum being k (implicit function).
    """

    @staticmethod
    def forward(ctx: Any, scaled: Tensor, k: int) -> Tensor:
        soft = (scaled - _threshold(scaled, k)).sigmoid()
        ctx.save_for_backward(soft)
        return soft

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (soft,) = ctx.saved_tensors
        slope = soft * (1 - soft)
        common = (gradients[0] * slope).sum(dim=-1, keepdim=True) / slope.sum(dim=-1, keepdim=True).clamp(min=1e-12)
        return slope * (gradients[0] - common), None


def _threshold(scaled: Tensor, k: int, iterations: int = 20) -> Tensor:
    """Where the soft selection sums to k, (..., 1): Newton steps, kept inside a shrinking bracket."""
    count = scaled.shape[-1]
    edge = log(k / (count - k))  # of equal values x the threshold is x - edge
    low = scaled.amin(dim=-1, keepdim=True) - edge
    high = scaled.amax(dim=-1, keepdim=True) - edge
    threshold = (low + high) / 2
    for _ in range(iterations):
        soft = (scaled - threshold).sigmoid()
        excess = soft.sum(dim=-1, keepdim=True) - k
        done = excess.abs() < ENOUGH
        if done.all():
            break
        low, high = torch.where(excess > 0, threshold, low), torch.where(excess > 0, high, threshold)
        newton = threshold + excess / (soft * (1 - soft)).sum(dim=-1, keepdim=True).clamp(min=1e-12)
        moved = torch.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        threshold = torch.where(done, threshold, moved)
    return threshold


def _mean_over_pairs(pairs: Tensor) -> Tensor:
    """Mean of (B, Q, h, h) over batch, queries and pairs of different heads."""
    heads = pairs.shape[-1]
    if heads == 1:
        return pairs.sum() * 0
    off_diagonal = pairs.sum(dim=(-1, -2)) - pairs.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    return off_diagonal.mean() / (heads * (heads - 1))
