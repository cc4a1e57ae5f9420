"""Where the recordings are below a folder."""

from collections.abc import Iterable
from pathlib import Path

from firsthand.bags.session import DISCARDED
from firsthand.bags.storage import METADATA
from firsthand.errors import BagError


def find_bags(paths: Iterable[Path]) -> list[Path]:
    """Every bag among or below some paths, each once, in the order of their names.

    Bags that were cut off are among them, discarded ones are not. Of a bag that was recovered as `NAME_recovered`, that
    one stands for both.

    Raises:
        BagError: A path does not exist, or there is no bag below it.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise BagError(f"no bag at {path}, and no folder of bags")
        below = [path] if _is_bag(path) else _below(path)
        if not below:
            raise BagError(f"{path} holds no bags; expected rosbag2 folders or .mcap files, at any depth")
        found |= dict.fromkeys(below)
    return [bag for bag in found if bag.with_name(f"{bag.name}_recovered") not in found]


def _below(folder: Path) -> list[Path]:
    bags = []
    for path in sorted(folder.iterdir()):
        if _is_bag(path):
            bags.append(path)
        elif path.is_dir() and path.name != DISCARDED and not path.is_symlink():
            bags += _below(path)
    return bags


def _is_bag(path: Path) -> bool:
    if path.is_file():
        return path.suffix == ".mcap"
    return (path / METADATA).is_file() or any(path.glob("*.mcap"))
