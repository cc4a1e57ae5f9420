"""Training a network from cached features: one loop, the same on a CPU and on a GPU.

An interrupted run goes on exactly where it was: the data order and every random draw follow from the seed and the step.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from math import cos, inf, pi
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from tqdm import tqdm

from firsthand.errors import CheckpointError
from firsthand_training.training.augmentation import AugmentationSettings, augment
from firsthand_training.training.feature_cache import FeatureCache
from firsthand_training.training.methods.interface import Method
from firsthand_training.training.methods.registry import AnyMethod, describe_method
from firsthand_training.training.methods.world_model import WorldModelMethod
from firsthand_training.training.training_state import (
    TrainingState,
    read_training_state,
    restore_training_state,
    save_training_state,
)
from firsthand_training.training.validation import validate
from firsthand_training.training.windows import (
    Statistics,
    TrainingEpisode,
    Windows,
    load_episodes,
    sample_numbers,
    split_episodes,
)

STATE = "training_state.safetensors"
METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class TrainSettings:
    """One training run. The defaults train the shipped policy."""

    method: AnyMethod = field(default_factory=WorldModelMethod)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    steps: int = 3000
    batch: int = 32
    micro_batch: int = 16
    """Windows that go through the network at once; on a CPU a small one stays in the cache and is fastest."""
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the warm-up the learning rate falls as a cosine to a hundredth, or stays."""
    weight_decay: float = 1e-2
    decay_all: bool = False
    """Decay biases and norms as well, as plain AdamW does, not matrices only."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Of AdamW's two moving averages."""
    warm_up: int = 200
    """Steps until the full learning rate."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 leaves it as it is."""
    average: float = 0.998
    """Decay of the moving average of the weights, which is what is validated and exported."""
    held_out: float = 0.1
    """Share of the episodes kept for validation."""
    validate_every: int = 500
    validation_windows: int = 256
    save_every: int = 250
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is for GPUs; CPUs without the instructions are thirty times slower with it."""
    threads: int = 0
    """CPU threads; 0 takes one per core."""
    tensorboard: bool = False
    """Also write the curves for TensorBoard."""

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing."""
        for name in ("steps", "batch", "micro_batch", "validate_every", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if not 0 <= self.average < 1:
            raise ValueError(f"expected the decay of the average in [0, 1), got {self.average}")


def train(episodes: Path, cache: Path, output: Path, settings: TrainSettings, progress: bool = True) -> Path:
    """Train on a dataset from its cached features, going on with what `output` holds.

    Args:
        episodes: Root of the dataset.
        cache: From `feature_cache.cache_features`.
        output: Folder for the training state and the metrics.
        settings: Of the run; must be those of the run that is continued.
        progress: Show a progress bar.

    Returns:
        The training state, for `export`.

    Raises:
        EpisodeError: Dataset and cache do not fit together or are missing.
        CheckpointError: `output` holds a run with other settings.
    """
    features = FeatureCache.open(cache)
    data = load_episodes(episodes, features)
    provenance = {"episodes": len(data), "frames": sum(len(each.state) for each in data)}
    return fit(data, output, settings, {**provenance, "cache": asdict(features.description)}, progress)


def fit(
    episodes: Sequence[TrainingEpisode],
    output: Path,
    settings: TrainSettings,
    provenance: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Path:
    """Train on episodes in memory; see `train`."""
    torch.set_num_threads(settings.threads or os.cpu_count() or 1)
    device = _device(settings.device)
    inside, outside = split_episodes(len(episodes), settings.held_out, settings.seed)
    statistics = Statistics.fit([episodes[number] for number in inside])
    window = settings.method.window
    windows = Windows([episodes[number] for number in inside], statistics, window)
    held_out = Windows([episodes[number] for number in outside], statistics, window) if outside else None
    description = {"settings": describe_settings(settings), "provenance": dict(provenance or {}), "held_out": outside}
    output.mkdir(parents=True, exist_ok=True)
    state = _start_or_resume(output / STATE, statistics, settings, description, device)
    log = Log(output, settings.tensorboard)
    with tqdm(total=settings.steps, initial=state.step, unit="step", disable=not progress) as bar:
        while state.step < settings.steps:
            losses = train_step(state, windows, settings)
            _show(bar, losses, settings.batch)
            if state.step % settings.validate_every == 0 or state.step == settings.steps:
                quality = validate(state.average, held_out, settings.validation_windows) if held_out else {}
                log.write(state.step, {**{f"loss/{name}": value for name, value in losses.items()}, **quality})
            if state.step % settings.save_every == 0 or state.step == settings.steps:
                save_training_state(output / STATE, state, description)
    return output / STATE


def train_step(state: TrainingState, windows: Windows, settings: TrainSettings) -> dict[str, float]:
    """One optimiser step; returns the mean losses of its windows."""
    torch.manual_seed(settings.seed * 1_000_003 + state.step)
    device = next(state.model.parameters()).device
    numbers = sample_numbers(len(windows), settings.batch, state.step, settings.seed)
    losses: dict[str, float] = {}
    state.model.train()
    state.optimizer.zero_grad()
    for first in range(0, len(numbers), settings.micro_batch):
        micro = numbers[first : first + settings.micro_batch]
        share = len(micro) / len(numbers)
        for name, value in _backward(state.model, windows, micro, settings, device, share).items():
            losses[name] = losses.get(name, 0.0) + share * value
    nn.utils.clip_grad_norm_(state.model.parameters(), settings.clip or inf, error_if_nonfinite=True)
    for group in state.optimizer.param_groups:
        group["lr"] = group["multiple"] * learning_rate(state.step, settings)
    state.optimizer.step()
    state.step += 1
    _update_average(state, settings.average)
    return losses


def describe_settings(settings: TrainSettings) -> dict[str, Any]:
    """The settings as plain JSON, with the name of the method beside its own."""
    return {**asdict(settings), "method": describe_method(settings.method)}


def learning_rate(step: int, settings: TrainSettings) -> float:
    """Linear warm-up, then a cosine down to a hundredth or nothing more."""
    if step < settings.warm_up:
        return settings.learning_rate * (step + 1) / settings.warm_up
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    return settings.learning_rate * (0.01 + 0.99 * (1 + cos(pi * done)) / 2)


def _backward(
    model: nn.Module,
    windows: Windows,
    numbers: Sequence[int],
    settings: TrainSettings,
    device: torch.device,
    share: float,
) -> dict[str, float]:
    """Gradients of some windows of a step, added to those that are there."""
    batch = augment(windows.batch(numbers).to(device), settings.augmentation)
    with _precision(settings.precision, device):
        losses = settings.method.loss(model, batch)
    torch.autograd.backward(share * losses.total)
    return {name: float(value.detach()) for name, value in {"total": losses.total, **losses.terms}.items()}


@torch.no_grad()
def _update_average(state: TrainingState, decay: float) -> None:
    """Move the average towards the model; early on faster, so that it forgets the start."""
    decay = min(decay, (1 + state.step) / (10 + state.step))
    for average, current in zip(state.average.parameters(), state.model.parameters(), strict=True):
        average.lerp_(current, 1 - decay)


def _start_or_resume(
    path: Path, statistics: Statistics, settings: TrainSettings, description: dict[str, Any], device: torch.device
) -> TrainingState:
    torch.manual_seed(settings.seed)
    method: Method = settings.method
    model = method.build()
    if not path.is_file():
        method.begin(model)
    model = model.to(device)
    state = TrainingState(model, deepcopy(model).requires_grad_(False), _optimizer(model, settings), statistics)
    if path.is_file():
        _check_same_run(path, description)
        restore_training_state(path, state)
    return state


def _check_same_run(path: Path, description: dict[str, Any]) -> None:
    """A run goes on only with the settings and data it was begun with."""
    before, now = json.loads(read_training_state(path)[1]["description"]), json.loads(json.dumps(description))
    for part in ("settings", "provenance"):
        changed = [key for key in {**before[part], **now[part]} if before[part].get(key) != now[part].get(key)]
        if changed:
            raise CheckpointError(
                f"{path} was begun with other {part}: "
                + "; ".join(f"{key} {before[part].get(key)!r} there, {now[part].get(key)!r} now" for key in changed)
                + ". Use another output folder."
            )


def _optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """AdamW with a group for each learning rate and weight decay that there are; a group's `multiple` stays."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        multiple = next((rate for part, rate in settings.method.learning_rates.items() if name.startswith(part)), 1.0)
        decay = settings.weight_decay if parameter.ndim >= 2 or settings.decay_all else 0.0
        groups.setdefault((multiple, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": each, "multiple": multiple, "weight_decay": decay} for (multiple, decay), each in groups.items()],
        lr=settings.learning_rate,
        betas=settings.betas,
    )


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _precision(name: str, device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16) if name == "bfloat16" else nullcontext()


def _show(bar: "tqdm[Any]", losses: Mapping[str, float], batch: int) -> None:
    """Advance the progress bar; tqdm itself tells the time left."""
    bar.update()
    rate = bar.format_dict.get("rate")
    speed = f"{rate * batch:.0f}/s" if rate else "?"
    bar.set_postfix_str(f"windows {speed} loss {losses['total']:.3f} action {losses['action']:.3f}")


class Log:
    """Metrics as one JSON object a line, and for TensorBoard if asked."""

    def __init__(self, output: Path, tensorboard: bool) -> None:
        self.path = output / METRICS
        self.writer: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # optional, and slow to import

            self.writer = SummaryWriter(output / "tensorboard")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append the values of a step."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)
            self.writer.flush()
