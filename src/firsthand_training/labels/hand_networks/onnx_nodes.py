"""TensorFlow's operations said in ONNX, one for one.

Arrays keep TensorFlow's order (batch, rows, columns, channels). What ONNX only knows with channels first stands between
two transpositions; ONNX Runtime cancels neighbouring ones when it opens the graph.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firsthand_training.episodes.durable import whole_file

OPSET = 17
IR_VERSION = 8
CHANNELS_FIRST, CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


class Nodes:
    """A graph under construction; `onnx` is needed here and nowhere at run time."""

    def __init__(self) -> None:
        from onnx import helper, numpy_helper

        self._helper, self._from_array = helper, numpy_helper.from_array
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Add a weight."""
        self._weights.append(self._from_array(np.asarray(array, order="C"), name))
        return name

    def add(self, operation: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node with one output."""
        self._nodes.append(self._helper.make_node(operation, list(inputs), [output], **attributes))
        return output

    def picture(self, name: str, scale: float, offset: float) -> str:
        """Bring uint8 pictures to the numbers that the network was trained on: value * scale + offset."""
        self.constant(f"{name}_scale", np.array(scale, np.float32))
        self.constant(f"{name}_offset", np.array(offset, np.float32))
        self.add("Cast", [name], f"{name}_float", to=1)
        self.add("Mul", [f"{name}_float", f"{name}_scale"], f"{name}_scaled")
        return self.add("Add", [f"{name}_scaled", f"{name}_offset"], f"{name}_input")

    def channels_first(self, operation: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node that works on its first input with channels first."""
        first = self.add("Transpose", [inputs[0]], f"{output}/first", perm=CHANNELS_FIRST)
        self.add(operation, [first, *inputs[1:]], f"{output}/last", **attributes)
        return self.add("Transpose", [f"{output}/last"], output, perm=CHANNELS_LAST)

    def convolution(
        self,
        picture: str,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        output: str,
        strides: Sequence[int],
        groups: int,
        same: bool,
    ) -> str:
        """Add a convolution; `kernel` is (out, in / groups, rows, columns), `same` pads as TensorFlow's SAME does."""
        weights = [self.constant(f"{output}/kernel", kernel)]
        if bias is not None:
            weights.append(self.constant(f"{output}/bias", bias))
        padding = "SAME_UPPER" if same else "VALID"
        return self.channels_first(
            "Conv", [picture, *weights], output, strides=list(strides), group=groups, auto_pad=padding
        )

    def activation(self, kind: str, value: str, output: str) -> str:
        """Add `none`, `relu` or `relu6`."""
        if kind == "relu6":
            low = self.constant(f"{output}/low", np.array(0, np.float32))
            high = self.constant(f"{output}/high", np.array(6, np.float32))
            return self.add("Clip", [value, low, high], output)
        return self.add({"none": "Identity", "relu": "Relu"}[kind], [value], output)

    def reshape(self, value: str, shape: Sequence[int], output: str) -> str:
        """Add a reshape to a fixed shape."""
        return self.add("Reshape", [value, self.constant(f"{output}/shape", np.array(shape, np.int64))], output)

    def save(self, path: Path, pictures: tuple[str, Sequence[int]], outputs: Mapping[str, Sequence[int]]) -> Path:
        """Check the graph and write it; `pictures` are uint8, outputs float32."""
        import onnx

        name, shape = pictures
        graph = self._helper.make_graph(
            self._nodes,
            path.stem,
            [self._helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, shape)],
            [self._helper.make_tensor_value_info(k, onnx.TensorProto.FLOAT, v) for k, v in outputs.items()],
            self._weights,
        )
        opset = self._helper.make_opsetid("", OPSET)
        model = self._helper.make_model(graph, opset_imports=[opset], producer_name="firsthand", ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        with whole_file(path, shared=True) as partial:
            onnx.save(model, partial)
        return path
