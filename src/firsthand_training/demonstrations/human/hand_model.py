"""A hand in MuJoCo: a skin over bones that servos bend, led by the wrist on a leash.

The wrist is a free body welded to a goal that is moved from outside (a mocap body): it follows as a strong but yielding
arm would. Forearm, upper arm and trunk are seen and not felt; `arms.py` places them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firsthand.simulation.gl import mujoco
from firsthand.simulation.robot import FELT_GROUP, ROBOT_BITS, SHOWN_GROUP
from firsthand.simulation.textures import Color
from firsthand.space.hand_state import SIDES
from firsthand.space.rotations import quaternion_wxyz_from_matrix
from firsthand_training.demonstrations.human.anatomy import BONES, CURL_SHARE, DIGITS, LOWER, UPPER, Hand
from firsthand_training.demonstrations.human.hand_mesh import fit_skin
from firsthand_training.demonstrations.human.person import Person
from firsthand_training.demonstrations.human.surface import BIND_ANGLES, FOREARM_LENGTH, PALM, Skin, flesh, make_skin
from firsthand_training.hand_bones import MIRROR, spread_axes

Array = NDArray[np.floating]

ANGLES = ("spread", "bend", "curl")
STIFFNESS, DAMPING, TORQUE = 4.0, 0.1, 1.5  # [Nm/rad], [Nm s/rad], [Nm], of a finger joint, as strong as the robot's
SKIN_FRICTION = (0.7, 0.02, 0.0001)  # sliding; turning: a fingertip touches with a patch of a centimetre
ARMATURE = 0.0005  # [kg m2]
WRIST_MASS, WRIST_INERTIA = 1.2, 0.006  # [kg], [kg m2], of the palm with the share of the arm that moves along
BONE_MASS = 0.02  # [kg]
LEASH, LEASH_IMPEDANCE = (0.02, 1.0), (0.95, 0.99, 0.001, 0.5, 2.0)  # MuJoCo's: the wrist lags 40 ms behind its goal
_REFLECTION = np.diag(MIRROR)


class Names(NamedTuple):
    """What the parts of one side are called."""

    wrist: str
    goal: str
    forearm: str
    upper_arm: str


def names(side: str) -> Names:
    """Of `left` or `right`."""
    return Names(f"{side}_wrist", f"{side}_wrist_goal", f"{side}_forearm", f"{side}_upper_arm")


def joint_names(side: str) -> tuple[str, ...]:
    """The 15 joints that are driven, in the order of `angles` (5, 3)."""
    return tuple(f"{side}_{digit}_{angle}" for digit in DIGITS for angle in ANGLES)


def add_hands(spec: "mujoco.MjSpec", person: Person) -> None:
    """Build both hands, forearms and upper arms of a person into a spec.

    Raises:
        SimulationError: The person's skin is a mesh that is not there.
    """
    _add_tone(spec, person.skin)
    skin = fit_skin(person.hand) if person.surface == "mesh" else make_skin(person.hand)
    for side in SIDES:
        _add_hand(spec, person, side)
        _add_arm(spec, person, side)
        _add_skin(spec, person.hand, skin, side)


def _add_hand(spec: "mujoco.MjSpec", person: Person, side: str) -> None:
    wrist = spec.worldbody.add_body(name=names(side).wrist)
    wrist.add_freejoint(name=names(side).wrist)
    wrist.gravcomp = 1.0
    wrist.explicitinertial, wrist.mass, wrist.inertia = True, WRIST_MASS, [WRIST_INERTIA] * 3
    spec.worldbody.add_body(name=names(side).goal, mocap=True)
    _tie(spec, names(side))
    capsules = flesh(person.hand)
    for index in np.flatnonzero(capsules.bone == PALM):
        radius = min(capsules.start_radius[index], capsules.end_radius[index])
        start, end = (_mirrored(point, side) for point in (capsules.start[index], capsules.end[index]))
        _felt_capsule(wrist, start, end, radius, 0.0)
    for digit in range(5):
        _add_digit(spec, wrist, person, side, digit)


def _tie(spec: "mujoco.MjSpec", of: Names) -> None:
    weld = spec.add_equality()
    weld.type, weld.objtype = mujoco.mjtEq.mjEQ_WELD, mujoco.mjtObj.mjOBJ_BODY
    weld.name1, weld.name2 = of.goal, of.wrist
    weld.data[:11] = [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    weld.solref, weld.solimp = LEASH, LEASH_IMPEDANCE


def _add_digit(spec: "mujoco.MjSpec", wrist: "mujoco.MjsBody", person: Person, side: str, digit: int) -> None:
    hand, name = person.hand, f"{side}_{DIGITS[digit]}"
    base, radii, lengths = hand.bases[digit], hand.radii[digit], hand.segments[digit]
    parent, position, rotation = wrist, base[:3, 3], base[:3, :3]
    for part, bone in enumerate(BONES):
        body = parent.add_body(
            name=f"{name}_{bone}",
            pos=_mirrored(position, side),
            quat=quaternion_wxyz_from_matrix(_mirrored_rotation(rotation, side)),
        )
        body.gravcomp = 1.0
        if part == 0:
            axis = _mirrored_axis(spread_axes()[digit], side)
            _add_joint(spec, body, f"{name}_spread", axis, LOWER[digit, 0], UPPER[digit, 0])
            _add_joint(spec, body, f"{name}_bend", _BEND, LOWER[digit, 1], UPPER[digit, 1])
        elif part == 1:
            _add_joint(spec, body, f"{name}_curl", _BEND, LOWER[digit, 2], UPPER[digit, 2])
        else:
            _follow(spec, body, name, CURL_SHARE[digit])
            _add_nail(body, person, radii, lengths[2])
        radius = radii[part + 1]
        tip = lengths[part] - (radius if part == 2 else 0.0)
        _felt_capsule(body, np.zeros(3), np.array([tip, 0.0, 0.0]), radius, BONE_MASS)
        parent, position, rotation = body, np.array([lengths[part], 0.0, 0.0]), np.eye(3)


_BEND = np.array([0.0, 1.0, 0.0])  # about y, which the mirror leaves


def _add_joint(
    spec: "mujoco.MjSpec", body: "mujoco.MjsBody", name: str, axis: Array, lower: float, upper: float
) -> None:
    margin = 0.1  # [rad], so that a servo at its limit can still press
    joint = body.add_joint(
        name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=axis, range=[lower - margin, upper + margin]
    )
    joint.limited, joint.armature, joint.damping = True, ARMATURE, [0.01, 0, 0]
    actuator = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    actuator.set_to_position(kp=STIFFNESS, kv=DAMPING)
    actuator.forcelimited, actuator.forcerange = True, [-TORQUE, TORQUE]


def _follow(spec: "mujoco.MjSpec", body: "mujoco.MjsBody", name: str, share: float) -> None:
    """The last joint, which bends with the one before it."""
    joint = body.add_joint(name=f"{name}_end", type=mujoco.mjtJoint.mjJNT_HINGE, axis=_BEND)
    joint.armature, joint.damping = ARMATURE, [0.01, 0, 0]
    equality = spec.add_equality()
    equality.type, equality.objtype = mujoco.mjtEq.mjEQ_JOINT, mujoco.mjtObj.mjOBJ_JOINT
    equality.name1, equality.name2 = f"{name}_end", f"{name}_curl"
    equality.data[:2] = [0.0, share]
    equality.solref = [0.004, 1.0]


def _felt_capsule(body: "mujoco.MjsBody", start: Array, end: Array, radius: float, mass: float) -> None:
    geom = body.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=[*start, *end], mass=mass, group=FELT_GROUP)
    geom.size[0] = radius
    geom.contype, geom.conaffinity = ROBOT_BITS
    geom.condim = 4
    geom.friction, geom.priority = SKIN_FRICTION, 2  # counts before that of things, whose own is 1


def _add_nail(body: "mujoco.MjsBody", person: Person, radii: Array, length: float) -> None:
    """A plate on the back of the last bone."""
    back_from_tip = 0.0095 * person.hand.scale
    share = (length - back_from_tip) / (length - radii[3])
    radius = radii[2] + share * (radii[3] - radii[2])
    back, palm = (np.array(color) for color in person.skin)
    nail = body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_ELLIPSOID,
        pos=[length - back_from_tip, 0.0, radius - 0.0008],
        quat=[np.cos(0.08), 0, np.sin(0.08), 0],
        size=[0.0058 * person.hand.scale, 0.72 * radius, 0.0015],
        rgba=[*np.clip(0.7 * back + 0.3 * palm + 0.06, 0, 1), 1.0],
        mass=0.0,
        group=SHOWN_GROUP,
    )
    nail.contype, nail.conaffinity = 0, 0


def _add_arm(spec: "mujoco.MjSpec", person: Person, side: str) -> None:
    """The sleeve around forearm and upper arm; forearm frame: origin at the wrist, x from the elbow."""
    size = person.hand.scale
    forearm = spec.worldbody.add_body(name=names(side).forearm, mocap=True)
    upper = spec.worldbody.add_body(name=names(side).upper_arm, mocap=True)
    vertices, faces = _sleeve(person.sleeve_start, FOREARM_LENGTH + 0.01, size * person.hand.breadth)
    mesh = spec.add_mesh(name=f"{side}_sleeve", uservert=vertices.ravel(), userface=faces.ravel())
    mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
    mesh.smoothnormal = True
    shown = {"rgba": [*person.sleeve, 1.0], "group": SHOWN_GROUP, "contype": 0, "conaffinity": 0, "mass": 0.0}
    forearm.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"{side}_sleeve", **shown)
    fabric = upper.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=[0, 0, 0, 0.26, 0, 0], **shown)
    fabric.size[0] = 0.056 * size


def _sleeve(start: float, end: float, size: float) -> tuple[Array, NDArray[np.int32]]:
    """A tapered tube with soft folds, from `start` to `end` behind the wrist: vertices (V, 3), faces (F, 3)."""
    rings, around = 24, 20
    back = np.linspace(start, end, rings)
    turn = 2 * np.pi * np.arange(around) / around
    folds = 1 + 0.03 * np.sin(70 * back[:, None] + 2.0 * np.sin(turn)) + 0.02 * np.sin(3 * turn + 40 * back[:, None])
    wide = size * (0.038 + 0.080 * back[:, None]) * folds
    y, z = wide * np.cos(turn), 0.86 * wide * np.sin(turn)
    tube = np.stack([np.broadcast_to(-back[:, None], y.shape), y, z - 0.005], axis=-1).reshape(-1, 3)
    ends = np.array([[-start, 0, -0.005], [-end, 0, -0.005]])
    a = np.arange(rings - 1)[:, None] * around + np.arange(around)
    b = np.arange(rings - 1)[:, None] * around + (np.arange(around) + 1) % around
    quads = np.stack([a, a + around, b, b, a + around, b + around], axis=-1).reshape(-1, 3)
    first, last, n = np.arange(around), (rings - 1) * around + np.arange(around), len(tube)
    caps = [np.stack([np.full(around, n), first, (first + 1) % around], axis=-1)]
    caps += [np.stack([np.full(around, n + 1), np.roll(last, -1), last], axis=-1)]
    return np.concatenate([tube, ends]), np.concatenate([quads, *caps]).astype(np.int32)


def _add_skin(spec: "mujoco.MjSpec", hand: Hand, skin: Skin, side: str) -> None:
    bodies = [names(side).wrist, names(side).forearm]
    bodies += [f"{side}_{digit}_{bone}" for digit in DIGITS for bone in BONES]
    poses = [np.eye(4), np.eye(4), *hand.bones(BIND_ANGLES).reshape(-1, 4, 4)]
    users = [np.flatnonzero(skin.weights[:, bone] > 0.01) for bone in range(len(bodies))]
    right = side == "right"
    spec.add_skin(
        name=f"{side}_hand",
        vert=(skin.vertices if right else skin.vertices * MIRROR).ravel().tolist(),
        face=(skin.faces if right else skin.faces[:, ::-1]).ravel().tolist(),
        texcoord=np.stack([0.03 + 0.94 * skin.dorsal, 0.03 + 0.94 * skin.flush], axis=-1).ravel().tolist(),
        material="skin",
        bodyname=bodies,
        bindpos=np.array([_mirrored(pose[:3, 3], side) for pose in poses]).ravel().tolist(),
        bindquat=np.array([quaternion_wxyz_from_matrix(_mirrored_rotation(pose[:3, :3], side)) for pose in poses])
        .ravel()
        .tolist(),
        vertid=[ids.tolist() for ids in users],
        vertweight=[skin.weights[ids, bone].tolist() for bone, ids in enumerate(users)],
    )


def _add_tone(spec: "mujoco.MjSpec", tones: tuple[Color, Color], size: int = 32) -> None:
    """A material whose texture runs from palm to back along one axis and to redder skin along the other."""
    back, palm = (np.array(tone) for tone in tones)
    ramp = np.linspace(0, 1, size)
    colors = palm + ramp[None, :, None] * (back - palm)
    red = np.array([1.02, 0.86, 0.84])
    picture = np.clip(colors * (1 + ramp[:, None, None] * (red - 1)), 0, 1)
    texture = spec.add_texture(name="skin", type=mujoco.mjtTexture.mjTEXTURE_2D, width=size, height=size, nchannel=3)
    texture.data = (255 * picture).astype(np.uint8).tobytes()
    material = spec.add_material(name="skin", specular=0.15, shininess=0.25)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "skin"


def _mirrored(point: Array, side: str) -> Array:
    return point if side == "right" else point * MIRROR


def _mirrored_rotation(rotation: Array, side: str) -> Array:
    return rotation if side == "right" else _REFLECTION @ rotation @ _REFLECTION


def _mirrored_axis(axis: Array, side: str) -> Array:
    """Of a turn: seen in a mirror it goes the other way round."""
    return axis if side == "right" else -axis * MIRROR
