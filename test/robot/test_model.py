import numpy as np
import pytest

from firsthand.errors import FrameNotFound, ModelError, ShapeError
from firsthand.robot.description import urdf
from firsthand.robot.joints import HANDS_SLICE, Mimic, hand_names
from firsthand.robot.model import RobotModel, resolve_mimics
from firsthand.space.frames import DFX_BASE_FROM_WRIST, FTP_BASE_FROM_WRIST, inverse
from firsthand.space.hand_state import HandState

TABLE = -0.08  # [m], a table 0.95 m high under a pelvis at 1.03 m, seen from the pelvis


@pytest.fixture(scope="module")
def model():
    return RobotModel.load()


@pytest.mark.parametrize("posture", ["zero", "elbow90"])
def test_golden_poses(official, model, posture):
    golden = official.golden[posture]
    q = model.zero
    for name, angle in golden["q"].items():
        q[model.joints.index(name)] = angle
    for link, pose in golden["pelvis_from_link"].items():
        np.testing.assert_allclose(model.link_pose(link, q), pose, atol=1e-6, err_msg=link)


def test_every_link_is_where_the_official_joints_put_it(official, robot):
    q = np.random.default_rng(0).uniform(robot.lower, robot.upper)
    angles = dict(zip(robot.joints, q, strict=True))
    names = [name for name in robot.frame_names if name in official.joint_above]
    assert len(names) > 50
    poses = robot.link_poses(names, q)
    for name, pose in zip(names, poses, strict=True):
        np.testing.assert_allclose(pose, official.pelvis_from_link(name, angles), atol=1e-6, err_msg=name)


def test_hand_state_says_where_the_frames_are(robot):
    q = np.random.default_rng(1).uniform(robot.lower, robot.upper)
    state = robot.hand_state(q)
    robot_from_pelvis = robot.robot_from_torso @ inverse(robot.link_pose("torso_link", q))
    for side, (wrist, tips) in enumerate(zip(("left_wrist", "right_wrist"), hand_names(robot.hand).tips, strict=True)):
        robot_from_wrist = robot_from_pelvis @ robot.link_pose(wrist, q)
        np.testing.assert_allclose(state.wrist_poses[side], robot_from_wrist, atol=1e-12)
        for finger, tip in enumerate(tips):
            point = (robot_from_pelvis @ robot.link_pose(tip, q))[:3, 3]
            np.testing.assert_allclose(state.fingertips_in_robot[side, finger], point, atol=1e-12)


def test_the_robot_frame_sits_at_the_eyes_with_the_axes_of_the_torso(model):
    np.testing.assert_allclose((model.robot_from_torso @ model.torso_from_eyes)[:3, 3], 0, atol=1e-12)
    np.testing.assert_array_equal(model.robot_from_torso[:3, :3], np.eye(3))
    gaze = model.hand_state(model.neutral).head_rotation[:, 0]
    assert np.rad2deg(np.arctan2(-gaze[2], gaze[0])) == pytest.approx(58.0, abs=0.1)


@pytest.mark.parametrize(("hand", "base_from_wrist"), [("dfx", DFX_BASE_FROM_WRIST), ("ftp", FTP_BASE_FROM_WRIST)])
def test_wrist_frames_are_those_of_space(hand, base_from_wrist):
    model = RobotModel.load(urdf(hand))
    for wrist, base in zip(("left_wrist", "right_wrist"), hand_names(hand).bases, strict=True):
        base_from_frame = inverse(model.link_pose(base, model.neutral)) @ model.link_pose(wrist, model.neutral)
        np.testing.assert_allclose(base_from_frame[:3, :3], base_from_wrist, atol=1e-12)
        np.testing.assert_allclose(base_from_frame[:3, 3], 0, atol=1e-12)


def test_hands_mirror_except_for_the_dfx_thumbs(robot):
    """The official right DFX thumb moves a few millimetres off the left one's mirror image."""
    state = robot.hand_state(robot.neutral)
    difference = np.abs(state.mirrored().to_vector() - state.to_vector())
    tips = HandState.from_vector(difference).fingertips_in_wrist
    assert difference[:24].max() < 1e-6
    assert tips[:, 1:].max() < 5e-4
    assert tips[:, 0].max() < (0.012 if robot.hand == "dfx" else 1e-6)


