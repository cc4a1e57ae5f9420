"""Honest numbers: proportions with intervals, differences between methods on the same trials, percentiles."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Proportion:
    """Successes among trials with their Wilson score interval."""

    successes: int
    trials: int
    confidence: float = 0.95

    @property
    def rate(self) -> float:
        """Successes over trials."""
        return self.successes / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson score interval: it keeps its coverage at 0 and at 1, where the normal one collapses."""
        n, p = self.trials, self.rate
        z = NormalDist().inv_cdf(0.5 + self.confidence / 2)
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(centre - half, 0.0), min(centre + half, 1.0)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.rate:.2f} ({self.successes}/{self.trials}, {self.confidence:.0%} CI {low:.2f}-{high:.2f})"


def proportion(outcomes: Sequence[bool]) -> Proportion:
    """Count the successes among outcomes.

    Raises:
        ValueError: There are no outcomes.
    """
    if not outcomes:
        raise ValueError("expected at least one trial, got none")
    return Proportion(sum(map(bool, outcomes)), len(outcomes))


@dataclass(frozen=True)
class PairedDifference:
    """Two methods on the same trials: what counts are the trials on which they disagree."""

    better: int  # trials that only the first solved
    worse: int  # trials that only the second solved
    trials: int
    confidence: float = 0.95

    @property
    def rate(self) -> float:
        """Success rate of the first minus that of the second."""
        return (self.better - self.worse) / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """Adjusted Wald interval of the difference of paired proportions (Bonett and Price 2012)."""
        better, worse = (self.better + 1) / (self.trials + 2), (self.worse + 1) / (self.trials + 2)
        z = NormalDist().inv_cdf(0.5 + self.confidence / 2)
        half = z * math.sqrt((better + worse - (better - worse) ** 2) / (self.trials + 2))
        return max(better - worse - half, -1.0), min(better - worse + half, 1.0)

    @property
    def p_value(self) -> float:
        """Exact McNemar test, two-sided: how often a fair coin would disagree at least as unevenly."""
        disagreements, fewer = self.better + self.worse, min(self.better, self.worse)
        tail = sum(math.comb(disagreements, count) for count in range(fewer + 1)) / 2**disagreements
        return min(1.0, 2 * tail)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.rate:+.2f} ({self.confidence:.0%} CI {low:+.2f} to {high:+.2f}, McNemar p = {self.p_value:.2g})"


def paired_difference(first: Mapping[int, bool], second: Mapping[int, bool]) -> PairedDifference:
    """Compare two methods, each success by trial, on the trials that both have run.

    Raises:
        ValueError: They have no trial in common.
    """
    common = first.keys() & second.keys()
    if not common:
        raise ValueError(f"expected trials that both have run, got {len(first)} and {len(second)} with none in common")
    return PairedDifference(
        better=sum(first[trial] and not second[trial] for trial in common),
        worse=sum(second[trial] and not first[trial] for trial in common),
        trials=len(common),
    )


def percentiles(values: ArrayLike) -> dict[str, float]:
    """p50, p95 and p99 of some measurements, NaN where there are none."""
    values = np.asarray(values, dtype=float)
    names = {"p50": 50, "p95": 95, "p99": 99}
    if values.size == 0:
        return dict.fromkeys(names, math.nan)
    return {name: float(np.percentile(values, q)) for name, q in names.items()}


def bootstrap_interval(
    groups: Sequence[NDArray[np.floating]],
    statistic: Callable[[NDArray[np.floating]], float],
    confidence: float = 0.95,
    draws: int = 1000,
) -> tuple[float, float]:
    """Percentile interval of a statistic of measurements that come in groups, whole groups drawn with replacement.

    The frames of one clip are alike; only another clip is another trial.

    Args:
        groups: The measurements of each clip, one or more.
        statistic: Of all measurements together, (M,) to a number.
        confidence: Of the interval.
        draws: Of the bootstrap, from a fixed seed.

    Raises:
        ValueError: There are no groups.
    """
    if not groups:
        raise ValueError("expected at least one group of measurements, got none")
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(groups), size=(draws, len(groups)))
    values = [statistic(np.concatenate([groups[index] for index in row])) for row in drawn]
    low, high = np.percentile(values, [50 * (1 - confidence), 50 * (1 + confidence)])
    return float(low), float(high)
