"""A TensorFlow.js graph model to an ONNX graph: the operations between a picture and an SSD's boxes and scores."""

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ModelError
from firsthand_training.labels.hand_networks.onnx_nodes import Nodes

PICTURES = "pictures"
TYPES = {"float32": np.float32, "int32": np.int32}
RENAMED = {"AddV2": "Add", "Mul": "Mul", "Sub": "Sub", "Exp": "Exp", "Sigmoid": "Sigmoid", "Identity": "Identity"}


def convert_tfjs(
    model: dict[str, Any],
    weights: bytes,
    start: str,
    size: int,
    outputs: Mapping[str, tuple[str, tuple[int, ...]]],
    target: Path,
) -> Path:
    """Write the part of a graph model that leads from a picture to some of its nodes.

    Args:
        model: The content of model.json.
        weights: All shards of its only group of weights, one after the other.
        start: Name of the node whose value the picture takes, -1 to 1.
        size: Rows and columns of the picture.
        outputs: Node and shape of each output, by the name it gets.
        target: Where the graph goes.

    Returns:
        `target`: input `pictures` (1, size, size, 3) uint8 RGB, outputs float32.

    Raises:
        ModelError: It uses an operation that is not known here.
    """
    return _Conversion(model, weights).run(start, size, outputs, target)


