"""Training windows: what is seen at t, what will be seen at t+r .. t+H, what is done from t on.

Window t of an episode has the features and the state at t, the rows t .. t+H-1 of `action` (row i is the target for
frame i+1) seen from F_R at t, and the pooled features at t+r, t+2r, .., t+H. Beyond the end of an episode the last row
is repeated and the masks say so. Batches are normalised: numbers by mean and floored spread, features per channel.

An episode with a pace other than 1 (`speed.py`) has its targets read between frames, and its future features from the
cached frame nearest in time; where that is half a frame or more away, there is none and the mask says so.

Shapes: N frames, B batch, V views, gh x gw patches of C numbers, P pooled patches, T predicted frames, H actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firsthand.errors import EpisodeError
from firsthand.space.hand_state import SIZE
from firsthand.space.normalization import Normalization
from firsthand.vision.dinov2_graph import IMAGENET_MEAN, IMAGENET_STD
from firsthand_training.episodes.read import Episodes
from firsthand_training.episodes.targets import in_frame_of
from firsthand_training.models.layers import pool_grid
from firsthand_training.training.feature_cache import FeatureCache
from firsthand_training.training.speed import between_frames

Array = NDArray[np.floating]


@dataclass(frozen=True)
class TrainingEpisode:
    """One demonstration as the network sees it. Only every `every`-th frame has features."""

    features: NDArray[np.float16 | np.uint8]  # (ceil(N / every), V, gh, gw, C), usually memory-mapped
    state: Array  # (N, 54)
    action: Array  # (N, 54), commanded for the next frame
    every: int = 1
    pace: float = 1.0  # frames of the recording that pass in one step of the run; below 1 it is slowed down
    quality: Array | None = None  # (N,), 0 to 1, how far the hand state of a frame is to be believed
    origin: Array | None = None  # (N, 3), [m], where the F_R of each frame is; None if it stays where it is
    variants: tuple[
        NDArray[np.float16 | np.uint8], ...
    ] = ()  # the same features under other light, see feature_cache.py

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        frames = len(self.state)
        if self.state.shape != (frames, SIZE) or self.action.shape != (frames, SIZE):
            raise EpisodeError(f"expected (N, {SIZE}) states and actions, got {self.state.shape}, {self.action.shape}")
        for features in (self.features, *self.variants):
            if len(features) != -(-frames // self.every):
                raise EpisodeError(
                    f"expected features of {-(-frames // self.every)} frames (every {self.every} of {frames}), "
                    f"got {len(features)}; delete the cache and make it again"
                )
        if self.pace <= 0:
            raise EpisodeError(f"expected a pace above 0 frames a step, got {self.pace}")
        if self.quality is not None and not (
            self.quality.shape == (frames,) and (self.quality >= 0).all() and (self.quality <= 1).all()
        ):
            raise EpisodeError(f"expected a quality from 0 to 1 for each of {frames} frames, got {self.quality}")
        if self.origin is not None and self.origin.shape != (frames, 3):
            raise EpisodeError(f"expected the origin of F_R for each of {frames} frames, got {self.origin.shape}")

    def targets(self, time: int, horizon: int) -> tuple[Array, NDArray[np.bool_], Array]:
        """What to do from a frame on: actions (H, 54), which lie inside (H,), and how far each counts (H,)."""
        due = time + self.pace * np.arange(1, horizon + 1)  # [frames], when each target is to be reached
        inside = due <= len(self.action) + 1e-9
        rows = np.minimum(time + np.arange(horizon), len(self.action) - 1)
        if self.pace == 1:
            actions = self._in_frame(time, self.action[rows], rows)
        else:
            rows = np.arange(time, min(time + int(np.ceil(self.pace * horizon)) + 1, len(self.action)))
            path = np.concatenate([self.state[time, None], self._in_frame(time, self.action[rows], rows)])
            actions = between_frames(path, due - time)
        if self.quality is None:
            return actions, inside, inside.astype(float)
        return actions, inside, inside * self.quality[np.minimum(np.rint(due).astype(int), len(self.quality) - 1)]

    def _in_frame(self, time: int, actions: Array, rows: NDArray[np.integer]) -> Array:
        """Rows of `action`, each in the F_R of its own time, in the F_R of a time: only its origin ever moves."""
        return actions if self.origin is None else in_frame_of(actions, self.origin[rows], self.origin[time])

    def rows_ahead(self, row: int, steps: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.bool_]]:
        """Rows of the features that show what is seen some steps after a row (steps,), and whether they really do."""
        due = row + self.pace * steps / self.every
        rows = np.rint(due).astype(int)
        last = len(self.features) - 1
        return np.minimum(rows, last), (rows <= last) & (np.abs(rows - due) * self.every < 0.5)


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
    def fit(cls, episodes: Sequence[TrainingEpisode]) -> "Statistics":
        """Statistics of episodes of one embodiment."""
        return cls(fit_numbers(episodes), *fit_features(episodes))


def fit_numbers(episodes: Sequence[TrainingEpisode]) -> Normalization:
    """Mean and floored spread of all states and actions together."""
    return Normalization.fit(np.concatenate([part for each in episodes for part in (each.state, each.action)]))


def fit_features(
    episodes: Sequence[TrainingEpisode], frames: int = 2000
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and spread of each channel, (C,), from every n-th frame of all episodes in a row, `frames` at most.

    Pictures (uint8) get the scale that networks trained on ImageNet expect.
    """
    if all(episode.features.dtype == np.uint8 for episode in episodes):
        return 255 * np.array(IMAGENET_MEAN, np.float32), 255 * np.array(IMAGENET_STD, np.float32)
    share = max(1, ceil(sum(len(episode.features) for episode in episodes) / frames))
    channels = episodes[0].features.shape[-1]
    seen, patches, sums, squares = 0, 0, np.zeros(channels), np.zeros(channels)
    for episode in episodes:  # one at a time: all of them together may not fit into memory
        sample = episode.features[-seen % share :: share].astype(float).reshape(-1, channels)
        seen, patches = seen + len(episode.features), patches + len(sample)
        sums += sample.sum(axis=0)
        squares += np.einsum("nc,nc->c", sample, sample)
    mean = sums / patches
    std = np.sqrt(np.maximum(squares / patches - mean**2, 0))
    return mean.astype(np.float32), np.maximum(std, 1e-3).astype(np.float32)


