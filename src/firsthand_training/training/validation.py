"""How good a network is on episodes that it was not trained on, in millimetres and degrees.

Small errors mean little by themselves, so every number stands beside trivial answers: holding the current hand state or
answering the mean of the data for actions, copying the current features for the future. And a network may live on one
input alone: what it says without pictures and without a state tells which.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from firsthand.space.hand_state import HandState
from firsthand.space.rotations import angle_between
from firsthand_training.models.layers import pool_grid
from firsthand_training.training.windows import Batch, Windows

Array = NDArray[np.floating]

MOVING = 0.1  # share of the patches that change most


def validate(model: nn.Module, windows: Windows, count: int = 256, size: int = 16) -> dict[str, float]:
    """Errors over `count` windows spread evenly over the held-out episodes.

    Returns:
        `<answer>/<group>`, mean over the chunk. Answers: action (the network's), hold and mean (the trivial ones),
        without_images and without_state (the network's, with that input at the mean of the data). Groups: wrist_mm,
        wrist_deg, fingertip_mm, head_deg. If the network predicts features: `skill` = 1 - error / copy error,
        `skill/moving` on the patches that change most, and `skill/<frames ahead>`; a skill that no window can
        tell, because every future frame lies beyond the end, is left out.
    """
    model.eval()
    device = next(model.parameters()).device
    parts = [_errors(model, batch.to(device), windows) for batch in _batches(windows, count, size)]
    together = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    quality = {name: float(values.mean()) for name, values in together.items() if "/" in name}
    if "copy" in together:
        quality |= _skills(together["error"], together["copy"], windows.settings.stride)
    return quality


def action_errors(predicted: Array, target: Array) -> dict[str, Array]:
    """Distance between two (..., 54) physical hand states.

    Returns:
        wrist_mm, wrist_deg (means over both wrists), fingertip_mm (over all ten, in their wrists), head_deg; (...).
    """
    a, b = HandState.from_vector(predicted), HandState.from_vector(target)
    wrist = np.linalg.norm(a.wrist_positions - b.wrist_positions, axis=-1)
    tips = np.linalg.norm(a.fingertips_in_wrist - b.fingertips_in_wrist, axis=-1)
    return {
        "wrist_mm": 1e3 * wrist.mean(axis=-1),
        "wrist_deg": np.degrees(angle_between(a.wrist_rotations, b.wrist_rotations)).mean(axis=-1),
        "fingertip_mm": 1e3 * tips.mean(axis=(-1, -2)),
        "head_deg": np.degrees(angle_between(a.head_rotation, b.head_rotation)),
    }


def _batches(windows: Windows, count: int, size: int) -> Iterator[Batch]:
    numbers = np.unique(np.linspace(0, len(windows) - 1, min(count, len(windows))).astype(int))
    for first in range(0, len(numbers), size):
        yield windows.batch(numbers[first : first + size].tolist())


@torch.no_grad()
def _errors(model: nn.Module, batch: Batch, windows: Windows) -> dict[str, Array]:
    """Action errors of every step inside an episode (steps,), feature errors (B, T, V P); nan beyond the end."""
    output, numbers = model(batch.features, batch.state), windows.statistics.numbers
    inside = batch.action_mask.cpu().numpy()
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
        f"{answer}/{name}": value[inside]
        for answer, actions in answers.items()
        for name, value in action_errors(numbers.denormalize(_array(actions)), target).items()
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
    """Mean absolute error of each patch, (B, T, V P); nan where the true frame lies beyond the episode."""
    error = (predicted - batch.future).abs().mean(dim=-1).transpose(1, 2).flatten(2)
    return _array(error.where(batch.future_mask[..., None], torch.nan))


def _skills(error: Array, copy: Array, stride: int) -> dict[str, float]:
    """Skill over all frames, on the moving patches of each frame, and by frames ahead."""
    inside = ~np.isnan(copy[..., 0])
    if not inside.any():
        return {}
    moving = np.argsort(-copy[inside], axis=-1)[:, : max(1, round(MOVING * copy.shape[-1]))]
    skills = {
        "skill": _skill(error[inside], copy[inside]),
        "skill/moving": _skill(*(np.take_along_axis(each[inside], moving, axis=-1) for each in (error, copy))),
    }
    for frame in range(copy.shape[1]):
        if inside[:, frame].any():
            skills[f"skill/{stride * (frame + 1)}"] = _skill(
                error[:, frame][inside[:, frame]], copy[:, frame][inside[:, frame]]
            )
    return skills


def _skill(error: Array, copy: Array) -> float:
    """1 is perfect, 0 is as good as copying, below is worse."""
    return float(1 - error.sum() / max(copy.sum(), 1e-12))


def _array(tensor: Tensor) -> Array:
    return tensor.detach().float().cpu().numpy().astype(float)
