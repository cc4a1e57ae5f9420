import numpy as np
import pytest

from firsthand.errors import SimulationError
from firsthand.robot.joints import JOINTS, MIMIC
from firsthand.robot.model import RobotModel
from firsthand.simulation.gl import mujoco
from firsthand.simulation.robot import load_robot
from firsthand.simulation.scene import build_scene
from firsthand.space.frames import inverse


@pytest.fixture(scope="module")
def scene():
    return build_scene("push", "id", 0)


@pytest.fixture(scope="module")
def model():
    return RobotModel.load()


def pelvis_from_body(scene, name):
    pose = np.eye(4)
    pose[:3, :3] = scene.data.body(name).xmat.reshape(3, 3)
    pose[:3, 3] = scene.data.body(name).xpos
    return inverse(scene.world_from_pelvis) @ pose


@pytest.mark.parametrize("link", ["left_elbow_link", "right_wrist_yaw_link", "L_index_intermediate", "R_thumb_distal"])
def test_links_are_where_forward_kinematics_puts_them(scene, model, link):
    scene.reset()
    expected = model.link_pose(link, scene.initial_positions)
    np.testing.assert_allclose(pelvis_from_body(scene, link), expected, atol=1e-6)


def test_cameras_are_at_the_eyes_and_look_along_their_x(scene, model):
    scene.reset()
    for eye in ("left_eye", "right_eye"):
        world_from_eye = scene.world_from_pelvis @ model.link_pose(eye, model.zero)
        camera = scene.data.camera(eye)
        np.testing.assert_allclose(camera.xpos, world_from_eye[:3, 3], atol=1e-6)
        np.testing.assert_allclose(-camera.xmat.reshape(3, 3)[:, 2], world_from_eye[:3, 0], atol=1e-6)
        np.testing.assert_allclose(camera.xmat.reshape(3, 3)[:, 1], world_from_eye[:3, 2], atol=1e-6)


def test_every_joint_has_one_servo_in_order_and_one_follower_rule(scene):
    assert [scene.model.actuator(i).name for i in range(scene.model.nu)] == list(JOINTS)
    followers = {scene.model.joint(int(i)).name for i in scene.model.eq_obj1id}
    assert followers == set(MIMIC)
    assert scene.model.neq == len(MIMIC)


@pytest.mark.parametrize("seed", [0, 1, 22, 35])  # as drawn, the last three would have a finger in the table
def test_nothing_touches_the_robot_at_the_start(seed):
    scene = build_scene("push", "id", seed)
    names = {
        frozenset(scene.model.body(int(scene.model.geom_bodyid[geom])).name for geom in (contact.geom1, contact.geom2))
        for contact in scene.data.contact
    }
    assert names <= {frozenset({"object", "world"})}


@pytest.mark.parametrize(("variant", "seed"), [("id", 3), ("ood", 3)])
def test_equal_seeds_build_equal_worlds(variant, seed):
    first, again = (build_scene("push", variant, seed) for _ in range(2))
    assert first.state() == again.state()
    for field in ("geom_size", "geom_rgba", "tex_data", "body_mass", "light_dir", "geom_friction"):
        np.testing.assert_array_equal(getattr(first.model, field), getattr(again.model, field))


def test_state_there_and_back(scene):
    scene.reset()
    state = scene.state() | {"object/x": 0.5, "right_elbow_joint": 0.4}
    assert {"object/x", "object/qw", *JOINTS, *MIMIC} <= set(state)
    scene.set_state(state)
    assert scene.state() == state
    assert scene.objects()["object"].position[0] == 0.5
    assert scene.data.body("object").xpos[0] == 0.5  # what is rendered, too


def test_a_state_of_another_scene_is_refused(scene):
    with pytest.raises(SimulationError, match=r"lacks 1 of this scene's .*: object/x"):
        scene.set_state({name: value for name, value in scene.state().items() if name != "object/x"})
    with pytest.raises(SimulationError, match="got others for object/y"):
        scene.set_state(scene.state() | {"object/y": np.nan})


def test_bad_requests_are_named():
    with pytest.raises(SimulationError, match="no task 'fly'"):
        build_scene("fly", "id", 0)
    with pytest.raises(SimulationError, match="no variant 'x'"):
        build_scene("push", "x", 0)
    with pytest.raises(SimulationError, match="seed of 0 or more, got -1"):
        build_scene("push", "id", -1)
    with pytest.raises(SimulationError, match="cannot read the robot description"):
        load_robot("<robot></robot")


def test_the_object_weighs_what_was_drawn(scene):
    thing = scene.setup.objects[0]
    assert scene.model.body("object").mass[0] == pytest.approx(thing.mass)
    assert scene.data.qpos.shape == (len(scene.state_names),)
    assert scene.model.opt.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST
