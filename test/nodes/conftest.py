"""Inputs that several nodes' tests share: films, and a checkpoint small enough to write in a test."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from firsthand.policy.checkpoint import (
    POLICY,
    WORLD_MODEL,
    EncoderSpec,
    Manifest,
    NormalizationSpec,
    sha256,
    write_manifest,
)
from firsthand.space.hand_state import RIGHT_WRIST_POSITION, SIZE

HORIZON = 28
STEP = 0.002  # [m] that the right wrist goes left with each action of the small checkpoint


@pytest.fixture
def simulation():
    """Skips where there is no MuJoCo; does not import it, for simulation/gl.py has to choose the backend first."""
    if importlib.util.find_spec("mujoco") is None:
        pytest.skip("needs MuJoCo (the [sim] extra)")


@pytest.fixture
def write_film():
    """A film whose k-th picture is of one grey level: start + k; the right half (or film) is 100 brighter."""

    def write(path, start, frames=10, size=(64, 36), side_by_side=False, rate=25):
        import av

        width = size[0] * (2 if side_by_side else 1)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=rate)
            stream.width, stream.height, stream.pix_fmt = width, size[1], "yuv420p"
            stream.options = {"crf": "1", "g": "5"}
            for k in range(frames):
                image = np.full((size[1], width, 3), start + 4 * k, np.uint8)
                if side_by_side:
                    image[:, size[0] :] += 100
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
        return path

    return write


@pytest.fixture
def write_checkpoint(tmp_path):
    """A real checkpoint folder of two small graphs: each action moves the right wrist a step further to the left."""

    def write(feature_shape=(2, 8, 14, 384), **changes):
        pytest.importorskip("onnx")
        directory = tmp_path / "checkpoint"
        directory.mkdir()
        _write_graphs(directory, feature_shape)
        from firsthand.vision.dinov2_graph import SOURCE_SHA256

        manifest = Manifest(
            task="push",
            rate=25.0,
            horizon=HORIZON,
            stride=4,
            encoder=EncoderSpec("dinov2_vits14", SOURCE_SHA256, (112, 196), feature_shape),
            state_normalization=NormalizationSpec((0.0,) * SIZE, (1.0,) * SIZE),
            action_normalization=NormalizationSpec((0.0,) * SIZE, (1.0,) * SIZE),
            files={name: sha256(directory / name) for name in (WORLD_MODEL, POLICY)},
        )
        write_manifest(directory, replace(manifest, **changes))
        return directory

    return write


def _write_graphs(directory, feature_shape):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def tensor(name, shape, kind=TensorProto.FLOAT):
        return helper.make_tensor_value_info(name, kind, shape)

    features, state = tensor("features", (1, *feature_shape)), tensor("state", (1, SIZE))
    latent, future = tensor("latent", (1, SIZE)), tensor("future_features", (1, 1, *feature_shape))
    one = numpy_helper.from_array(np.array([1], np.int64), "one")
    world = helper.make_graph(
        [
            helper.make_node("Identity", ["state"], ["latent"]),
            helper.make_node("Unsqueeze", ["features", "one"], ["future_features"]),
        ],
        "world_model", [features, state], [latent, future], [one],
    )  # fmt: skip
    steps = np.zeros((1, HORIZON, SIZE), np.float32)
    steps[0, :, RIGHT_WRIST_POSITION.start + 1] = STEP * np.arange(1, HORIZON + 1)
    constants = [
        one,
        numpy_helper.from_array(steps, "steps"),
        numpy_helper.from_array(np.zeros((1, 1), np.int64), "zero"),
    ]
    policy = helper.make_graph(
        [
            helper.make_node("Unsqueeze", ["latent", "one"], ["now"]),
            helper.make_node("Add", ["now", "steps"], ["actions"]),
            helper.make_node("Identity", ["zero"], ["selected"]),
        ],
        "policy", [features, state, latent, future],
        [tensor("actions", (1, HORIZON, SIZE)), tensor("selected", (1, 1), TensorProto.INT64)], constants,
    )  # fmt: skip
    for name, graph in ((WORLD_MODEL, world), (POLICY, policy)):
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, str(directory / name))
