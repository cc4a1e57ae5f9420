"""A task's world with a person at the table instead of the robot.

Table, room, objects and what counts as done are those of `firsthand.simulation`; of its `Setup` only the robot's
posture is not used. World frame as there: x forward, origin on the floor.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import SimulationError
from firsthand.simulation.gl import mujoco
from firsthand.simulation.robot import EYE_FROM_CAMERA, EYES, ROBOT_BITS, SHOWN_GROUP
from firsthand.simulation.room import furnish
from firsthand.simulation.scene import object_states, set_options
from firsthand.simulation.tasks.interface import ObjectState, Setup, Task
from firsthand.space.frames import pose
from firsthand.space.hand_state import SIDES
from firsthand.space.rotations import quaternion_wxyz_from_matrix
from firsthand_training.demonstrations.human.anatomy import BONES, CURL_SHARE, DIGITS
from firsthand_training.demonstrations.human.arms import SHOULDERS_FROM_EYES, pose_arm
from firsthand_training.demonstrations.human.hand_model import add_hands, joint_names, names
from firsthand_training.demonstrations.human.person import Person

Array = NDArray[np.floating]

HEAD, TRUNK = "head", "trunk"


@dataclass(frozen=True)
class HumanScene:
    """A compiled world and its state."""

    task: Task
    setup: Setup
    person: Person
    model: "mujoco.MjModel"
    data: "mujoco.MjData"
    finger_qpos: NDArray[np.intp]  # (2, 5, 3), where the finger joints are in qpos
    finger_ctrl: NDArray[np.intp]  # (2, 5, 3), and in ctrl

    def objects(self) -> Mapping[str, ObjectState]:
        """How each object lies and moves now, in the world."""
        return object_states(self.setup, self.data)

    def place_hand(self, side: int, world_from_wrist: Array, angles: Array) -> None:
        """Put a hand and its goal somewhere, at rest; call `mj_forward` afterwards."""
        quaternion = quaternion_wxyz_from_matrix(world_from_wrist[:3, :3])
        joint = self.data.joint(names(SIDES[side]).wrist)
        joint.qpos[:3], joint.qpos[3:], joint.qvel[:] = world_from_wrist[:3, 3], quaternion, 0.0
        self.move(names(SIDES[side]).goal, world_from_wrist)
        self.data.qpos[self.finger_qpos[side]] = self.data.ctrl[self.finger_ctrl[side]] = angles
        for digit, name in enumerate(DIGITS):
            self.data.joint(f"{SIDES[side]}_{name}_end").qpos[0] = CURL_SHARE[digit] * angles[digit, 2]

    def move(self, body: str, world_from_body: Array) -> None:
        """Put one of the bodies that are moved from outside somewhere."""
        mocap = self.model.body(body).mocapid[0]
        self.data.mocap_pos[mocap] = world_from_body[:3, 3]
        self.data.mocap_quat[mocap] = quaternion_wxyz_from_matrix(world_from_body[:3, :3])

    def wrists(self) -> Array:
        """world_from_wrist, (2, 4, 4)."""
        bodies = [self.data.body(names(side).wrist) for side in SIDES]
        return np.stack([pose(body.xmat.reshape(3, 3), body.xpos) for body in bodies])

    def joints(self) -> Array:
        """Where the bones of each digit begin and where it ends, in the world, (2, 5, 4, 3), [m]."""
        bones = [self.data.body(f"{side}_{digit}_{bone}") for side in SIDES for digit in DIGITS for bone in BONES]
        starts = np.array([bone.xpos for bone in bones]).reshape(2, 5, 3, 3)
        along = np.array([bone.xmat[::3] for bone in bones]).reshape(2, 5, 3, 3)[:, :, 2]
        tips = starts[:, :, 2] + self.person.hand.segments[:, 2, None] * along
        return np.concatenate([starts, tips[:, :, None]], axis=2)

    def fingertips(self) -> Array:
        """Each in its wrist frame, (2, 5, 3), [m]."""
        wrists = self.wrists()
        return (self.joints()[:, :, 3] - wrists[:, None, :3, 3]) @ wrists[:, :3, :3]

    def wear(self, world_from_robot: Array, world_from_head: Array) -> None:
        """Put head, trunk and arms where they are for eyes at F_R, (4, 4) each, and everything where it is seen."""
        self.move(HEAD, world_from_head)
        self.move(TRUNK, world_from_robot)
        for side, (name, wrist) in enumerate(zip(SIDES, self.wrists(), strict=True)):
            outwards = world_from_robot[:3, 1] * (1 - 2 * side)
            shoulder = world_from_robot[:3, 3] + world_from_robot[:3, :3] @ (SHOULDERS_FROM_EYES * [1, 1 - 2 * side, 1])
            forearm, upper_arm = pose_arm(shoulder, wrist, outwards)
            self.move(names(name).forearm, forearm)
            self.move(names(name).upper_arm, upper_arm)
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def touched(self) -> set[str]:
        """The things that the hands touch now, by the names of their geoms."""
        of_hands = self.model.geom_contype == ROBOT_BITS[0]
        pairs = [(contact.geom1, contact.geom2) for contact in self.data.contact]
        both = [(a, b) for pair in pairs for a, b in (pair, pair[::-1])]
        return {self.model.geom(int(b)).name for a, b in both if of_hands[a] and not of_hands[b]}


def build_human_scene(task: Task, setup: Setup, person: Person) -> HumanScene:
    """Compile the world of a setup with a person in it.

    Raises:
        SimulationError: MuJoCo cannot build it.
    """
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    add_hands(spec, person)
    _add_head(spec, person)
    _add_trunk(spec, person)
    furnish(spec, setup)
    set_options(spec)
    try:
        model = spec.compile()
    except ValueError as error:
        raise SimulationError(f"MuJoCo cannot build the scene of task {task.name!r} with hands: {error}") from error
    driven = [name for side in SIDES for name in joint_names(side)]
    return HumanScene(
        task=task,
        setup=setup,
        person=person,
        model=model,
        data=mujoco.MjData(model),
        finger_qpos=np.array([model.joint(name).qposadr[0] for name in driven]).reshape(2, 5, 3),
        finger_ctrl=np.array([model.actuator(name).id for name in driven]).reshape(2, 5, 3),
    )


def _add_head(spec: "mujoco.MjSpec", person: Person) -> None:
    """The stereo pair; MuJoCo's cameras look along -z, the head along x."""
    head = spec.worldbody.add_body(name=HEAD, mocap=True)
    turned = quaternion_wxyz_from_matrix(EYE_FROM_CAMERA)
    for eye, side in zip(EYES, (1, -1), strict=True):
        head.add_camera(name=eye, pos=[0.0, side * person.baseline / 2, 0.0], quat=turned, fovy=person.camera_fov)


def _add_trunk(spec: "mujoco.MjSpec", person: Person) -> None:
    trunk = spec.worldbody.add_body(name=TRUNK, mocap=True)
    trunk.add_geom(
        type=mujoco.mjtGeom.mjGEOM_ELLIPSOID,
        pos=[-0.13, 0.0, -0.55],
        size=[0.12, 0.19, 0.36],
        rgba=[*person.sleeve, 1.0],
        contype=0,
        conaffinity=0,
        mass=0.0,
        group=SHOWN_GROUP,
    )
