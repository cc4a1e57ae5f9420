"""Training windows a second of ours, HAT and ACT, forward, objective, backward and optimiser, in one run.

python benchmarks/training_throughput.py [--size gpu] [--methods ours hat act ours_dense] [--rounds 10]

Methods take turns on made-up windows, so that their ratios hold on a busy machine too. On the CPU the time is that of
one thread, on a GPU the clock's, to the end of the work. The rate of arithmetic is what PyTorch's FLOP counter finds in
a step, against what a large matrix product reaches in the same precision in the same run. Prints a Markdown table.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from firsthand.space.hand_state import SIZE
from firsthand_training.experiments.methods import METHODS, SIZES, Size, find_method
from firsthand_training.training.train import TrainSettings
from firsthand_training.training.windows import Batch, WindowSettings

WARM_UP = 2  # rounds that do not count
PRODUCT = {"cpu": 1024, "cuda": 8192}  # rows and columns of the matrices that say how fast the machine is


@dataclass(frozen=True)
class Contender:
    """A method, ready to step."""

    name: str
    step: Callable[[], None]
    windows: int  # of a step
    parameters: int
    flops: int  # of a step


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="cpu")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["ours", "hat", "act"])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batch", type=int, default=0, help="windows of a step; 0: a micro-batch of the recipe")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    contenders = [prepare(name, arguments.size, arguments.batch, device) for name in arguments.methods]
    precision = find_method(arguments.methods[0], arguments.size).train.precision
    peak = product_rate(device, precision)
    print(f"{device.type}, {precision}; a large matrix product runs at {peak / 1e12:.3g} TFLOP/s\n")
    print_table(contenders, measure(contenders, arguments.rounds, device), peak)


def prepare(name: str, size: Size, batch: int, device: torch.device) -> Contender:
    """A method with its network, its optimiser and a batch."""
    torch.manual_seed(0)
    settings = find_method(name, size).train
    network = settings.method.build().to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)
    windows = made_up(settings.method.window, batch or settings.micro_batch, device)

    def step() -> None:
        optimizer.zero_grad()
        with autocast(settings, device):
            loss = settings.method.loss(network, windows).total
        torch.autograd.backward(loss)
        optimizer.step()

    with FlopCounterMode(display=False) as counter:
        step()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Contender(name, step, len(windows), parameters, counter.get_total_flops())


def made_up(window: WindowSettings, size: int, device: torch.device) -> Batch:
    """A batch of noise in the shapes that a network wants."""
    pooled = window.rows * window.columns // window.pool**2
    shown = torch.ones(size, window.horizon, dtype=torch.bool)
    return Batch(
        features=torch.randn(size, *window.features),
        state=torch.randn(size, SIZE),
        future=torch.randn(size, window.views, window.frames, pooled, window.channels),
        future_mask=torch.ones(size, window.frames, dtype=torch.bool),
        actions=torch.randn(size, window.horizon, SIZE),
        action_mask=shown,
        action_weight=shown.float(),
    ).to(device)


def measure(contenders: list[Contender], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of every step, methods taking turns."""
    seconds: dict[str, list[float]] = {each.name: [] for each in contenders}
    for number in range(rounds + WARM_UP):
        for each in contenders:
            duration = timed(each.step, device)
            if number >= WARM_UP:
                seconds[each.name].append(duration)
    return seconds


def product_rate(device: torch.device, precision: str) -> float:
    """What a large matrix product reaches, [FLOP/s], best of several."""
    side = PRODUCT[device.type]
    matrix = torch.randn(side, side, device=device, dtype=getattr(torch, precision))
    return 2 * side**3 / min(timed(lambda: matrix @ matrix, device) for _ in range(8))


def timed(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds that some work takes: of this thread on a CPU, else of the clock."""
    if device.type == "cpu":
        began = time.thread_time()
        work()
        return time.thread_time() - began
    torch.cuda.synchronize(device)
    began = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    return time.perf_counter() - began


def autocast(settings: TrainSettings, device: torch.device) -> AbstractContextManager[Any]:
    """The precision of the recipe."""
    return torch.autocast(device.type, torch.bfloat16) if settings.precision == "bfloat16" else nullcontext()


def print_table(contenders: list[Contender], seconds: dict[str, list[float]], peak: float) -> None:
    """Medians; ratios are of windows a second to the last method's, round by round."""
    last = contenders[-1]
    reference = np.array(seconds[last.name]) / last.windows
    print(f"| method | parameters | windows/s | × {last.name} | GFLOP a window | share of the matrix product's rate |")
    print("|---|---|---|---|---|---|")
    for each in contenders:
        values = np.array(seconds[each.name])
        ratio = np.median(reference / (values / each.windows))
        print(
            f"| {each.name} | {each.parameters / 1e6:.2f} M | {each.windows / np.median(values):.1f} | {ratio:.2f} "
            f"| {each.flops / each.windows / 1e9:.2f} | {each.flops / np.median(values) / peak:.0%} |"
        )


if __name__ == "__main__":
    main()
