from types import SimpleNamespace

import numpy as np
import pytest

from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.write import EpisodeWriter, Frame

SETTINGS = EpisodeSettings(height=48, width=64)
LENGTH = 23  # not a multiple of the keyframe interval


def make_image(episode, index, camera):
    """A picture that says where it is from: green counts episodes and frames, red or blue tells the camera."""
    picture = np.full((SETTINGS.height, SETTINGS.width, 3), (40 + 8 * index + episode) % 256, dtype=np.uint8)
    picture[:, :, 0 if camera == "left" else 2] = 30
    return picture


def make_frame(episode, index):
    random = np.random.default_rng([episode, index])
    return Frame(
        stamp_ns=1_700_000_000_000_000_000 + 40_000_000 * index,
        state=random.normal(size=54),
        action=random.normal(size=54),
        joints=random.normal(size=26),
        action_joints=random.normal(size=26),
        images=np.stack([make_image(episode, index, camera) for camera in ("left", "right")]),
    )


def add_episode(writer, task, length=LENGTH):
    episode = len(writer)
    writer.start(task)
    for index in range(length):
        writer.add(make_frame(episode, index))
    return writer.save()


def write_episodes(root, tasks, length=LENGTH):
    with EpisodeWriter(root, SETTINGS) as writer:
        for task in tasks:
            add_episode(writer, task, length)
    return root


@pytest.fixture
def make():
    """What the tests of this room build datasets from."""
    return SimpleNamespace(
        settings=SETTINGS,
        length=LENGTH,
        image=make_image,
        frame=make_frame,
        add_episode=add_episode,
        episodes=write_episodes,
    )


@pytest.fixture
def dataset(tmp_path):
    """Three episodes of two tasks."""
    return write_episodes(tmp_path / "episodes", ["push the box", "open the box", "push the box"])
