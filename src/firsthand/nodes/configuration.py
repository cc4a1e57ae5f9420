"""The files in `config/`: every parameter of every node with its default and what it means, written from the code.

`python -m firsthand.nodes.configuration` writes them anew after a node's settings have changed; a test compares them.
"""

import dataclasses
import importlib
import sys
from pathlib import Path

import yaml

from firsthand.errors import LaunchError
from firsthand.nodes.parameters import Setting, list_settings
from firsthand.share import share_directory

NODES = (
    "camera",
    "features",
    "policy",
    "kinematics",
    "body",
    "recorder",
    "player",
    "headset",
    "fake_headset",
    "teleop",
    "pedal",
)
WIDTH = 120


def settings_class_of(node: str) -> type:
    """The one dataclass named ...Settings that a node's module defines.

    Raises:
        LaunchError: There is none, or more than one.
    """
    module = importlib.import_module(f"firsthand.nodes.{node}")
    classes = [one for name, one in vars(module).items() if name.endswith("Settings") and isinstance(one, type)]
    found = [one for one in classes if dataclasses.is_dataclass(one) and one.__module__ == module.__name__]
    if len(found) != 1:
        raise LaunchError(f"{module.__name__} needs one dataclass named ...Settings for its parameters; it has {found}")
    return found[0]


def config_text(node: str) -> str:
    """The content of `config/NODE.yaml`."""
    lines = [
        f"# Parameters of the node {node}, with their defaults.",
        "# Written by `python -m firsthand.nodes.configuration`; give another file of this form to use other values.",
        "/**:",
        "  ros__parameters:",
    ]
    for setting in list_settings(settings_class_of(node)):
        lines += [f"    # {setting.description}{_limits(setting)}", f"    {_line(setting)}"]
    return "\n".join(lines) + "\n"


def write_configuration(folder: Path) -> list[Path]:
    """Write every node's file; returns their paths."""
    paths = [folder / f"{node}.yaml" for node in NODES]
    for path in paths:
        path.write_text(config_text(path.stem), encoding="utf-8")
    return paths


def _line(setting: Setting) -> str:
    value = list(setting.default) if setting.many else setting.default
    block = yaml.safe_dump({setting.name: value}, default_flow_style=False, width=WIDTH).strip()
    return block.replace("\n", "\n    ")


def _limits(setting: Setting) -> str:
    if setting.choices:
        return f" One of {', '.join(map(str, setting.choices))}."
    low, high = setting.minimum, setting.maximum
    if low is None and high is None:
        return ""
    if low is None or high is None:
        return f" At least {low:.12g}." if high is None else f" At most {high:.12g}."
    return f" Between {low:.12g} and {high:.12g}."


def main() -> int:
    """Write the files of this source tree."""
    for path in write_configuration(share_directory() / "config"):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
