"""Statistics as LeRobotDataset v3 keeps them: per episode in meta/episodes, for all of them in stats.json."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Stats = dict[str, NDArray[np.floating]]
"""min, max, mean, std, count and quantiles of one feature; vectors (D,), images (3, 1, 1) in 0..1."""

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
PIXEL_STRIDE = 8  # every 8th row and column of an image counts


def column_stats(column: NDArray[Any]) -> Stats:
    """Statistics over the first axis of (N,) or (N, D)."""
    values = np.asarray(column, dtype=float).reshape(len(column), -1)
    quantiles = np.quantile(values, list(QUANTILES.values()), axis=0)
    return {
        "min": values.min(axis=0),
        "max": values.max(axis=0),
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
        "count": np.array([len(values)]),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


class ImageStats:
    """Statistics of a stream of images out of one histogram per channel."""

    def __init__(self) -> None:
        self._histogram = np.zeros((3, 256), dtype=np.int64)
        self._frames = 0

    def add(self, image: NDArray[np.uint8]) -> None:
        """Count the pixels of one (H, W, 3) image."""
        pixels = image[::PIXEL_STRIDE, ::PIXEL_STRIDE].reshape(-1, 3)
        for channel, histogram in enumerate(self._histogram):
            histogram += np.bincount(pixels[:, channel], minlength=256)
        self._frames += 1

    def result(self) -> Stats:
        """The statistics so far."""
        levels = np.arange(256) / 255.0
        weights = self._histogram / self._histogram.sum(axis=1, keepdims=True)
        cumulative = np.cumsum(weights, axis=1)
        mean = weights @ levels
        return {
            "min": _per_channel(levels[np.argmax(weights > 0, axis=1)]),
            "max": _per_channel(levels[255 - np.argmax(weights[:, ::-1] > 0, axis=1)]),
            "mean": _per_channel(mean),
            "std": _per_channel(np.sqrt(np.maximum(weights @ levels**2 - mean**2, 0.0))),
            "count": np.array([self._frames]),
            **{name: _per_channel(levels[np.argmax(cumulative >= q, axis=1)]) for name, q in QUANTILES.items()},
        }


def merge_stats(parts: list[Stats]) -> Stats:
    """Statistics of the union: exact, except for the quantiles, which are the weighted mean of the parts'."""
    counts = np.array([float(part["count"][0]) for part in parts])
    weights = counts / counts.sum()
    mean = _weighted(parts, "mean", weights)
    second_moment = sum(
        w * (part["std"] ** 2 + (part["mean"] - mean) ** 2) for w, part in zip(weights, parts, strict=True)
    )
    return {
        "min": np.min([part["min"] for part in parts], axis=0),
        "max": np.max([part["max"] for part in parts], axis=0),
        "mean": mean,
        "std": np.sqrt(second_moment),
        "count": np.array([int(counts.sum())]),
        **{name: _weighted(parts, name, weights) for name in QUANTILES},
    }


def to_json(stats: dict[str, Stats]) -> dict[str, Any]:
    """Nested lists, for stats.json."""
    return {key: {name: value.tolist() for name, value in part.items()} for key, part in stats.items()}


def from_json(stats: dict[str, Any]) -> dict[str, Stats]:
    """The inverse of `to_json`."""
    return {key: {name: np.asarray(value) for name, value in part.items()} for key, part in stats.items()}


def _weighted(parts: list[Stats], name: str, weights: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.tensordot(weights, np.stack([part[name] for part in parts]), axes=1)


def _per_channel(values: NDArray[np.floating]) -> NDArray[np.floating]:
    return values.reshape(3, 1, 1)
