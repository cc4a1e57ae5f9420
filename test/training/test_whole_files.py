"""What a run leaves behind is on disk before it takes its name: a crash leaves the old file or the new one."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.write import EpisodeWriter, Frame
from firsthand_training.training.feature_cache import CacheSettings, cache_features
from firsthand_training.training.log import METRICS, Log
from firsthand_training.training.sources import fit_statistics
from firsthand_training.training.training_state import STATE, TrainingState, save_training_state


@pytest.fixture
def write(episodes, tmp_path):
    """By the name of a file, what writes it, in a folder where all that goes before is done."""
    with EpisodeWriter(tmp_path / "episodes", EpisodeSettings(height=16, width=32)) as writer:
        writer.start("look")
        for frame in range(2):
            numbers = [np.zeros(size) for size in (54, 54, 26, 26)]
            writer.add(Frame(40_000_000 * (frame + 1), *numbers, np.zeros((2, 16, 32, 3), np.uint8)))
        writer.save()

    def features(output):
        cache_features(tmp_path / "episodes", output, CacheSettings("pixels", height=16, width=32), progress=False)

    def state(output):
        model, average = nn.Linear(2, 2), nn.Linear(2, 2)
        optimizer, statistics = torch.optim.AdamW(model.parameters()), fit_statistics([("robot", episodes)])
        save_training_state(output / STATE, TrainingState(model, average, optimizer, statistics), {})

    def log(output):
        Log(output, step=0, tensorboard=False)

    return {"cache.json": features, "episode_000000.npy": features, STATE: state, METRICS: log}


@pytest.mark.parametrize("name", ["cache.json", "episode_000000.npy", STATE, METRICS])
def test_a_file_that_does_not_reach_the_disk_does_not_take_the_name(name, write, tmp_path, monkeypatch):
    output = tmp_path / "run"
    output.mkdir()
    if name == "episode_000000.npy":
        write[name](output)  # for the description beside it
        (output / name).unlink()
    if name == METRICS:
        (output / name).write_text('{"step": 1}\n')
    before = sorted(output.iterdir())

    def full(_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space left"):
            write[name](output)
    assert sorted(output.iterdir()) == before
    if name == METRICS:
        assert (output / name).read_text() == '{"step": 1}\n'
    write[name](output)
    assert (output / name).is_file()
