"""A trained network to the checkpoint folder that the robot loads: static ONNX graphs of batch 1, weights, a manifest.

Nothing is left behind unless the graphs, run one after the other, agree with the network on random inputs.
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from firsthand.errors import CheckpointError
from firsthand.inference import open_session
from firsthand.policy.checkpoint import (
    MANIFEST,
    WEIGHTS,
    EncoderSpec,
    Manifest,
    NormalizationSpec,
    sha256,
    write_manifest,
)
from firsthand.policy.surprise import CALIBRATION
from firsthand_training.training.graphs import Graph
from firsthand_training.training.methods.interface import Method
from firsthand_training.training.training_state import TrainedModel, load_trained_model, statistics_tensors
from firsthand_training.training.windows import Statistics, WindowSettings

OPSET = 17
COMPARED = ("actions", "future_features")
TOLERANCE = 1e-4  # largest difference of actions ([m], rotation columns) and of features in their standard deviations
AGREEMENT = 0.99  # smallest share of equal selected blocks; rounding may swap two blocks of nearly equal score

Arrays = dict[str, NDArray[Any]]


def export(training_state: Path, output: Path, task: str, embodiment: str = "robot") -> Path:
    """Write the checkpoint folder of a trained network.

    Args:
        training_state: From `train`.
        output: The folder; an older checkpoint in it is replaced.
        task: What the policy does, for the manifest.
        embodiment: Whose numbers pass in and out of the graphs.

    Returns:
        `output`, for `firsthand.policy.session.Policy.load`.

    Raises:
        CheckpointError: The training state is missing or damaged, knows no such embodiment, or the graphs do not
            agree with the network.
    """
    trained = load_trained_model(training_state)
    source = trained.description["provenance"].get("cache")
    if source is None:
        raise CheckpointError(f"{training_state} does not say which encoder its features come from; train from a cache")
    statistics = trained.statistics_of(embodiment)
    output.mkdir(parents=True, exist_ok=True)
    for stale in (MANIFEST, CALIBRATION):  # from here to the end this is no checkpoint; and what was usual is no more
        (output / stale).unlink(missing_ok=True)
    graphs = write_graphs(trained.method, trained.model, statistics, output)
    parity = check_parity(graphs, trained.method.window, statistics, output)
    (output / WEIGHTS).write_bytes(save(_tensors(trained)))  # with the mode of other files; save_file's is 0600
    files = {name: sha256(output / name) for name in [*(graph.file for graph in graphs), WEIGHTS]}
    blocks = next((graph.blocks for graph in graphs if graph.blocks), None)
    write_manifest(output, replace(_manifest(trained, source, task, embodiment, parity, files), blocks=blocks))
    return output


def write_graphs(method: Method, model: nn.Module, statistics: Statistics, output: Path) -> tuple[Graph, ...]:
    """Trace the graphs of a network into a folder, each on what the ones before it say."""
    graphs = method.graphs(model.cpu().eval(), statistics)
    known = _random_inputs(method.window, statistics, seed=0)
    for graph in graphs:
        graph.module.eval()
        inputs = {name: torch.from_numpy(known[name]) for name in graph.inputs}
        _write_graph(graph.module, inputs, graph.outputs, output / graph.file)
        known |= _run_module(graph, known)
    return graphs


def check_parity(
    graphs: Sequence[Graph], window: WindowSettings, statistics: Statistics, output: Path, samples: int = 8
) -> dict[str, float]:
    """Run the graphs one after the other on random inputs and compare with the network.

    Returns:
        The largest absolute difference of `actions` ([m] and rotation columns) and of `future_features` (standard
        deviations of the channel), and the share of blocks that both selected, `selected`. Actions count where they
        rest on the same blocks: of two with nearly equal scores rounding may take the other one, and then they differ.

    Raises:
        CheckpointError: They differ by more than rounding.
    """
    inputs = [_random_inputs(window, statistics, seed) for seed in range(1, samples + 1)]
    found = [_compare(graphs, each, statistics, output) for each in inputs]
    differences = {name: [each[name] for each in found if name in each] for name in COMPARED}
    parity = {name: max(values) for name, values in differences.items() if values}
    selected = float(np.mean([each.get("selected", 1.0) for each in found]))
    if "actions" not in parity or max(parity.values()) > TOLERANCE or selected < AGREEMENT:
        raise CheckpointError(
            f"the exported graphs differ from the network: {parity}, {selected:.1%} of the selected blocks equal; "
            f"expected actions that can be compared, at most {TOLERANCE} and at least {AGREEMENT:.0%}"
        )
    return {**parity, "selected": selected}


def _compare(graphs: Sequence[Graph], inputs: Arrays, statistics: Statistics, output: Path) -> dict[str, float]:
    """How far the outputs of the graphs are from those of the modules they were traced from."""
    ours, theirs = dict(inputs), dict(inputs)
    for graph in graphs:
        ours |= _run_module(graph, ours)
        session = open_session(output / graph.file)
        answers = session.run(list(graph.outputs), {name: theirs[name] for name in graph.inputs})
        theirs |= dict(zip(graph.outputs, answers, strict=True))
    off = {name: np.abs(theirs[name] - ours[name]) for name in COMPARED if name in ours}
    differences = {}
    if "selected" in ours:
        differences["selected"], alike = agreement(ours["selected"], theirs["selected"])
        off["actions"] = off["actions"][alike]
    if "future_features" in off:
        differences["future_features"] = float((off["future_features"] / statistics.feature_std).max())
    if off["actions"].size:
        differences["actions"] = float(off["actions"].max())
    return differences


def agreement(ours: NDArray[np.integer], theirs: NDArray[np.integer]) -> tuple[float, NDArray[np.bool_]]:
    """Compare two selections (B, layers, heads, H, k) as sets: in which order blocks come makes no difference.

    Returns:
        The share of blocks that both selected, and the actions (B, H) that rest on the same blocks. Queries talk to
        one another before they look, so one that differs in a layer is heard by all in the next.
    """
    blocks = 1 + max(int(ours.max()), int(theirs.max()))
    one, other = (_as_masks(each, blocks) for each in (ours, theirs))
    share = float((one & other).sum() / one.sum())
    same = (one == other).all(axis=(2, 4))  # (B, layers, H): all heads
    return share, same[:, -1] & same[:, :-1].all(axis=(1, 2))[:, None]


def _as_masks(selected: NDArray[np.integer], blocks: int) -> NDArray[np.bool_]:
    masks = np.zeros((*selected.shape[:-1], blocks), bool)
    np.put_along_axis(masks, selected, True, axis=-1)
    return masks


@torch.no_grad()
def _run_module(graph: Graph, known: Arrays) -> Arrays:
    answers = graph.module(*(torch.from_numpy(known[name]) for name in graph.inputs))
    answers = (answers,) if isinstance(answers, Tensor) else answers
    return {name: answer.numpy() for name, answer in zip(graph.outputs, answers, strict=True)}


def _write_graph(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], path: Path) -> None:
    """Trace a module. The tracing exporter needs nothing beyond torch and gives flat, static graphs."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation of the exporter, and notes that traced shapes are constants
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=False,
        )


