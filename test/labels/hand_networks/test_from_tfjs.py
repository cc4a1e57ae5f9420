"""A small graph model in TensorFlow.js's format gives what torch gives for the same weights."""

import base64

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn import functional

from firsthand.errors import ModelError
from firsthand_training.labels.hand_networks.from_tfjs import convert_tfjs

RNG = np.random.default_rng(0)
WEIGHTS = {
    "kernel": RNG.normal(size=(3, 3, 3, 4)).astype(np.float32),  # rows, columns, in, out
    "bias": RNG.normal(size=4).astype(np.float32),
    "depth_kernel": RNG.normal(size=(3, 3, 4, 1)).astype(np.float32),
    "twice": np.array([1, 16, 16, 4], np.int32),
    "flat": np.array([1, 1024], np.int32),
    "axis": np.array(1, np.int32),
}


def text(value):
    return {"s": base64.b64encode(value.encode()).decode()}


def node(op, name, inputs, **attributes):
    return {"op": op, "name": name, "input": inputs, "attr": attributes}


def convolution(op, name, inputs, stride, fused=()):
    return node(
        op,
        name,
        inputs,
        padding=text("SAME"),
        strides={"list": {"i": ["1", str(stride), str(stride), "1"]}},
        fused_ops={"list": {"s": [text(each)["s"] for each in fused]}},
    )


def model(last="Sigmoid"):
    nodes = [
        node("Placeholder", "start", []),
        convolution("_FusedConv2D", "conv", ["start", "kernel", "bias"], 2, ("BiasAdd", "Relu6")),
        convolution("DepthwiseConv2dNative", "depth", ["conv", "depth_kernel"], 1),
        node("AddV2", "sum", ["conv", "depth"]),
        node("Pack", "columns", ["sum", "sum"], axis={"i": "3"}),
        node("Pack", "rows", ["columns", "columns"], axis={"i": "2"}),
        node("Reshape", "large", ["rows", "twice"]),
        node("Reshape", "line", ["large", "flat"]),
        node("ConcatV2", "both", ["line", "line", "axis", "^start"]),
        node(last, "end", ["both"]),
        *(node("Const", name, []) for name in WEIGHTS),
    ]
    described = [{"name": k, "shape": list(v.shape), "dtype": str(v.dtype)} for k, v in WEIGHTS.items()]
    content = {"modelTopology": {"node": nodes}, "weightsManifest": [{"weights": described}]}
    return content, b"".join(value.tobytes() for value in WEIGHTS.values())


def in_torch(picture):
    x = torch.from_numpy(picture.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
    kernel = torch.from_numpy(WEIGHTS["kernel"]).permute(3, 2, 0, 1)
    x = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), kernel, torch.from_numpy(WEIGHTS["bias"]), 2).clamp(0, 6)
    depth = torch.from_numpy(WEIGHTS["depth_kernel"]).permute(2, 3, 0, 1)
    x = x + functional.conv2d(x, depth, padding=1, groups=4)
    x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    line = x.permute(0, 2, 3, 1).reshape(1, 1024)
    return torch.sigmoid(torch.cat([line, line], 1)).numpy()


def test_it_computes_what_torch_computes(tmp_path):
    path = convert_tfjs(*model(), "start", 16, {"scores": ("end", (1, 2048))}, tmp_path / "graph.onnx")
    picture = RNG.integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    (scores,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"pictures": picture})
    np.testing.assert_allclose(scores, in_torch(picture), atol=1e-5)


def test_an_unknown_operation_is_named(tmp_path):
    with pytest.raises(ModelError, match="operation Tan is not known"):
        convert_tfjs(*model("Tan"), "start", 16, {"scores": ("end", (1, 2048))}, tmp_path / "graph.onnx")
    assert not list(tmp_path.iterdir())