class _Conversion:
    def __init__(self, model: dict[str, Any], weights: bytes) -> None:
        self._sources = {node["name"]: node for node in model["modelTopology"]["node"]}
        self._weights = _split(model["weightsManifest"][0]["weights"], weights)
        self._nodes = Nodes()
        self._done: set[str] = set()
        self._added: set[str] = set()
        self._rules: dict[str, Callable[[dict[str, Any], list[str]], object]] = {
            **{kind: self._renamed for kind in RENAMED},
            "ConcatV2": self._concatenate,
            "DepthwiseConv2dNative": self._convolve,
            "ExpandDims": self._expand,
            "FusedDepthwiseConv2dNative": self._convolve,
            "Pack": self._pack,
            "Reshape": self._reshape,
            "Squeeze": self._squeeze,
            "Transpose": self._transpose,
            "Unpack": self._unpack,
            "_FusedConv2D": self._convolve,
        }

    def run(self, start: str, size: int, outputs: Mapping[str, tuple[str, tuple[int, ...]]], target: Path) -> Path:
        self._nodes.add("Identity", [self._nodes.picture(PICTURES, 1 / 127.5, -1.0)], start)
        self._done.add(start)
        for name in self._in_order([source for source, _ in outputs.values()]):
            self._convert(self._sources[name])
        for name, (source, _) in outputs.items():
            self._nodes.add("Identity", [source], name)
        shapes = {name: shape for name, (_, shape) in outputs.items()}
        return self._nodes.save(target, (PICTURES, (1, size, size, 3)), shapes)

    def _in_order(self, targets: Sequence[str]) -> list[str]:
        """Every node that the targets need, each after what it needs itself."""
        order: list[str] = []
        waiting = [(name, False) for name in targets]
        while waiting:
            name, ready = waiting.pop()
            if ready:
                order.append(name)
            elif name not in self._done:
                self._done.add(name)
                waiting.append((name, True))
                waiting += [(source, False) for source in _inputs(self._sources[name], bare=True)]
        return order

    def _convert(self, node: dict[str, Any]) -> None:
        if node["op"] in self._rules:
            self._rules[node["op"]](node, _inputs(node))
        elif node["op"] != "Const":  # those are added where they are numbers to compute with
            raise ModelError(f"the operation {node['op']} is not known here; known are {', '.join(self._rules)}")

    def _renamed(self, node: dict[str, Any], inputs: list[str]) -> None:
        for name in inputs:
            if name in self._weights and name not in self._added:
                self._added.add(name)
                self._nodes.constant(name, self._weights[name])
        self._nodes.add(RENAMED[node["op"]], inputs, node["name"])

    def _convolve(self, node: dict[str, Any], inputs: list[str]) -> None:
        attributes, output = node["attr"], node["name"]
        kernel = self._weights[inputs[1]]  # (rows, columns, in, out or multiplier)
        depthwise = "Depthwise" in node["op"]
        groups = kernel.shape[2] if depthwise else 1
        if depthwise:
            kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
        fused = [_text(name) for name in attributes.get("fused_ops", {}).get("list", {}).get("s", [])]
        if fused not in ([], ["BiasAdd"], ["BiasAdd", "Relu6"]):
            raise ModelError(f"a convolution followed by {' and '.join(fused)} is not known here")
        linear = output if "Relu6" not in fused else f"{output}/linear"
        self._nodes.convolution(
            inputs[0],
            kernel.transpose(3, 2, 0, 1),
            self._weights[inputs[2]] if fused else None,
            linear,
            [int(stride) for stride in attributes["strides"]["list"]["i"][1:3]],
            groups,
            _text(attributes["padding"]["s"]) == "SAME",
        )
        if linear != output:
            self._nodes.activation("relu6", linear, output)

    def _concatenate(self, node: dict[str, Any], inputs: list[str]) -> None:
        self._nodes.add("Concat", inputs[:-1], node["name"], axis=int(self._weights[inputs[-1]]))

    def _pack(self, node: dict[str, Any], inputs: list[str]) -> None:
        axis = int(node["attr"]["axis"]["i"])
        axes = self._nodes.constant(f"{node['name']}/axes", np.array([axis], np.int64))
        raised = [
            self._nodes.add("Unsqueeze", [source, axes], f"{node['name']}/{place}")
            for place, source in enumerate(inputs)
        ]
        self._nodes.add("Concat", raised, node["name"], axis=axis)

    def _unpack(self, node: dict[str, Any], inputs: list[str]) -> None:
        axis, name = int(node["attr"]["axis"]["i"]), node["name"]
        for place in range(int(node["attr"]["num"]["i"])):
            index = self._nodes.constant(f"{name}/{place}", np.array(place, np.int64))
            self._nodes.add("Gather", [inputs[0], index], name if place == 0 else f"{name}:{place}", axis=axis)

    def _reshape(self, node: dict[str, Any], inputs: list[str]) -> None:
        self._nodes.reshape(inputs[0], [int(side) for side in self._weights[inputs[1]]], node["name"])

    def _expand(self, node: dict[str, Any], inputs: list[str]) -> None:
        axes = self._nodes.constant(f"{node['name']}/axes", np.array([int(self._weights[inputs[1]])], np.int64))
        self._nodes.add("Unsqueeze", [inputs[0], axes], node["name"])

    def _squeeze(self, node: dict[str, Any], inputs: list[str]) -> None:
        dimensions = [int(axis) for axis in node["attr"]["squeeze_dims"]["list"]["i"]]
        axes = self._nodes.constant(f"{node['name']}/axes", np.array(dimensions, np.int64))
        self._nodes.add("Squeeze", [inputs[0], axes], node["name"])

    def _transpose(self, node: dict[str, Any], inputs: list[str]) -> None:
        order = [int(axis) for axis in self._weights[inputs[1]]]
        self._nodes.add("Transpose", [inputs[0]], node["name"], perm=order)


def _inputs(node: dict[str, Any], bare: bool = False) -> list[str]:
    """Names of what a node reads, control dependencies left out; `bare` without the number of the output."""
    names = [name for name in node.get("input", []) if not name.startswith("^")]
    if node["op"] == "Identity":
        names = names[:1]  # the second one of an output is such a dependency too, without saying so
    return [name.split(":")[0] for name in names] if bare else names


def _split(described: list[dict[str, Any]], data: bytes) -> dict[str, NDArray[Any]]:
    """Weights by name."""
    weights, offset = {}, 0
    for each in described:
        dtype = np.dtype(TYPES[each["dtype"]])
        count = int(np.prod(each["shape"], dtype=np.int64))
        weights[each["name"]] = np.frombuffer(data, dtype, count, offset).reshape(each["shape"])
        offset += count * dtype.itemsize
    return weights


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()
