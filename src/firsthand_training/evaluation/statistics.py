"""Honest numbers: proportions with intervals, latencies with percentiles."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike


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


def percentiles(values: ArrayLike) -> dict[str, float]:
    """p50, p95 and p99 of some measurements, NaN where there are none."""
    values = np.asarray(values, dtype=float)
    names = {"p50": 50, "p95": 95, "p99": 99}
    if values.size == 0:
        return dict.fromkeys(names, math.nan)
    return {name: float(np.percentile(values, q)) for name, q in names.items()}
