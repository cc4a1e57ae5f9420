import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pinocchio as pin
import pytest

from firsthand.errors import ModelError
from firsthand.robot.description import urdf
from firsthand.robot.joints import hand_names, mimic_joints
from firsthand.robot.model import RobotModel
from firsthand.share import share_directory
from firsthand.space.rotations import matrix_from_rpy

HANDS = ["dfx", "ftp"]
MIRROR = np.diag([1.0, -1.0, 1.0, 1.0])


def parse(**arguments):
    return ElementTree.fromstring(urdf(**arguments))


def by_name(document, tag):
    return {element.get("name"): element for element in document.findall(tag)}


def mass_of(document, link):
    mass = by_name(document, "link")[link].find("inertial/mass")
    return 0.0 if mass is None else float(mass.get("value"))


def below(document, link):
    """A link and all that hangs on it."""
    children = [j.find("child").get("link") for j in document.findall("joint") if j.find("parent").get("link") == link]
    return [link, *(part for child in children for part in below(document, child))]


def triple(text):
    return np.array([float(number) for number in text.split()])


# ---- what RViz, Pinocchio and MuJoCo need ----


@pytest.mark.parametrize("hand", HANDS)
def test_every_visual_has_a_named_and_defined_material(hand):
    """urdfdom drops visuals whose material has no name: the official file shows nothing in RViz."""
    document = parse(hand=hand)
    defined = by_name(document, "material")
    assert set(defined) == {"light_grey", "dark_grey", "black", "accent"}
    used = [visual.find("material").get("name") for visual in document.iter("visual")]
    assert len(used) > 100
    assert set(used) == set(defined)


@pytest.mark.parametrize("hand", HANDS)
def test_only_primitive_shapes_of_positive_size(hand):
    for geometry in parse(hand=hand).iter("geometry"):
        (shape,) = geometry
        assert shape.tag in {"box", "cylinder", "sphere"}
        assert all((triple(value) > 1e-4).all() for value in shape.attrib.values())


@pytest.mark.parametrize("hand", HANDS)
def test_links_form_one_tree_below_the_pelvis(hand):
    document = parse(hand=hand)
    links, joints = by_name(document, "link"), by_name(document, "joint")
    assert len(links) == len(document.findall("link"))
    children = [joint.find("child").get("link") for joint in joints.values()]
    assert len(set(children)) == len(children) == len(links) - 1
    assert set(links) - set(children) == {"pelvis"}
    assert {joint.find("parent").get("link") for joint in joints.values()} <= set(links)


@pytest.mark.parametrize(
    ("hand", "waist", "legs", "count"),
    [("dfx", "fixed", "fixed", 38), ("ftp", "fixed", "fixed", 38), ("dfx", "revolute", "revolute", 51)],
)
def test_pinocchio_counts_the_degrees_of_freedom(hand, waist, legs, count):
    assert pin.buildModelFromXML(urdf(hand, waist=waist, legs=legs)).nv == count


@pytest.mark.parametrize("hand", HANDS)
def test_mujoco_agrees_with_pinocchio(hand):
    mujoco = pytest.importorskip("mujoco")
    text = urdf(hand)
    model, ours = mujoco.MjModel.from_xml_string(text), RobotModel.load(text)
    data = mujoco.MjData(model)
    q = np.random.default_rng(0).uniform(ours.lower, ours.upper)
    for name, angle in zip(ours.pin_model.names[1:], ours.configuration(q), strict=True):
        data.qpos[model.joint(name).qposadr] = angle
    mujoco.mj_kinematics(model, data)
    for link in ("left_wrist_yaw_link", "right_elbow_link"):
        np.testing.assert_allclose(data.body(link).xpos, ours.link_pose(link, q)[:3, 3], atol=1e-6)


# ---- what the official description says, and where it is wrong ----


@pytest.mark.parametrize("hand", HANDS)
def test_joints_are_the_official_ones(official, hand):
    free = {"waist": "revolute", "legs": "revolute"} if hand == "dfx" else {}
    for name, joint in by_name(parse(hand=hand, **free), "joint").items():
        row = official.joints.get(name)
        if row is None or joint.get("type") == "fixed":
            continue
        np.testing.assert_allclose(triple(joint.find("origin").get("xyz")), [float(row[c]) for c in "xyz"], atol=1e-9)
        np.testing.assert_array_equal(triple(joint.find("axis").get("xyz")), [float(row[f"axis_{c}"]) for c in "xyz"])
        assert float(joint.find("limit").get("effort")) == float(row["effort"])
        assert (joint.find("mimic") is None) == (row["mimic_joint"] == "")


