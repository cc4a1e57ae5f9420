"""ONNX Runtime sessions, opened the way a busy robot computer needs them.

All our graphs have static shapes. So the memory of every input and output is allocated once, where the graph runs, and
bound once: nothing is allocated or copied from graph to graph while the robot moves, and on a GPU the features go from
encoder to world model to policy without leaving it. Fixed addresses are also what CUDA graphs ask for.
"""

import ctypes
import hashlib
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from firsthand.errors import InferenceError, ProviderError
from firsthand.share import cache_directory

NAMES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
"""Ours to those of ONNX Runtime."""
PROVIDERS = ("auto", *NAMES)
WHEELS = {
    "cpu": "onnxruntime",
    "cuda": "onnxruntime-gpu, in place of onnxruntime (on a Jetson: NVIDIA's build of it)",
    "tensorrt": "onnxruntime-gpu, in place of onnxruntime, and tensorrt (on a Jetson: NVIDIA's build, and JetPack)",
}
"""What brings each provider."""
TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int64)": np.int64}
"""Element types that our graphs pass."""


@dataclass(frozen=True)
class Runtime:
    """Where a graph runs, and how."""

    provider: str = "auto"  # auto: CUDA where this onnxruntime has it, else the CPU; never TensorRT, which builds first
    threads: int = 1  # on the CPU; one per process is the fastest on a busy machine
    device: int = 0  # number of the GPU
    half: bool = False  # TensorRT may compute in float16
    cuda_graph: bool = False  # launch all kernels at once; every node of the graph must run on the GPU

    def __post_init__(self) -> None:
        """Refuse what no build of ONNX Runtime does."""
        if self.provider not in PROVIDERS:
            raise InferenceError(f"no provider {self.provider!r}; there are {', '.join(PROVIDERS)}")
        if self.threads < 1 or self.device < 0:
            raise InferenceError(f"expected at least one thread and a GPU from 0, got {self.threads} and {self.device}")
        if self.half and self.provider != "tensorrt":
            raise InferenceError(f"half precision is TensorRT's; provider {self.provider!r} computes as the graph says")
        if self.cuda_graph and self.provider not in ("cuda", "tensorrt"):
            raise InferenceError(f"a CUDA graph needs provider cuda or tensorrt, got {self.provider!r}")


DEFAULT = Runtime()


class Tensor:
    """The memory of one input or output, allocated once; graphs that share it hand over without a copy."""

    def __init__(self, shape: Sequence[int], dtype: Any, device: str = "cpu", index: int = 0) -> None:
        """Allocate.

        Args:
            shape: Of the array.
            dtype: One of `TYPES`.
            device: `cpu` or `cuda`.
            index: Number of the GPU.
        """
        self.shape, self.dtype, self.device, self.index = tuple(shape), np.dtype(dtype), device, index
        self._value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(self.shape, self.dtype.type, device, index)

    def write(self, array: NDArray[Any]) -> None:
        """Copy an array of as many elements in; its axes may be others, as between graphs with and without a batch.

        Raises:
            InferenceError: It has more or fewer.
        """
        if array.size != np.prod(self.shape):
            raise InferenceError(f"expected as many elements as in {self.shape}, got an array of shape {array.shape}")
        self._value.update_inplace(np.ascontiguousarray(array, self.dtype).reshape(self.shape))

    def read(self) -> NDArray[Any]:
        """A copy of what is there now."""
        array: NDArray[Any] = self._value.numpy()
        return array.copy() if self.device == "cpu" else array  # a view on the CPU, a copy from everywhere else

    @property
    def address(self) -> int:
        """Of its first byte, on its device."""
        return int(self._value.data_ptr())