def _random_inputs(window: WindowSettings, statistics: Statistics, seed: int) -> Arrays:
    """One raw feature map and one physical state with the spread of the training data."""
    random = np.random.default_rng(seed)
    features = statistics.feature_mean + statistics.feature_std * random.normal(size=(1, *window.features))
    state = statistics.numbers.denormalize(random.normal(size=(1, len(statistics.numbers.mean))))
    return {"features": features.astype(np.float32), "state": state.astype(np.float32)}


def _tensors(trained: TrainedModel) -> dict[str, Tensor]:
    """What a later run needs to start from: the weights by name, and `statistics/..`."""
    statistics = {f"statistics/{name}": value for name, value in statistics_tensors(trained.statistics).items()}
    return {name: value.contiguous() for name, value in {**trained.model.state_dict(), **statistics}.items()}


def _manifest(
    trained: TrainedModel,
    source: dict[str, Any],
    task: str,
    embodiment: str,
    parity: dict[str, float],
    files: dict[str, str],
) -> Manifest:
    window, numbers = trained.method.window, trained.statistics_of(embodiment).numbers
    normalization = NormalizationSpec(tuple(numbers.mean.tolist()), tuple(numbers.std.tolist()))
    height, width = source["image_size"]
    return Manifest(
        task=task,
        rate=float(source["fps"]),
        horizon=window.horizon,
        stride=window.stride,
        encoder=EncoderSpec(
            name=source["encoder"],
            source_sha256=source["source_sha256"],
            image_size=(height, width),
            feature_shape=window.features,
        ),
        state_normalization=normalization,
        action_normalization=normalization,
        files=files,
        network=trained.description["settings"]["method"],
        provenance={
            **trained.description["provenance"],
            "settings": trained.description["settings"],
            "held_out": trained.description["held_out"],
            "embodiment": embodiment,
            "step": trained.step,
            "export_parity": parity,
            "torch": torch.__version__,
        },
    )
