"""The methods by name: what `firsthand-lab train` offers, and what training states are rebuilt from."""

from dataclasses import asdict
from typing import Annotated, Any, TypeAlias

import tyro

from firsthand.errors import CheckpointError
from firsthand_training.training.methods.act import ActMethod
from firsthand_training.training.methods.hat import HatMethod
from firsthand_training.training.methods.interface import Method
from firsthand_training.training.methods.world_model import WorldModelMethod

AnyMethod: TypeAlias = (
    Annotated[WorldModelMethod, tyro.conf.subcommand("world-model")]
    | Annotated[HatMethod, tyro.conf.subcommand("hat")]
    | Annotated[ActMethod, tyro.conf.subcommand("act")]
)
"""One settings class per method, joined by |, each with the name of its subcommand."""

METHODS: dict[str, Any] = {"world-model": WorldModelMethod, "hat": HatMethod, "act": ActMethod}
"""The same classes by name."""


def describe_method(method: Method) -> dict[str, Any]:
    """A method as plain JSON: its name and its settings."""
    name = next((name for name, kind in METHODS.items() if kind is type(method)), None)
    if name is None:
        raise CheckpointError(f"{type(method).__name__} is not among the methods {', '.join(METHODS)}; register it")
    return {"name": name, **asdict(method)}  # type: ignore[call-overload]


def rebuild_method(description: dict[str, Any]) -> Method:
    """The method that `describe_method` described.

    Raises:
        CheckpointError: A name or a setting that this version does not know.
    """
    settings = {key: value for key, value in description.items() if key != "name"}
    kind = METHODS.get(description.get("name", ""))
    if kind is None:
        raise CheckpointError(f"no method {description.get('name')!r}; there are {', '.join(METHODS)}")
    try:
        method: Method = _build(kind, settings)
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"settings that this version of {description['name']} does not know: {error}") from error
    return method


def _build(kind: Any, values: dict[str, Any]) -> Any:
    """A settings dataclass from nested dictionaries."""
    nested = {
        name: _build(type(getattr(kind(), name)), value) if isinstance(value, dict) else value
        for name, value in values.items()
    }
    return kind(**nested)
