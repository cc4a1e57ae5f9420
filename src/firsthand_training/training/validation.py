"""How good a network is on episodes that it was not trained on, in millimetres and degrees.

Small errors mean little by themselves, so every number stands beside trivial answers: holding the current hand state or
answering the mean of the data for actions, copying the current features for the future. And a network may live on one
input alone: what it says without pictures and without a state tells which.
"""

from collections.abc import Iterator
from math import isnan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from firsthand_training.metrics import FeatureSkill, feature_errors, feature_skill, hand_errors
from firsthand_training.models.layers import pool_grid
from firsthand_training.training.windows import Batch, Windows

Array = NDArray[np.floating]


def validate(model: nn.Module, windows: Windows, count: int = 256, size: int = 16) -> dict[str, float]:
    """Errors over `count` windows spread evenly over the held-out episodes.

    Returns:
        `<answer>/<group>`, mean over the steps of the chunk whose labels count for something. Answers: action (the
        network's), hold and mean (the trivial ones), without_images and without_state (the network's, with that input
        at the mean of the data). Groups: wrist_mm, wrist_deg, fingertip_mm, head_deg. If the network predicts features:
        `feature_skill` over copying (`metrics.feature_skill`), `feature_skill/moving` on the patches that change most,
        and of both by frames ahead, `feature_skill/<frames>` and `feature_skill/moving/<frames>`. What no window can
        tell is left out: a skill where every future frame lies beyond the end, errors where no label counts.
    """
    model.eval()
    device = next(model.parameters()).device
    parts = [_errors(model, batch.to(device), windows) for batch in _batches(windows, count, size)]
    together = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    quality = {name: float(values.mean()) for name, values in together.items() if "/" in name and len(values)}
    if "copy" in together:
        quality |= _named(feature_skill(together["error"], together["copy"]), windows.settings.stride)
    return quality


def _named(skill: FeatureSkill, stride: int) -> dict[str, float]:
    values = {"feature_skill": skill.overall, "feature_skill/moving": skill.moving}
    for name, ahead in (("feature_skill", skill.ahead), ("feature_skill/moving", skill.moving_ahead)):
        values |= {f"{name}/{stride * frame}": value for frame, value in enumerate(ahead, start=1)}
    return {name: value for name, value in values.items() if not isnan(value)}


def _batches(windows: Windows, count: int, size: int) -> Iterator[Batch]:
    numbers = np.unique(np.linspace(0, len(windows) - 1, min(count, len(windows))).astype(int))
    for first in range(0, len(numbers), size):
        yield windows.batch(numbers[first : first + size].tolist())


@torch.no_grad()
def _errors(model: nn.Module, batch: Batch, windows: Windows) -> dict[str, Array]:
    """Action errors of every step that teaches (steps,), feature errors (B, T, V P); nan beyond the end."""
    output, numbers = model(batch.features, batch.state), windows.statistics.numbers
    teaching = (batch.action_weight > 0).cpu().numpy()
    target = numbers.denormalize(_array(batch.actions))
    nothing_seen, nothing_felt = torch.zeros_like(batch.features), torch.zeros_like(batch.state)
    answers = {
        "action": output.actions,
        "hold": batch.state[:, None].expand_as(batch.actions),
        "mean": torch.zeros_like(batch.actions),
        "without_images": model(nothing_seen, batch.state).actions,
        "without_state": model(batch.features, nothing_felt).actions,
    }
    errors = {
        f"{answer}/{name}": value[teaching]
        for answer, actions in answers.items()
        for name, value in vars(hand_errors(numbers.denormalize(_array(actions)), target)).items()
    }
    if output.future_features is None:
        return errors
    current = pool_grid(batch.features, windows.settings.pool).flatten(2, 3)
    future = output.future_features.flatten(3, 4).transpose(1, 2)  # (B, V, T, P, C)
    return errors | {
        "error": _patch_errors(future, batch),
        "copy": _patch_errors(current[:, :, None].expand_as(future), batch),
    }


def _patch_errors(predicted: Tensor, batch: Batch) -> Array:
    """Error of each patch, (B, T, V P); nan where the true frame lies beyond the episode."""
    error = feature_errors(predicted.float().cpu().numpy(), batch.future.cpu().numpy())  # (B, V, T, P), normalised
    by_frame = np.moveaxis(error, 1, 2).reshape(len(error), error.shape[2], -1)
    return np.where(batch.future_mask.cpu().numpy()[..., None], by_frame, np.nan)


def _array(tensor: Tensor) -> Array:
    return tensor.detach().float().cpu().numpy().astype(float)
