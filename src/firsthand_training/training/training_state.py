"""Everything that goes on with training, in one safetensors file that is whole or not there.

Tensors are named `model/..`, `average/..` (the exponential moving average), `optimizer/exp_avg/..`,
`optimizer/exp_avg_sq/..` and `statistics/..` (of the features, and by embodiment of the 54 numbers); the header has the
step, the settings and where the data came from. No random generator is stored: every draw is seeded by the seed, the
step and the micro-batch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from firsthand.errors import CheckpointError
from firsthand.space.normalization import Normalization
from firsthand_training.episodes.durable import whole_file
from firsthand_training.training.methods.interface import Method
from firsthand_training.training.methods.registry import rebuild_method
from firsthand_training.training.windows import Statistics

STATE = "training_state.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class TrainingState:
    """A network in training."""

    model: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    statistics: dict[str, Statistics]  # by embodiment
    step: int = 0


def save_training_state(path: Path, state: TrainingState, description: Mapping[str, Any]) -> Path:
    """Replace the state at once: a crash at any moment leaves the old one or the new one.

    Args:
        path: Where to.
        state: What.
        description: Settings and provenance, anything that JSON can say; comes back from `read_description`.
    """
    tensors = {
        **_prefixed("model/", state.model.state_dict()),
        **_prefixed("average/", state.average.state_dict()),
        **_prefixed("statistics/", statistics_tensors(state.statistics)),
        **_moments(state),
    }
    header = {"step": str(state.step), "description": json.dumps(description)}
    with whole_file(path) as partial:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata=header)
    return path


def restore_training_state(path: Path, state: TrainingState) -> None:
    """Read weights, averages, moments and the step into a state built with the same settings."""
    tensors, header = read_training_state(path)
    state.model.load_state_dict(under("model/", tensors))
    state.average.load_state_dict(under("average/", tensors))
    state.statistics = read_statistics(under("statistics/", tensors))
    state.step = int(header["step"])
    for name, parameter in state.model.named_parameters():
        moments = {moment: tensors.get(f"optimizer/{moment}/{name}") for moment in MOMENTS}
        known = {moment: tensor.to(parameter.device) for moment, tensor in moments.items() if tensor is not None}
        if known:
            state.optimizer.state[parameter] = {"step": torch.tensor(float(state.step)), **known}


def read_training_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a training state, and its header.

    Raises:
        CheckpointError: Missing or damaged.
    """
    tensors, header = read_tensors(path)
    if "description" not in header:
        raise CheckpointError(f"{path} is not a training state: it says nothing of the run that wrote it")
    return tensors, header


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file, and its header.

    Raises:
        CheckpointError: Missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"no training state at {path}") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a whole training state: {error}") from error


@dataclass(frozen=True)
class TrainedModel:
    """What training leaves to export: the averaged network and what its numbers mean."""

    method: Method
    model: nn.Module
    statistics: dict[str, Statistics]  # by embodiment
    step: int
    description: dict[str, Any]

    def statistics_of(self, embodiment: str) -> Statistics:
        """What the numbers mean for one embodiment.

        Raises:
            CheckpointError: It has not been trained on.
        """
        if embodiment not in self.statistics:
            raise CheckpointError(
                f"this network was trained on {', '.join(self.statistics)}, not on {embodiment!r}; name one of them"
            )
        return self.statistics[embodiment]


def load_trained_model(path: Path) -> TrainedModel:
    """The averaged network of a training state, ready to evaluate or export.

    Raises:
        CheckpointError: Missing, damaged, or written by another network.
    """
    tensors, header = read_training_state(path)
    description = json.loads(header["description"])
    try:
        method = rebuild_method(description["settings"]["method"])
        model = method.build()
        model.load_state_dict(under("average/", tensors))
        statistics = read_statistics(under("statistics/", tensors))
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not fit this version of the network: {error}") from error
    return TrainedModel(method, model.eval(), statistics, int(header["step"]), description)


def _moments(state: TrainingState) -> dict[str, Tensor]:
    """Both moments of AdamW for every parameter that has been stepped."""
    return {
        f"optimizer/{moment}/{name}": state.optimizer.state[parameter][moment]
        for name, parameter in state.model.named_parameters()
        if parameter in state.optimizer.state
        for moment in MOMENTS
    }


def statistics_tensors(statistics: Mapping[str, Statistics]) -> dict[str, Tensor]:
    """Statistics as tensors: `feature/mean`, `feature/std`, and `<embodiment>/mean`, `<embodiment>/std`."""
    common = next(iter(statistics.values()))
    arrays = {"feature/mean": common.feature_mean, "feature/std": common.feature_std}
    for embodiment, each in statistics.items():
        arrays |= {f"{embodiment}/mean": each.numbers.mean, f"{embodiment}/std": each.numbers.std}
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def read_statistics(tensors: Mapping[str, Tensor]) -> dict[str, Statistics]:
    """What `statistics_tensors` wrote; KeyError if something is missing."""
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    features = arrays["feature/mean"], arrays["feature/std"]
    embodiments = dict.fromkeys(name.partition("/")[0] for name in arrays if not name.startswith("feature/"))
    return {
        name: Statistics(Normalization(arrays[f"{name}/mean"], arrays[f"{name}/std"]), *features)
        for name in embodiments
    }


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