def test_body_limits_are_the_official_ones(official):
    joints = by_name(parse(waist="revolute", legs="revolute"), "joint")
    body = [name for name in joints if "hip" in name or "shoulder" in name or "elbow" in name or "ankle" in name]
    for name in [*body, "torso_joint", "left_knee_joint", "left_wrist_pitch_joint", "right_wrist_roll_joint"]:
        limit = joints[name].find("limit")
        for field in ("lower", "upper", "velocity"):
            assert float(limit.get(field)) == pytest.approx(float(official.joints[name][field])), (name, field)


@pytest.mark.parametrize("hand", HANDS)
def test_followers_reach_their_limits_with_their_motors(hand):
    """The official DFX thumb bends to 0.6, its first follower only to 0.8 / 1.6 = 0.5."""
    joints = by_name(parse(hand=hand), "joint")
    for follower, mimic in mimic_joints(hand).items():
        follow, lead = (joints[name].find("limit") for name in (follower, mimic.leader))
        for field in ("lower", "upper", "velocity"):
            assert float(follow.get(field)) == pytest.approx(mimic.multiplier * float(lead.get(field)))
        element = joints[follower].find("mimic")
        assert (element.get("joint"), float(element.get("multiplier"))) == (mimic.leader, mimic.multiplier)


@pytest.mark.parametrize("hand", HANDS)
def test_hand_limits_lie_within_the_official_ones(official, hand):
    for name, joint in by_name(parse(hand=hand), "joint").items():
        if name in official.joints and joint.find("limit") is not None:
            assert float(joint.find("limit").get("lower")) >= float(official.joints[name]["lower"]) - 1e-9
            assert float(joint.find("limit").get("upper")) <= float(official.joints[name]["upper"]) + 1e-9


def test_fingers_are_as_fast_as_the_data_sheet_says():
    """The official 0.5 rad/s would take 3.4 s to close a hand."""
    joints = by_name(parse(), "joint")
    assert float(joints["L_index_proximal_joint"].find("limit").get("velocity")) == pytest.approx(np.deg2rad(260))


@pytest.mark.parametrize("hand", HANDS)
def test_masses_are_the_official_ones_except_the_palms(official, hand):
    for name, link in by_name(parse(hand=hand), "link").items():
        row = official.links.get(name)
        if row is not None and "base_link" not in name:
            centre = triple(link.find("inertial/origin").get("xyz"))
            assert float(link.find("inertial/mass").get("value")) == pytest.approx(float(row["mass_kg"]), abs=0.0007)
            if name != "right_wrist_roll_link":  # not mirrored in the official file
                np.testing.assert_allclose(centre, [float(row[f"com_{c}"]) for c in "xyz"], atol=0.0015)


@pytest.mark.parametrize(("hand", "mass"), [("dfx", 0.54), ("ftp", 0.861)])
def test_a_hand_weighs_what_it_should(hand, mass):
    """Official: 0.19 kg for the DFX hand, and 3.26 kg for the FTP hand by a slip of one digit."""
    for arguments, expected in (({}, mass), ({"hand_mass": 0.7}, 0.7)):
        document = parse(hand=hand, **arguments)
        for base in hand_names(hand).bases:
            parts = below(document, base)
            assert sum(mass_of(document, part) for part in parts) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("hand", HANDS)
def test_inertias_are_those_of_solid_bodies(hand):
    for link in parse(hand=hand).findall("link"):
        inertia = link.find("inertial/inertia")
        if inertia is None:
            continue
        i = {key: float(value) for key, value in inertia.attrib.items()}
        tensor = np.array(
            [[i["ixx"], i["ixy"], i["ixz"]], [i["ixy"], i["iyy"], i["iyz"]], [i["ixz"], i["iyz"], i["izz"]]]
        )
        small, middle, large = np.linalg.eigvalsh(tensor)
        assert small > 0
        assert large <= (small + middle) * 1.001, link.get("name")


