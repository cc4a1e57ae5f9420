"""What tasks ask of an object: that it stands, that it rests, that it is in a zone."""

import numpy as np
from numpy.typing import ArrayLike

from firsthand.simulation.tasks.interface import ObjectState

UPRIGHT = float(np.cos(np.deg2rad(15.0)))
ON_TABLE = 0.01  # [m]
AT_REST = (0.02, 0.3)  # [m/s], [rad/s]


def standing(state: ObjectState, table_height: float) -> bool:
    """Whether an object stands upright on the table."""
    return bool(state.rotation[2, 2] >= UPRIGHT and abs(state.position[2] - table_height) <= ON_TABLE)


def at_rest(state: ObjectState) -> bool:
    """Whether an object hardly moves."""
    linear, angular = AT_REST
    return bool(np.linalg.norm(state.linear_velocity) <= linear and np.linalg.norm(state.angular_velocity) <= angular)


def way_to_zone(position: ArrayLike, center: tuple[float, float], half_size: tuple[float, float]) -> float:
    """Distance on the table from a position (2,) or (3,) in the world to a rectangle, 0 inside it, [m]."""
    return float(np.linalg.norm(np.maximum(np.abs(np.asarray(position)[:2] - center) - half_size, 0.0)))
