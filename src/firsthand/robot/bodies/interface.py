"""What every body of the robot does: mock, MuJoCo and hardware alike.

A body holds the motors (or what stands for them) and advances one control tick at a time. It obeys: limits and stops
are the safety gate's, in front of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ShapeError
from firsthand.robot.joints import COUNT

Array = NDArray[np.floating]

TICK = 0.004  # [s], one step of any body
TICK_NS = 4_000_000


@dataclass(frozen=True)
class MotorCommand:
    """Where the 26 motors should go, and how hard they may try."""

    positions: Array  # (26,), [rad]
    stiffness: float = 1.0  # 1 holds with full gains, 0 only damps
    released: bool = False  # nobody drives: a robot with a controller of its own gets its arms back, gently

    def __post_init__(self) -> None:
        """Refuse what no motor may get.

        Raises:
            ShapeError: Not 26 finite positions and a stiffness of 0 to 1.
        """
        shape = np.shape(self.positions)
        if shape != (COUNT,):
            raise ShapeError(f"expected {COUNT} motor positions, got shape {shape}")
        if not np.isfinite(self.positions).all():
            bad = np.flatnonzero(~np.isfinite(self.positions)).tolist()
            raise ShapeError(f"expected {COUNT} finite motor positions; not finite: {bad}")
        if not 0.0 <= self.stiffness <= 1.0:
            raise ShapeError(f"expected a stiffness from 0 to 1, got {self.stiffness}")


@dataclass(frozen=True)
class BodyState:
    """What the encoders say."""

    stamp_ns: int
    positions: Array  # (26,), [rad]
    velocities: Array  # (26,), [rad/s]
    missing: str = ""  # why the above is not to be relied on (too old, another robot); empty while all is well


@dataclass(frozen=True)
class BodyHealth:
    """How the body does, for diagnostics."""

    message: str
    well: bool
    values: Mapping[str, object]  # numbers behind it, by name with unit


class Body(Protocol):
    """One robot, real or not."""

    def reset(self, seed: int | None = None) -> BodyState:
        """Bring the body to where an episode starts; the same seed gives the same start."""
        ...

    def step(self, command: MotorCommand) -> BodyState:
        """Obey one command for one tick (`TICK`) and say what came of it."""
        ...

    def close(self) -> None:
        """Let go of the motors; the body is of no use afterwards."""
        ...
