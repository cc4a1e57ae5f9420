"""How the camera of a clip moves while its wearer works: on a smooth random way of a known size."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import SimulationError
from firsthand.simulation.disturbance import SmoothNoise
from firsthand.space.rotations import matrix_from_rotation_vector

Array = NDArray[np.floating]


class HeadMotion(NamedTuple):
    """How far the camera gets from its mean pose within a clip, at most."""

    reach: float  # [m]
    turn: float  # [rad]
    time_constant: float  # [s], in which it changes its way


MOTIONS = {
    "still": HeadMotion(0.0, 0.0, 1.0),
    "small": HeadMotion(0.02, np.deg2rad(2.0), 0.8),
    "large": HeadMotion(0.09, np.deg2rad(6.0), 1.0),
    "turn": HeadMotion(0.0, np.deg2rad(10.0), 1.0),
}
"""`turn` is a pure rotation about the camera's centre."""


def move_head(motion: str, world_from_head: Array, frames: int, rate: float, rng: np.random.Generator) -> Array:
    """world_from_head of each frame, (N, 4, 4), around a mean one (4, 4).

    Args:
        motion: One of `MOTIONS`.
        world_from_head: The mean pose.
        frames: N.
        rate: [Hz].
        rng: What the way is drawn from.

    Raises:
        SimulationError: There is no such motion.
    """
    if motion not in MOTIONS:
        raise SimulationError(f"no head motion {motion!r}; there are {', '.join(MOTIONS)}")
    reach, turn, time_constant = MOTIONS[motion]
    noise = SmoothNoise(rng, (6,), rate * time_constant)
    for _ in range(round(4 * rate * time_constant)):  # from rest into full swing
        noise.advance()
    ways = np.stack([noise.advance() for _ in range(frames)])
    ways -= ways.mean(axis=0)
    poses = np.tile(world_from_head, (frames, 1, 1))
    poses[:, :3, :3] = world_from_head[:3, :3] @ matrix_from_rotation_vector(_sized(ways[:, 3:], turn))
    poses[:, :3, 3] += _sized(ways[:, :3], reach)
    return poses


def _sized(way: Array, farthest: float) -> Array:
    """The way (N, 3), larger or smaller, so that it gets this far from the origin."""
    return way * farthest / max(float(np.linalg.norm(way, axis=1).max()), 1e-9)