def test_neutral_is_ready_at_a_table(model):
    q = model.neutral
    margin = np.minimum(q - model.lower, model.upper - q)
    assert margin[:14].min() > 0.08
    state = model.hand_state(q)
    torso_from_robot = inverse(model.robot_from_torso)
    wrists = state.wrist_positions + torso_from_robot[:3, 3]
    assert ((wrists[:, 0] > 0.28) & (wrists[:, 0] < 0.36)).all()
    fingers = state.wrist_rotations[:, :, 0]  # the direction of straight fingers
    pitch = np.rad2deg(-np.arcsin(fingers[:, 2]))
    assert ((pitch > 15) & (pitch < 30)).all()
    hands = [name for name in model.frame_names if name[:2] in ("L_", "R_")]
    heights = model.link_poses(hands, q)[:, 2, 3] - TABLE
    assert 0.04 < heights.min() < 0.1


def test_both_eyes_see_the_neutral_hands(model):
    """At 60 degrees of vertical field of view, 16:9."""
    tips = [tip for side in hand_names("dfx").tips for tip in side]
    points = model.link_poses([*tips, "left_wrist", "right_wrist"], model.neutral)[:, :, 3]
    for eye in ("left_eye_optical", "right_eye_optical"):
        x, y, z, _ = inverse(model.link_pose(eye, model.neutral)) @ points.T
        assert (z > 0.2).all()
        assert (np.abs(y / z) < np.tan(np.deg2rad(30))).all()
        assert (np.abs(x / z) < np.tan(np.deg2rad(30)) * 16 / 9).all()


def test_a_waist_and_legs_that_move_change_nothing_at_zero():
    free, fixed = RobotModel.load(urdf(waist="revolute", legs="revolute")), RobotModel.load()
    np.testing.assert_array_equal(
        free.hand_state(free.neutral).to_vector(), fixed.hand_state(fixed.neutral).to_vector()
    )


def test_jacobians_of_followers_fold_into_their_motors(model):
    q = model.neutral
    change = np.random.default_rng(2).normal(size=26)
    step = 1e-6
    slope = (model.configuration(q + step * change) - model.configuration(q - step * change)) / (2 * step)
    np.testing.assert_allclose(model.reduce_jacobian(np.eye(model.pin_model.nv)) @ change, slope, atol=1e-8)


def test_followers_follow(model):
    q = model.zero
    q[model.joints.index("L_thumb_proximal_pitch_joint")] = 0.25
    angles = dict(zip(model.pin_model.names[1:], model.configuration(q), strict=True))
    assert angles["L_thumb_intermediate_joint"] == pytest.approx(0.4)
    assert angles["L_thumb_distal_joint"] == pytest.approx(0.6)
    assert angles["R_thumb_distal_joint"] == 0


def test_nested_followers_resolve_to_the_motor():
    text = """<robot name="r"><joint name="c"><mimic joint="b" multiplier="3" offset="0.1"/></joint>
    <joint name="b"><mimic joint="a" multiplier="2" offset="0.5"/></joint><joint name="a"/></robot>"""
    assert resolve_mimics(text) == {"c": Mimic("a", 6.0, 3 * 0.5 + 0.1), "b": Mimic("a", 2.0, 0.5)}


def test_followers_in_a_circle_are_refused():
    text = """<robot name="r"><joint name="a"><mimic joint="b"/></joint>
    <joint name="b"><mimic joint="a"/></joint></robot>"""
    with pytest.raises(ModelError, match="follows itself"):
        resolve_mimics(text)


def test_limits_are_in_the_order_of_the_joints(official, model):
    elbow = model.joints.index("right_elbow_joint")
    assert (model.lower[elbow], model.upper[elbow]) == (-0.95, 3.18)
    assert model.effort_limits[elbow] == 18
    assert model.velocity_limits[elbow] == 20
    np.testing.assert_array_equal(model.lower[HANDS_SLICE], [-0.1, 0, 0, 0, 0, 0] * 2)
    np.testing.assert_array_equal(model.upper[HANDS_SLICE], [1.3, 0.5, 1.7, 1.7, 1.7, 1.7] * 2)


def test_unknown_frames_are_refused_by_name(model):
    with pytest.raises(FrameNotFound, match="no frame 'left_writs' in the robot model; it has pelvis"):
        model.link_pose("left_writs", model.zero)


def test_joint_vectors_of_another_length_are_refused(model):
    with pytest.raises(ShapeError, match=r"expected 26 joint angles, got shape \(27,\)"):
        model.hand_state(np.zeros(27))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("this is no robot", "expected the URDF of an H1-2"),
        ('<robot name="r"><link name="pelvis"/></robot>', "carries no Inspire hands"),
    ],
)
def test_other_documents_are_refused(text, message):
    with pytest.raises(ModelError, match=message):
        RobotModel.load(text)
