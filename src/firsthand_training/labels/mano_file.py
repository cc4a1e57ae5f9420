"""Turn the licensed MANO_RIGHT.pkl into arrays that are read without running anything.

    python -m firsthand_training.labels.mano_file MANO_RIGHT.pkl mano_right.npz

The file is a Python 2 pickle of numpy, scipy and chumpy objects. A pickle may name any function to be called, so here
every name stands for an inert record of what it was given: nothing is imported, nothing is called, and only plain
numbers are decoded. So neither scipy nor chumpy is needed.
"""

import io
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand_training.episodes.durable import whole_file
from firsthand_training.labels.mano import FILE_SHAPES, JOINTS, SHAPE, Mano

Array = NDArray[np.floating]

LARGEST = 50_000_000  # [bytes], of a file
DTYPES = {"f4", "f8", "i4", "i8", "u4", "u8", "u1", "i1", "b1"}


def convert_mano(source: Path, output: Path) -> Path:
    """Write the arrays of a MANO_RIGHT.pkl; an output that exists is left alone.

    Raises:
        LabelError: It is missing, no such file, or holds no right hand.
    """
    if output.exists():
        return output
    try:
        content = source.read_bytes()
    except OSError as error:
        raise LabelError(f"cannot read {source}: {error.strerror}") from error
    arrays = mano_arrays(content, str(source))
    Mano(arrays)  # refuses what is no right hand
    with whole_file(output) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    return output


def mano_arrays(content: bytes, name: str) -> dict[str, Array]:
    """The arrays of `mano.FILE_SHAPES` from the bytes of a pickle.

    Raises:
        LabelError: It is no such pickle.
    """
    if len(content) > LARGEST:
        raise LabelError(f"{name} has {len(content)} bytes, expected a MANO hand of some 4 MB")
    try:
        loaded = _Inert(io.BytesIO(content), encoding="latin1").load()
        tree = _decoded(loaded["kintree_table"])[0].astype(np.int64)
        tree[0] = 0  # the file says -1 as an unsigned number
        return {
            "v_template": _decoded(loaded["v_template"]).astype(float),
            "shapedirs": _decoded(loaded["shapedirs"]).astype(float)[..., :SHAPE],
            "posedirs": _decoded(loaded["posedirs"]).astype(float),
            "J_regressor": _decoded(loaded["J_regressor"]).astype(float),
            "weights": _decoded(loaded["weights"]).astype(float),
            "parents": tree,
        }
    except LabelError:
        raise
    except Exception as error:  # whatever a damaged or hostile pickle does to the reader
        raise LabelError(
            f"{name} is not a MANO hand as its authors publish it ({error!r}); expected a pickle with "
            f"{', '.join(FILE_SHAPES)[:-9]} and kintree_table"
        ) from error


class _Record:
    """Stands for anything that a pickle names: keeps what it is given and does nothing."""

    named = ""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Inert(pickle.Unpickler):
    """Reads a pickle without importing or calling anything it names."""

    def find_class(self, module: str, name: str) -> Any:
        """A record under that name."""
        return type(name, (_Record,), {"named": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Any:
        """Refuse what lies outside of the file."""
        raise LabelError(f"the pickle refers to something outside of it, {pid!r}")


def _decoded(value: Any) -> NDArray[Any]:
    """The array that a record stands for."""
    kind = getattr(type(value), "named", "")
    if kind.endswith("multiarray._reconstruct"):
        return _array(value.state)
    if kind.endswith("csc_matrix"):
        return _from_columns(value.state)
    if kind.startswith("chumpy.") and kind.endswith(".Select"):
        state = value.state
        picked = _decoded(state["a"]).ravel()[_decoded(state["idxs"]).astype(np.int64)]
        return picked.reshape([int(size) for size in state["preferred_shape"]])
    if kind.startswith("chumpy."):
        return _decoded(value.state["x"])
    raise LabelError(f"the pickle holds {kind or type(value).__name__} where numbers were expected")


def _array(state: Any) -> NDArray[Any]:
    """What numpy would make of the state of an array: version, shape, dtype, Fortran order, bytes."""
    _, shape, dtype, by_columns, data = state
    code = str(dtype.arguments[0])
    order = str(dtype.state[1]) if dtype.state else "<"
    if code not in DTYPES or order not in ("<", ">", "|", "="):
        raise LabelError(f"the pickle holds an array of {order}{code}, expected plain numbers")
    if getattr(type(data), "named", "") == "_codecs.encode":  # how Python 3 writes bytes for Python 2
        data = data.arguments[0]
    raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
    flat = np.frombuffer(raw, dtype=np.dtype(("<" if order == "=" else order) + code))
    return flat.reshape(shape, order="F" if by_columns else "C")


def _from_columns(state: Any) -> NDArray[Any]:
    """A dense matrix from compressed sparse columns."""
    shape = state.get("_shape", state.get("shape"))
    values, rows, starts = (_decoded(state[name]) for name in ("data", "indices", "indptr"))
    dense = np.zeros([int(size) for size in shape])
    if dense.shape != (JOINTS, FILE_SHAPES["J_regressor"][1]):
        raise LabelError(f"the pickle's joint regressor has shape {dense.shape}")
    columns = np.repeat(np.arange(dense.shape[1]), np.diff(starts.astype(np.int64)).astype(np.int64))
    dense[rows.astype(np.int64), columns] = values
    return dense


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m firsthand_training.labels.mano_file MANO_RIGHT.pkl mano_right.npz")
    try:
        print(convert_mano(Path(sys.argv[1]), Path(sys.argv[2])))
    except LabelError as error:
        sys.exit(str(error))
