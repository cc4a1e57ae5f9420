"""One choice of hands for all nodes: the same FTP hand in body and kinematics, and a mismatch that moves nothing."""

import numpy as np
import pytest

pytest.importorskip("rclpy")
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import MultiDOFJointTrajectory

from firsthand.errors import ModelError
from firsthand.nodes.body import BodyNode
from firsthand.nodes.kinematics import Kinematics
from firsthand.nodes.messages import read_hand_state, read_joint_state, write_hand_state, write_joint_state
from firsthand.nodes.qos import PUBLISH
from firsthand.robot.description import urdf
from firsthand.robot.joints import JOINTS, joint_names
from firsthand.robot.model import RobotModel

pytestmark = pytest.mark.ros


class Graph:
    """Mock body and kinematics, each with the hand that it is told to have, and a person who wants to stay."""

    def __init__(self, ros, body, kinematics):
        self.ros, self.node = ros, ros.node("person")
        self.joints, self.states, self.commands = [], [], []
        subscribe = self.node.create_subscription
        subscribe(JointState, "joint_states", self.joints.append, 10)
        subscribe(MultiDOFJointTrajectory, "hand_state", lambda m: self.states.append(read_hand_state(m).vector), 10)
        subscribe(JointState, "joint_command", self.commands.append, 10)
        targets = self.node.create_publisher(MultiDOFJointTrajectory, "teleop/target", PUBLISH)
        model = RobotModel.load(urdf(kinematics))
        wanted = model.hand_state(model.neutral).to_vector()
        now = lambda: self.node.get_clock().now().nanoseconds  # noqa: E731
        self.node.create_timer(0.02, lambda: targets.publish(write_hand_state(wanted, now())))
        self.body = ros.make(BodyNode, body="mock", hand=body, publish_clock=False)
        self.kinematics = ros.make(Kinematics, source="teleop", hand=kinematics)


def test_the_hand_that_all_nodes_are_told_is_the_one_that_is_computed_with(ros):
    graph = Graph(ros, "ftp", "ftp")
    ros.spin_until(lambda: graph.states and graph.commands, what="hand states and commands")
    model = RobotModel.load(urdf("ftp"))
    reading = read_joint_state(graph.joints[-1], joint_names("ftp"))
    np.testing.assert_allclose(graph.states[-1], model.hand_state(reading.positions).to_vector(), atol=1e-6)
    assert graph.commands[-1].name == list(joint_names("ftp"))
    dfx = RobotModel.load().hand_state(reading.positions).to_vector()
    assert np.abs(graph.states[-1] - dfx)[24:].max() > 0.005  # [m], what it would be off by with the other hand


@pytest.mark.parametrize(("body", "kinematics"), [("ftp", "dfx"), ("dfx", "ftp")])
def test_nodes_of_different_hands_do_not_listen_to_each_other(ros, body, kinematics):
    graph = Graph(ros, body, kinematics)
    said = f"joints of a robot with {body} hands came, {kinematics} hands were expected"
    ros.spin_until(lambda: said in graph.kinematics._joints_in.last_error, what="the refusal")
    assert f"hand:={body}" in graph.kinematics._joints_in.last_error
    assert graph.states == graph.commands == []


def test_a_body_refuses_commands_for_the_other_hand(ros):
    graph = Graph(ros, "ftp", "ftp")
    commands = graph.node.create_publisher(JointState, "joint_command", PUBLISH)
    ros.spin_until(commands.get_subscription_count, what="the body to listen")
    stranger = write_joint_state(JOINTS, np.zeros(26), graph.node.get_clock().now().nanoseconds)
    graph.node.create_timer(0.02, lambda: commands.publish(stranger))
    ros.spin_until(lambda: "ftp hands were expected" in graph.body._commands.last_error, what="the refusal")


def test_a_simulation_with_hands_that_it_does_not_have_is_refused(ros):
    with pytest.raises(ModelError, match="simulated robot has dfx hands, not ftp"):
        ros.make(BodyNode, body="simulated", hand="ftp")
