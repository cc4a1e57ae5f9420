"""Table, floor, walls, lamps and objects, built into a MuJoCo spec from the plain values of a task's `Setup`.

Only the table and the objects can be touched. Patterns on boxes and walls are cube maps: every face shows the picture.
"""

import numpy as np

from firsthand.simulation.gl import mujoco
from firsthand.simulation.robot import SHOWN_GROUP, THING_BITS
from firsthand.simulation.tasks.interface import Hinge, Light, Marker, Part, SceneObject, Setup, Surroundings
from firsthand.simulation.textures import Color, Texture, paint
from firsthand.space.rotations import matrix_from_rotation_vector, matrix_from_rpy, quaternion_wxyz_from_matrix

TABLE_FRONT, TABLE_BACK = 0.21, 1.01  # [m], world x
TABLE_HALF_WIDTH = 0.72  # [m]
TABLE_THICKNESS = 0.03  # [m]
WALL_DISTANCE = 2.3  # [m], in front of the robot
SIDE_DISTANCE = 2.6
WALL_HEIGHT = 2.7
TABLE_FRICTION = 0.4
# solref and solimp of a hinge at rest: with MuJoCo's defaults, which are softer, a flap sinks by 0.1 rad in a second.
STICKING = ((0.004, 1.0), (0.99, 0.999, 0.001, 0.5, 2.0))
HINGE_ARMATURE = 1e-5  # [kg m2]: a flap of a few grams alone is too light for steps of 2 ms


def furnish(spec: "mujoco.MjSpec", setup: Setup) -> None:
    """Build everything of a setup that is not the robot."""
    _add_room(spec, setup.surroundings)
    _add_table(spec, setup.surroundings.table, setup.table_height)
    _add_lamps(spec, setup.surroundings.light)
    for index, part in enumerate(setup.surroundings.clutter):
        _add_part(spec, spec.worldbody, f"clutter_{index}", part)
    for marker in setup.markers:
        _add_marker(spec, marker, setup.table_height)
    for thing in setup.objects:
        _add_object(spec, thing, setup.table_height)


def _add_room(spec: "mujoco.MjSpec", surroundings: Surroundings) -> None:
    _add_sky(spec)
    floor = _material(spec, "floor", surroundings.floor, (5.2, 5.2))
    _plane(spec, "floor", (0.0, 0.0, 0.0), (2.6, 2.6), np.eye(3), floor)
    wall = _material(spec, "wall", surroundings.wall, (5.2, WALL_HEIGHT))
    half = (SIDE_DISTANCE, WALL_HEIGHT / 2)
    for name, side in (("wall_front", 1.0), ("wall_back", -1.0)):
        inwards = np.array([[0.0, 0.0, -side], [-side, 0.0, 0.0], [0.0, 1.0, 0.0]])
        _plane(spec, name, (side * WALL_DISTANCE, 0.0, WALL_HEIGHT / 2), half, inwards, wall)
    for name, side in (("wall_left", 1.0), ("wall_right", -1.0)):
        inwards = np.array([[side, 0.0, 0.0], [0.0, 0.0, -side], [0.0, 1.0, 0.0]])
        _plane(spec, name, (0.0, side * SIDE_DISTANCE, WALL_HEIGHT / 2), half, inwards, wall)
    _box(spec, "skirting", (WALL_DISTANCE - 0.01, 0.0, 0.05), (0.01, SIDE_DISTANCE, 0.05), (0.9, 0.89, 0.86))
    _add_shelf(spec, surroundings.furniture)


def _add_sky(spec: "mujoco.MjSpec") -> None:
    """What is seen past the walls: without it the horizon is black."""
    sky = spec.add_texture(name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=256, height=1536)
    sky.builtin = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT
    sky.rgb1, sky.rgb2 = [0.78, 0.84, 0.90], [0.55, 0.58, 0.62]


def _add_shelf(spec: "mujoco.MjSpec", spines: tuple[Color, ...]) -> None:
    """A board of books on the front wall."""
    if not spines:
        return
    center, height = 0.9, 1.35
    board = (0.55, 0.42, 0.30)
    _box(spec, "shelf", (WALL_DISTANCE - 0.13, center, height), (0.12, 0.62, 0.015), board)
    left = center + 0.58
    for index, color in enumerate(spines):
        thickness, tall = 0.018 + 0.004 * (index % 3), 0.11 + 0.018 * ((index * 7) % 4)
        place = (WALL_DISTANCE - 0.12, left - thickness, height + 0.015 + tall)
        _box(spec, f"book_{index}", place, (0.085, thickness, tall), color)
        left -= 2 * thickness + 0.002


