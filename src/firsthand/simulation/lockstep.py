"""A body under 25 Hz targets, without ROS: what the graph of nodes does, one step at a time.

A target of 54 numbers is met by retargeting and governor at 250 Hz, interpolated from the target before it, just as the
`kinematics` node does. Demonstrations and the closed-loop evaluation of a policy run through it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.robot.bodies.interface import TICK, Body, BodyState, MotorCommand
from firsthand.robot.limits import Governor, JointLimits
from firsthand.robot.model import RobotModel
from firsthand.robot.retargeting import Retargeting
from firsthand.simulation.disturbance import Disturbance
from firsthand.space.hand_state import check_vector, interpolate

Array = NDArray[np.floating]

RATE = 25  # [Hz], of targets and observations
TICKS_PER_STEP = round(1 / (RATE * TICK))


@dataclass(frozen=True)
class Observation:
    """What is known at the start of a 25 Hz step."""

    stamp_ns: int
    hand_state: Array  # (54,), measured
    joints: Array  # (26,), [rad], measured
    joint_command: Array  # (26,), [rad], what the motors were last told


class LockStep:
    """Body, retargeting and governor, driven by one target of 54 numbers per 25 Hz step."""

    def __init__(self, body: Body, model: RobotModel, disturbance: Disturbance | None = None) -> None:
        self._body, self._model = body, model
        self._retargeting = Retargeting(model)
        self._governor = Governor(JointLimits.from_model(model), TICK)
        self._disturbance = disturbance
        self.reset()

    def reset(self, seed: int | None = None) -> Observation:
        """Start the trial of `seed` (None: the same again); the first target blends in from the measured pose."""
        self._state = self._body.reset(seed)
        self._command = self._state.positions.copy()
        self._solution = self._command.copy()
        self._governor.reset(self._command)
        self._target = self.observe().hand_state
        if self._disturbance is not None:
            self._disturbance.reset()
        return self.observe()

    def observe(self) -> Observation:
        """The measured hand state and joints, now."""
        state: BodyState = self._state
        return Observation(
            stamp_ns=state.stamp_ns,
            hand_state=self._model.hand_state(state.positions).to_vector(),
            joints=state.positions,
            joint_command=self._command.copy(),
        )

    def step(self, target: Array) -> Observation:
        """Let one 25 Hz step pass.

        Args:
            target: (54,), where the hands shall be at its end. A disturbance, if there is one, is added here: what is
                executed then differs from what was asked for.

        Returns:
            The observation at its end.
        """
        target = check_vector(np.asarray(target, dtype=float))
        if self._disturbance is not None:
            target = self._disturbance.apply(target)
        for tick in range(1, TICKS_PER_STEP + 1):
            self._tick(interpolate(self._target, target, tick / TICKS_PER_STEP))
        self._target = target
        return self.observe()

    def _tick(self, hand_state: Array) -> None:
        self._solution = self._retargeting.solve(hand_state, self._solution, TICK).q
        self._command = self._governor.step(self._solution)
        self._state = self._body.step(MotorCommand(positions=self._command, stiffness=1.0))
