"""One trial's world, ready to step or to render: robot, table, objects and room, drawn from a seed.

World frame: x forward and y left as the robot stands, z up, origin on the floor below the pelvis.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import SimulationError
from firsthand.robot.description import urdf
from firsthand.robot.joints import ARMS_SLICE, JOINTS, MIMIC
from firsthand.robot.model import RobotModel
from firsthand.simulation.gl import mujoco
from firsthand.simulation.robot import PELVIS_HEIGHT, ROBOT_BITS, load_robot
from firsthand.simulation.room import furnish, hinge_name
from firsthand.simulation.tasks import check_variant, find_task
from firsthand.simulation.tasks.interface import ObjectState, SceneObject, Setup, Task
from firsthand.space.rotations import quaternion_wxyz_from_matrix

Array = NDArray[np.floating]

PHYSICS_STEP = 0.002  # [s]
FREE_JOINT_PARTS = ("x", "y", "z", "qw", "qx", "qy", "qz")
THIRD_PERSON = "third_person"


@dataclass(frozen=True)
class Scene:
    """A compiled world and its state.

    `model` is what was built, `data` how it is now; whoever steps or sets the state changes `data`.
    """

    task: Task
    variant: str
    seed: int
    setup: Setup
    model: "mujoco.MjModel"
    data: "mujoco.MjData"
    initial_positions: Array  # (26,), [rad], of the actuated joints
    joint_qpos: NDArray[np.intp]  # (26,), where the actuated joints are in qpos
    joint_qvel: NDArray[np.intp]  # (26,), and in qvel
    state_names: tuple[str, ...] = field(repr=False)  # a name for each entry of qpos

    def reset(self) -> None:
        """Everything where the setup puts it, at rest, time 0."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[self.joint_qpos] = self.initial_positions
        _settle_mimics(self)
        self.data.ctrl[:] = self.initial_positions
        mujoco.mj_forward(self.model, self.data)

    def state(self) -> dict[str, float]:
        """Every joint of the scene by name, [m] and [rad]; a free joint as `name/x` to `name/qz`, world frame.

        A hinge of an object is `object/hinge`.
        """
        return dict(zip(self.state_names, self.data.qpos.tolist(), strict=True))

    def set_state(self, state: Mapping[str, float]) -> None:
        """Take the joint positions of `state()`; velocities are left alone.

        Raises:
            SimulationError: A joint of the scene is missing from `state`, or its value is not finite.
        """
        missing = [name for name in self.state_names if name not in state]
        if missing:
            raise SimulationError(
                f"a scene state of {len(state)} joints lacks {len(missing)} of this scene's {len(self.state_names)}: "
                f"{', '.join(missing[:5])}. Use the task, variant and seed that it was recorded with."
            )
        qpos = np.array([state[name] for name in self.state_names])
        if not np.all(np.isfinite(qpos)):
            bad = [name for name, value in zip(self.state_names, qpos, strict=True) if not np.isfinite(value)]
            raise SimulationError(f"expected finite joint positions in a scene state, got others for {', '.join(bad)}")
        self.data.qpos[:] = qpos
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def objects(self) -> dict[str, ObjectState]:
        """How each object lies and moves now."""
        return object_states(self.setup, self.data)

    @property
    def world_from_pelvis(self) -> Array:
        """Where the robot stands, (4, 4)."""
        pose = np.eye(4)
        pose[2, 3] = PELVIS_HEIGHT
        return pose


def build_scene(task: str, variant: str, seed: int, robot_urdf: str | None = None) -> Scene:
    """Draw and compile one trial's world.

    Args:
        task: A name in `simulation.tasks.TASKS`.
        variant: `id` or `ood`.
        seed: Decides everything that is left to chance; equal seeds give equal worlds.
        robot_urdf: The robot's processed description; None for the default one.

    Raises:
        SimulationError: There is no such task or variant, or the world cannot be built.
    """
    chosen = find_task(task)
    setup = chosen.draw(check_variant(variant), generator(variant, seed))
    description = urdf() if robot_urdf is None else robot_urdf
    spec = load_robot(description)
    furnish(spec, setup)
    set_options(spec)
    model = spec.compile()
    scene = Scene(
        task=chosen,
        variant=variant,
        seed=seed,
        setup=setup,
        model=model,
        data=mujoco.MjData(model),
        initial_positions=np.zeros(len(JOINTS)),
        joint_qpos=np.array([model.joint(name).qposadr[0] for name in JOINTS]),
        joint_qvel=np.array([model.joint(name).dofadr[0] for name in JOINTS]),
        state_names=_state_names(model),
    )
    return _posed(scene, RobotModel.load(description))


