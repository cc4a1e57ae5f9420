"""ONNX files of the user's own, whose shapes are not known before."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand.inference import Runtime, choose_provider, provider_options


class UserGraph:
    """A graph with one picture-like input (batch, 3, rows, columns) float32."""

    def __init__(self, path: Path, runtime: Runtime) -> None:
        """Open it.

        Raises:
            LabelError: It is missing, is no ONNX file, or takes something else.
            ProviderError: This onnxruntime does not have the provider.
        """
        if not path.is_file():
            raise LabelError(f"no weights at {path}; expected an ONNX file")
        provider = choose_provider(runtime.provider, onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = runtime.threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=provider_options(provider, runtime, path)
            )
        except Exception as error:  # ONNX Runtime's own kinds share no base but this one
            raise LabelError(f"{path} does not open as an ONNX graph: {str(error)[:300]}") from error
        self.path = path
        inputs = self._session.get_inputs()
        shape = inputs[0].shape
        if len(inputs) != 1 or len(shape) != 4 or shape[1] != 3 or inputs[0].type != "tensor(float)":
            found = ", ".join(f"{node.name} {node.shape} {node.type}" for node in inputs)
            raise LabelError(f"{path} takes {found}; expected one input (batch, 3, rows, columns) float32")
        self.outputs = [node.name for node in self._session.get_outputs()]
        self._input = inputs[0].name
        self._batch = shape[0] if isinstance(shape[0], int) else None
        self.size: tuple[int, int] | None = None  # rows and columns, [px]; None where any will do
        if isinstance(shape[2], int) and isinstance(shape[3], int):
            self.size = (shape[2], shape[3])

    def run(self, pictures: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Every output for (N, 3, rows, columns) pictures; a graph of a fixed batch is called as often as it takes."""
        count, step = len(pictures), self._batch or len(pictures)
        parts = []
        for first in range(0, count, step):
            part = pictures[first : first + step]
            filled = np.concatenate([part, np.zeros((step - len(part), *part.shape[1:]), np.float32)])
            parts.append([output[: len(part)] for output in self._session.run(self.outputs, {self._input: filled})])
        return {
            name: np.concatenate(arrays) for name, arrays in zip(self.outputs, zip(*parts, strict=True), strict=True)
        }
