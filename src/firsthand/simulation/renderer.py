"""What the robot sees, and what a visitor sees.

The stereo pair is rendered for speed: no anti-aliasing and no shadows, seven times faster on a CPU than MuJoCo's
defaults. The third-person picture has both.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import SimulationError
from firsthand.simulation.gl import mujoco, require_backend
from firsthand.simulation.robot import EYE_FOV, EYES, FELT_GROUP, OWN_BODY_GROUP
from firsthand.simulation.scene import THIRD_PERSON, Scene

Image = NDArray[np.uint8]

WIDTH, HEIGHT = 640, 360  # [px], of one eye


class World(Protocol):
    """What can be drawn: a `Scene`, or any other compiled model with cameras of these names, and its state."""

    @property
    def model(self) -> "mujoco.MjModel":
        """What was built."""

    @property
    def data(self) -> "mujoco.MjData":
        """How it is now."""


class PinholeIntrinsics(NamedTuple):
    """The rectified stereo camera: pixel (u, v) = (fx x / z + cx, fy y / z + cy), integer at pixel centres."""

    fx: float  # [px]
    fy: float  # [px]
    cx: float  # [px]
    cy: float  # [px]
    baseline: float  # [m], left eye to right eye


def intrinsics(scene: Scene, width: int = WIDTH, height: int = HEIGHT) -> PinholeIntrinsics:
    """Focal lengths, principal point and baseline of the rendered pair."""
    focal = height / 2 / np.tan(np.deg2rad(EYE_FOV) / 2)
    left, right = (scene.data.camera(eye).xpos for eye in EYES)
    baseline = float(np.linalg.norm(left - right))
    return PinholeIntrinsics(float(focal), float(focal), (width - 1) / 2, (height - 1) / 2, baseline)


class StereoRenderer:
    """The eyes of the robot, or of a person. Holds an OpenGL context: use it in one thread and `close` it.

    Args:
        scene: What they look at.
        width: Of one picture, [px].
        height: Of one picture, [px].
        one_eye: The left one sees for both, as in a video of one camera.
    """

    def __init__(self, scene: World, width: int = WIDTH, height: int = HEIGHT, one_eye: bool = False) -> None:
        self._scene, self._one_eye = scene, one_eye
        self._picture = _Picture(scene, width, height, shadows=False)

    def render(self) -> Image:
        """The pair as the scene is now, (2, height, width, 3) uint8 RGB, left then right."""
        if self._one_eye:
            return np.stack([self._picture.take(EYES[0])] * len(EYES))
        return np.stack([self._picture.take(eye) for eye in EYES])

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._picture.close()


class ThirdPersonRenderer:
    """A visitor's view of a scene, with shadows and smooth edges: for pictures and films, several times slower."""

    def __init__(self, scene: Scene, width: int = 1280, height: int = 720) -> None:
        self._picture = _Picture(scene, width, height, shadows=True)

    def render(self) -> Image:
        """The view as the scene is now, (height, width, 3) uint8 RGB."""
        return self._picture.take(THIRD_PERSON)

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._picture.close()


class MeasuringRenderer:
    """One eye's picture, with shadows and smooth edges, and what is truly there, pixel by pixel."""

    def __init__(self, scene: World, width: int, height: int, eye: str = EYES[0]) -> None:
        self._eye = eye
        self._picture = _Picture(scene, width, height, shadows=True, own_body=False)
        self._raw = _Picture(scene, width, height, shadows=False)

    def render(self) -> Image:
        """The view as the scene is now, (height, width, 3) uint8 RGB."""
        return self._picture.take(self._eye)

    def measure(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Depth along the optical axis (height, width), [m], and the number of the skin that is seen there or -1."""
        return self._raw.measure(self._eye)

    def close(self) -> None:
        """Give the OpenGL contexts back."""
        self._picture.close()
        self._raw.close()


class _Picture:
    """One off-screen buffer and the settings it is drawn with."""

    def __init__(self, scene: World, width: int, height: int, shadows: bool, own_body: bool | None = None) -> None:
        require_backend()
        if width < 1 or height < 1:
            raise SimulationError(f"expected a picture of at least 1x1 pixels, got {width}x{height}")
        self._scene = scene
        # Read by MuJoCo when the context is made; the shadow flag below, on every frame.
        quality = scene.model.vis.quality
        quality.offsamples, quality.numslices, quality.numstacks = (4, 20, 10) if shadows else (0, 12, 6)
        self._renderer = mujoco.Renderer(scene.model, height, width)
        self._shadows = shadows
        self._options = mujoco.MjvOption()
        self._options.geomgroup[FELT_GROUP] = 0
        self._options.geomgroup[OWN_BODY_GROUP] = shadows if own_body is None else own_body
        self._options.sitegroup[:] = 0

    def take(self, camera: str) -> Image:
        self._renderer.update_scene(self._scene.data, camera, self._options)
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = self._shadows
        return self._renderer.render()

    def measure(self, camera: str) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Depth and skins, as of `MeasuringRenderer.measure`."""
        self._renderer.update_scene(self._scene.data, camera, self._options)
        self._renderer.enable_depth_rendering()
        depth = self._renderer.render()
        self._renderer.disable_depth_rendering()
        self._renderer.enable_segmentation_rendering()
        seen = self._renderer.render()
        self._renderer.disable_segmentation_rendering()
        return depth, np.where(seen[..., 1] == int(mujoco.mjtObj.mjOBJ_SKIN), seen[..., 0], -1).astype(np.int32)

    def close(self) -> None:
        self._renderer.close()
