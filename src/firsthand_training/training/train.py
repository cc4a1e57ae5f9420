"""Training a network from cached features: one loop, the same on a CPU, on a GPU and on several.

An interrupted run goes on exactly where it was: the data order and every random draw follow from the seed and the step.
"""

import json
import resource
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from math import cos, inf, isfinite, pi
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from firsthand.errors import CheckpointError, TrainingError
from firsthand_training.training.augmentation import AugmentationSettings, augment
from firsthand_training.training.interruption import Interruption
from firsthand_training.training.log import BAR_PERIOD, Log, show
from firsthand_training.training.methods.interface import Method
from firsthand_training.training.methods.registry import AnyMethod, describe_method
from firsthand_training.training.methods.world_model import WorldModelMethod
from firsthand_training.training.processes import Processes, device_of_this_process, joined_processes
from firsthand_training.training.sources import Mixture, MixtureSettings, Source, fit_statistics, load_sources
from firsthand_training.training.stages import Start, read_start, take_over
from firsthand_training.training.supply import supply
from firsthand_training.training.training_state import (
    STATE,
    TrainingState,
    read_training_state,
    restore_training_state,
    save_training_state,
)
from firsthand_training.training.validation import validate
from firsthand_training.training.windows import Batch, Counts, TrainingEpisode, Windows, split_episodes

EQUAL_SHARES, ALONE = MixtureSettings(), Processes()
WITHOUT_EFFECT = ("device", "threads", "workers", "tensorboard", "log_every")  # settings that a run may go on without