class Session:
    """One graph with its memory. Not for two threads at once."""

    def __init__(self, session: Any, device: str, index: int, shared: Mapping[str, Tensor]) -> None:
        self._session, self._binding = session, session.io_binding()
        self.tensors: dict[str, Tensor] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}  # as this graph has them; shared memory may have other axes
        self._device, self._index, self._shared = device, index, shared
        for node in session.get_inputs():
            self._binding.bind_input(*self._bound(node))
        for node in session.get_outputs():
            self._binding.bind_output(*self._bound(node))

    def _bound(self, node: Any) -> tuple[str, str, int, Any, tuple[int, ...], int]:
        """Memory for an input or output, in the order that ONNX Runtime asks for it."""
        shape, dtype = _static(node)
        tensor = self._shared.get(node.name) or Tensor(shape, dtype, self._device, self._index)
        if (np.prod(tensor.shape), tensor.dtype, tensor.device) != (np.prod(shape), np.dtype(dtype), self._device):
            raise InferenceError(
                f"{node.name!r} is {shape} {np.dtype(dtype)} on {self._device} here, and "
                f"{tensor.shape} {tensor.dtype} on {tensor.device} where it is shared from"
            )
        self.tensors[node.name], self.shapes[node.name] = tensor, shape
        return node.name, tensor.device, tensor.index, dtype, shape, tensor.address

    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Evaluate the graph and copy outputs out of it.

        Args:
            outputs: Those to return; the others stay where they are.
            inputs: Those to write first; another graph has left the others in memory that this one shares.

        Raises:
            InferenceError: An input or output that the graph does not have, or one of another shape.
        """
        if unknown := {*outputs, *inputs} - self.tensors.keys():
            raise InferenceError(f"the graph has no {', '.join(sorted(unknown))}; it has {', '.join(self.tensors)}")
        for name, array in inputs.items():
            if array.shape != self.shapes[name]:
                raise InferenceError(f"expected {name!r} of shape {self.shapes[name]}, got {array.shape}")
            self.tensors[name].write(array)
        self._session.run_with_iobinding(self._binding)
        return [self.tensors[name].read().reshape(self.shapes[name]) for name in outputs]

    @property
    def provider(self) -> str:
        """What runs it: cpu, cuda or tensorrt."""
        return _our_name(self._session.get_providers()[0])


def open_session(graph: Path, runtime: Runtime = DEFAULT, shared: Mapping[str, Tensor] | None = None) -> Session:
    """Open a graph of static shapes.

    Threads do not spin: two spinning threads on two busy cores cost ten times more than they bring.

    Args:
        graph: An .onnx file.
        runtime: Where it runs.
        shared: Memory of other graphs to use for inputs and outputs of these names, of equal size.

    Raises:
        ProviderError: This onnxruntime lacks the provider, or has it and it does not start.
        InferenceError: A shape is not static, or shared memory is of another size.
    """
    provider = choose_provider(runtime.provider, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    providers = provider_options(provider, runtime, graph)
    session = onnxruntime.InferenceSession(str(graph), options, providers=providers)
    started = _our_name(session.get_providers()[0])
    if started != provider and runtime.provider != "auto":
        raise ProviderError(
            f"provider {provider!r} is in this onnxruntime {onnxruntime.__version__} and did not start "
            f"({started!r} did): are the driver, CUDA, cuDNN and, for tensorrt, TensorRT of its versions installed?"
        )
    return Session(session, "cpu" if started == "cpu" else "cuda", runtime.device, shared or {})


def choose_provider(wanted: str, available: Iterable[str]) -> str:
    """The provider to use.

    Args:
        wanted: One of `PROVIDERS`.
        available: ONNX Runtime's names of those in this build.

    Raises:
        ProviderError: This build does not have it.
    """
    here = [_our_name(name) for name in available]
    if wanted == "auto":
        return "cuda" if "cuda" in here else "cpu"
    if wanted not in here:
        raise ProviderError(
            f"provider {wanted!r} is not in this onnxruntime {onnxruntime.__version__}, which has {', '.join(here)}; "
            f"it comes with {WHEELS[wanted]}"
        )
    return wanted


def provider_options(provider: str, runtime: Runtime, graph: Path) -> list[tuple[str, dict[str, str]]]:
    """Providers in the order in which they take nodes, each with its options.

    Args:
        provider: From `choose_provider`.
        runtime: How it runs.
        graph: For TensorRT, whose engines are kept by the graph's hash.
    """
    chain: list[tuple[str, dict[str, str]]] = [(NAMES["cpu"], {})]
    if provider == "cpu":
        return chain
    # TF32 keeps 10 bits of the mantissa; features were made in float32
    cuda = {"device_id": str(runtime.device), "use_tf32": "0"}
    if provider == "cuda":
        return [(NAMES["cuda"], {**cuda, "enable_cuda_graph": _flag(runtime.cuda_graph)}), *chain]
    folder = str(engine_folder(graph, runtime.half, gpu_name(runtime.device), tensorrt_version()))
    tensorrt = {
        "device_id": str(runtime.device),
        "trt_fp16_enable": _flag(runtime.half),
        "trt_cuda_graph_enable": _flag(runtime.cuda_graph),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": folder,
    }
    return [(NAMES["tensorrt"], tensorrt), (NAMES["cuda"], cuda), *chain]


def engine_folder(graph: Path, half: bool, gpu: str, tensorrt: str) -> Path:
    """Where TensorRT keeps what it built, made if missing: an engine fits one GPU, version, precision and graph."""
    digest = hashlib.sha256(graph.read_bytes()).hexdigest()[:12]
    parts = (gpu, f"trt{tensorrt}", "fp16" if half else "fp32", digest)
    folder = cache_directory() / "tensorrt" / "-".join(re.sub(r"[^\w.]+", "_", part) for part in parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def gpu_name(device: int, root: Path = Path("/")) -> str:
    """The GPU's model, from the driver's files; on a Jetson the board's; `gpu<number>` where neither tells."""
    cards = sorted((root / "proc/driver/nvidia/gpus").glob("*/information"))
    if device < len(cards):
        found = re.search(r"^Model:\s*(.+)$", cards[device].read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found.group(1).strip()
    board = root / "proc/device-tree/model"
    return board.read_text(encoding="utf-8").strip("\0\n ") if board.is_file() else f"gpu{device}-{platform.machine()}"


def tensorrt_version() -> str:
    """Of the wheel, or of the installed library; `unknown` if neither is found."""
    for package in ("tensorrt", "tensorrt-cu12", "tensorrt-cu13"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    for library in ("libnvinfer.so.10", "libnvinfer.so.8", "libnvinfer.so"):
        try:
            return str(ctypes.CDLL(library).getInferLibVersion())
        except (OSError, AttributeError):
            continue
    return "unknown"


def _static(node: Any) -> tuple[tuple[int, ...], Any]:
    """Shape and type of an input or output."""
    if not all(isinstance(size, int) for size in node.shape) or node.type not in TYPES:
        raise InferenceError(
            f"expected a static shape of {', '.join(TYPES)} for {node.name!r}, got {node.shape} {node.type}"
        )
    return tuple(node.shape), TYPES[node.type]


def _our_name(name: str) -> str:
    return next((ours for ours, theirs in NAMES.items() if theirs == name), name)


def _flag(value: bool) -> str:
    return "1" if value else "0"
