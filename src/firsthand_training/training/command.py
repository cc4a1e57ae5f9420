"""The parts of `firsthand-lab` that need torch: train and export."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from firsthand_training.training.export import export
from firsthand_training.training.feature_cache import CacheSettings, cache_features
from firsthand_training.training.train import STATE, TrainSettings, train

FEATURES = "features"


@dataclass(frozen=True)
class Train:
    """Train a policy on a dataset: encode its pictures once, then train. The same call goes on after a stop."""

    episodes: Path
    """Root of a LeRobotDataset v3."""
    output: Path
    """Folder of the run: feature cache, training state, metrics."""
    settings: Annotated[TrainSettings, tyro.conf.arg(name="")] = field(default_factory=TrainSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)

    def run(self) -> None:
        """Print the training state's path."""
        features = cache_features(self.episodes, self.output / FEATURES, self.cache)
        print(train(self.episodes, features, self.output, self.settings))


@dataclass(frozen=True)
class Export:
    """Turn a training run into a checkpoint folder: ONNX graphs, weights and a manifest that explains them."""

    trained: Annotated[Path, tyro.conf.arg(name="run")]
    """Folder of the run."""
    output: Path
    """Checkpoint folder to make."""
    task: str = "push"
    """Name of the task, for the manifest."""

    def run(self) -> None:
        """Print the checkpoint's folder."""
        print(export(self.trained / STATE, self.output, self.task))
