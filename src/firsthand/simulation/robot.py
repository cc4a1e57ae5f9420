"""The robot as MuJoCo sees it, made from the same URDF as everything else.

The pelvis is fixed in the air, 26 position servos move the joints, and gravity is compensated as the arm controller of
the real robot does with its feed-forward torque.
"""

import numpy as np

from firsthand.errors import SimulationError
from firsthand.robot.joints import ARMS, HANDS, JOINTS, MIMIC
from firsthand.simulation.gl import mujoco
from firsthand.space.rotations import quaternion_wxyz_from_matrix

PELVIS_HEIGHT = 1.03  # [m], above the floor

ROBOT_BITS = (1, 2)  # contype, conaffinity: the robot meets things, not itself (`robot/collision.py` keeps it off)
THING_BITS = (2, 3)  # table and objects meet the robot and each other
SHOWN_GROUP, OWN_BODY_GROUP, FELT_GROUP = (
    1,
    2,
    3,
)  # geom groups: what is drawn; of it, what the eyes never see; what collides

ARM_GAINS = (140.0, 3.0)  # [Nm/rad], [Nm s/rad]: xr_teleoperate's H1-2 controller
WRIST_GAINS = (50.0, 2.0)
FINGER_GAINS = (4.0, 0.1)  # the Inspire hand takes positions only; stiff enough to hold a can
FINGER_TORQUE = 1.2  # [Nm]
ARMATURE = {"arm": 0.03, "wrist": 0.01, "finger": 0.001}  # [kg m2], rotor inertia behind the gears

EYES = ("left_eye", "right_eye")
EYE_FOV = 56.0  # [deg], vertical; 87 deg across at 16:9, about what a ZED Mini sees
EYE_FROM_CAMERA = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

COMPILER = (
    '<mujoco><compiler discardvisual="false" fusestatic="true" balanceinertia="true" strippath="false"/></mujoco>'
)


def load_robot(urdf: str) -> "mujoco.MjSpec":
    """A spec that holds the robot alone, standing at the world's origin.

    Args:
        urdf: The processed description, from `robot/description.py`.

    Raises:
        SimulationError: MuJoCo cannot read it.
    """
    try:
        spec = mujoco.MjSpec.from_string(urdf.replace("</robot>", f"{COMPILER}</robot>"))
    except ValueError as error:
        raise SimulationError(f"MuJoCo cannot read the robot description: {error}") from error
    _fix_pelvis(spec)
    for body in spec.bodies:
        body.gravcomp = 1.0
    _set_collisions(spec)
    _follow_mimics(spec)
    for name in JOINTS:
        _add_servo(spec, name)
    _add_eyes(spec)
    return spec


def gains(name: str) -> tuple[float, float]:
    """Stiffness [Nm/rad] and damping [Nm s/rad] of a joint's servo."""
    return {"arm": ARM_GAINS, "wrist": WRIST_GAINS, "finger": FINGER_GAINS}[_kind(name)]


def _kind(name: str) -> str:
    if name in HANDS:
        return "finger"
    return "wrist" if "wrist" in name else "arm"


def _fix_pelvis(spec: "mujoco.MjSpec") -> None:
    roots = spec.worldbody.bodies
    if len(roots) != 1:
        raise SimulationError(f"expected one root link in the robot description, got {[body.name for body in roots]}")
    roots[0].pos = [0.0, 0.0, PELVIS_HEIGHT]


def _set_collisions(spec: "mujoco.MjSpec") -> None:
    """Let forearms and hands be felt; the rest of the robot is only seen."""
    for body in spec.bodies:
        for geom in body.geoms:
            felt = geom.contype != 0 or geom.conaffinity != 0
            meets = felt and _reaches_table(body.name)
            geom.contype, geom.conaffinity = ROBOT_BITS if meets else (0, 0)
            geom.group = FELT_GROUP if felt else _look_group(body.name)
            geom.condim = 4
            geom.friction = [0.5, 0.005, 0.0001]


def _reaches_table(link: str) -> bool:
    return link.startswith(("L_", "R_")) or any(part in link for part in ("elbow", "wrist"))


def _look_group(link: str) -> int:
    """Torso, head, legs and shoulders are out of the eyes' sight; not drawing them for the eyes saves a third."""
    before_the_eyes = link.startswith(("L_", "R_")) or any(part in link for part in ("yaw_link", "elbow", "wrist"))
    return SHOWN_GROUP if before_the_eyes and "hip" not in link else OWN_BODY_GROUP


def _follow_mimics(spec: "mujoco.MjSpec") -> None:
    for made_by_mujoco in list(spec.equalities):  # from the URDF, by its newer versions only
        spec.delete(made_by_mujoco)
    for name, mimic in MIMIC.items():
        equality = spec.add_equality()
        equality.type = mujoco.mjtEq.mjEQ_JOINT
        equality.objtype = mujoco.mjtObj.mjOBJ_JOINT
        equality.name1, equality.name2 = name, mimic.leader
        equality.data[:2] = [mimic.offset, mimic.multiplier]
        equality.solref = [0.004, 1.0]


def _add_servo(spec: "mujoco.MjSpec", name: str) -> None:
    joint = spec.joint(name)
    if joint is None:
        raise SimulationError(f"the robot description has no joint {name!r}; expected all of {', '.join(ARMS + HANDS)}")
    stiffness, damping = gains(name)
    joint.armature = ARMATURE[_kind(name)]
    actuator = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    actuator.set_to_position(kp=stiffness, kv=damping)
    torque = FINGER_TORQUE if name in HANDS else float(joint.actfrcrange[1]) or np.inf
    actuator.forcelimited = True
    actuator.forcerange = [-torque, torque]


def _add_eyes(spec: "mujoco.MjSpec") -> None:
    """A camera at each eye; MuJoCo's cameras look along -z, the eye frames along x."""
    for eye in EYES:
        body = spec.body(eye)
        if body is None:
            raise SimulationError(f"the robot description has no frame {eye!r} to put a camera at")
        body.add_camera(name=eye, quat=quaternion_wxyz_from_matrix(EYE_FROM_CAMERA), fovy=EYE_FOV)
