"""Where training data comes from: datasets of robots, of people and of video labels, brought to one clock and mixed.

The windows of a batch are dealt out source by source in fixed shares, every window of a source once an epoch. Which
window stands at which place follows from the seed and the place alone, so any process can make any part of any batch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from math import ceil, floor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from firsthand.errors import EpisodeError
from firsthand_training.episodes.read import Episodes
from firsthand_training.training.feature_cache import FeatureCache
from firsthand_training.training.speed import WristSpeed, estimate_slow_down, wrist_speed
from firsthand_training.training.windows import (
    Batch,
    Statistics,
    TrainingEpisode,
    Windows,
    fit_features,
    fit_numbers,
    load_episodes,
)

EMBODIMENTS = ("robot", "human", "video")


@dataclass(frozen=True)
class MixtureSettings:
    """How datasets of robots, of people and of video labels go together; `robot_type` tells them apart."""

    robot: float = 1.0
    """Share of a batch that is a robot's, against the other two; embodiments without data are left out."""
    human: float = 1.0
    video: float = 1.0
    slow_down: float | Literal["auto"] = "auto"
    """How many times longer people take than they did; auto: until their wrists are as fast as the robot of the run."""

    def __post_init__(self) -> None:
        """Refuse shares and factors that mean nothing."""
        for name in EMBODIMENTS:
            if getattr(self, name) < 0:
                raise ValueError(f"expected a share of {name} data of at least 0, got {getattr(self, name)}")
        if self.slow_down != "auto" and not self.slow_down > 0:
            raise ValueError(f"expected a slow-down above 0, or auto, got {self.slow_down}")


@dataclass(frozen=True)
class Source:
    """Demonstrations of one embodiment, on the clock of the run."""

    name: str  # in logs
    embodiment: str
    episodes: Sequence[TrainingEpisode]
    weight: float = 1.0  # share of a batch against the other sources
    note: str = ""  # what was done to it, in words

    def __post_init__(self) -> None:
        """Refuse a source that nothing can be drawn from."""
        if not self.episodes or self.weight <= 0:
            raise EpisodeError(
                f"expected episodes and a weight above 0 of {self.name}, got {len(self.episodes)} and {self.weight}"
            )


