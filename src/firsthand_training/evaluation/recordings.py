"""Recordings to compare a policy with: the episodes of a dataset, or a bag turned into one."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import CheckpointError, EpisodeError
from firsthand.policy.checkpoint import WORLD_MODEL, find_checkpoint
from firsthand.policy.session import Policy
from firsthand.vision.encoders import open_encoder
from firsthand_training.demonstrations.bag_conversion import BagConversion
from firsthand_training.demonstrations.from_bag import convert_bag
from firsthand_training.episodes.layout import CAMERAS, INFO_PATH
from firsthand_training.episodes.read import Episodes
from firsthand_training.evaluation.open_loop import OpenLoopReport, Recording, evaluate_open_loop

Array = NDArray[np.floating]

SPREAD = "features.std"  # by this name exported graphs keep it


def compare_with_recording(path: Path, checkpoint: str, every: int = 5) -> tuple[OpenLoopReport, float]:
    """Run a checkpoint along a recording.

    Args:
        path: A LeRobot v3 dataset, a rosbag2 folder or an .mcap file.
        checkpoint: A folder, or the name of a shipped one.
        every: Frames between two windows.

    Returns:
        The report and the rate of its horizon, [Hz].

    Raises:
        BagError: The bag is unreadable or lacks a topic.
        EpisodeError: The dataset is damaged, of another rate, or too short.
        CheckpointError: The checkpoint is missing or damaged.
    """
    policy = Policy.load(checkpoint)
    encoder = open_encoder(policy.manifest.encoder.name, policy.manifest.encoder.image_size)
    if not path.exists():
        raise EpisodeError(f"no recording at {path}; expected a dataset folder or a bag")
    with tempfile.TemporaryDirectory(prefix="firsthand-") as scratch:
        root = path
        if not (path / INFO_PATH).is_file():
            root = Path(scratch) / "episodes"
            convert_bag(path, root, BagConversion(task=policy.manifest.task, gaps="split"))
        spread = feature_spread(find_checkpoint(checkpoint)) if policy.manifest.has_world_model else 1.0
        report = evaluate_open_loop(policy, encoder, read_recordings(root), every, spread)
    return report, policy.manifest.rate


def read_recordings(root: Path) -> Iterator[Recording]:
    """Every episode of a dataset."""
    episodes = Episodes.open(root)
    for index in range(len(episodes)):
        data = episodes.episode(index)
        pairs = zip(*(episodes.frames(index, camera) for camera in CAMERAS), strict=True)
        images = (np.stack(pair) for pair in pairs)
        yield Recording(float(episodes.fps), data.state, data.action, images, data.origin)


def feature_spread(checkpoint: Path) -> Array:
    """Standard deviation of each feature channel that a world model was trained with, (C,): its graph's own.

    Raises:
        CheckpointError: The graph does not say.
    """
    import onnx

    graph = onnx.load(str(checkpoint / WORLD_MODEL)).graph
    for constant in graph.initializer:
        if constant.name == SPREAD:
            return np.asarray(onnx.numpy_helper.to_array(constant))
    raise CheckpointError(f"{checkpoint / WORLD_MODEL} has no {SPREAD}, the spread that its features are normalised by")
