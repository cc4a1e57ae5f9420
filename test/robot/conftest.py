"""The official description's joints and links, from data/, and forward kinematics written without any library."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from firsthand.robot.description import urdf
from firsthand.robot.model import RobotModel

DATA = Path(__file__).parent / "data"


def read(name):
    with (DATA / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Official:
    """The tables: rows by name, all values text."""

    def __init__(self):
        self.joints = {row["name"]: row for row in read("h1_2_joints.csv")}
        self.joint_above = {row["child"]: row for row in self.joints.values()}
        self.links = {row["name"]: row for row in read("h1_2_links.csv")}
        self.golden = json.loads((DATA / "h1_2_fk_golden.json").read_text(encoding="utf-8"))

    def pelvis_from_link(self, link, angles):
        """Multiply the joints from the pelvis down; `angles` of motors by name."""
        pose = np.eye(4)
        while link != "pelvis":
            joint = self.joint_above[link]
            step = np.eye(4)
            step[:3, :3] = about("z", joint["yaw"]) @ about("y", joint["pitch"]) @ about("x", joint["roll"])
            step[:3, 3] = numbers(joint, "x", "y", "z")
            if joint["type"] == "revolute":
                turn = self.angle_of(joint["name"], angles) * numbers(joint, "axis_x", "axis_y", "axis_z")
                for axis, angle in zip("xyz", turn, strict=True):  # one of the three is not zero
                    step[:3, :3] = step[:3, :3] @ about(axis, angle)
            pose, link = step @ pose, joint["parent"]
        return pose

    def angle_of(self, name, angles):
        joint = self.joints[name]
        if joint["mimic_joint"]:
            return float(joint["mimic_multiplier"]) * self.angle_of(joint["mimic_joint"], angles) + float(
                joint["mimic_offset"]
            )
        return angles.get(name, 0.0)


def numbers(row, *columns):
    return np.array([float(row[column] or 0) for column in columns])


def about(axis, angle):
    c, s = np.cos(float(angle)), np.sin(float(angle))
    return {
        "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


@pytest.fixture(scope="session")
def official():
    return Official()


@pytest.fixture(scope="session", params=["dfx", "ftp"])
def robot(request):
    """A robot with each kind of hand."""
    return RobotModel.load(urdf(request.param))
