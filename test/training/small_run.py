"""A training run of two seconds as a process of its own, to be killed, interrupted or run by torchrun.

python small_run.py OUTPUT
"""

import sys
from pathlib import Path

import numpy as np

from firsthand.space.hand_state import RIGHT_WRIST_POSITION, ROTATIONS, SIZE
from firsthand_training.models.world_model import WorldModelSettings
from firsthand_training.training.methods.world_model import WorldModelMethod
from firsthand_training.training.processes import joined_processes
from firsthand_training.training.sources import Source
from firsthand_training.training.train import TrainSettings, fit_sources
from firsthand_training.training.windows import TrainingEpisode

NETWORK = WorldModelSettings(
    horizon=2,
    stride=2,
    rows=2,
    columns=2,
    channels=4,
    latent_width=8,
    dynamics_width=8,
    width=8,
    heads=2,
    ratio=2,
    selected=2,
)
SETTINGS = TrainSettings(
    method=WorldModelMethod(NETWORK),
    steps=24,
    batch=8,
    micro_batch=4,
    warm_up=2,
    held_out=0.3,
    log_every=1,
    validate_every=8,
    validation_windows=8,
    save_every=5,
    device="cpu",
    threads=1,
)


def sources():
    """A robot's episodes and a person's, twice as fast."""
    return [Source("robot", "robot", [walk(seed) for seed in range(3)]), Source("human", "human", [walk(7, 0.5)] * 2)]


def walk(seed, pace=1.0):
    random = np.random.default_rng(seed)
    state = np.zeros((12, SIZE))
    state[:, ROTATIONS] = np.tile([1.0, 0, 0, 0, 1, 0], 3)
    state[:, RIGHT_WRIST_POSITION] = np.cumsum(random.normal(size=(12, 3)) * 0.02, axis=0)
    features = random.normal(size=(12, 2, 2, 2, 4)).astype(np.float16)
    return TrainingEpisode(features, state, np.concatenate([state[1:], state[-1:]]), pace=pace)


def run(output):
    with joined_processes() as processes:  # as the command does, which encodes pictures before it trains
        processes.wait()
        return fit_sources(sources(), output, SETTINGS, progress=False)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
