"""How fast a joint may go, and the governor that turns any stream of targets into a motion that keeps to it.

Everything is discrete: a command lives for one tick of `dt`, its velocity is the difference to the command before
over `dt`, its acceleration the difference of two velocities over `dt`. The limits hold for exactly these numbers,
so whoever logs the commands can check them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ShapeError
from firsthand.robot.joints import ARMS_SLICE, HANDS_SLICE, JOINTS
from firsthand.robot.model import RobotModel

Array = NDArray[np.floating]

# Far below the motors' 9-31 rad/s (URDF): people reach at 2-4 rad/s in a joint, and the monitors that other stacks put
# on humanoid arms trip at 6 rad/s.
ARM_VELOCITY = 6.0  # [rad/s]
# What the motors can do: (effort - gravity) / inertia, each joint alone, is at least 46, 45, 181, 179 and then
# > 3000 rad/s^2 in 99 % of random postures of the described arm. Kept below that, shoulder pitch to wrist yaw:
ARM_ACCELERATION = (40.0, 40.0, 80.0, 80.0, 120.0, 120.0, 120.0)  # [rad/s^2]
# Light fingers on stiff screw drives: full speed within two to three frames of the camera.
HAND_ACCELERATION = 60.0  # [rad/s^2]
BRAKING_SAMPLES = 3  # of a braking path, the rest included, for whoever has to judge it


@dataclass(frozen=True)
class JointLimits:
    """What each joint may do; all arrays have one entry a joint."""

    lower: Array  # (n,), [rad]
    upper: Array  # (n,), [rad]
    velocity: Array  # (n,), [rad/s]
    acceleration: Array  # (n,), [rad/s^2]

    def __post_init__(self) -> None:
        shapes = {np.shape(values) for values in (self.lower, self.upper, self.velocity, self.acceleration)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise ShapeError(f"limits need one number a joint and array, got shapes {sorted(shapes)}")
        if not np.all(self.lower < self.upper):
            raise ValueError(
                f"lower limits must lie below the upper ones; see joints {np.flatnonzero(self.lower >= self.upper)}"
            )
        if not (np.all(self.velocity > 0) and np.all(self.acceleration > 0)):
            raise ValueError("velocity and acceleration limits must be positive")

    @classmethod
    def from_model(cls, model: RobotModel, arm_velocity: float = ARM_VELOCITY) -> "JointLimits":
        """The limits of the 26 joints: position and hand speed from the URDF, the rest from this module."""
        velocity = np.array(model.velocity_limits, dtype=float)
        velocity[ARMS_SLICE] = np.minimum(velocity[ARMS_SLICE], arm_velocity)
        acceleration = np.empty(len(JOINTS))
        acceleration[ARMS_SLICE] = np.tile(ARM_ACCELERATION, 2)
        acceleration[HANDS_SLICE] = HAND_ACCELERATION
        return cls(np.array(model.lower), np.array(model.upper), velocity, acceleration)

    def clip(self, positions: Array) -> Array:
        """The nearest positions that the joints can take."""
        return _between(positions, self.lower, self.upper)


class Governor:
    """Follow joint targets without ever breaking a limit.

    Each joint follows its target like a critically damped second-order system that trails a steadily moving target by
    `lag` seconds, and which may never be faster than it can brake: before its target, so that a step does not
    overshoot, and before the position limits, so that position holds whatever the targets do. Joints do not wait for
    each other.

    Args:
        limits: Held exactly (up to rounding) from every state that `reset` accepts.
        dt: Length of a tick [s].
        lag: How far the command trails a steady target [s], at least `dt`; more filters more noise. From a speed of
            2 * acceleration * lag on it trails by speed / (2 * acceleration): the distance it needs to brake.
    """

    def __init__(self, limits: JointLimits, dt: float, lag: float = 0.02) -> None:
        if not 0 < dt <= lag:
            raise ValueError(f"expected 0 < dt <= lag, got dt = {dt} s, lag = {lag} s")
        self.limits = limits
        self.dt = dt
        # v' = p^2 v + (1 - p)^2 e / dt puts both poles at p and trails a ramp by dt (1 + p) / (1 - p).
        pole = (lag - dt) / (lag + dt)
        self._keep, self._pull = pole**2, (1 - pole) ** 2 / dt
        self._velocity_step = limits.acceleration * dt
        self._position_step = self._velocity_step * dt
        self._never = np.zeros(limits.lower.shape, dtype=bool)
        self.reset(limits.clip(np.zeros_like(limits.lower)))

    def reset(self, positions: Array, velocities: Array | None = None) -> None:
        """Start over from here.

        Positions outside the limits are moved to them; a velocity that could not be braked within the limits is
        reduced to one that can.

        Args:
            positions: (n,), [rad], finite.
            velocities: (n,), [rad/s]; at rest if left out.
        """
        self.positions = self.limits.clip(self._checked(positions, "positions"))
        wanted = np.zeros_like(self.positions) if velocities is None else self._checked(velocities, "velocities")
        self.velocities = self._within_limits(wanted)
        self.held = self._never

    def step(self, targets: Array, acceptable: Callable[[Array], bool] | None = None) -> Array:
        """Advance one tick towards the targets.

        Args:
            targets: (n,), [rad], any numbers. A joint whose target is not finite brakes, holds and is marked in
                `held`.
            acceptable: Asked whether the robot may pass and rest at positions (k, n): the `braking_path` from the next
                tick. If not, this tick brakes, along the path that was accepted a tick ago.

        Returns:
            (n,), [rad]: the next command.
        """
        targets = np.asarray(targets, dtype=float)
        if targets.shape != self.positions.shape:
            raise ShapeError(f"expected {self.positions.size} joint targets, got shape {targets.shape}")
        finite = np.isfinite(targets)
        self.held = self._never if finite.all() else ~finite
        error = np.where(finite, self.limits.clip(targets) - self.positions, 0.0)
        wanted = np.where(finite, self._keep * self.velocities + self._pull * error, 0.0)
        cap = self._fastest_that_stops_within(np.abs(error))
        before = self.positions, self.velocities
        self._advance(_between(wanted, np.where(error < 0, -cap, -np.inf), np.where(error > 0, cap, np.inf)))
        if acceptable is not None and not acceptable(self.braking_path()):
            self.positions, self.velocities = before
            self._advance(np.zeros_like(self.positions))
        return self.positions

    def brake(self) -> Array:
        """Advance one tick while coming to rest as fast as the acceleration limits allow; returns the next command."""
        self.held = self._never
        return self._advance(np.zeros_like(self.positions))

    def braking_path(self, samples: int = BRAKING_SAMPLES) -> Array:
        """(k, n), [rad], k <= samples: where full braking from now on leads, evenly in time, the last at rest."""
        units = np.abs(self.velocities) / self._velocity_step
        ticks = np.floor(units)
        longest = ticks.max()
        k = int(min(max(longest, 1.0), samples))
        passed = np.minimum(ticks, np.ceil(longest * np.arange(1, k + 1)[:, None] / k))
        travel = (passed * units - passed * (passed + 1.0) / 2.0) * self._position_step
        return self.limits.clip(self.positions + np.copysign(travel, self.velocities))

    def _advance(self, wanted: Array) -> Array:
        within_reach = _between(wanted, self.velocities - self._velocity_step, self.velocities + self._velocity_step)
        self.velocities = self._within_limits(within_reach)
        self.positions = self.limits.clip(self.positions + self.velocities * self.dt)
        return self.positions

    def _within_limits(self, velocities: Array) -> Array:
        """The velocities, reduced where the joint would be too fast or could not stop before its limit.

        From any state that meets this, full braking meets it again: it never asks for more than the acceleration.
        """
        fastest = self.limits.velocity
        up = np.minimum(fastest, self._fastest_that_stops_within(self.limits.upper - self.positions))
        down = np.minimum(fastest, self._fastest_that_stops_within(self.positions - self.limits.lower))
        return _between(velocities, -down, up)

    def _fastest_that_stops_within(self, distance: Array) -> Array:
        """The largest velocity of a tick after which full braking, tick by tick, ends within `distance` (n,) >= 0.

        In units of one tick's change of velocity and position, n ticks of braking from a velocity v in [n, n + 1)
        take (n + 1) v - n (n + 1) / 2, this tick's travel included: solved for v.
        """
        units = distance / self._position_step
        ticks = np.floor((np.sqrt(1.0 + 8.0 * units) - 1.0) / 2.0)
        return self._velocity_step * (units / (ticks + 1.0) + ticks / 2.0)

    def _checked(self, values: Array, name: str) -> Array:
        values = np.asarray(values, dtype=float)
        if values.shape != self.limits.lower.shape:
            raise ShapeError(f"expected {self.limits.lower.size} joint {name}, got shape {values.shape}")
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise ValueError(f"the governor cannot start from {name} that are not finite: joints {bad}")
        return values


def _between(values: Array, lower: Array, upper: Array) -> Array:
    return np.minimum(np.maximum(values, lower), upper)  # np.clip takes three times as long