def test_arms_and_legs_mirror():
    document = parse()
    links, joints = by_name(document, "link"), by_name(document, "joint")
    for name, link in links.items():
        if not name.startswith("left_") or link.find("inertial") is None:
            continue
        other = links[name.replace("left_", "right_")]
        left, right = (triple(side.find("inertial/origin").get("xyz")) for side in (link, other))
        np.testing.assert_allclose(left * [1, -1, 1], right, atol=1e-12)
        assert len(link.findall("visual")) == len(other.findall("visual"))
    for name, joint in joints.items():
        if name.startswith("left_") and joint.get("type") == "revolute":
            left, right = (j.find("limit") for j in (joint, joints[name.replace("left_", "right_")]))
            turned = joint.find("axis").get("xyz") != "0 1 0"  # the mirror turns x and z axes round
            expected = [-float(left.get("upper")), -float(left.get("lower"))] if turned else None
            expected = expected or [float(left.get("lower")), float(left.get("upper"))]
            assert [float(right.get("lower")), float(right.get("upper"))] == expected


# ---- arguments ----


def test_the_camera_is_where_it_is_told_to_be():
    model = RobotModel.load(urdf(eyes_xyz=(0.1, 0.01, 0.6), eyes_rpy=(0.0, 0.5, 0.1), camera_baseline=0.12))
    eyes = model.link_pose("eyes", model.zero)
    np.testing.assert_allclose(eyes[:3, 3], [0.1, 0.01, 0.6], atol=1e-12)
    np.testing.assert_allclose(eyes[:3, :3], matrix_from_rpy(0.0, 0.5, 0.1), atol=1e-12)
    left, right = (model.link_pose(name, model.zero)[:3, 3] for name in ("left_eye", "right_eye"))
    np.testing.assert_allclose(left - right, 0.12 * eyes[:3, 1], atol=1e-12)


def test_optical_frames_look_along_z():
    model = RobotModel.load()
    eyes = model.link_pose("eyes", model.zero)[:3, :3]
    for name in ("left_eye_optical", "right_eye_optical"):
        optical = model.link_pose(name, model.zero)[:3, :3]
        np.testing.assert_allclose(optical, np.stack([-eyes[:, 1], -eyes[:, 2], eyes[:, 0]], axis=1), atol=1e-12)


def test_the_hand_mount_mirrors():
    model = RobotModel.load(urdf(hand_xyz=(0.01, 0.02, 0.03), hand_rpy=(0.1, 0.2, 0.3)))
    usual = RobotModel.load()
    flange_from_mount = np.linalg.inv(model.link_pose("left_wrist_yaw_link", model.zero)) @ model.link_pose(
        "left_hand_mount", model.zero
    )
    np.testing.assert_allclose(flange_from_mount[:3, 3], [0.064, 0.02, 0.03], atol=1e-12)
    np.testing.assert_allclose(flange_from_mount[:3, :3], matrix_from_rpy(0.1, 0.2, 0.3), atol=1e-12)
    left, right = (model.link_pose(f"{side}_hand_mount", model.zero) for side in ("left", "right"))
    np.testing.assert_allclose(MIRROR @ left @ MIRROR, right, atol=1e-9)
    assert not np.allclose(left, usual.link_pose("left_hand_mount", usual.zero))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hand": "shadow"}, "hand is 'shadow'; choose dfx or ftp"),
        ({"legs": "walking"}, "legs is 'walking'; choose fixed or revolute"),
        ({"waist": ""}, "waist is ''; choose fixed or revolute"),
        ({"eyes_xyz": (0.1, 0.2)}, "eyes_xyz is .* expected three finite numbers"),
        ({"eyes_rpy": (0.1, 0.2, float("nan"))}, "eyes_rpy is .* expected three finite numbers"),
        ({"camera_baseline": 0.0}, "camera_baseline is 0.0; expected a positive number"),
        ({"hand_mass": float("inf")}, "hand_mass is inf; expected a positive number"),
        ({"hand_mass": 0.01}, "hand_mass is 0.01 kg; the fingers alone weigh 0.050 kg"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ModelError, match=message):
        urdf(**arguments)


def test_the_xacro_files_stand_on_their_own():
    """As on a machine with ROS: the xacro program and its defaults; it too has a word to say on a wrong hand."""
    program = shutil.which("xacro", path=str(Path(sys.executable).parent)) or shutil.which("xacro")
    if program is None:
        pytest.skip("no xacro program")
    source = str(share_directory() / "urdf" / "h1_2.urdf.xacro")
    made = subprocess.run([program, source], capture_output=True, text=True, check=True)
    assert made.stderr == ""
    a, b = (RobotModel.load(text) for text in (made.stdout, urdf()))
    np.testing.assert_allclose(
        a.link_poses(a.frame_names, a.neutral), b.link_poses(b.frame_names, b.neutral), atol=1e-9
    )
    refused = subprocess.run([program, source, "hand:=shadow"], capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "argument hand is 'shadow'; choose dfx or ftp" in refused.stderr
