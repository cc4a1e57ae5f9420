import numpy as np
import pytest

from firsthand.errors import InferenceError, ProviderError
from firsthand.inference import (
    NAMES,
    Runtime,
    Tensor,
    choose_provider,
    engine_folder,
    gpu_name,
    open_session,
    provider_options,
)

CPU, CUDA, TENSORRT = NAMES["cpu"], NAMES["cuda"], NAMES["tensorrt"]


@pytest.fixture
def write_graph(tmp_path):
    """A graph of one node: `out = in + 1`, of some shape."""

    def write(name, source, target, shape):
        onnx = pytest.importorskip("onnx")
        from onnx import TensorProto, helper, numpy_helper

        ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, shape) for end in (source, target)]
        one = numpy_helper.from_array(np.ones(1, np.float32), "one")
        graph = helper.make_graph([helper.make_node("Add", [source, "one"], [target])], name, ends[:1], ends[1:], [one])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(model, str(tmp_path / f"{name}.onnx"))
        return tmp_path / f"{name}.onnx"

    return write


def test_a_session_answers_in_memory_that_never_moves(write_graph):
    session = open_session(write_graph("one", "a", "b", (2, 3)))
    addresses = {name: tensor.address for name, tensor in session.tensors.items()}
    first = session.run(["b"], {"a": np.zeros((2, 3))})[0]
    second = session.run(["b"], {"a": np.full((2, 3), 5.0)})[0]
    np.testing.assert_array_equal(first, np.ones((2, 3)))  # a copy: the second call left it alone
    np.testing.assert_array_equal(second, np.full((2, 3), 6.0))
    assert {name: tensor.address for name, tensor in session.tensors.items()} == addresses
    assert session.provider == "cpu"


def test_a_graph_reads_where_another_wrote_even_with_an_axis_more(write_graph):
    first = open_session(write_graph("one", "a", "b", (2, 3)))
    second = open_session(write_graph("two", "b", "c", (1, 2, 3)), shared=first.tensors)
    assert second.tensors["b"] is first.tensors["b"]
    first.run([], {"a": np.zeros((2, 3))})
    np.testing.assert_array_equal(second.run(["c"], {})[0], np.full((1, 2, 3), 2.0))


def test_what_does_not_fit_is_refused(write_graph):
    session = open_session(write_graph("one", "a", "b", (2, 3)))
    with pytest.raises(InferenceError, match=r"expected 'a' of shape \(2, 3\), got \(3, 2\)"):
        session.run(["b"], {"a": np.zeros((3, 2))})
    with pytest.raises(InferenceError, match=r"the graph has no x; it has a, b"):
        session.run(["x"], {})
    with pytest.raises(InferenceError, match=r"'b' is \(2, 3\).*\(4,\)"):
        open_session(write_graph("one", "a", "b", (2, 3)), shared={"b": Tensor((4,), np.float32)})
    with pytest.raises(InferenceError, match=r"static shape"):
        open_session(write_graph("open", "a", "b", ("n", 3)))


def test_auto_is_cuda_where_it_is_and_never_tensorrt():
    assert choose_provider("auto", [CPU]) == "cpu"
    assert choose_provider("auto", [TENSORRT, CUDA, CPU]) == "cuda"
    assert choose_provider("tensorrt", [TENSORRT, CUDA, CPU]) == "tensorrt"


@pytest.mark.parametrize("wanted", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_there_is_refused_with_what_is_and_what_brings_it(wanted):
    with pytest.raises(ProviderError, match=rf"'{wanted}' is not in .*which has cpu; it comes with onnxruntime-gpu"):
        choose_provider(wanted, [CPU])


def test_cuda_computes_in_float32_and_falls_back_to_the_cpu(tmp_path):
    runtime = Runtime("cuda", device=1, cuda_graph=True)
    options = {"device_id": "1", "use_tf32": "0", "enable_cuda_graph": "1"}
    assert provider_options("cuda", runtime, tmp_path / "g.onnx") == [(CUDA, options), (CPU, {})]
    assert provider_options("cpu", Runtime("cpu"), tmp_path / "g.onnx") == [(CPU, {})]


def test_tensorrt_keeps_engines_and_timings_of_this_graph_and_precision(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTHAND_CACHE", str(tmp_path / "cache"))
    graph = tmp_path / "g.onnx"
    graph.write_bytes(b"a graph")
    folders = set()
    for half in (False, True):
        runtime = Runtime("tensorrt", half=half, cuda_graph=True)
        (name, options), (second, _), (third, _) = provider_options("tensorrt", runtime, graph)
        assert (name, second, third) == (TENSORRT, CUDA, CPU)
        assert options["trt_fp16_enable"] == str(int(half))
        assert options["trt_cuda_graph_enable"] == "1"
        assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "1"
        assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"]
        folders.add(options["trt_engine_cache_path"])
    assert len(folders) == 2


def test_an_engine_is_kept_by_gpu_version_precision_and_graph(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTHAND_CACHE", str(tmp_path))
    one, other = tmp_path / "one.onnx", tmp_path / "other.onnx"
    one.write_bytes(b"1")
    other.write_bytes(b"2")
    folders = {
        engine_folder(*key)
        for key in [
            (one, False, "GPU A", "10.3"),
            (other, False, "GPU A", "10.3"),
            (one, True, "GPU A", "10.3"),
            (one, False, "GPU B", "10.3"),
            (one, False, "GPU A", "10.4"),
        ]
    }
    assert len(folders) == 5
    assert all(folder.is_dir() and folder.parent == tmp_path / "tensorrt" for folder in folders)


def test_the_gpu_is_named_by_its_driver_or_its_board(tmp_path):
    assert gpu_name(0, tmp_path).startswith("gpu0-")
    board = tmp_path / "proc/device-tree/model"
    board.parent.mkdir(parents=True)
    board.write_bytes(b"NVIDIA Jetson AGX Orin\0")
    assert gpu_name(0, tmp_path) == "NVIDIA Jetson AGX Orin"
    card = tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0/information"
    card.parent.mkdir(parents=True)
    card.write_text("Model: \t\t NVIDIA L4\nIRQ: 1\n")
    assert gpu_name(0, tmp_path) == "NVIDIA L4"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"provider": "gpu"}, "no provider 'gpu'; there are auto, cpu, cuda, tensorrt"),
        ({"threads": 0}, "at least one thread"),
        ({"provider": "cuda", "half": True}, "half precision is TensorRT's"),
        ({"provider": "auto", "cuda_graph": True}, "needs provider cuda or tensorrt, got 'auto'"),
    ],
)
def test_settings_that_no_build_knows_are_refused(settings, message):
    with pytest.raises(InferenceError, match=message):
        Runtime(**settings)
