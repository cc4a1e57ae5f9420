"""ONNX Runtime sessions, opened the way a busy robot computer needs them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import onnxruntime


class Session(Protocol):
    """The part of an ONNX Runtime session that we use."""

    def run(self, output_names: Sequence[str] | None, inputs: Mapping[str, Any]) -> list[Any]:
        """Evaluate the named outputs."""
        ...


def open_session(graph: Path, threads: int = 1) -> Session:
    """Open a graph on the best provider at hand: CUDA where onnxruntime-gpu is installed, else the CPU.

    Threads do not spin: two spinning threads on two busy cores cost ten times more than they bring.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    available = onnxruntime.get_available_providers()
    wanted = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
    session: Session = onnxruntime.InferenceSession(str(graph), options, providers=wanted)
    return session
