"""A scene that another process simulates, rendered here from its joints alone."""

import numpy as np
from numpy.typing import NDArray

from firsthand.nodes.scene_messages import SceneState
from firsthand.simulation.renderer import StereoRenderer, intrinsics
from firsthand.simulation.scene import Scene, build_scene
from firsthand.simulation.scene_name import SceneName
from firsthand.vision.intrinsics import Intrinsics


class SceneView:
    """Stereo pictures of scene states; a new scene is built when a state names one. Use it in one thread.

    Args:
        width: Of one view, [px].
        height: Of one view, [px].
    """

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._name: SceneName | None = None
        self._scene: Scene | None = None
        self._renderer: StereoRenderer | None = None
        self.intrinsics = Intrinsics(width, height, 0.0, 0.0, 0.0, 0.0, 0.0)

    def render(self, state: SceneState) -> NDArray[np.uint8]:
        """The pair (2, H, W, 3), RGB, left then right.

        Raises:
            SimulationError: There is no such scene, or the state is not one of it.
        """
        scene, renderer = self._of(state.scene)
        scene.set_state(state.joints)
        return renderer.render()

    def close(self) -> None:
        """Give the OpenGL context back."""
        if self._renderer is not None:
            self._renderer.close()
        self._scene, self._renderer, self._name = None, None, None

    def _of(self, name: SceneName) -> tuple[Scene, StereoRenderer]:
        if self._scene is None or self._renderer is None or name != self._name:
            self.close()
            self._scene = build_scene(name.task, name.variant, name.seed)
            self._renderer = StereoRenderer(self._scene, self._width, self._height)
            fx, fy, cx, cy, baseline = intrinsics(self._scene, self._width, self._height)
            self.intrinsics = Intrinsics(self._width, self._height, fx, fy, cx, cy, baseline)
            self._name = name
        return self._scene, self._renderer
