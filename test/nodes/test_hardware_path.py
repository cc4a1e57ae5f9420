"""The whole hardware path, closed and without hardware: the fake robot's camera, the nodes that its own printed command
starts, the policy, kinematics, the body h1_2, DDS, and the fake robot that moves."""

import re
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("onnx")
pytest.importorskip("firsthand.simulation.gl")  # chooses the backend before MuJoCo is imported
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, JointState
from std_srvs.srv import SetBool

from firsthand.nodes.image_messages import read_camera_infos
from firsthand.nodes.messages import ns_from_stamp, read_joint_state
from firsthand.policy.checkpoint import EncoderSpec
from firsthand.robot.joints import JOINTS
from firsthand.robot.model import RobotModel
from firsthand.vision.encoders import SOURCES

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(300)]

PATIENCE = 120.0  # [s]
SHAPE = (2, 36, 64, 3)
SPEED = 0.1  # the machine that tests is busy


@pytest.fixture
def rollout(ros):
    """Starts what the fake robot printed, and ends it."""
    running = []

    def start(robot, *arguments):
        line = robot.process.stdout.readline()
        command = line.split("in a second terminal: firsthand ")[1].split()
        running.append(subprocess.Popen([sys.executable, "-m", "firsthand.command", *command, *arguments]))

    yield start
    ros.end(running)


class Listener:
    def __init__(self, ros):
        self.ros, self.node = ros, ros.node("listener")
        self.joints, self.infos = [], {"left": None, "right": None}
        self.node.create_subscription(JointState, "joint_states", self.joints.append, QoSProfile(depth=1000))
        for side in self.infos:
            self.node.create_subscription(
                CameraInfo, f"{side}/color/rect/camera_info", lambda m, s=side: self.infos.__setitem__(s, m), 10
            )

    def engage(self):
        client = self.node.create_client(SetBool, "engage")
        self.ros.spin_until(client.service_is_ready, PATIENCE, what="the body")
        return self.ros.call(client, SetBool.Request(data=True)).success


def test_a_policy_drives_the_robot_by_what_the_robot_sees(ros, fake_robot, rollout, write_checkpoint, tmp_path):
    spec = EncoderSpec("pixels", SOURCES["pixels"], SHAPE[1:3], SHAPE)
    robot = fake_robot(
        "--camera", "--camera-port", "0", "--camera-calibration", str(tmp_path / "SN1.conf"), "--speed", str(SPEED),
        "--seed", "3", "--strict",
    )  # fmt: skip
    listener = Listener(ros)
    rollout(robot, f"checkpoint:={write_checkpoint(SHAPE, encoder=spec)}")
    ros.spin_until(lambda: all(listener.infos.values()) and listener.joints, PATIENCE, what="pictures and joints")
    from firsthand.simulation.renderer import intrinsics
    from firsthand.simulation.scene import build_scene

    scene = build_scene("push", "id", 3)
    told = read_camera_infos(listener.infos["left"], listener.infos["right"])
    np.testing.assert_allclose([told.fx, told.fy, told.cx, told.cy, told.baseline], intrinsics(scene), atol=1e-2)
    first = read_joint_state(listener.joints[-1], JOINTS)
    np.testing.assert_allclose(first.positions[:14], scene.initial_positions[:14], atol=0.02)
    behind = (first.stamp_ns - ns_from_stamp(listener.infos["left"].header.stamp)) / 1e9
    assert -0.2 < behind < 1.0  # the camera's stamps are of the robot's slow time
    ros.spin_until(listener.engage, PATIENCE, what="the gate to engage")
    model = RobotModel.load()
    start = model.hand_state(first.positions).wrist_positions[1]

    def gone():
        """How far the right wrist is from where it began, [m]: forward, left, up."""
        return model.hand_state(read_joint_state(listener.joints[-1], JOINTS).positions).wrist_positions[1] - start

    ros.spin_until(lambda: gone()[1] > 0.03, PATIENCE, what="the right hand to go left, as the policy has it")
    assert np.abs(gone()[[0, 2]]).max() < 0.03
    last = robot.end()  # what the robot itself says of it
    assert float(re.search(r"weight ([\d.]+)", last)[1]) > 0
    assert int(re.search(r"(\d+) commands obeyed", last)[1]) > 10
    assert "dropped: none" in last
