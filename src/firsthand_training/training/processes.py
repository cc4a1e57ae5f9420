"""One run on several processes, as `torchrun` starts them: every one makes its part of each batch, and all step alike.

Gradients are summed once a step instead of by DistributedDataParallel, so that the network keeps its names,
micro-batches cost no communication, and any number of processes makes the same step up to rounding.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

PATIENCE = timedelta(hours=6)  # the others wait while the first validates, or while somebody encodes pictures


@dataclass(frozen=True)
class Processes:
    """Which process this is, of how many."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes, validates and shows progress."""
        return self.rank == 0

    def sum_gradients(self, network: nn.Module) -> None:
        """Replace the gradients of every process by their sum."""
        if self.count == 1:
            return
        everything = list(network.parameters())
        here = [float(each.grad is not None) for each in everything]  # with fewer micro-batches than processes, none
        used = self.sum(torch.tensor(here, device=everything[0].device))
        parameters = [each for each, count in zip(everything, used.tolist(), strict=True) if count > 0]
        mine = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        sums = self.sum(torch.cat([gradient.flatten() for gradient in mine]))
        parts = torch.split(sums, [each.numel() for each in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Return when every process has come this far."""
        self.sum(torch.zeros(1))


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """The processes of this run: those that `torchrun` started together, or this one alone; may be nested."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes()
        return
    outermost = not distributed.is_initialized()
    if outermost:  # once a process: a second group of the same processes would never find itself together
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        if outermost:
            distributed.destroy_process_group()


def device_of_this_process(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda` as a device; each process of a machine takes a GPU of its own."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
        return device
    return torch.device(name)
