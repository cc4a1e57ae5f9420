"""A TFLite file with float16 weights to an ONNX graph: the thirteen operations that MediaPipe's hand networks use.

It needs the packages `tflite` (which knows the file's layout) and `onnx`, once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ModelError
from firsthand_training.labels.hand_networks.onnx_nodes import Nodes

Weights = NDArray[np.float32]

PICTURES = "pictures"
ACTIVATIONS = {0: "none", 1: "relu", 3: "relu6"}  # of the file's enumeration
TYPES = {0: np.float32, 1: np.float16, 2: np.int32}  # likewise


@dataclass(frozen=True)
class Output:
    """What the graph calls one of the file's outputs, and its shape for one picture."""

    source: str
    shape: tuple[int, ...]


def convert_tflite(source: bytes, outputs: dict[str, Output], target: Path, batch: int = 1) -> Path:
    """Write the graph of a TFLite network.

    Args:
        source: The file; its input is one RGB picture, float32, 0 to 1.
        outputs: Which outputs to keep, by the name they get.
        target: Where the graph goes.
        batch: Pictures per call.

    Returns:
        `target`: input `pictures` (batch, rows, columns, 3) uint8 RGB, outputs (batch, ...) float32.

    Raises:
        ModelError: It uses an operation that is not known here, or `tflite` is not installed.
    """
    return _Conversion(source, batch).run(outputs, target)


