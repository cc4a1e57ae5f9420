"""Time of each stage from picture to chunk: encoder, world model, policy; float32 and int8, sparse and dense attention.

python benchmarks/policy_stages.py [--provider cuda] [--checkpoint push] [--rounds 30]

All stages take turns within one run, so that their ratios hold on a busy machine too. On the CPU the time is that of
the process, with one thread; elsewhere it is the clock's, to the end of the work. Dense attention is the same network
with all blocks selected. Prints a Markdown table.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from firsthand.inference import PROVIDERS, Runtime, Session, open_session
from firsthand.policy.attention import Blocks
from firsthand.policy.checkpoint import POLICY, WORLD_MODEL, Manifest, find_checkpoint, load_manifest
from firsthand.policy.session import Policy
from firsthand.vision.encoder import Encoder
from firsthand.vision.precision import stereo_pictures

Stage = Callable[[], object]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--provider", choices=PROVIDERS, default="cpu")
    parser.add_argument("--cuda-graph", action="store_true")
    parser.add_argument("--half", action="store_true", help="with tensorrt: the encoder in float16")
    parser.add_argument("--checkpoint", default="push")
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    runtime = Runtime(arguments.provider, half=arguments.half, cuda_graph=arguments.cuda_graph)
    with tempfile.TemporaryDirectory() as scratch:
        stages = make_stages(arguments.checkpoint, runtime, Path(scratch))
        clock = time.process_time if arguments.provider == "cpu" else time.perf_counter
        print_table(measure(stages, arguments.rounds, clock), clock.__name__)


def make_stages(checkpoint: str, runtime: Runtime, scratch: Path) -> dict[str, Stage]:
    """Every stage by name, ready to run; the first is what ratios refer to."""
    directory = find_checkpoint(checkpoint)
    manifest = load_manifest(directory)
    if not manifest.has_world_model:
        raise SystemExit(f"{checkpoint} has no world model: its stages are the encoder and one graph")
    size, state = manifest.encoder.image_size, np.array(manifest.state_normalization.mean)
    images = stereo_pictures()[0]
    encoder = Encoder.load(size, runtime=runtime)
    policy = Policy.load(checkpoint, runtime)
    stages: dict[str, Stage] = {"encoder": lambda: encoder.encode(images)}
    if runtime.provider == "cpu":
        int8 = Encoder.load(size, runtime=runtime, precision="int8")
        stages["encoder, int8"] = lambda: int8.encode(images)
    exact = replace(runtime, half=False)
    stages["world model"] = _alone(open_session(directory / WORLD_MODEL, exact))
    stages["policy"] = _alone(open_session(directory / POLICY, exact))
    for k, graph in attention_graphs(manifest, scratch).items():
        stages[f"policy, {k} blocks selected"] = _alone(open_session(graph, exact))
    stages["picture to chunk"] = lambda: policy.act(encoder.encode(images), state)
    return stages


def measure(stages: dict[str, Stage], rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds of every call, stages taking turns; two rounds before do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in stages}
    for number in range(rounds + 2):
        for name, stage in stages.items():
            began = clock()
            stage()
            if number >= 2:
                seconds[name].append(clock() - began)
    return seconds


def print_table(seconds: dict[str, list[float]], clock: str) -> None:
    """Medians, and ratios to the first stage round by round."""
    first = np.array(next(iter(seconds.values())))
    print(f"| stage | median ms ({clock}) | p95 ms | × encoder |\n|---|---|---|---|")
    for name, values in seconds.items():
        median, high = np.percentile(values, [50, 95]) * 1e3
        print(f"| {name} | {median:.1f} | {high:.1f} | {np.median(np.array(values) / first):.3f} |")


def _alone(session: Session) -> Stage:
    """A graph on random inputs that are where it reads them."""
    random = np.random.default_rng(0)
    inputs = {
        name: random.normal(size=shape).astype(np.float32)
        for name, shape in session.shapes.items()
        if name in ("features", "state", "latent", "future_features")
    }
    session.run([], inputs)
    return lambda: session.run([], {})


def attention_graphs(manifest: Manifest, scratch: Path) -> dict[int, Path]:
    """The policy's network with as many blocks selected as it has, and with all; weights do not change its time."""
    try:
        from firsthand.space.normalization import Normalization
        from firsthand_training.training.export import write_graphs
        from firsthand_training.training.methods.registry import rebuild_method
        from firsthand_training.training.windows import Statistics
    except ImportError:
        print("(no torch: sparse and dense attention are not compared)")
        return {}
    spread, channels = Normalization(np.zeros(54), np.ones(54)), manifest.encoder.feature_shape[-1]
    statistics = Statistics(spread, np.zeros(channels, np.float32), np.ones(channels, np.float32))
    method = rebuild_method(manifest.network)
    graphs = {}
    for k in (method.network.selected, len(Blocks.of(manifest).frames)):
        folder = scratch / str(k)
        folder.mkdir()
        changed = replace(method, network=replace(method.network, selected=k))
        write_graphs(changed, changed.build(), statistics, folder)
        graphs[k] = folder / POLICY
    return graphs


if __name__ == "__main__":
    main()
