"""Launch files in ROS 2's own YAML: where they are, what arguments they take, and their entries."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from firsthand.errors import LaunchError
from firsthand.share import share_directory

SUFFIX = ".launch.yaml"


@dataclass(frozen=True)
class Argument:
    """Something that `name:=value` on the command line settles."""

    name: str
    default: str | None  # as written, with its substitutions; None if it must be given
    description: str
    choices: tuple[str, ...]


def find_launch_file(name: str) -> Path:
    """A launch file of ours by name (`rollout`), or any by path.

    Raises:
        LaunchError: There is none.
    """
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        return Path(name).resolve()
    folder = share_directory() / "launch"
    path = folder / f"{name.removesuffix(SUFFIX)}{SUFFIX}"
    if not path.is_file():
        known = sorted(one.name.removesuffix(SUFFIX) for one in folder.glob(f"*{SUFFIX}"))
        raise LaunchError(f"no launch file {name!r}; there are {', '.join(known) or 'none'}, or give a path to a .yaml")
    return path


def read_arguments(path: Path) -> tuple[Argument, ...]:
    """The arguments that a launch file declares, groups included, other files not."""
    found: list[Argument] = []

    def visit(entries: list[Any]) -> None:
        for entry in entries:
            kind, body = only_item(entry, path)
            if kind == "arg":
                found.append(read_argument(body))
            elif kind == "group":
                visit(body if isinstance(body, list) else body.get("children", []))

    visit(read_entries(path))
    return tuple(found)


def read_argument(body: dict[str, Any]) -> Argument:
    """What an `arg` entry declares."""
    check_keys(body, "arg", {"name", "default", "description", "choice"})
    default = body.get("default")
    choices = tuple(str(one["value"]) for one in body.get("choice", []))
    return Argument(body["name"], None if default is None else str(default), body.get("description", ""), choices)


def read_entries(path: Path) -> list[Any]:
    """The entries of a launch file.

    Raises:
        LaunchError: It cannot be read, or is no launch file.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise LaunchError(f"cannot read launch file {path}: {error}") from error
    if not isinstance(content, dict) or list(content) != ["launch"] or not isinstance(content["launch"], list):
        raise LaunchError(f"{path} is no launch file: it needs one key, launch, with a list of entries")
    return content["launch"]


def only_item(entry: Any, path: Path) -> tuple[str, Any]:
    """The word of an entry (`node`, `arg`) and what belongs to it."""
    if not isinstance(entry, dict) or len(entry) != 1:
        raise LaunchError(f"{path.name}: each entry is one word with what belongs to it (`- node: ...`); got {entry!r}")
    ((kind, body),) = entry.items()
    return kind, body


def check_keys(body: dict[str, Any], kind: str, known: set[str]) -> None:
    """Refuse what an entry says beyond what we understand, conditions aside."""
    unknown = set(body) - known - {"if", "unless"}
    if unknown:
        raise LaunchError(f"{kind} has no {', '.join(sorted(unknown))} in firsthand launch; it has {sorted(known)}")
