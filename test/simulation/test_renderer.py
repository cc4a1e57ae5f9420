import numpy as np
import pytest

from firsthand.errors import SimulationError
from firsthand.simulation import gl
from firsthand.simulation.renderer import StereoRenderer, ThirdPersonRenderer, intrinsics
from firsthand.simulation.scene import build_scene


@pytest.fixture(scope="module")
def scene():
    return build_scene("push", "id", 0)


@pytest.fixture(scope="module")
def renderer(scene):
    renderer = StereoRenderer(scene)
    yield renderer
    renderer.close()


def project(scene, point, eye):
    """Pixel and depth of a world point."""
    camera = scene.data.camera(eye)
    right, up, backward = camera.xmat.reshape(3, 3).T @ (point - camera.xpos)
    k = intrinsics(scene)
    return np.array([k.fx * right / -backward + k.cx, k.fy * -up / -backward + k.cy]), -backward


def patch_center(with_patch, without):
    changed = np.argwhere(np.abs(with_patch.astype(int) - without).sum(-1) > 30)
    return changed[:, ::-1].mean(axis=0)


def test_the_pair_is_rgb_left_then_right(scene, renderer):
    scene.reset()
    pair = renderer.render()
    assert pair.shape == (2, 360, 640, 3)
    assert pair.dtype == np.uint8
    assert np.any(pair[0] != pair[1])
    np.testing.assert_array_equal(renderer.render(), pair)


def test_pixels_are_where_the_intrinsics_say(scene, renderer):
    """The goal patch changes colour; the pixels that change lie around its projection, in both eyes."""
    scene.reset()
    marker = scene.model.geom("marker_goal_near")
    before = renderer.render()
    old = marker.rgba.copy()
    marker.rgba[:] = [1, 0, 1, 1]
    after = renderer.render()
    marker.rgba[:] = old
    # Only that part of the stripe away from the hands; a small one: its centre is the centre of its pixels.
    center = scene.data.geom("marker_goal_near").xpos
    half_length = marker.size[0]
    ends = [center + np.array([side * half_length, 0, 0]) for side in (-1, 1)]
    for eye, name in enumerate(("left_eye", "right_eye")):
        (near, _), (far, _) = (project(scene, end, name) for end in ends)
        changed = np.argwhere(np.abs(after[eye].astype(int) - before[eye]).sum(-1) > 30)[:, ::-1]
        along = (far - near) / np.linalg.norm(far - near)
        across = (changed - near) @ np.array([-along[1], along[0]])
        assert np.abs(across).mean() < 2.0
        assert abs(changed[:, 1].min() - far[1]) < 2.5


def test_disparity_is_that_of_the_baseline(scene):
    point = np.array([0.4, 0.1, 0.95])
    (left, depth), (right, _) = (project(scene, point, eye) for eye in ("left_eye", "right_eye"))
    k = intrinsics(scene)
    assert k.baseline == pytest.approx(0.063)
    np.testing.assert_allclose(left - right, [k.fx * k.baseline / depth, 0], atol=1e-6)


def test_hands_and_object_are_in_view(scene, renderer):
    scene.reset()
    for point in (scene.data.body("object").xpos, *(scene.data.body(f"{s}_index_intermediate").xpos for s in "LR")):
        for eye in ("left_eye", "right_eye"):
            (u, v), _ = project(scene, point, eye)
            assert 10 < u < 630
            assert 10 < v < 350


def test_what_the_eyes_are_spared_is_out_of_their_sight(scene):
    """Torso, head and legs are not drawn for the eyes; drawing them would change nothing."""
    scene.reset()
    renderer = StereoRenderer(scene, 160, 90)
    spared = renderer.render()
    renderer._picture._options.geomgroup[:3] = 1
    np.testing.assert_array_equal(renderer.render(), spared)
    renderer.close()


def test_third_person_sees_the_scene(scene):
    renderer = ThirdPersonRenderer(scene, 320, 180)
    picture = renderer.render()
    renderer.close()
    assert picture.shape == (180, 320, 3)
    assert picture.std() > 20


def test_a_picture_without_pixels_is_refused(scene):
    with pytest.raises(SimulationError, match="at least 1x1 pixels, got 0x360"):
        StereoRenderer(scene, 0, 360)


def test_a_chosen_backend_is_left_alone(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    assert gl.find_backend() == "osmesa"


def test_no_backend_is_answered_with_what_to_install(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(gl, "_loads", lambda name: None)
    assert gl.find_backend() is None
    monkeypatch.setattr(gl, "BACKEND", None)
    with pytest.raises(SimulationError, match=r"apt-get install libegl1 libgl1-mesa-dri .* libosmesa6"):
        gl.require_backend()