def _add_table(spec: "mujoco.MjSpec", texture: Texture, height: float) -> None:
    center_x, half_x = (TABLE_FRONT + TABLE_BACK) / 2, (TABLE_BACK - TABLE_FRONT) / 2
    half = (half_x, TABLE_HALF_WIDTH, TABLE_THICKNESS / 2)
    material = _material(spec, "table", texture, (2 * half_x, 2 * TABLE_HALF_WIDTH), flat=True)
    top = spec.worldbody.add_geom(
        name="table", type=mujoco.mjtGeom.mjGEOM_BOX, size=half, pos=[center_x, 0, height - half[2]], material=material
    )
    _feel(top, TABLE_FRICTION)
    leg = (height - TABLE_THICKNESS) / 2
    for name, x, y in (("fl", 1, 1), ("fr", 1, -1), ("bl", -1, 1), ("br", -1, -1)):
        place = (center_x + x * (half_x - 0.06), y * (TABLE_HALF_WIDTH - 0.06), leg)
        _box(spec, f"leg_{name}", place, (0.025, 0.025, leg), (0.20, 0.19, 0.18))


def _add_lamps(spec: "mujoco.MjSpec", light: Light) -> None:
    """A sun-like lamp that casts shadows and a weak fill from the other side; the headlight gives the ambient."""
    tint = np.array(light.tint)
    visual = spec.visual.headlight
    visual.ambient, visual.diffuse, visual.specular = light.ambient * tint, [0.08] * 3, [0.0] * 3
    direction = np.array(light.direction)
    fill = np.array([-direction[0], -direction[1], direction[2]])
    for name, way, strength, shadow in (("key", direction, 1.0, True), ("fill", fill, 0.35, False)):
        lamp = spec.worldbody.add_light(name=name, pos=np.array([0.5, 0.0, 1.0]) - 2.0 * way, dir=way)
        lamp.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
        lamp.castshadow = shadow
        lamp.ambient, lamp.diffuse = [0.0] * 3, strength * light.diffuse * tint
        lamp.specular = strength * light.specular * tint


def _add_marker(spec: "mujoco.MjSpec", marker: Marker, height: float) -> None:
    # A fraction of a millimetre apart, by name, so that overlapping patches do not flicker.
    lift = 0.0006 if "_" in marker.name else 0.0003
    place = (*marker.center, height + lift)
    _box(spec, f"marker_{marker.name}", place, (*marker.half_size, 0.0002), marker.rgba)


def _add_object(spec: "mujoco.MjSpec", thing: SceneObject, height: float) -> None:
    half_yaw = thing.yaw / 2
    body = spec.worldbody.add_body(
        name=thing.name, pos=[*thing.position, height], quat=[np.cos(half_yaw), 0, 0, np.sin(half_yaw)]
    )
    body.add_freejoint(name=thing.name)
    _add_parts(spec, body, thing.name, thing.parts, thing.mass, thing.friction)
    for hinge in thing.hinges:
        _add_hinge(spec, body, hinge_name(thing, hinge), hinge, thing.friction)


def hinge_name(thing: SceneObject, hinge: Hinge) -> str:
    """What a hinge's body and joint are called in the model, and in a scene's state."""
    return f"{thing.name}/{hinge.name}"


def _add_hinge(spec: "mujoco.MjSpec", body: "mujoco.MjsBody", name: str, hinge: Hinge, friction: float) -> None:
    """Built at its starting angle, which is its reference: a reset brings it back there."""
    turned = matrix_from_rotation_vector(hinge.start * np.array(hinge.axis))
    moving = body.add_body(name=name, pos=hinge.position, quat=quaternion_wxyz_from_matrix(turned))
    joint = moving.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=hinge.axis, ref=hinge.start)
    joint.limited, joint.range = mujoco.mjtLimited.mjLIMITED_TRUE, hinge.limits
    joint.frictionloss, joint.armature = hinge.friction, HINGE_ARMATURE
    joint.solref_friction, joint.solimp_friction = STICKING
    _add_parts(spec, moving, name, hinge.parts, hinge.mass, friction)


