"""From stage to stage: what a run takes over from an earlier one, and the chain of where it all came from.

Pretraining on video labels, fine-tuning on a robot's demonstrations, co-training on a robot's and a person's: each is a
run of its own with a new optimiser, that may start from the averaged weights of another.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from firsthand.errors import CheckpointError
from firsthand.policy.checkpoint import MANIFEST, WEIGHTS, check_file, load_manifest, sha256
from firsthand_training.training.training_state import (
    STATE,
    read_statistics,
    read_tensors,
    read_training_state,
    under,
)
from firsthand_training.training.windows import Statistics


@dataclass(frozen=True)
class Start:
    """What a run starts from instead of random weights."""

    weights: dict[str, Tensor]  # averaged, by name
    statistics: dict[str, Statistics]  # by embodiment
    provenance: dict[str, Any]  # of the earlier run, and its own start in turn


@dataclass(frozen=True)
class TakenOver:
    """Which parameters came from the earlier run, and which begin afresh."""

    taken: tuple[str, ...]
    fresh: tuple[str, ...]  # not there, or of another shape there

    def __str__(self) -> str:
        names = f": {', '.join(self.fresh)}" if self.fresh else ""
        return f"{len(self.taken)} parameters taken over, {len(self.fresh)} fresh{names}"


def read_start(path: Path) -> Start:
    """The averaged weights and the statistics of a run's folder, of its training state, or of a checkpoint's folder.

    Raises:
        CheckpointError: There is neither, it is damaged, or it comes from a version that normalised otherwise.
    """
    if (path / MANIFEST).is_file():
        return _from_checkpoint(path)
    state = path / STATE if path.is_dir() else path
    if not state.is_file():
        raise CheckpointError(f"nothing to start from at {path}: expected a run with a {STATE}, or a checkpoint")
    tensors, header = read_training_state(state)
    description = json.loads(header["description"])
    provenance = {
        "run": state.parent.name,
        "sha256": sha256(state),
        "step": int(header["step"]),
        "method": description["settings"].get("method"),
        **description["provenance"],
    }
    return Start(under("average/", tensors), _statistics(tensors, state), provenance)


def take_over(network: nn.Module, weights: dict[str, Tensor]) -> TakenOver:
    """Copy every weight that has the same name and shape into a network.

    Raises:
        CheckpointError: None has: it is another network.
    """
    own = network.state_dict()
    fitting = {name: weights[name] for name in own if name in weights and weights[name].shape == own[name].shape}
    if not fitting:
        raise CheckpointError("the weights to start from belong to another network: no name and shape is the same")
    network.load_state_dict(fitting, strict=False)
    return TakenOver(tuple(fitting), tuple(name for name in own if name not in fitting))


def _from_checkpoint(path: Path) -> Start:
    manifest = load_manifest(path)
    if not (path / WEIGHTS).is_file():
        raise CheckpointError(f"{path} has no {WEIGHTS}: a robot's copy runs without, training starts from a whole one")
    check_file(path, manifest, WEIGHTS)
    tensors = read_tensors(path / WEIGHTS)[0]
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith("statistics/")}
    provenance = {
        "checkpoint": path.name,
        "sha256": manifest.files[WEIGHTS],
        "method": manifest.network,
        **{key: value for key, value in manifest.provenance.items() if key not in ("settings", "export_parity")},
    }
    return Start(weights, _statistics(tensors, path), provenance)


def _statistics(tensors: dict[str, Tensor], path: Path) -> dict[str, Statistics]:
    try:
        return read_statistics(under("statistics/", tensors))
    except KeyError as error:
        raise CheckpointError(
            f"{path} keeps no statistics ({error} is missing): it was made when states and actions were normalised "
            "apart; it runs as before, but cannot be trained on. Train it again, or start from a newer run"
        ) from error
