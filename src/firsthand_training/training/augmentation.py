"""Noise on training inputs: cached features cannot be jittered as images, so they are jittered as features.

Every number here is in standard deviations of its channel. Only inputs are touched, never what is to be predicted.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from firsthand_training.training.windows import Batch


@dataclass(frozen=True)
class AugmentationSettings:
    """How much noise."""

    feature_noise: float = 0.1
    """Of every number of every patch."""
    channel_noise: float = 0.1
    """One draw per channel for a whole sample, both views: another light, another texture."""
    patch_dropout: float = 0.05
    """Share of patches replaced by the mean patch."""
    state_noise: float = 0.05
    """Of the hand state: the policy learns to come back to the path that it strayed from."""


def augment(batch: Batch, settings: AugmentationSettings) -> Batch:
    """The same windows with noisy features and state, from torch's own generator."""
    features = batch.features
    channels = (len(features), 1, 1, 1, features.shape[-1])
    noisy = features + settings.feature_noise * torch.randn_like(features)
    noisy = noisy + settings.channel_noise * torch.randn(channels, device=features.device)
    kept = torch.rand(features.shape[:-1], device=features.device) >= settings.patch_dropout
    return replace(batch, features=noisy * kept[..., None], state=_noisy(batch.state, settings.state_noise))


def _noisy(values: Tensor, amount: float) -> Tensor:
    return values + amount * torch.randn_like(values)