def _add_parts(
    spec: "mujoco.MjSpec", body: "mujoco.MjsBody", name: str, parts: tuple[Part, ...], mass: float, friction: float
) -> None:
    """The parts of one body, which share its mass by their volume."""
    solid = [part for part in parts if not part.shown_only]
    volumes = [_volume(part) for part in solid]
    for index, part in enumerate(parts):
        geom = _add_part(spec, body, f"{name}_{index}", part)
        geom.mass = 0.0
        if not part.shown_only:
            geom.mass = mass * volumes[solid.index(part)] / sum(volumes)
            _feel(geom, friction)
            geom.priority = 1  # the object's friction counts, whatever touches it


def _add_part(spec: "mujoco.MjSpec", body: "mujoco.MjsBody", name: str, part: Part) -> "mujoco.MjsGeom":
    geom = body.add_geom(name=name, pos=part.position, group=SHOWN_GROUP, contype=0, conaffinity=0)
    geom.quat = quaternion_wxyz_from_matrix(matrix_from_rpy(*part.rpy))
    if part.shape == "prism":
        spec.add_mesh(name=name, uservert=_prism(*part.size).ravel())
        geom.type, geom.meshname = mujoco.mjtGeom.mjGEOM_MESH, name
    else:
        geom.type = _GEOMS[part.shape]
        geom.size[: len(part.size)] = part.size
    if isinstance(part.surface, Texture):
        geom.material = _material(spec, name, part.surface, (1.0, 1.0))
    else:
        geom.rgba = [*part.surface, 1.0]
    return geom


_GEOMS = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
}


def _prism(radius: float, half: float, sides: float) -> np.ndarray:
    """Corners of an upright prism around the origin, (2 sides, 3)."""
    angles = 2 * np.pi * np.arange(int(sides)) / int(sides)
    ring = radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return np.concatenate([np.column_stack([ring, np.full(len(ring), z)]) for z in (-half, half)])


def _volume(part: Part) -> float:
    """Rough volume of a part, for sharing out the mass of its object."""
    a, b, *rest = part.size
    if part.shape == "box":
        return 8 * a * b * rest[0]
    if part.shape == "ellipsoid":
        return 4 / 3 * np.pi * a * b * rest[0]
    return 2 * np.pi * a * a * b


def _material(
    spec: "mujoco.MjSpec", name: str, texture: Texture, extent: tuple[float, float], flat: bool = False
) -> str:
    """Register a texture and a material of the same name; `extent` is the surface's size in metres."""
    picture = paint(texture)
    two_dimensional = name in ("floor", "wall", "table")
    kind = mujoco.mjtTexture.mjTEXTURE_2D if two_dimensional else mujoco.mjtTexture.mjTEXTURE_CUBE
    faces = picture if two_dimensional else np.concatenate([picture] * 6)
    added = spec.add_texture(name=name, type=kind, width=picture.shape[1], height=faces.shape[0], nchannel=3)
    added.data = faces.tobytes()
    material = spec.add_material(name=name, specular=0.3, shininess=0.4)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    if two_dimensional:
        material.texrepeat = [extent[0] / texture.tile, extent[1] / texture.tile]
    return name


def _plane(
    spec: "mujoco.MjSpec",
    name: str,
    position: tuple[float, float, float],
    half: tuple[float, float],
    world_from_plane: np.ndarray,
    material: str,
) -> None:
    spec.worldbody.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[*half, 0.5],
        pos=position,
        quat=quaternion_wxyz_from_matrix(world_from_plane),
        material=material,
        contype=0,
        conaffinity=0,
        group=SHOWN_GROUP,
    )


def _box(
    spec: "mujoco.MjSpec",
    name: str,
    position: tuple[float, ...],
    half: tuple[float, float, float],
    color: tuple[float, ...],
) -> None:
    """A box that is seen, not felt."""
    rgba = [*color, 1.0][:4]
    spec.worldbody.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=half,
        pos=position,
        rgba=rgba,
        contype=0,
        conaffinity=0,
        group=SHOWN_GROUP,
    )


def _feel(geom: "mujoco.MjsGeom", friction: float) -> None:
    geom.contype, geom.conaffinity = THING_BITS
    geom.condim = 4
    geom.friction = [friction, 0.005, 0.0001]
    geom.group = SHOWN_GROUP
