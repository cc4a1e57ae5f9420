"""Where the files beside the code live: urdf/, config/, launch/, checkpoints/, pictures/; and what is built from them.

The same call works in a source tree, after `pip install .` and in a colcon workspace.
"""

import os
import sys
from pathlib import Path

SOURCE_TREE = Path(__file__).resolve().parents[2]


def share_directory() -> Path:
    """The folder that holds `urdf/`, `config/`, `launch/`, `checkpoints/` and `pictures/`.

    Raises:
        FileNotFoundError: Neither a source tree nor an installed share folder is there.
    """
    candidates = [SOURCE_TREE, *(Path(prefix) / "share" / "firsthand" for prefix in _prefixes())]
    for candidate in candidates:
        if (candidate / "urdf").is_dir() and (candidate / "package.xml").is_file():
            return candidate
    raise FileNotFoundError(
        f"no firsthand share folder; looked in {', '.join(map(str, candidates))}. "
        "Reinstall the package, or source the workspace it was built in."
    )


def cache_directory() -> Path:
    """Where graphs built on this machine are kept: $FIRSTHAND_CACHE, else the user's cache folder."""
    if override := os.environ.get("FIRSTHAND_CACHE"):
        return Path(override)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "firsthand"


def _prefixes() -> list[Path]:
    """Install prefixes, nearest first: that of this file (venv, colcon), then the interpreter's."""
    of_this_file = [parent.parent for parent in Path(__file__).resolve().parents if parent.name == "lib"]
    return [*of_this_file, Path(sys.prefix)]
