"""Everything that goes on with training, in one safetensors file that is whole or not there.

Tensors are named `model/..`, `average/..` (the exponential moving average), `optimizer/exp_avg/..`,
`optimizer/exp_avg_sq/..` and `statistics/..`; the header has the step, the settings and where the data came from. No
random generator is stored: every step draws from one that is seeded by the seed and the step.
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
from firsthand_training.training.methods.interface import Method
from firsthand_training.training.methods.registry import rebuild_method
from firsthand_training.training.windows import Statistics

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class TrainingState:
    """A network in training."""

    model: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    statistics: Statistics
    step: int = 0


def save_training_state(path: Path, state: TrainingState, description: Mapping[str, Any]) -> Path:
    """Write the state to a temporary name, then rename.

    Args:
        path: Where to.
        state: What.
        description: Settings and provenance, anything that JSON can say; comes back from `read_description`.
    """
    tensors = {
        **_prefixed("model/", state.model.state_dict()),
        **_prefixed("average/", state.average.state_dict()),
        **_prefixed("statistics/", _statistics_tensors(state.statistics)),
        **_moments(state),
    }
    header = {"step": str(state.step), "description": json.dumps(description)}
    temporary = path.with_suffix(".tmp")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata=header)
    temporary.replace(path)
    return path


def restore_training_state(path: Path, state: TrainingState) -> None:
    """Read weights, averages, moments and the step into a state built with the same settings."""
    tensors, header = read_training_state(path)
    state.model.load_state_dict(_under("model/", tensors))
    state.average.load_state_dict(_under("average/", tensors))
    state.statistics = _statistics(_under("statistics/", tensors))
    state.step = int(header["step"])
    for name, parameter in state.model.named_parameters():
        moments = {moment: tensors.get(f"optimizer/{moment}/{name}") for moment in MOMENTS}
        if moments["exp_avg"] is not None:
            state.optimizer.state[parameter] = {"step": torch.tensor(float(state.step)), **moments}


def read_training_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a training state, and its header.

    Raises:
        CheckpointError: Missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"no training state at {path}") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a whole training state: {error}") from error


@dataclass(frozen=True)
class TrainedModel:
    """What training leaves to export: the averaged network and what its numbers mean."""

    method: Method
    model: nn.Module
    statistics: Statistics
    step: int
    description: dict[str, Any]


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
        model.load_state_dict(_under("average/", tensors))
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not fit this version of the network: {error}") from error
    statistics = _statistics(_under("statistics/", tensors))
    return TrainedModel(method, model.eval(), statistics, int(header["step"]), description)


def _moments(state: TrainingState) -> dict[str, Tensor]:
    """Both moments of AdamW for every parameter that has been stepped."""
    return {
        f"optimizer/{moment}/{name}": state.optimizer.state[parameter][moment]
        for name, parameter in state.model.named_parameters()
        if parameter in state.optimizer.state
        for moment in MOMENTS
    }


def _statistics_tensors(statistics: Statistics) -> dict[str, Tensor]:
    arrays = {
        "numbers/mean": statistics.numbers.mean,
        "numbers/std": statistics.numbers.std,
        "feature/mean": statistics.feature_mean,
        "feature/std": statistics.feature_std,
    }
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def _statistics(tensors: Mapping[str, Tensor]) -> Statistics:
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return Statistics(
        numbers=Normalization(arrays["numbers/mean"], arrays["numbers/std"]),
        feature_mean=arrays["feature/mean"],
        feature_std=arrays["feature/std"],
    )


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
