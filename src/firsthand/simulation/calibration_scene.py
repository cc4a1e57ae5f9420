"""The robot with a printed board in its hand, or coloured dots on its fingertips, in front of a table.

Calibration is proven on it: here, where the eyes truly are is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.robot.joints import JOINTS, MIMIC
from firsthand.simulation.gl import mujoco
from firsthand.simulation.renderer import MeasuringRenderer, PinholeIntrinsics, intrinsics
from firsthand.simulation.robot import EYES, SHOWN_GROUP, load_robot
from firsthand.simulation.scene import set_options
from firsthand.space.rotations import quaternion_wxyz_from_matrix

Array = NDArray[np.floating]
Picture = NDArray[np.uint8]

THICKNESS = 0.002  # [m] of the board
DOT_RADIUS = 0.006  # [m]
TABLE = ((0.55, 0.0, 0.9), (0.35, 0.7, 0.05))  # [m] middle and half sizes, world frame


@dataclass(frozen=True)
class HeldBoard:
    """A board on a link. Its picture covers the face that looks along the place's z."""

    picture: Picture  # (H, W) or (H, W, 3)
    size: tuple[float, float]  # [m], across and down
    link: str
    place: Array  # (4, 4), link_from_middle of the board


@dataclass(frozen=True)
class Dot:
    """A ball of one colour."""

    link: str
    position: Array  # (3,), in the link, [m]
    colour: tuple[float, float, float]  # RGB, 0 to 1


class CalibrationScene:
    """A world to look at, drawn like `MeasuringRenderer` draws: with shadows and smooth edges.

    Args:
        robot_urdf: The description, with the eyes where they truly are.
        boards: What the hands hold.
        dots: What sticks to the fingers.
        width: Of one view, [px].
        height: The same, [px].
    """

    def __init__(
        self,
        robot_urdf: str,
        boards: Sequence[HeldBoard] = (),
        dots: Sequence[Dot] = (),
        width: int = 1280,
        height: int = 720,
    ) -> None:
        spec = load_robot(robot_urdf)
        set_options(spec)
        spec.visual.global_.offwidth, spec.visual.global_.offheight = max(1920, width), max(1080, height)
        _add_surroundings(spec)
        for number, board in enumerate(boards):
            _add_board(spec, number, board)
        for dot in dots:
            geom = spec.body(dot.link).add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[DOT_RADIUS, 0, 0])
            geom.pos, geom.rgba = dot.position, [*dot.colour, 1.0]
            _only_seen(geom)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self._joints = np.array([self.model.joint(name).qposadr[0] for name in JOINTS])
        self._eyes = [MeasuringRenderer(self, width, height, eye) for eye in EYES]
        self._size = width, height

    @property
    def intrinsics(self) -> PinholeIntrinsics:
        """Of both eyes."""
        mujoco.mj_forward(self.model, self.data)
        return intrinsics(self, *self._size)  # type: ignore[arg-type]

    def render(self, q: Array) -> Picture:
        """Both eyes' pictures (2, H, W, 3) RGB with the joints (26,) at rest there."""
        self.data.qpos[self._joints] = q
        for name, mimic in MIMIC.items():
            self.data.joint(name).qpos[0] = mimic.offset + mimic.multiplier * self.data.joint(mimic.leader).qpos[0]
        mujoco.mj_forward(self.model, self.data)
        return np.stack([eye.render() for eye in self._eyes])

    def close(self) -> None:
        """Give the OpenGL contexts back."""
        for eye in self._eyes:
            eye.close()


def _add_surroundings(spec: "mujoco.MjSpec") -> None:
    spec.visual.headlight.ambient = [0.35] * 3
    spec.visual.headlight.diffuse = [0.3] * 3
    spec.worldbody.add_light(pos=[0.3, 0.4, 2.6], dir=[0.1, -0.15, -1.0], diffuse=[0.5] * 3)
    spec.add_texture(
        name="table", type=mujoco.mjtTexture.mjTEXTURE_2D, builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        mark=mujoco.mjtMark.mjMARK_RANDOM, random=0.1, width=256, height=256, rgb1=[0.55, 0.45, 0.35],
        rgb2=[0.5, 0.4, 0.32], markrgb=[0.2, 0.15, 0.1],
    )  # fmt: skip
    material = spec.add_material(name="table", texrepeat=[6, 12])
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "table"
    middle, size = TABLE
    geom = spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX, pos=list(middle), size=list(size), material="table"
    )  # fmt: skip
    _only_seen(geom)


def _add_board(spec: "mujoco.MjSpec", number: int, board: HeldBoard) -> None:
    picture = board.picture if board.picture.ndim == 3 else np.repeat(board.picture[..., None], 3, axis=2)
    name = f"board {number}"
    texture = spec.add_texture(
        name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=picture.shape[1], height=picture.shape[0], nchannel=3
    )  # fmt: skip
    texture.data = np.ascontiguousarray(picture).tobytes()
    material = spec.add_material(name=name, texuniform=False, specular=0.0, shininess=0.0)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    geom = spec.body(board.link).add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX, size=[board.size[0] / 2, board.size[1] / 2, THICKNESS / 2], material=name
    )
    geom.pos, geom.quat = board.place[:3, 3], quaternion_wxyz_from_matrix(board.place[:3, :3])
    _only_seen(geom)


def _only_seen(geom: "mujoco.MjsGeom") -> None:
    geom.contype = geom.conaffinity = 0
    geom.group, geom.mass = SHOWN_GROUP, 0.0
