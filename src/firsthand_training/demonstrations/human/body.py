"""A person at a task, step by step: what `simulation/lockstep.py` and `simulated_body.py` are for the robot.

A target of 54 numbers moves the goals that the wrists are tied to and the servos of the fingers; the head looks after
the hands by itself. A step is 40 ms, in which the goals move evenly.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import SimulationError
from firsthand.simulation.gl import mujoco
from firsthand.simulation.judge import HOLD_NS
from firsthand.simulation.lockstep import RATE
from firsthand.simulation.scene import PHYSICS_STEP
from firsthand.simulation.tasks.interface import ObjectState, Setup, Task
from firsthand.space.frames import inverse, pose
from firsthand.space.hand_state import SIDES, HandState, check_vector
from firsthand.space.rotations import (
    matrix_from_rotation_vector,
    matrix_from_rpy,
    quaternion_wxyz_from_matrix,
    rotation_vector_from_matrix,
)
from firsthand_training.demonstrations.human.hand_model import names
from firsthand_training.demonstrations.human.head import Head
from firsthand_training.demonstrations.human.person import Person
from firsthand_training.demonstrations.human.scene import HumanScene, build_human_scene
from firsthand_training.demonstrations.human.shapes import angles_of
from firsthand_training.hand_bones import MIRROR

Array = NDArray[np.floating]

STEP_NS = round(1e9 / RATE)
GOALS_PER_STEP = 5  # how often within a step the goals are moved
PHYSICS_PER_GOAL = round(1 / (RATE * GOALS_PER_STEP * PHYSICS_STEP))
BACK_OFF = 0.02  # [m], by which a hand that would start in touch with something is drawn back, again and again
BACK_OFFS = 8


class HumanBody:
    """A person's hands and head in the world of a setup."""

    def __init__(self, task: Task, setup: Setup, person: Person, seed: int) -> None:
        """The person at rest, hands in front of the table.

        Raises:
            SimulationError: The world cannot be built, or the hands find no place to start from.
        """
        self.scene: HumanScene = build_human_scene(task, setup, person)
        self._goal_ids = [self.scene.model.body(names(side).goal).mocapid[0] for side in SIDES]
        self._head = Head(person, setup.table_height, seed, step=0.5 / RATE)
        self._steps = 0
        self._reached_since_ns: int | None = None
        self._succeeded = False
        self._angles = np.stack([angles_of("rest"), angles_of("rest")])
        self._goals = self._last_wrists = self._start(np.random.default_rng([seed, 0x5747]))
        self.scene.wear(self._head.world_from_robot, self._head.world_from_head)

    @property
    def stamp_ns(self) -> int:
        """Time since the start."""
        return self._steps * STEP_NS

    @property
    def robot_from_world(self) -> Array:
        """(4, 4), of F_R as it is now: it goes along with the head."""
        return inverse(self._head.world_from_robot)

    def hand_state(self) -> HandState:
        """Head, wrists and fingertips as they are, in F_R."""
        wrists = self.robot_from_world @ self.scene.wrists()
        return HandState.from_poses(self._head.rotation, wrists, self.scene.fingertips())

    def step(self, target: Array) -> HandState:
        """Let 40 ms pass.

        Args:
            target: (54,), in F_R as it is now: where the hands shall be at the end. Its head rotation is not looked at.

        Returns:
            The hand state at the end, in F_R as it is then.
        """
        state = HandState.from_vector(check_vector(np.asarray(target, dtype=float)))
        goals = self._head.world_from_robot @ state.wrist_poses
        right = state.fingertips_in_wrist * np.stack([MIRROR, np.ones(3)])[:, None]
        angles = self.scene.person.hand.solve(right, self._angles)
        shares = np.arange(1, GOALS_PER_STEP + 1) / GOALS_PER_STEP
        positions, quaternions = _ways(self._goals, goals, shares)
        for place, turned, share in zip(positions, quaternions, shares, strict=True):
            self.scene.data.mocap_pos[self._goal_ids] = place
            self.scene.data.mocap_quat[self._goal_ids] = turned
            self.scene.data.ctrl[self.scene.finger_ctrl] = self._angles + share * (angles - self._angles)
            mujoco.mj_step(self.scene.model, self.scene.data, PHYSICS_PER_GOAL)
        self._goals, self._angles = goals, angles
        self._steps += 1
        self._look()
        self._judge()
        return self.hand_state()

    def objects(self) -> Mapping[str, ObjectState]:
        """How each object lies and moves now, in the world."""
        return self.scene.objects()

    def success(self) -> bool:
        """Whether the objects stayed where the task wants them for 0.3 s, within its time limit."""
        return self._succeeded

    def timed_out(self) -> bool:
        """Whether the task's time limit has passed."""
        return self.stamp_ns > self.scene.task.time_limit * 1e9

    def _start(self, rng: np.random.Generator) -> Array:
        """Lay the hands down, clear of everything and as drawn if that is; world_from_wrist (2, 4, 4)."""
        rest = np.stack([_resting(self.scene.setup.table_height, side, rng) for side in range(2)])
        for _ in range(BACK_OFFS):
            for side in range(2):
                self.scene.place_hand(side, rest[side], self._angles[side])
            mujoco.mj_forward(self.scene.model, self.scene.data)
            if not self.scene.touched():
                return rest
            rest[:, 0, 3] -= BACK_OFF
        raise SimulationError(f"the person's hands start in touch with {', '.join(sorted(self.scene.touched()))}")

    def _look(self) -> None:
        """Turn the head after the hand that moves, and put everything where the eyes see it."""
        mujoco.mj_kinematics(self.scene.model, self.scene.data)
        wrists = self.scene.wrists()
        speeds: Array = np.linalg.norm(wrists[:, :3, 3] - self._last_wrists[:, :3, 3], axis=-1) * RATE + 0.03
        hand = np.average(wrists[:, :3, 3] + 0.1 * wrists[:, :3, 0], axis=0, weights=speeds)
        self._last_wrists = wrists
        for _ in range(2):
            self._head.advance(hand)
        self.scene.wear(self._head.world_from_robot, self._head.world_from_head)

    def _judge(self) -> None:
        if self._succeeded or self.timed_out():
            return
        if not self.scene.task.reached(self.scene.setup, self.objects()):
            self._reached_since_ns = None
        elif self._reached_since_ns is None:
            self._reached_since_ns = self.stamp_ns
        self._succeeded = self._reached_since_ns is not None and self.stamp_ns - self._reached_since_ns >= HOLD_NS


def _resting(table_height: float, side: int, rng: np.random.Generator) -> Array:
    """world_from_wrist (4, 4) of a hand that waits at the near edge of the table, half palm down."""
    sign = 1 - 2 * side
    place = rng.uniform([0.06, 0.19, 0.05], [0.13, 0.27, 0.10])
    roll, pitch, yaw = rng.uniform([0.2, 0.0, 0.1], [1.0, 0.25, 0.4])
    rotation = matrix_from_rpy(-sign * roll, pitch, -sign * yaw)
    return pose(rotation, place * [1.0, sign, 1.0] + [0.0, 0.0, table_height])


def _ways(before: Array, after: Array, shares: Array) -> tuple[Array, Array]:
    """Positions (S, 2, 3) and orientations wxyz (S, 2, 4) at some shares (S,) of the ways between poses (2, 4, 4)."""
    turns = rotation_vector_from_matrix(np.swapaxes(before[:, :3, :3], -1, -2) @ after[:, :3, :3])
    turned = before[:, :3, :3] @ matrix_from_rotation_vector(shares[:, None, None] * turns)
    places = before[:, :3, 3] + shares[:, None, None] * (after[:, :3, 3] - before[:, :3, 3])
    return places, quaternion_wxyz_from_matrix(turned)
