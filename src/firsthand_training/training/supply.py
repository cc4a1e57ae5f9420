"""Micro-batches in the order of training, made ahead of time by processes of their own where a GPU would wait for them.

What a batch holds follows from its places alone, so it makes no difference who makes it, or when.
"""

from collections.abc import Iterator
from typing import cast

from torch.utils.data import DataLoader, Dataset

from firsthand_training.training.sources import Mixture
from firsthand_training.training.windows import Batch

AHEAD = 2  # batches that each process has ready


def supply(mixture: Mixture, places: Iterator[range], workers: int) -> Iterator[Batch]:
    """The batches at some places of the run, one after the other.

    Args:
        mixture: Where windows come from.
        places: Of each batch.
        workers: Processes that make them; 0 makes each when it is asked for.
    """
    if workers == 0:
        return map(mixture.batch, places)
    loader = DataLoader(_Batches(mixture), batch_size=None, sampler=places, num_workers=workers, prefetch_factor=AHEAD)
    return cast(Iterator[Batch], iter(loader))


class _Batches(Dataset[Batch]):
    """A mixture, as PyTorch's loader asks for it."""

    def __init__(self, mixture: Mixture) -> None:
        self._mixture = mixture

    def __getitem__(self, places: range) -> Batch:
        return self._mixture.batch(places)
