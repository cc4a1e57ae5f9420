"""A trained network to the checkpoint folder that the robot loads.

Two static ONNX graphs of batch 1 with normalisation inside, so that only physical numbers and raw features pass:

world_model.onnx   features (1, V, gh, gw, C), state (1, 54) -> latent (1, D), future_features (1, T, V, gh', gw', C)
policy.onnx        those four -> actions (1, H, 54), selected (1, layers, heads, H, k)

Nothing is left behind unless both graphs, run one after the other, agree with the network on random inputs.
"""

import logging
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from firsthand.errors import CheckpointError
from firsthand.inference import open_session
from firsthand.policy.checkpoint import (
    MANIFEST,
    POLICY,
    WEIGHTS,
    WORLD_MODEL,
    EncoderSpec,
    Manifest,
    NormalizationSpec,
    sha256,
    write_manifest,
)
from firsthand.space.normalization import Normalization
from firsthand_training.models.world_model import WorldModelPolicy
from firsthand_training.training.training_state import TrainedModel, load_trained_model
from firsthand_training.training.windows import Statistics

OPSET = 17
TOLERANCE = 1e-4  # largest difference of actions ([m], rotation columns) and of features in their standard deviations
AGREEMENT = 0.99  # smallest share of equal selected blocks; rounding may swap two blocks of nearly equal score


@dataclass(frozen=True)
class Parity:
    """How far the graphs are from the network."""

    actions: float  # largest absolute difference, [m] and rotation columns
    future_features: float  # largest absolute difference, in standard deviations of the channel
    selected: float  # share of equal block indices


class Scaling(nn.Module):
    """Physical units to normalised ones and back."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: NDArray[np.floating], std: NDArray[np.floating]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))

    def forward(self, values: Tensor) -> Tensor:
        """To normalised units."""
        return (values - self.mean) / self.std

    def inverse(self, values: Tensor) -> Tensor:
        """To physical units."""
        return values * self.std + self.mean


class Imagination(nn.Module):
    """What becomes `world_model.onnx`."""

    def __init__(self, model: WorldModelPolicy, statistics: Statistics) -> None:
        super().__init__()
        self.model = model
        self.features = Scaling(statistics.feature_mean, statistics.feature_std)
        self.state = _scaling(statistics.state)

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Raw features and physical state to the latent state and raw future features."""
        latent, levels = self.model.imagine(self.features(features), self.state(state))
        return latent, self.features.inverse(self.model.final(levels))