def generator(variant: str, seed: int) -> np.random.Generator:
    """The two variants draw from different streams, so that one seed is two unrelated trials."""
    if seed < 0:
        raise SimulationError(f"expected a seed of 0 or more, got {seed}")
    return np.random.default_rng([int(seed), 0 if variant == "id" else 1])


def object_states(setup: Setup, data: "mujoco.MjData") -> dict[str, ObjectState]:
    """How each object of a setup lies and moves in a world that it was built into."""
    return {thing.name: _object_state(data, thing) for thing in setup.objects}


def set_options(spec: "mujoco.MjSpec") -> None:
    """Physics and drawing as every scene of ours has them, and the visitor's camera."""
    option = spec.option
    option.timestep = PHYSICS_STEP
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1920, 1080
    spec.visual.map.znear, spec.visual.map.zfar = 0.02, 20.0
    spec.visual.quality.shadowsize = 2048  # 4096 takes half as long again in software
    spec.stat.extent = 1.0  # znear and zfar are in this unit
    spec.stat.center = [0.4, 0.0, 1.0]
    visitor = np.array([1.65, 1.05, 1.85])
    camera = spec.worldbody.add_camera(name=THIRD_PERSON, pos=visitor, fovy=44.0)
    camera.quat = _looking_at(visitor, np.array([0.14, 0.0, 1.16]))


def _looking_at(eye: Array, target: Array) -> Array:
    """Orientation, wxyz, of a camera (looking along -z, y up) at `eye` that has `target` in its middle."""
    backward = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 0.0, 1.0], backward)
    right /= np.linalg.norm(right)
    return quaternion_wxyz_from_matrix(np.stack([right, np.cross(backward, right), backward], axis=1))


def _posed(scene: Scene, robot: RobotModel) -> Scene:
    """The scene with the robot in its drawn posture, or as near to it as leaves it clear of everything.

    Raises:
        SimulationError: The robot touches something even in the middle of what is drawn.
    """
    setup = scene.setup
    for share in (1.0, 0.5, 0.25, 0.0):
        positions = robot.neutral.copy()
        positions[ARMS_SLICE] = setup.arm_posture + share * setup.arm_posture_spread
        scene = replace(scene, initial_positions=np.clip(positions, robot.lower, robot.upper))
        scene.reset()
        touched = _touched_by_robot(scene)
        if not touched:
            return scene
    raise SimulationError(f"the robot of task {scene.task.name!r} starts in touch with {', '.join(sorted(touched))}")


def _touched_by_robot(scene: Scene) -> set[str]:
    """The things that some part of the robot touches, by the names of their geoms."""
    model = scene.model
    of_robot = model.geom_contype == ROBOT_BITS[0]
    pairs = [(contact.geom1, contact.geom2) for contact in scene.data.contact]
    return {model.geom(int(b)).name for pair in pairs for a, b in (pair, pair[::-1]) if of_robot[a] and not of_robot[b]}


def _settle_mimics(scene: Scene) -> None:
    """Put the finger links that follow others where they follow them to."""
    for name, mimic in MIMIC.items():
        driver = scene.data.joint(mimic.leader).qpos[0]
        scene.data.joint(name).qpos[0] = mimic.offset + mimic.multiplier * driver


def _state_names(model: "mujoco.MjModel") -> tuple[str, ...]:
    names: list[str] = []
    for index in range(model.njnt):
        joint = model.joint(index)
        if joint.type[0] == mujoco.mjtJoint.mjJNT_FREE:
            names += [f"{joint.name}/{part}" for part in FREE_JOINT_PARTS]
        else:
            names.append(joint.name)
    return tuple(names)


def _object_state(data: "mujoco.MjData", thing: SceneObject) -> ObjectState:
    joint = data.joint(thing.name)
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, joint.qpos[3:])
    return ObjectState(
        position=joint.qpos[:3].copy(),
        rotation=rotation.reshape(3, 3),
        linear_velocity=joint.qvel[:3].copy(),
        angular_velocity=joint.qvel[3:].copy(),
        hinges={hinge.name: float(data.joint(hinge_name(thing, hinge)).qpos[0]) for hinge in thing.hinges},
    )
