"""The player publishes a bag again: everything, in order, in time, under /clock."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from firsthand.bags.write import BagWriter, Topic
from firsthand.errors import BagError
from firsthand.nodes.messages import ns_from_stamp, write_joint_state
from firsthand.nodes.player import Player
from firsthand.nodes.qos import CLOCK, LATCHED, RECORD

pytestmark = pytest.mark.ros
START = 50_000_000_000  # [ns]
STEP = 10_000_000  # [ns]
COUNT = 30


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """Thirty joint states at 100 Hz, beginning at 50 s, and one latched word."""
    path = tmp_path_factory.mktemp("bags") / "bag"
    topics = [
        Topic("/joint_states", "sensor_msgs/msg/JointState"),
        Topic("/gate_state", "std_msgs/msg/String", latched=True),
    ]
    with BagWriter(path, topics) as writer:
        writer.write("/gate_state", START, serialize_message(String(data="active")))
        for i in range(COUNT):
            stamp_ns = START + i * STEP
            writer.write("/joint_states", stamp_ns, write_joint_state(["a"], np.array([i]), stamp_ns))
    return path


def listen(ros, topic, kind, qos):
    heard = []
    ros.node(topic.replace("/", "_") + "_listener").create_subscription(kind, topic, heard.append, qos)
    return heard


def test_everything_arrives_in_order_and_the_node_ends(ros, bag):
    joints = listen(ros, "joint_states", JointState, RECORD)
    words = listen(ros, "gate_state", String, LATCHED)
    player = ros.make(Player, bag=str(bag), wait_for=["joint_states"])
    ros.spin_until(player.finished.is_set)
    ros.spin_until(lambda: len(joints) == COUNT and words)
    assert [message.position[0] for message in joints] == list(range(COUNT))
    assert [ns_from_stamp(message.header.stamp) for message in joints] == [START + i * STEP for i in range(COUNT)]
    assert player.failure is None


def test_clock_rises_over_the_bags_own_time(ros, bag):
    clocks = listen(ros, "/clock", Clock, CLOCK)
    joints = listen(ros, "joint_states", JointState, RECORD)
    player = ros.make(Player, bag=str(bag), clock_rate=200.0, wait_for=["joint_states"])
    ros.spin_until(player.finished.is_set)
    times = [ns_from_stamp(message.clock) for message in clocks]
    assert times == sorted(times)
    assert times[0] >= START
    assert times[-1] <= START + COUNT * STEP
    assert joints


def test_a_part_of_the_bag(ros, bag):
    joints = listen(ros, "joint_states", JointState, RECORD)
    player = ros.make(
        Player, bag=str(bag), start=0.1, duration=0.05, wait_for=["joint_states"], topics=["joint_states"]
    )
    ros.spin_until(player.finished.is_set)
    ros.spin_until(lambda: len(joints) == 5)
    assert [message.position[0] for message in joints] == [10, 11, 12, 13, 14]


def test_nobody_listening_is_a_failure_not_a_silence(ros, bag):
    player = ros.make(Player, bag=str(bag), wait_for=["joint_states"], wait_timeout=0.05)
    ros.spin_until(player.finished.is_set)
    assert isinstance(player.failure, BagError)
    assert "nobody subscribed to /joint_states" in str(player.failure)


def test_health_is_reported(ros, bag):
    heard = listen(ros, "/diagnostics", DiagnosticArray, RECORD)
    ros.make(Player, bag=str(bag), loop=True)
    ros.spin_until(lambda: heard)
    values = {value.key: value.value for value in heard[0].status[0].values}
    assert int(values["messages"]) > 0
    assert values["of"] == str(COUNT + 1)


def test_nothing_is_not_played_again_and_again(ros, bag):
    player = ros.make(Player, bag=str(bag), loop=True, start=1000.0)
    ros.spin_until(player.finished.is_set, what="the end")
    assert "no message" in str(player.failure)


def test_bad_bags_are_named(ros, bag, tmp_path):
    with pytest.raises(BagError, match="no bag to play"):
        ros.make(Player)
    with pytest.raises(BagError, match="no bag at"):
        ros.make(Player, bag=str(tmp_path / "nothing"))
    with pytest.raises(BagError, match="has no topic 'speech'"):
        ros.make(Player, bag=str(bag), topics=["speech"])