class Acting(nn.Module):
    """What becomes `policy.onnx`."""

    def __init__(self, model: WorldModelPolicy, statistics: Statistics) -> None:
        super().__init__()
        self.model = model
        self.features = Scaling(statistics.feature_mean, statistics.feature_std)
        self.state = _scaling(statistics.state)
        self.action = _scaling(statistics.action)

    def forward(
        self, features: Tensor, state: Tensor, latent: Tensor, future_features: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Raw features, physical state, latent and raw future features to physical actions and selected blocks."""
        actions, selections = self.model.act(
            self.features(features), self.state(state), latent, self.features(future_features)
        )
        return self.action.inverse(actions), torch.stack([each.indices for each in selections], dim=1)


def export(training_state: Path, output: Path, task: str) -> Path:
    """Write the checkpoint folder of a trained network.

    Args:
        training_state: From `train`.
        output: The folder; an older checkpoint in it is replaced.
        task: What the policy does, for the manifest.

    Returns:
        `output`, for `firsthand.policy.session.Policy.load`.

    Raises:
        CheckpointError: The training state is missing or damaged, or the graphs do not agree with the network.
    """
    trained = load_trained_model(training_state)
    source = trained.description["provenance"].get("cache")
    if source is None:
        raise CheckpointError(f"{training_state} does not say which encoder its features come from; train from a cache")
    output.mkdir(parents=True, exist_ok=True)
    (output / MANIFEST).unlink(missing_ok=True)  # from here to the end this is no checkpoint
    write_graphs(trained.model, trained.statistics, output)
    parity = check_parity(trained.model, trained.statistics, output)
    save_file({name: value.contiguous() for name, value in trained.model.state_dict().items()}, output / WEIGHTS)
    write_manifest(output, _manifest(trained, source, task, parity, output))
    return output


def write_graphs(model: WorldModelPolicy, statistics: Statistics, output: Path) -> None:
    """Trace both graphs into a folder."""
    model = model.cpu().eval()
    features, state = _random_inputs(model, statistics, seed=0)
    imagination, acting = Imagination(model, statistics).eval(), Acting(model, statistics).eval()
    with torch.no_grad():
        latent, future = imagination(features, state)
    inputs = {"features": features, "state": state}
    _write_graph(imagination, inputs, ["latent", "future_features"], output / WORLD_MODEL)
    inputs |= {"latent": latent, "future_features": future}
    _write_graph(acting, inputs, ["actions", "selected"], output / POLICY)


def check_parity(model: WorldModelPolicy, statistics: Statistics, output: Path, samples: int = 8) -> Parity:
    """Run both graphs one after the other on random inputs and compare with the network.

    Raises:
        CheckpointError: They differ by more than rounding.
    """
    differences = [_compare(model, statistics, output, seed) for seed in range(1, samples + 1)]
    parity = Parity(
        actions=max(each.actions for each in differences),
        future_features=max(each.future_features for each in differences),
        selected=float(np.mean([each.selected for each in differences])),
    )
    if max(parity.actions, parity.future_features) > TOLERANCE or parity.selected < AGREEMENT:
        raise CheckpointError(
            f"the exported graphs differ from the network: {parity}; expected at most {TOLERANCE} "
            f"and at least {AGREEMENT:.0%} of the selected blocks equal"
        )
    return parity


@torch.no_grad()
def _compare(model: WorldModelPolicy, statistics: Statistics, output: Path, seed: int) -> Parity:
    features, state = _random_inputs(model, statistics, seed)
    latent, future = Imagination(model, statistics)(features, state)
    actions, selected = Acting(model, statistics)(features, state, latent, future)
    inputs = {"features": features.numpy(), "state": state.numpy()}
    names = ["latent", "future_features"]
    inputs |= dict(zip(names, open_session(output / WORLD_MODEL).run(names, inputs), strict=True))
    their_actions, their_selected = open_session(output / POLICY).run(["actions", "selected"], inputs)
    return Parity(
        actions=float(np.abs(their_actions - actions.numpy()).max()),
        future_features=float((np.abs(inputs["future_features"] - future.numpy()) / statistics.feature_std).max()),
        selected=float((their_selected == selected.numpy()).mean()),
    )


def _write_graph(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], path: Path) -> None:
    """Trace a module. The tracing exporter needs nothing beyond torch and gives flat, static graphs."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation of the exporter, and notes that traced shapes are constants
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=outputs,
            opset_version=OPSET,
            dynamo=False,
        )


def _random_inputs(model: WorldModelPolicy, statistics: Statistics, seed: int) -> tuple[Tensor, Tensor]:
    """One raw feature map and one physical state with the spread of the training data."""
    settings, random = model.settings, np.random.default_rng(seed)
    shape = (1, settings.views, *settings.grid, settings.channels)
    features = statistics.feature_mean + statistics.feature_std * random.normal(size=shape)
    state = statistics.state.denormalize(random.normal(size=(1, len(statistics.state.mean))))
    return torch.tensor(features, dtype=torch.float32), torch.tensor(state, dtype=torch.float32)


def _manifest(trained: TrainedModel, source: dict[str, Any], task: str, parity: Parity, output: Path) -> Manifest:
    network = trained.model.settings
    height, width = source["image_size"]
    return Manifest(
        task=task,
        rate=float(source["fps"]),
        horizon=network.horizon,
        stride=network.stride,
        encoder=EncoderSpec(
            name=source["encoder"],
            source_sha256=source["source_sha256"],
            image_size=(height, width),
            feature_shape=(network.views, *network.grid, network.channels),
        ),
        state_normalization=_specification(trained.statistics.state),
        action_normalization=_specification(trained.statistics.action),
        files={name: sha256(output / name) for name in (WORLD_MODEL, POLICY, WEIGHTS)},
        network=asdict(network),
        provenance={
            **trained.description["provenance"],
            "settings": trained.description["settings"],
            "held_out": trained.description["held_out"],
            "step": trained.step,
            "export_parity": asdict(parity),
            "torch": torch.__version__,
        },
    )


def _specification(normalization: Normalization) -> NormalizationSpec:
    return NormalizationSpec(tuple(normalization.mean.tolist()), tuple(normalization.std.tolist()))


def _scaling(normalization: Normalization) -> Scaling:
    return Scaling(normalization.mean, normalization.std)
