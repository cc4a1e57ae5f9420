"""Where a package's programs are: `lib/firsthand` of a colcon workspace, or beside the interpreter that pip used."""

import os
import sys
from pathlib import Path

from firsthand.errors import LaunchError
from firsthand.launching.substitutions import PACKAGE
from firsthand.share import share_directory


def find_executable(package: str, name: str) -> Path:
    """The program that `ros2 launch` would start for `pkg` and `exec`.

    Raises:
        LaunchError: Another package, or no such program.
    """
    if package != PACKAGE:
        raise LaunchError(
            f"firsthand launch starts nodes of {PACKAGE!r}, not of {package!r}; ros2 launch starts them all"
        )
    folders = [share_directory().parents[1] / "lib" / PACKAGE, Path(sys.executable).parent]
    for folder in folders:
        if os.access(folder / name, os.X_OK):
            return folder / name
    raise LaunchError(
        f"no program {name!r} in {' or '.join(map(str, folders))}; install firsthand with its entry points"
    )
