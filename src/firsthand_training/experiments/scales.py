"""How large an experiment is: what fits two CPU cores overnight, a data-centre GPU in an afternoon, or one in days."""

from dataclasses import dataclass
from typing import Literal

Size = Literal["cpu", "medium", "gpu"]


@dataclass(frozen=True)
class Scale:
    """Everything that decides how long an experiment takes."""

    size: Size = "cpu"
    """Networks of `methods.py`: small ones that train on CPU cores, those of about the published sizes, or between."""
    demonstrations: int = 100
    """Robot demonstrations of each task."""
    human: int = 100
    """Human demonstrations of each task."""
    video: int = 200
    """Video episodes over all tasks."""
    every: int = 4
    """Every n-th frame is encoded."""
    steps: int = 1500
    """Training steps of each policy."""
    pretraining_steps: int = 1500
    """Training steps on video, before those."""
    slow_down: float = 1.5
    """How many times longer people take in pretraining, where there is no robot to compare with: their trials are 1.5
    times shorter. Co-training finds its own factor."""
    trials: int = 50
    """Trials of each policy, task and variant; the same seeds for all."""
    seed: int = 10_000
    """Of the first trial."""
    workers: int = 2
    """Processes that simulate, and threads that encode."""

    def __post_init__(self) -> None:
        """Refuse sizes that mean nothing."""
        for name in ("demonstrations", "human", "video", "every", "steps", "pretraining_steps", "trials", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")


SCALES: dict[str, Scale] = {
    "smoke": Scale(demonstrations=2, human=2, video=4, steps=4, pretraining_steps=4, trials=2),
    "cpu": Scale(),
    "medium": Scale(
        size="medium",
        demonstrations=150,
        human=150,
        video=400,
        every=4,
        steps=8_000,
        pretraining_steps=8_000,
        workers=16,
    ),
    "gpu": Scale(
        size="gpu",
        demonstrations=300,
        human=300,
        video=2000,
        every=2,
        steps=50_000,
        pretraining_steps=100_000,
        workers=16,
    ),
}
"""By name. `smoke` shows that every part runs, and nothing else."""
