"""A body without physics: 26 damped joints that follow their commands. It ships, so that every graph runs anywhere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import FirsthandError
from firsthand.robot.bodies.interface import TICK, TICK_NS, BodyState, MotorCommand
from firsthand.robot.model import RobotModel

Array = NDArray[np.floating]


@dataclass(frozen=True)
class MockSettings:
    """How the joints of a `MockBody` move."""

    natural_frequency: float = 40.0  # [rad/s] at full stiffness; about that of the arms under position control
    damping_ratio: float = 1.0  # 1 arrives without overshoot
    start_spread: float = 0.05  # [rad], how far a seeded start lies from the ready posture, at most


DEFAULT = MockSettings()


class MockBody:
    """Second-order joints without gravity or contact; deterministic.

    With stiffness s, natural frequency w and damping ratio z a joint follows
    q'' = s w^2 (command - q) - 2 z w q': stiff it follows, at zero it comes to rest where it is.
    """

    def __init__(self, model: RobotModel, settings: MockSettings = DEFAULT, start: Array | None = None) -> None:
        self._lower, self._upper = model.lower, model.upper
        self._velocity_limits = model.velocity_limits
        self._start = np.array(model.neutral if start is None else start, dtype=float)
        self._settings = settings
        self._closed = False
        self.reset()

    def reset(self, seed: int | None = None) -> BodyState:
        """Stand still in the ready posture, or near it when a seed is given; the clock starts at zero."""
        self._check_open()
        offset = np.zeros_like(self._start)
        if seed is not None:
            spread = self._settings.start_spread
            offset = np.random.default_rng(seed).uniform(-spread, spread, size=offset.shape)
        self._positions = np.clip(self._start + offset, self._lower, self._upper)
        self._velocities = np.zeros_like(self._start)
        self._stamp_ns = 0
        return self._state()

    def step(self, command: MotorCommand) -> BodyState:
        """Integrate one tick, implicitly, so that no gain can make it unstable."""
        self._check_open()
        frequency = self._settings.natural_frequency
        spring = command.stiffness * frequency**2
        damping = 2.0 * self._settings.damping_ratio * frequency
        pull = self._velocities + TICK * spring * (command.positions - self._positions)
        velocities = pull / (1.0 + TICK * damping + TICK**2 * spring)
        velocities = np.clip(velocities, -self._velocity_limits, self._velocity_limits)
        positions = np.clip(self._positions + TICK * velocities, self._lower, self._upper)
        self._velocities = (positions - self._positions) / TICK  # a joint at its stop has none
        self._positions = positions
        self._stamp_ns += TICK_NS
        return self._state()

    def close(self) -> None:
        """End this body; a further `reset` or `step` is an error."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise FirsthandError("this body is closed; make a new MockBody")

    def _state(self) -> BodyState:
        return BodyState(self._stamp_ns, self._positions.copy(), self._velocities.copy())
