"""A reaching task in feature space: somewhere on the patch grid lies an object, and the right wrist goes there."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from firsthand.space.hand_state import RIGHT_WRIST_POSITION, ROTATIONS, SIZE
from firsthand_training.models.world_model import WorldModelSettings
from firsthand_training.training.methods.world_model import WorldModelMethod
from firsthand_training.training.windows import TrainingEpisode

ROWS, COLUMNS, CHANNELS = 4, 6, 8

NETWORK = WorldModelSettings(
    horizon=6,
    stride=2,
    rows=ROWS,
    columns=COLUMNS,
    channels=CHANNELS,
    latent_width=16,
    dynamics_width=16,
    width=16,
    heads=2,
    ratio=2,
    selected=3,
)


def reach(seed, frames=24, every=1):
    """One demonstration: the wrist covers a tenth of the way to the object every frame."""
    random = np.random.default_rng(seed)
    wrist, target = random.uniform(0.2, 0.4, size=3), random.uniform(0.2, 0.8, size=3)
    state = np.tile(still_state(), (frames, 1))
    for row in state:
        row[RIGHT_WRIST_POSITION] = wrist
        wrist = wrist + 0.1 * (target - wrist)
    action = np.concatenate([state[1:], state[-1:]])
    features = np.stack([see(row[RIGHT_WRIST_POSITION], target) for row in state[::every]])
    return TrainingEpisode(features.astype(np.float16), state, action, every)


def still_state():
    state = np.zeros(SIZE)
    state[ROTATIONS] = np.tile([1.0, 0, 0, 0, 1, 0], 3)
    return state


def see(wrist, target):
    """(2, rows, columns, channels): a bump for the wrist and one for the object, told apart by channel."""
    row, column = np.meshgrid((np.arange(ROWS) + 0.5) / ROWS, (np.arange(COLUMNS) + 0.5) / COLUMNS, indexing="ij")
    image = np.zeros((2, ROWS, COLUMNS, CHANNELS))
    for channel, point in ((0, wrist), (4, target)):
        bump = np.exp(-((row - point[0]) ** 2 + (column - point[1]) ** 2) / 0.05)
        image[..., channel : channel + 4] = np.stack([bump, bump * row, bump * column, bump * point[2]], axis=-1)
    return image


@pytest.fixture(scope="session")
def method():
    return WorldModelMethod(NETWORK)


@pytest.fixture(scope="session")
def window(method):
    return method.window


@pytest.fixture
def still():
    return still_state()


@pytest.fixture(scope="session")
def episodes():
    return [reach(seed) for seed in range(6)]


@pytest.fixture(scope="session")
def make_episode():
    return reach


@pytest.fixture(scope="session")
def small():
    """`small_run.py`, which is a script so that it can be a process of its own."""
    specification = importlib.util.spec_from_file_location("small_run", Path(__file__).with_name("small_run.py"))
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def small_run(small):
    return small.run


@pytest.fixture(scope="session")
def small_settings(small):
    return small.SETTINGS