def load_sources(
    datasets: Sequence[tuple[Path, Path]], settings: MixtureSettings
) -> tuple[list[Source], dict[str, Any]]:
    """Datasets with their feature caches as sources, people slowed down to the robot.

    Args:
        datasets: Root of each dataset and its cache, from `cache_features`.
        settings: Shares and slow-down.

    Returns:
        The sources, and what is to be remembered of where they come from.

    Raises:
        EpisodeError: A dataset or cache is missing, they do not fit together, or a share is 0.
    """
    if not datasets:
        raise EpisodeError("expected at least one dataset to train on, got none")
    loaded = [_load(root, cache) for root, cache in datasets]
    _check_one_encoder([each.cache for each in loaded])
    reference = next((each for each in loaded if each.kind == "robot"), loaded[0])
    sources, remembered = [], []
    for number, each in enumerate(loaded):
        same = [other for other in loaded if other.kind == each.kind]
        factor = _slow_down(each, reference, settings)
        pace = each.data.fps / (reference.data.fps * factor)
        source = Source(
            name=each.kind if len(same) == 1 else f"{each.kind}-{sum(o in same for o in loaded[: number + 1])}",
            embodiment=each.kind,
            episodes=[replace(episode, pace=pace) for episode in each.episodes],
            weight=getattr(settings, each.kind) * each.count / sum(other.count for other in same),
            note=_note(each, reference, factor),
        )
        sources.append(source)
        remembered.append(each.describe(source, factor))
    totals = {name: sum(each[name] for each in remembered) for name in ("episodes", "frames")}
    cache = {**asdict(reference.cache.description), "fps": reference.data.fps}
    for name in ("episodes", "dataset_sha256"):  # of one dataset, which its source remembers
        del cache[name]
    return sources, {**totals, "sources": remembered, "cache": cache}


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A dataset and its features."""

    data: Episodes
    cache: FeatureCache
    kind: str
    episodes: list[TrainingEpisode]
    speed: WristSpeed

    @property
    def count(self) -> int:
        """Windows."""
        return sum(len(each.features) for each in self.episodes)

    def describe(self, source: Source, slow_down: float) -> dict[str, Any]:
        """What is to be remembered."""
        digest = self.cache.description.dataset_sha256
        return {
            "name": source.name,
            "dataset": self.data.root.name,
            "robot_type": self.data.info.get("robot_type"),
            "episodes": len(self.data),
            "frames": self.data.frame_count,
            "fps": self.data.fps,
            "weight": source.weight,
            "slow_down": slow_down,
            "wrist_speed": asdict(self.speed),
            **({"dataset_sha256": digest} if digest else {}),  # runs on caches without one go on as they began
        }


def _note(source: _Loaded, reference: _Loaded, factor: float) -> str:
    if factor == 1:
        return ""
    speeds = f"wrists {source.speed.median:.3f} m/s, those of {reference.kind} {reference.speed.median:.3f} m/s"
    return f", slowed down {factor:.2f} times ({speeds})"


def _load(root: Path, cache_root: Path) -> _Loaded:
    data, cache = Episodes.open(root), FeatureCache.open(cache_root)
    episodes = load_episodes(root, cache)
    return _Loaded(data, cache, data.embodiment, episodes, wrist_speed([each.state for each in episodes], data.fps))


def _slow_down(source: _Loaded, reference: _Loaded, settings: MixtureSettings) -> float:
    """1 for robots, and for people while no robot says how fast it is."""
    if source.kind == "robot":
        return 1.0
    if settings.slow_down != "auto":
        return settings.slow_down
    return estimate_slow_down(source.speed, reference.speed) if reference.kind == "robot" else 1.0


def fit_statistics(
    episodes: Sequence[tuple[str, Sequence[TrainingEpisode]]], start: dict[str, Statistics] | None = None
) -> dict[str, Statistics]:
    """Statistics of each embodiment: its own for the 54 numbers, common ones for the features, which one encoder makes.

    Args:
        episodes: What is trained on, source by source, with the embodiment.
        start: Statistics of a run that this one goes on from; its features' are kept, as are those of the embodiments
            that it knew, because the weights were made for them.
    """
    known = dict(start or {})
    if known:
        earlier = next(iter(known.values()))
        features = earlier.feature_mean, earlier.feature_std
    else:
        features = fit_features([each for _, part in episodes for each in part])
    for kind in dict.fromkeys(kind for kind, _ in episodes):
        if kind not in known:
            mine = [each for other, part in episodes if other == kind for each in part]
            known[kind] = Statistics(fit_numbers(mine), *features)
    return known


class Mixture:
    """Windows of several sources, dealt out in fixed shares."""

    def __init__(self, windows: Sequence[Windows], weights: Sequence[float], seed: int) -> None:
        """Mix windows.

        Args:
            windows: Of each source.
            weights: Of each source; only their ratios count.
            seed: Of the order.
        """
        self.windows, self.seed = list(windows), seed
        self.shares = [weight / sum(weights) for weight in weights]

    def batch(self, places: range) -> Batch:
        """The windows at some places of the run: step n of B windows has the places n B .. (n + 1) B - 1."""
        dealt = zip(places, deal(self.shares, places.start, len(places)), strict=True)
        return Batch.stack([self._window(place, source, draw) for place, (source, draw) in dealt])

    def _window(self, place: int, source: int, draw: int) -> tuple[Tensor, ...]:
        windows = self.windows[source]
        light = int(np.random.default_rng((self.seed, place)).integers(2**31))
        return windows.window(sample_number(len(windows), draw, self.seed + source), light)


def deal(shares: Sequence[float], first: int, count: int) -> list[tuple[int, int]]:
    """Who is dealt out at the places first, first + 1, ..: (source, how many of it came before).

    Draw j of a source with share w is due at (j + 1/2) / w, and all draws come in the order of their due times. After
    any number of places each source has had its share, to less than one draw for each of the others.
    """
    sources = [number for number, share in enumerate(shares) if share > 0]
    early, late = first - len(shares) - 1, first + count + len(shares) + 1
    begin = {source: max(0, ceil(shares[source] * early - 0.5)) for source in sources}
    end = {source: floor(shares[source] * late - 0.5) + 2 for source in sources}
    due = sorted(
        ((draw + 0.5) / shares[source], source, draw)
        for source in sources
        for draw in range(begin[source], end[source])
    )
    skipped = first - sum(begin.values())
    return [(source, draw) for _, source, draw in due[skipped : skipped + count]]


def sample_number(count: int, draw: int, seed: int) -> int:
    """The window of a draw: every window once an epoch, in an order that depends on nothing but the seed."""
    return int(_epoch_order(count, draw // count, seed)[draw % count])


@lru_cache(maxsize=16)
def _epoch_order(count: int, epoch: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(count)


def _check_one_encoder(caches: Iterable[FeatureCache]) -> None:
    made = {(each.description.encoder, each.description.source_sha256, each.description.image_size) for each in caches}
    if len(made) > 1:
        raise EpisodeError(f"features of different encoders or sizes do not mix: {sorted(made)}; cache them alike")
