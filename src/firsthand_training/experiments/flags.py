"""A recipe as one would type it: arguments of `firsthand-lab train`, of which only what differs is said."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from firsthand_training.experiments.methods import Recipe
from firsthand_training.training.feature_cache import CacheSettings
from firsthand_training.training.methods.registry import describe_method
from firsthand_training.training.train import TrainSettings


def flags(recipe: Recipe) -> tuple[str, ...]:
    """Arguments that make `firsthand-lab train` follow a recipe."""
    method = recipe.train.method
    name = describe_method(method)["name"]
    return (
        *_differences(replace(recipe.train, method=TrainSettings().method), TrainSettings(), ""),
        *_differences(recipe.cache, CacheSettings(), "cache."),
        f"method:{name}",
        *_differences(method, type(method)(), "method."),
    )


def _differences(value: Any, default: Any, prefix: str) -> Iterator[str]:
    """The fields of one settings dataclass that are not as in another, as flags."""
    for field in fields(value):
        ours, theirs = getattr(value, field.name), getattr(default, field.name)
        if is_dataclass(ours):
            yield from _differences(ours, theirs, f"{prefix}{field.name}.")
        elif ours != theirs:
            yield from _flag(prefix + field.name, ours)


def _flag(name: str, value: Any) -> tuple[str, ...]:
    parent, _, last = name.replace("_", "-").rpartition(".")
    path = f"{parent}." if parent else ""
    if isinstance(value, bool):
        return (f"--{path}{'' if value else 'no-'}{last}",)
    values = value if isinstance(value, tuple) else (value,)
    return (f"--{path}{last}", *map(str, values))
