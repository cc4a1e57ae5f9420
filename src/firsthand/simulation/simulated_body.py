"""The robot in MuJoCo, behind the interface that the real one has.

A tick is 4 ms: two physics steps. Time starts at 0 on every reset and counts ticks, so equal seeds and equal commands
give bit-equal trajectories.
"""

from collections.abc import Mapping

import numpy as np

from firsthand.robot.bodies.interface import TICK_NS, BodyState, MotorCommand
from firsthand.robot.joints import JOINTS
from firsthand.simulation.gl import mujoco
from firsthand.simulation.judge import PERIOD_NS, Judge
from firsthand.simulation.robot import gains
from firsthand.simulation.scene import PHYSICS_STEP, Scene, build_scene
from firsthand.simulation.tasks.interface import ObjectState

STEPS_PER_TICK = round(TICK_NS * 1e-9 / PHYSICS_STEP)
CHECK_TICKS = PERIOD_NS // TICK_NS  # between two looks at the task


class SimulatedBody:
    """The H1-2 at the table of a task."""

    def __init__(self, task: str = "push", variant: str = "id", seed: int = 0) -> None:
        self._task, self._variant = task, variant
        self._stiffness = np.array([gains(name)[0] for name in JOINTS])
        self._build(seed)

    def reset(self, seed: int | None = None) -> BodyState:
        """Start the trial of `seed` (None: the same one again) from its beginning.

        A new seed makes a new `scene`: renderers of the old one are to be made anew.
        """
        if seed is not None and seed != self.scene.seed:
            self._build(seed)
        else:
            self._start()
        return self.state()

    def step(self, command: MotorCommand) -> BodyState:
        """Let 4 ms pass with the servos drawn to `command`."""
        if command.stiffness != self._share:
            self._set_stiffness(command.stiffness)
        self.scene.data.ctrl[:] = command.positions
        mujoco.mj_step(self.scene.model, self.scene.data, STEPS_PER_TICK)
        self._ticks += 1
        if self._ticks % CHECK_TICKS == 0:
            self._judge.look(self._ticks * TICK_NS)
        return self.state()

    def state(self) -> BodyState:
        """Joints as they are now."""
        data = self.scene.data
        return BodyState(
            stamp_ns=self._ticks * TICK_NS,
            positions=data.qpos[self.scene.joint_qpos],
            velocities=data.qvel[self.scene.joint_qvel],
        )

    def close(self) -> None:
        """Nothing to give back: the scene holds memory only."""

    def success(self) -> bool:
        """Whether the task was done: its objects stayed where it wants them for 0.3 s, within its time limit."""
        return self._judge.succeeded

    def progress(self) -> float:
        """How far the task has come, 0 to 1."""
        return self._judge.progress()

    def timed_out(self) -> bool:
        """Whether the task's time limit has passed."""
        return self._judge.timed_out(self._ticks * TICK_NS)

    def objects(self) -> dict[str, ObjectState]:
        """How each object lies and moves now, in the world."""
        return self.scene.objects()

    def scene_state(self) -> dict[str, float]:
        """Every joint of the scene by name; see `Scene.state`."""
        return self.scene.state()

    def set_scene_state(self, state: Mapping[str, float]) -> None:
        """Put every joint of the scene where `state` says; see `Scene.set_state`."""
        self.scene.set_state(state)

    def _build(self, seed: int) -> None:
        self.scene: Scene = build_scene(self._task, self._variant, seed)
        self._start()

    def _start(self) -> None:
        self.scene.reset()
        self._ticks = 0
        self._judge = Judge(self.scene)
        self._set_stiffness(1.0)

    def _set_stiffness(self, share: float) -> None:
        """Scale the servos' spring; their damping stays, so a share of 0 is a damped fall."""
        self._share = share
        stiffness = self._stiffness * share
        self.scene.model.actuator_gainprm[:, 0] = stiffness
        self.scene.model.actuator_biasprm[:, 1] = -stiffness