@dataclass(frozen=True)
class TrainSettings:
    """One training run."""

    method: AnyMethod = field(default_factory=WorldModelMethod)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    steps: int = 3000
    batch: int = 32
    """Windows of a step, over all processes."""
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
    """Share of the episodes of each dataset kept for validation."""
    log_every: int = 50
    validate_every: int = 500
    validation_windows: int = 256
    save_every: int = 250
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is for GPUs; CPUs without the instructions are thirty times slower with it."""
    threads: int = 0
    """CPU threads; 0 takes one per core that this process may use, or OMP_NUM_THREADS."""
    workers: int = 0
    """Processes that make batches ahead of time; 0 makes each when it is due, which is best without a GPU."""
    tensorboard: bool = False
    """Also write the curves for TensorBoard."""

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing."""
        for name in ("steps", "batch", "micro_batch", "log_every", "validate_every", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if self.workers < 0:
            raise ValueError(f"expected 0 workers or more, got {self.workers}")
        if not 0 <= self.average < 1:
            raise ValueError(f"expected the decay of the average in [0, 1), got {self.average}")


def train(
    datasets: Sequence[tuple[Path, Path]],
    output: Path,
    settings: TrainSettings,
    mixture: MixtureSettings = EQUAL_SHARES,
    start: Start | None = None,
    progress: bool = True,
) -> Path:
    """Train on datasets from their cached features, going on with what `output` holds.

    Args:
        datasets: Root of each dataset and its cache, from `feature_cache.cache_features`.
        output: Folder for the training state and the metrics.
        settings: Of the run; must be those of the run that is continued.
        mixture: How the datasets are mixed.
        start: An earlier run to take weights and statistics over from, from `stages.read_start`.
        progress: Show a progress bar.

    Returns:
        The training state, for `export`.

    Raises:
        EpisodeError: A dataset and its cache do not fit together or are missing.
        CheckpointError: `output` holds a run with other settings, or `start` is another network.
        TrainingError: The run diverged; `output` holds the state that was last saved.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the features of every episode are an open file
    sources, provenance = load_sources(datasets, mixture)
    return fit_sources(sources, output, settings, {**provenance, "mixture": asdict(mixture)}, start, progress)


def fit(
    episodes: Sequence[TrainingEpisode],
    output: Path,
    settings: TrainSettings,
    provenance: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Path:
    """Train on a robot's episodes in memory; see `train`."""
    return fit_sources([Source("robot", "robot", episodes)], output, settings, provenance, progress=progress)


def fit_sources(
    sources: Sequence[Source],
    output: Path,
    settings: TrainSettings,
    provenance: Mapping[str, Any] | None = None,
    start: Start | None = None,
    progress: bool = True,
) -> Path:
    """Train on sources in memory; see `train`."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = device_of_this_process(settings.device)
    with joined_processes() as processes, Interruption() as interruption:
        _check_enough_work(settings, processes)
        run = _prepare(sources, output, settings, provenance, start, device)
        if processes.first and progress:
            _introduce(run, sources)
        log = Log(output, run.state.step, settings.tensorboard) if processes.first else None
        batches = supply(run.mixture, _places(run.state.step, settings, processes), settings.workers)
        hidden = not (progress and processes.first)
        total, period = settings.steps, BAR_PERIOD
        with tqdm(total=total, initial=run.state.step, unit="step", disable=hidden, mininterval=period) as bar:
            while run.state.step < settings.steps:
                losses = train_step(run.state, batches, settings, processes)
                show(bar, losses, settings.batch)
                stop = bool(processes.sum(torch.tensor(float(interruption.asked), device=device)))
                if log is not None:
                    _report(run, log, losses, settings)
                    if stop or _due(run.state.step, settings.save_every, settings):
                        save_training_state(output / STATE, run.state, run.description)
                if stop:
                    raise KeyboardInterrupt
        processes.wait()
    return output / STATE


def train_step(
    state: TrainingState, batches: Iterator[Batch], settings: TrainSettings, processes: Processes = ALONE
) -> dict[str, float]:
    """One optimiser step; returns the mean losses of its windows, over all processes.

    Each process takes every n-th micro-batch, the next of `batches`. A micro-batch has a seed of its own, so who makes
    it makes no difference.

    Raises:
        TrainingError: The loss or its gradient is not finite; the weights have not been touched.
    """
    state.model.train()
    state.optimizer.zero_grad()
    sums: dict[str, Tensor] = {}
    numbers = range(processes.rank, len(_micro_batches(state.step, settings)), processes.count)
    mine = [next(batches) for _ in numbers]
    whole = _count(mine, settings, processes)
    for number, batch in zip(numbers, mine, strict=True):
        torch.manual_seed((settings.seed * 1_000_003 + state.step) * 4_099 + number)
        for name, value in _backward(state.model, replace(batch, whole=whole), settings).items():
            sums[name] = sums.get(name, 0.0) + value
    processes.sum_gradients(state.model)
    losses = _sum_over(processes, sums)
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), settings.clip or inf)
    if not (norm.isfinite() and isfinite(losses["total"])):  # the gradient of |nan| is 0: one may be ill alone
        raise TrainingError(_diverged(state.step + 1, losses))
    for group in state.optimizer.param_groups:
        group["lr"] = group["multiple"] * learning_rate(state.step, settings)
    state.optimizer.step()
    state.step += 1
    _update_average(state, settings.average)
    return losses


def _sum_over(processes: Processes, losses: Mapping[str, Tensor]) -> dict[str, float]:
    values = processes.sum(torch.stack(list(losses.values())))
    return dict(zip(losses, values.tolist(), strict=True))


def _count(mine: Sequence[Batch], settings: TrainSettings, processes: Processes) -> Counts:
    """Targets that teach something in a whole batch, from the micro-batches of this process."""
    here = [torch.cat([each.actions[None], each.future]) for each in (batch.counts() for batch in mine)]
    actions_and_future = processes.sum(torch.stack(here).sum(dim=0))
    return Counts(settings.batch, actions_and_future[0], actions_and_future[1:])


def _diverged(step: int, losses: Mapping[str, float]) -> str:
    """Why a run cannot go on, and what would help."""
    ill = [name for name, value in losses.items() if not isfinite(value)]
    found = f"a loss that is not finite ({', '.join(ill)})" if ill else "a gradient that is not finite"
    values = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
    return (
        f"step {step} has {found}; losses: {values}. The training state is as last saved, and "
        "going on from it leads here again. Start a run in another folder --from this one, with a smaller "
        "--learning-rate or --clip; if its first steps stop it too, look for extreme numbers in the episodes"
    )


def _micro_batches(step: int, settings: TrainSettings) -> list[range]:
    """The places of each micro-batch of a step, over all processes."""
    first, last = settings.batch * step, settings.batch * (step + 1)
    return [range(at, min(at + settings.micro_batch, last)) for at in range(first, last, settings.micro_batch)]


def _places(step: int, settings: TrainSettings, processes: Processes) -> Iterator[range]:
    """The places of each micro-batch that this process takes, from a step to the end of the run."""
    for each in range(step, settings.steps):
        yield from _micro_batches(each, settings)[processes.rank :: processes.count]


def learning_rate(step: int, settings: TrainSettings) -> float:
    """Linear warm-up, then a cosine down to a hundredth or nothing more."""
    if step < settings.warm_up:
        return settings.learning_rate * (step + 1) / settings.warm_up
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    return settings.learning_rate * (0.01 + 0.99 * (1 + cos(pi * done)) / 2)


def describe_settings(settings: TrainSettings) -> dict[str, Any]:
    """The settings as plain JSON, with the name of the method beside its own."""
    return {**asdict(settings), "method": describe_method(settings.method)}


@dataclass(frozen=True)
class _Run:
    """A run, ready to step."""

    state: TrainingState
    mixture: Mixture
    held_out: dict[str, Windows]  # by name of the source
    description: dict[str, Any]


def _prepare(
    sources: Sequence[Source],
    output: Path,
    settings: TrainSettings,
    provenance: Mapping[str, Any] | None,
    start: Start | None,
    device: torch.device,
) -> _Run:
    """Split and normalise the data, build or load the state."""
    method: Method = settings.method
    splits = [split_episodes(len(source.episodes), settings.held_out, settings.seed) for source in sources]
    inside = [[source.episodes[each] for each in split[0]] for source, split in zip(sources, splits, strict=True)]
    outside = [[source.episodes[each] for each in split[1]] for source, split in zip(sources, splits, strict=True)]
    kinds = [source.embodiment for source in sources]
    before = read_start(output / STATE) if (output / STATE).is_file() else start  # a run that goes on keeps its own
    statistics = fit_statistics(list(zip(kinds, inside, strict=True)), before.statistics if before else None)
    mixture = Mixture(
        [Windows(part, statistics[kind], method.window) for kind, part in zip(kinds, inside, strict=True)],
        [source.weight for source in sources],
        settings.seed,
    )
    held_out = {
        source.name: Windows(part, statistics[source.embodiment], method.window)
        for source, part in zip(sources, outside, strict=True)
        if part
    }
    description = {
        "settings": describe_settings(settings),
        "provenance": {**(provenance or {}), **({"from": start.provenance} if start else {})},
        "held_out": {source.name: split[1] for source, split in zip(sources, splits, strict=True)},
    }
    output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    model = method.build()
    if start is not None:
        taken = take_over(model, start.weights)
        description["taken_over"] = {"parameters": len(taken.taken), "fresh": list(taken.fresh), "report": str(taken)}
    elif not (output / STATE).is_file():
        method.begin(model)
    model = model.to(device)
    state = TrainingState(model, deepcopy(model).requires_grad_(False), _optimizer(model, settings), statistics)
    if (output / STATE).is_file():
        _check_same_run(output / STATE, description)
        restore_training_state(output / STATE, state)
    return _Run(state, mixture, held_out, description)


def _introduce(run: _Run, sources: Sequence[Source]) -> None:
    """Say what is mixed, how it was slowed down, and what was taken over."""
    for source, windows, share in zip(sources, run.mixture.windows, run.mixture.shares, strict=True):
        text = f"{source.name}: {len(source.episodes)} episodes, {len(windows)} windows, {share:.0%} of each batch"
        if source.episodes[0].pace != 1:
            text += f"{source.note}; features show {windows.future_share():.0%} of its future frames"
        tqdm.write(text)
    if "taken_over" in run.description:
        tqdm.write(run.description["taken_over"]["report"])


def _check_enough_work(settings: TrainSettings, processes: Processes) -> None:
    micros = len(_micro_batches(0, settings))
    if micros < processes.count:
        raise ValueError(
            f"{processes.count} processes need as many micro-batches in a batch, got {micros}; "
            f"set --micro-batch to at most {settings.batch // processes.count}"
        )


def _report(run: _Run, log: Log, losses: Mapping[str, float], settings: TrainSettings) -> None:
    """Write losses and, when it is time, the quality on held-out episodes of every source."""
    step, values = run.state.step, {}
    if _due(step, settings.log_every, settings) or _due(step, settings.validate_every, settings):
        values = {f"loss/{name}": value for name, value in losses.items()}
        values["learning_rate"] = learning_rate(step - 1, settings)
    if _due(step, settings.validate_every, settings):
        for source, windows in run.held_out.items():
            quality = validate(run.state.average, windows, settings.validation_windows)
            values |= {f"validation/{source}/{name}": value for name, value in quality.items()}
    if values:
        log.write(step, values)


def _due(step: int, every: int, settings: TrainSettings) -> bool:
    return step % every == 0 or step == settings.steps


def _backward(model: nn.Module, windows: Batch, settings: TrainSettings) -> dict[str, Tensor]:
    """Add the gradients of some windows of a step to those that are there; returns their part of its mean losses."""
    device = next(model.parameters()).device
    batch = augment(windows.to(device), settings.augmentation)
    with _precision(settings.precision, device):
        losses = settings.method.loss(model, batch)
    share = len(windows) / settings.batch
    torch.autograd.backward(share * losses.total)
    return {name: share * value.detach() for name, value in {"total": losses.total, **losses.terms}.items()}


@torch.no_grad()
def _update_average(state: TrainingState, decay: float) -> None:
    """Move the average towards the model; early on faster, so that it forgets the start."""
    decay = min(decay, (1 + state.step) / (10 + state.step))
    for average, current in zip(state.average.parameters(), state.model.parameters(), strict=True):
        average.lerp_(current, 1 - decay)
    for copied, buffer in zip(state.average.buffers(), state.model.buffers(), strict=True):
        copied.copy_(buffer)


def _check_same_run(path: Path, description: dict[str, Any]) -> None:
    """A run goes on only with the settings and data it was begun with; another computer may do it."""
    before, now = json.loads(read_training_state(path)[1]["description"]), json.loads(json.dumps(description))
    for part in ("settings", "provenance"):
        names = [name for name in {**before[part], **now[part]} if name not in WITHOUT_EFFECT]
        changed = [name for name in names if before[part].get(name) != now[part].get(name)]
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


def _precision(name: str, device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16) if name == "bfloat16" else nullcontext()
