"""Files that are whole when they exist: written beside their name, fsynced, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"
"""What the name of an unfinished file ends with; no loader's pattern matches it."""


@contextmanager
def whole_file(path: Path, shared: bool = False) -> Iterator[Path]:
    """Yield a temporary path; on a clean exit it becomes `path`, on an exception it is removed.

    Args:
        path: The file.
        shared: Whether several processes may write it at once; the temporary name then is this process's own.
    """
    partial = partial_path(path.with_name(f"{path.name}.{os.getpid()}") if shared else path)
    try:
        yield partial
        put_in_place(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def partial_path(path: Path) -> Path:
    """The name that `path` has while it is being written; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(path.name + PARTIAL)


def put_in_place(partial: Path, path: Path) -> None:
    """Rename a finished file so that a crash at any moment leaves the old one or the new one."""
    _fsync(partial)
    os.replace(partial, path)
    _fsync(path.parent)


def fsync_tree(root: Path) -> None:
    """Put every file and folder below `root` on disk."""
    for path in [*root.rglob("*"), root]:
        _fsync(path)


def write_text(path: Path, text: str, shared: bool = False) -> None:
    """Replace a small file at once; `shared` as of `whole_file`."""
    with whole_file(path, shared) as partial:
        partial.write_text(text, encoding="utf-8")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
