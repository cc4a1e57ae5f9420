"""What a detector says: where a hand may be. The landmark network judges."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firsthand_training.labels.hand_networks.regions import Picture, Region

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Candidate:
    """Where a hand may be."""

    box: Array  # (4,), [px], left, top, right, bottom
    score: float  # 0 to 1
    region: Region | None = None  # from a detector that knows which way the hand points
    side: int | None = None  # 0 left, 1 right, from one that knows
    certain: bool = False  # kept as a box even where the landmark network sees no hand


class HandDetector(Protocol):
    """One interface for all detectors."""

    def detect(self, picture: Picture) -> list[Candidate]:
        """Where hands may be, best first."""
        ...
