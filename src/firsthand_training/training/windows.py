"""Training windows: what is seen at t, what will be seen at t+r .. t+H, what is done from t on.

Window t of an episode has the features and the state at t, the rows t .. t+H-1 of `action` (row i is the target for
frame i+1) and the pooled features at t+r, t+2r, .., t+H. Beyond the end of an episode the last row is repeated and the
masks say so. Batches are normalised: numbers by mean and floored spread, features per channel.

Shapes: N frames, B batch, V views, gh x gw patches of C numbers, P pooled patches, T predicted frames, H actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firsthand.errors import EpisodeError
from firsthand.space.hand_state import SIZE
from firsthand.space.normalization import Normalization
from firsthand.vision.dinov2_graph import IMAGENET_MEAN, IMAGENET_STD
from firsthand_training.episodes.read import Episodes
from firsthand_training.models.layers import pool_grid
from firsthand_training.training.feature_cache import FeatureCache

Array = NDArray[np.floating]


@dataclass(frozen=True)
class TrainingEpisode:
    """One demonstration as the network sees it. Only every `every`-th frame has features."""

    features: NDArray[np.float16 | np.uint8]  # (ceil(N / every), V, gh, gw, C), usually memory-mapped
    state: Array  # (N, 54)
    action: Array  # (N, 54), commanded for the next frame
    every: int = 1

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        frames = len(self.state)
        if self.state.shape != (frames, SIZE) or self.action.shape != (frames, SIZE):
            raise EpisodeError(f"expected (N, {SIZE}) states and actions, got {self.state.shape}, {self.action.shape}")
        if len(self.features) != -(-frames // self.every):
            raise EpisodeError(
                f"expected features of {-(-frames // self.every)} frames (every {self.every} of {frames}), "
                f"got {len(self.features)}; delete the cache and make it again"
            )


@dataclass(frozen=True)
class WindowSettings:
    """What a network wants to see of an episode."""

    horizon: int  # H, actions
    views: int  # the first of those that there are: with 1, the left eye only
    rows: int  # patches of one view from top to bottom
    columns: int
    channels: int
    stride: int = 1  # r, steps from one future frame to the next
    frames: int = 0  # T, future frames; 0 for a network that predicts none
    pool: int = 1  # future frames have one patch for `pool` x `pool` of the current one

    @property
    def features(self) -> tuple[int, int, int, int]:
        """Shape of the features of one frame, (V, gh, gw, C)."""
        return self.views, self.rows, self.columns, self.channels


@dataclass(frozen=True)
class Statistics:
    """Means and spreads of the training data.

    State and action are the same physical quantity and share one normalisation, so that a change of zero is "stay".
    """

    numbers: Normalization
    feature_mean: NDArray[np.float32]  # (C,)
    feature_std: NDArray[np.float32]  # (C,)

    @classmethod
    def fit(cls, episodes: Sequence[TrainingEpisode], frames: int = 2000) -> "Statistics":
        """Statistics of all numbers and of the features of about `frames` frames spread over the episodes.

        Pictures (uint8) get the scale that networks trained on ImageNet expect.
        """
        mean, std = _feature_scale(episodes, frames)
        numbers = np.concatenate([part for episode in episodes for part in (episode.state, episode.action)])
        return cls(numbers=Normalization.fit(numbers), feature_mean=mean, feature_std=std)


def _feature_scale(episodes: Sequence[TrainingEpisode], frames: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and spread of each feature channel (C,)."""
    if all(episode.features.dtype == np.uint8 for episode in episodes):
        return 255 * np.array(IMAGENET_MEAN, np.float32), 255 * np.array(IMAGENET_STD, np.float32)
    share = max(1, sum(len(episode.features) for episode in episodes) // frames)
    sample = np.concatenate([episode.features[::share].astype(np.float32) for episode in episodes])
    channels = sample.reshape(-1, sample.shape[-1])
    return channels.mean(axis=0), np.maximum(channels.std(axis=0), 1e-3)


@dataclass(frozen=True)
class Batch:
    """Normalised windows."""

    features: Tensor  # (B, V, gh, gw, C), at t
    state: Tensor  # (B, 54), at t
    future: Tensor  # (B, V, T, P, C), pooled, at t+r .. t+H
    future_mask: Tensor  # (B, T), inside the episode
    actions: Tensor  # (B, H, 54), for t+1 .. t+H
    action_mask: Tensor  # (B, H), inside the episode

    def to(self, device: torch.device) -> "Batch":
        """The same batch elsewhere."""
        return Batch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def __len__(self) -> int:
        return len(self.state)


class Windows:
    """Every window of a list of episodes, by number."""

    def __init__(self, episodes: Sequence[TrainingEpisode], statistics: Statistics, settings: WindowSettings) -> None:
        """Check that the episodes fit the network.

        Raises:
            EpisodeError: No episodes, features of another shape, or features at frames that the future needs not.
        """
        if not episodes:
            raise EpisodeError("expected at least one episode to take windows from, got none")
        for episode in episodes:
            _, views, *shape = episode.features.shape
            if views < settings.views or tuple(shape) != settings.features[1:]:
                raise EpisodeError(f"expected features of shape (N, {settings.features}), got {episode.features.shape}")
            if settings.frames and settings.stride % episode.every:
                raise EpisodeError(
                    f"features of every {episode.every} frames cannot show the future every {settings.stride} frames; "
                    f"cache them with a stride that divides {settings.stride}"
                )
        self.episodes, self.statistics, self.settings = list(episodes), statistics, settings
        self.index = [(number, row) for number, each in enumerate(episodes) for row in range(len(each.features))]
        self._feature_mean = torch.from_numpy(statistics.feature_mean)
        self._feature_scale = 1 / torch.from_numpy(statistics.feature_std)

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, numbers: Sequence[int]) -> Batch:
        """The windows with these numbers."""
        windows = [self._window(*self.index[number]) for number in numbers]
        return Batch(*(torch.stack(part) for part in zip(*windows, strict=True)))

    def _window(self, number: int, row: int) -> tuple[Tensor, ...]:
        """Features, state, future, its mask, actions, their mask of one window, normalised."""
        episode, last = self.episodes[number], len(self.episodes[number].features) - 1
        time = row * episode.every
        rows = row + np.arange(1, self.settings.frames + 1) * (self.settings.stride // episode.every)
        future = pool_grid(self._features(episode, np.minimum(rows, last)), self.settings.pool)  # (T, V, gh', gw', C)
        times = time + np.arange(self.settings.horizon)
        actions = episode.action[np.minimum(times, len(episode.action) - 1)]
        return (
            self._features(episode, np.array([row]))[0],
            _tensor(self.statistics.numbers.normalize(episode.state[time])),
            future.flatten(2, 3).transpose(0, 1),
            torch.from_numpy(rows <= last),
            _tensor(self.statistics.numbers.normalize(actions)),
            torch.from_numpy(times < len(episode.action)),
        )

    def _features(self, episode: TrainingEpisode, rows: NDArray[np.integer]) -> Tensor:
        raw = torch.from_numpy(np.asarray(episode.features[rows, : self.settings.views]))
        return (raw.float() - self._feature_mean) * self._feature_scale


def load_episodes(root: Path, cache: FeatureCache) -> list[TrainingEpisode]:
    """The episodes of a dataset with their cached features."""
    dataset = Episodes.open(root)
    episodes = []
    for number in range(len(dataset)):
        data = dataset.episode(number)
        episodes.append(TrainingEpisode(cache.features(number), data.state, data.action, cache.every))
    return episodes


def split_episodes(count: int, held_out: float, seed: int) -> tuple[list[int], list[int]]:
    """Numbers of the episodes to train on and of those held out for validation, both sorted.

    At least one is held out if `held_out` is positive and there are two or more.
    """
    if not 0 <= held_out < 1:
        raise ValueError(f"expected a held-out share in [0, 1), got {held_out}")
    out = round(held_out * count)
    if held_out > 0 and count > 1:
        out = min(max(out, 1), count - 1)
    order = np.random.default_rng(seed).permutation(count)
    return sorted(order[out:].tolist()), sorted(order[:out].tolist())


def sample_numbers(count: int, size: int, step: int, seed: int) -> list[int]:
    """The windows of a training step: every window once an epoch, in an order that depends on nothing but the seed."""
    places = range(step * size, (step + 1) * size)
    return [int(_epoch_order(count, place // count, seed)[place % count]) for place in places]


@lru_cache(maxsize=4)
def _epoch_order(count: int, epoch: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(count)


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.asarray(array, dtype=np.float32))