@dataclass(frozen=True)
class Counts:
    """How many targets of some windows teach something: what masked losses are divided by."""

    windows: int
    actions: Tensor  # (), steps with a weight above 0
    future: Tensor  # (T,), windows that show each future frame


@dataclass(frozen=True)
class Batch:
    """Normalised windows."""

    features: Tensor  # (B, V, gh, gw, C), at t
    state: Tensor  # (B, 54), at t
    future: Tensor  # (B, V, T, P, C), pooled, at t+r .. t+H
    future_mask: Tensor  # (B, T), inside the episode
    actions: Tensor  # (B, H, 54), for t+1 .. t+H
    action_mask: Tensor  # (B, H), inside the episode
    action_weight: Tensor  # (B, H), how far each step counts: quality of its label, 0 beyond the episode
    whole: Counts | None = None  # of the batch that this is a micro-batch of; None: this is all of it

    @classmethod
    def stack(cls, windows: Sequence[tuple[Tensor, ...]]) -> "Batch":
        """Windows from `Windows.window` as one batch."""
        parts: list[Any] = [torch.stack(part) for part in zip(*windows, strict=True)]
        return cls(*parts)

    def to(self, device: torch.device) -> "Batch":
        """The same batch elsewhere."""
        tensors = [field.name for field in fields(self) if isinstance(getattr(self, field.name), Tensor)]
        moved: dict[str, Any] = {name: getattr(self, name).to(device) for name in tensors}
        return replace(self, **moved)

    def counts(self) -> Counts:
        """How many targets teach something."""
        return Counts(len(self), (self.action_weight > 0).sum(), self.future_mask.sum(dim=0))

    def divisors(self) -> tuple[Tensor, Tensor]:
        """What sums over the targets of this micro-batch are divided by: for actions (), for future frames (T,).

        The targets of the whole batch, for as much of it as this is: losses of micro-batches, averaged by their numbers
        of windows, are then the loss of the batch, however unevenly its targets lie in them.
        """
        whole = self.whole or self.counts()
        share = len(self) / whole.windows
        return share * whole.actions.to(self.state.device), share * whole.future.to(self.state.device)

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
            if settings.frames and episode.pace == 1 and settings.stride % episode.every:
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

    def batch(self, numbers: Sequence[int], variants: Sequence[int] | None = None) -> Batch:
        """The windows with these numbers, as filmed.

        Args:
            numbers: Which windows.
            variants: Whole numbers that choose a light for each window where its episode has variants: 0 is as filmed,
                and they count on from there, round and round.
        """
        lights = [0] * len(numbers) if variants is None else variants
        return Batch.stack([self.window(number, light) for number, light in zip(numbers, lights, strict=True)])

    def future_share(self) -> float:
        """Share of the future frames that the features show; the rest lies beyond the end or between cached frames."""
        steps = self.settings.stride * np.arange(1, self.settings.frames + 1)
        shown = [self.episodes[number].rows_ahead(row, steps)[1] for number, row in self.index]
        return float(np.mean(shown)) if self.settings.frames else 1.0

    def window(self, number: int, light: int = 0) -> tuple[Tensor, ...]:
        """The parts of a `Batch` for one window, normalised."""
        (index, row), settings = self.index[number], self.settings
        episode = self.episodes[index]
        lights = (episode.features, *episode.variants)
        features = lights[light % len(lights)]
        rows, shown = episode.rows_ahead(row, settings.stride * np.arange(1, settings.frames + 1))
        future = pool_grid(self._normalized(features[rows]), settings.pool)  # (T, V, gh', gw', C)
        time = row * episode.every
        actions, inside, weight = episode.targets(time, settings.horizon)
        return (
            self._normalized(features[row]),
            _tensor(self.statistics.numbers.normalize(episode.state[time])),
            future.flatten(2, 3).transpose(0, 1),
            torch.from_numpy(shown),
            _tensor(self.statistics.numbers.normalize(actions)),
            torch.from_numpy(inside),
            _tensor(weight),
        )

    def _normalized(self, features: NDArray[np.float16 | np.uint8]) -> Tensor:
        """The first views of (..., V, gh, gw, C) features."""
        views = features[..., : self.settings.views, :, :, :]
        raw = torch.from_numpy(np.require(views, requirements="W"))  # a copy if it is a view of the file
        return (raw.float() - self._feature_mean) * self._feature_scale


def load_episodes(root: Path, cache: FeatureCache) -> list[TrainingEpisode]:
    """The episodes of a dataset with their cached features.

    Raises:
        EpisodeError: One of them is missing or damaged, or the features are of another dataset.
    """
    dataset = Episodes.open(root)
    cache.check_dataset(dataset)
    episodes = []
    for number in range(len(dataset)):
        data, features = dataset.episode(number), cache.features(number)
        variants = tuple(cache.features(number, variant) for variant in range(1, cache.description.variants + 1))
        episodes.append(
            TrainingEpisode(
                features,
                data.state,
                data.action,
                cache.every,
                quality=data.quality,
                origin=data.origin,
                variants=variants,
            )
        )
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


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.asarray(array, dtype=np.float32))
