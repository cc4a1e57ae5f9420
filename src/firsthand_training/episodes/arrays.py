"""Named arrays in a file: read whole, or refused in words."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    SyntaxError,
    RuntimeError,
    BadZipFile,
    zlib.error,
    struct.error,
)
"""What reading a damaged .npz raises."""


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Those of the named arrays that a file has; nothing in it is unpickled.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged; the message says how.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            return {name: data[name] for name in names if name in data}
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        raise ValueError(f"{error}" or type(error).__name__) from error