class _Conversion:
    def __init__(self, source: bytes, batch: int) -> None:
        try:
            import tflite
        except ImportError:
            raise ModelError(
                "the package `tflite` is not installed; `pip install 'firsthand[labels]'` does it"
            ) from None
        self._options = tflite
        self._model = tflite.Model.GetRootAsModel(source, 0)
        self._graph = self._model.Subgraphs(0)
        self._kinds = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
        self._batch = batch
        self._nodes = Nodes()
        self._constants: dict[int, NDArray[Any]] = {}
        self._names: dict[int, str] = {}
        self._rules: dict[str, Callable[[Any, list[int], str], object]] = {
            "ADD": self._add,
            "CONCATENATION": self._concatenate,
            "CONV_2D": self._convolution,
            "DEPTHWISE_CONV_2D": self._depthwise,
            "FULLY_CONNECTED": self._fully_connected,
            "LOGISTIC": lambda _, inputs, output: self._nodes.add("Sigmoid", [self._name(inputs[0])], output),
            "MAX_POOL_2D": self._max_pool,
            "MEAN": self._mean,
            "PAD": self._pad,
            "PRELU": lambda _, inputs, output: self._nodes.add("PRelu", list(map(self._name, inputs)), output),
            "RESHAPE": self._reshape,
            "RESIZE_BILINEAR": self._resize,
        }

    def run(self, outputs: dict[str, Output], target: Path) -> Path:
        image = int(self._graph.Inputs(0))
        self._names[image] = self._nodes.picture(PICTURES, 1 / 255, 0.0)
        for index in range(self._graph.OperatorsLength()):
            self._convert(self._graph.Operators(index))
        tensors = {self._tensor_name(int(i)): int(i) for i in self._graph.OutputsAsNumpy()}
        for name, output in outputs.items():
            self._nodes.add("Identity", [self._name(tensors[output.source])], name)
        shapes = {name: (self._batch, *output.shape) for name, output in outputs.items()}
        return self._nodes.save(target, (PICTURES, self._shape(image)), shapes)

    def _convert(self, operator: Any) -> None:
        kind = self._kinds[self._model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()]
        inputs, output = [int(i) for i in operator.InputsAsNumpy()], int(operator.Outputs(0))
        if kind == "DEQUANTIZE" and (stored := self._constant(inputs[0])) is not None:
            self._constants[output] = stored.astype(np.float32)
            return
        if kind not in self._rules:
            raise ModelError(f"the TFLite operation {kind} is not known here; known are {', '.join(self._rules)}")
        self._names[output] = f"t{output}"
        self._rules[kind](operator, inputs, f"t{output}")

    def _read(self, operator: Any, kind: str) -> Any:
        options = getattr(self._options, f"{kind}Options")()
        table = operator.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    def _constant(self, tensor: int) -> NDArray[Any] | None:
        if tensor in self._constants:
            return self._constants[tensor]
        described = self._graph.Tensors(tensor)
        data = self._model.Buffers(described.Buffer()).DataAsNumpy()
        if isinstance(data, int) or not data.size:  # the package says 0 for no data
            return None
        shape = described.ShapeAsNumpy()
        stored: NDArray[Any] = np.frombuffer(data.tobytes(), TYPES[described.Type()])
        return stored.reshape(() if isinstance(shape, int) else shape)

    def _weights(self, tensor: int) -> Weights:
        stored = self._constant(tensor)
        if stored is None:
            raise ModelError(f"expected weights in tensor {self._tensor_name(tensor)}, found none")
        return stored

    def _name(self, tensor: int) -> str:
        if tensor not in self._names:
            self._names[tensor] = self._nodes.constant(f"t{tensor}", self._weights(tensor))
        return self._names[tensor]

    def _tensor_name(self, tensor: int) -> str:
        return str(self._graph.Tensors(tensor).Name().decode())

    def _shape(self, tensor: int) -> tuple[int, ...]:
        """Of an array that the network computes, for the batch asked for."""
        return (self._batch, *(int(side) for side in self._graph.Tensors(tensor).ShapeAsNumpy()[1:]))

    def _activated(self, options: Any, output: str, make: Callable[[str], str]) -> None:
        kind = ACTIVATIONS[options.FusedActivationFunction()]
        if kind == "none":
            make(output)
        else:
            self._nodes.activation(kind, make(f"{output}/linear"), output)

    def _convolution(self, operator: Any, inputs: list[int], output: str) -> None:
        kernel = self._weights(inputs[1]).transpose(0, 3, 1, 2)  # from (out, rows, columns, in)
        self._convolve(self._read(operator, "Conv2D"), inputs, kernel, 1, output)

    def _depthwise(self, operator: Any, inputs: list[int], output: str) -> None:
        kernel = self._weights(inputs[1]).transpose(3, 0, 1, 2)  # from (1, rows, columns, channels)
        self._convolve(self._read(operator, "DepthwiseConv2D"), inputs, kernel, kernel.shape[0], output)

    def _convolve(self, options: Any, inputs: list[int], kernel: Weights, groups: int, output: str) -> None:
        strides, same = (options.StrideH(), options.StrideW()), options.Padding() == self._options.Padding.SAME
        picture, bias = self._name(inputs[0]), self._weights(inputs[2])
        self._activated(
            options,
            output,
            lambda name: self._nodes.convolution(picture, kernel, bias, name, strides, groups, same),
        )

    def _add(self, operator: Any, inputs: list[int], output: str) -> None:
        names = list(map(self._name, inputs))
        self._activated(self._read(operator, "Add"), output, lambda name: self._nodes.add("Add", names, name))

    def _max_pool(self, operator: Any, inputs: list[int], output: str) -> None:
        options = self._read(operator, "Pool2D")
        self._nodes.channels_first(
            "MaxPool",
            [self._name(inputs[0])],
            output,
            kernel_shape=[options.FilterHeight(), options.FilterWidth()],
            strides=[options.StrideH(), options.StrideW()],
            auto_pad="SAME_UPPER" if options.Padding() == self._options.Padding.SAME else "VALID",
        )

    def _pad(self, _: Any, inputs: list[int], output: str) -> None:
        widths = self._nodes.constant(f"{output}/widths", self._weights(inputs[1]).T.reshape(-1).astype(np.int64))
        self._nodes.add("Pad", [self._name(inputs[0]), widths], output)

    def _resize(self, operator: Any, inputs: list[int], output: str) -> None:
        options = self._read(operator, "ResizeBilinear")
        if options.AlignCorners():
            raise ModelError("a TFLite resize with aligned corners is not known here")
        rows, columns = (int(side) for side in self._weights(inputs[1]))
        channels = self._shape(inputs[0])[-1]
        sizes = self._nodes.constant(f"{output}/sizes", np.array([self._batch, channels, rows, columns], np.int64))
        mode = "half_pixel" if options.HalfPixelCenters() else "asymmetric"
        self._nodes.channels_first(
            "Resize",
            [self._name(inputs[0]), "", "", sizes],
            output,
            mode="linear",
            coordinate_transformation_mode=mode,
        )

    def _reshape(self, _: Any, inputs: list[int], output: str) -> None:
        shape: Sequence[int] = [int(side) for side in self._weights(inputs[1])]
        self._nodes.reshape(self._name(inputs[0]), [self._batch, *shape[1:]], output)

    def _concatenate(self, operator: Any, inputs: list[int], output: str) -> None:
        axis = self._read(operator, "Concatenation").Axis()
        self._nodes.add("Concat", list(map(self._name, inputs)), output, axis=axis)

    def _mean(self, operator: Any, inputs: list[int], output: str) -> None:
        axes = [int(axis) for axis in self._weights(inputs[1])]
        keep = int(self._read(operator, "Reducer").KeepDims())
        self._nodes.add("ReduceMean", [self._name(inputs[0])], output, axes=axes, keepdims=keep)

    def _fully_connected(self, _: Any, inputs: list[int], output: str) -> None:
        self._nodes.add("Gemm", list(map(self._name, inputs)), output, transB=1)
