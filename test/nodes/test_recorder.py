"""The recorder writes what it hears, byte for byte, and finishes its bag however it is ended."""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import MultiDOFJointTrajectory

from firsthand.bags.card import EpisodeCard, read_card
from firsthand.bags.read import open_bag
from firsthand.bags.recover import recover_bag
from firsthand.errors import BagError, LaunchError
from firsthand.nodes.messages import read_chunk, write_chunk, write_clock, write_joint_state
from firsthand.nodes.qos import CLOCK, LATCHED, PUBLISH
from firsthand.nodes.recorder import Recorder
from firsthand.space.hand_state import orthonormalize

pytestmark = pytest.mark.ros
NAMES = ["a", "b"]


def joint_state(i):
    return write_joint_state(NAMES, np.array([i, -i]), stamp_ns=1_000_000 * i)


def connected(ros, publisher):
    ros.spin_until(lambda: publisher.get_subscription_count() == 1, what="the recorder")


def written(recorder):
    return sum(recorder.session.summary().written.values())


def test_records_and_finishes_on_stop(ros, tmp_path):
    recorder = ros.make(Recorder, bag=str(tmp_path / "bag"), topics=["joint_states", "action_chunk"])
    node = ros.node()
    joints = node.create_publisher(JointState, "joint_states", PUBLISH)
    chunks = node.create_publisher(MultiDOFJointTrajectory, "action_chunk", PUBLISH)
    connected(ros, joints)
    connected(ros, chunks)
    actions = orthonormalize(np.random.default_rng(0).normal(size=(28, 54)))
    for i in range(20):
        joints.publish(joint_state(i))
    chunks.publish(write_chunk(actions, stamp_ns=5_000_000_000, rate=25.0))
    ros.spin_until(lambda: written(recorder) == 21)
    response = ros.call(node.create_client(Trigger, "recorder/stop"), Trigger.Request())
    assert response.success
    assert "21 messages" in response.message
    with open_bag(tmp_path / "bag") as bag:
        positions = [one.message.position[0] for one in bag.messages(["/joint_states"])]
        raw = next(iter(bag.raw_messages(["/action_chunk"])))
        assert bag.header_stamp_ns(raw) == 5_000_000_000
    assert positions == list(range(20))
    np.testing.assert_allclose(read_chunk(raw.data).actions, actions, atol=1e-12)


def test_starts_again_into_a_new_folder(ros, tmp_path):
    recorder = ros.make(Recorder, bag=str(tmp_path / "bag"), topics=["joint_states"], autostart=False)
    node = ros.node()
    start, stop = (node.create_client(Trigger, f"recorder/{word}") for word in ("start", "stop"))
    assert not ros.call(stop, Trigger.Request()).success
    assert ros.call(start, Trigger.Request()).message == str(tmp_path / "bag")
    assert "already recording" in ros.call(start, Trigger.Request()).message
    ros.call(stop, Trigger.Request())
    assert ros.call(start, Trigger.Request()).message == str(tmp_path / "bag_2")
    assert recorder.session.summary() is not None


def test_an_episode_begins_with_the_first_message_after_its_start(ros, tmp_path):
    topics = ["joint_states", "gate_state"]
    recorder = ros.make(Recorder, bag=str(tmp_path / "bag"), topics=topics, autostart=False, judge=False)
    node = ros.node()
    joints = node.create_publisher(JointState, "joint_states", PUBLISH)
    gate = node.create_publisher(String, "gate_state", LATCHED)
    connected(ros, joints)
    for episode in range(2):
        gate.publish(String(data=f"state {episode}"))
        recorder.start_recording()
        for i in range(10, 15):
            joints.publish(joint_state(i))
        counts = recorder.session._writer._file.extent.counts
        ros.spin_until(
            lambda counts=counts: counts["/joint_states"] == 5 and counts["/gate_state"] > 0, what="messages"
        )
        path = recorder.stop_recording().path
        with open_bag(path) as bag:
            found = [one.message.position[0] for one in bag.messages(["/joint_states"])]
            states = [one.message.data for one in bag.messages(["/gate_state"])]
        assert found == list(range(10, 15))
        assert states[-1] == f"state {episode}"


def test_hears_what_was_latched_before_it_came(ros, tmp_path):
    publisher = ros.node().create_publisher(String, "gate_state", LATCHED)
    publisher.publish(String(data="holding"))
    recorder = ros.make(Recorder, bag=str(tmp_path / "bag"), topics=["gate_state"])
    ros.spin_until(lambda: written(recorder) == 1)


def test_simulated_time_is_the_time_line(ros, tmp_path):
    recorder = ros.make(Recorder, bag=str(tmp_path / "bag"), topics=["joint_states"], use_sim_time=True)
    node = ros.node()
    joints = node.create_publisher(JointState, "joint_states", PUBLISH)
    clock = node.create_publisher(Clock, "/clock", CLOCK)
    connected(ros, joints)
    connected(ros, clock)
    joints.publish(joint_state(1))  # before time has begun
    ros.spin_until(lambda: recorder._early == 1)
    clock.publish(write_clock(7_000_000_000))
    ros.spin_until(lambda: recorder.get_clock().now().nanoseconds == 7_000_000_000)
    joints.publish(joint_state(2))
    ros.spin_until(lambda: written(recorder) == 1)
    recorder.stop_recording()
    with open_bag(tmp_path / "bag") as bag:
        assert bag.start_ns == 7_000_000_000


def test_an_episode_is_started_labelled_stopped_and_judged(ros, tmp_path):
    recorder = ros.make(Recorder, folder=str(tmp_path), topics=["joint_states"], autostart=False, reserve=1)
    node = ros.node()
    states = []
    node.create_subscription(String, "recorder/state", lambda m: states.append(m.data), LATCHED)
    joints = node.create_publisher(JointState, "joint_states", PUBLISH)
    task, label = (node.create_publisher(String, f"recorder/{word}", PUBLISH) for word in ("task", "label"))
    toggle = node.create_client(Trigger, "recorder/toggle")
    ros.spin_until(lambda: states and states[-1].startswith("ready"))
    connected(ros, task)
    connected(ros, label)
    task.publish(String(data="push the box"))
    ros.spin_until(lambda: recorder.session.task == "push the box")
    bag = Path(ros.call(toggle, Trigger.Request()).message)
    ros.spin_until(lambda: states[-1] == f"recording: {bag} (push the box)")
    connected(ros, joints)
    joints.publish(joint_state(1))
    ros.spin_until(lambda: written(recorder) == 1)
    assert ros.call(toggle, Trigger.Request()).success
    label.publish(String(data="success"))
    ros.spin_until(lambda: read_card(bag) == EpisodeCard("push the box", "success"))
    ros.spin_until(lambda: "flagged: " in states[-1], what="the report")  # one message is no good episode
    assert states[-1].startswith("ready: ")
    assert json.loads((bag / "report.json").read_text())["messages"] == 1


def test_a_bad_label_is_refused_and_the_recording_goes_on(ros, tmp_path):
    recorder = ros.make(Recorder, folder=str(tmp_path), topics=["joint_states"])
    label = ros.node().create_publisher(String, "recorder/label", PUBLISH)
    connected(ros, label)
    label.publish(String(data="bell \x07"))
    label.publish(String(data="failure"))
    ros.spin_until(lambda: read_card(recorder.session.last).label == "failure")


def test_a_discarded_episode_is_moved_not_deleted(ros, tmp_path):
    recorder = ros.make(Recorder, folder=str(tmp_path), topics=["joint_states"])
    bag = recorder.session.last
    client = ros.node().create_client(Trigger, "recorder/discard")
    answer = ros.call(client, Trigger.Request())
    assert Path(answer.message) == tmp_path / "discarded" / bag.name
    with open_bag(answer.message) as discarded:
        assert discarded.message_count == 0
    assert not bag.exists()
    assert "no episode to discard" in ros.call(client, Trigger.Request()).message


def test_a_full_disk_ends_the_recording_not_the_recorder_and_is_said(ros, tmp_path):
    command = [sys.executable, "-m", "firsthand.nodes.recorder", "--ros-args"]
    command += ["-p", f"bag:={tmp_path / 'bag'}", "-p", "topics:=[joint_states]", "-p", "judge:=false"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    node = ros.node()
    states = []
    node.create_subscription(String, "recorder/state", lambda m: states.append(m.data), LATCHED)
    publisher = node.create_publisher(JointState, "joint_states", PUBLISH)
    try:
        node.create_timer(0.002, lambda: publisher.publish(joint_state(1)))
        file = tmp_path / "bag" / "bag_0.mcap"
        ros.spin_until(lambda: file.exists() and file.stat().st_size > 10_000, timeout=60.0, what="the first chunk")
        limit = file.stat().st_size + 5_000  # no file may grow beyond: as a full disk, in the middle of a write
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        ros.spin_until(lambda: states and states[-1].startswith("failed"), timeout=60.0, what="the full disk")
        assert "File too large" in states[-1]
        assert "firsthand recover" in states[-1]
        assert int(states[-1].split("; ")[-1].split()[0]) > 0, "what is lost is counted"
        again = ros.call(node.create_client(Trigger, "recorder/start"), Trigger.Request())
        assert again.success, "the recorder lives on"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 1, "the exit code says that something was lost"
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert recover_bag(tmp_path / "bag").counts["/joint_states"] > 0
    with open_bag(again.message) as bag:
        assert bag.message_count > 0


def test_health_is_reported(ros, tmp_path):
    ros.make(Recorder, bag=str(tmp_path / "bag"), topics=["joint_states"])
    heard = []
    ros.node().create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    ros.spin_until(lambda: heard)
    status = heard[0].status[0]
    assert status.name == "recorder: recording"
    assert {"messages", "dropped by the queue"} <= {value.key for value in status.values}


def test_an_existing_folder_is_not_overwritten(ros, tmp_path):
    with pytest.raises(BagError, match="exists already"):
        ros.make(Recorder, bag=str(tmp_path), topics=["joint_states"])


def test_a_foreign_topic_needs_its_type(ros, tmp_path):
    with pytest.raises(LaunchError, match="write it with its type"):
        ros.make(Recorder, bag=str(tmp_path / "bag"), topics=["imu"])
    with pytest.raises(LaunchError, match="no message type"):
        ros.make(Recorder, bag=str(tmp_path / "bag2"), topics=["/x nowhere_msgs/msg/Nothing"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_bag(ros, tmp_path, number):
    command = [sys.executable, "-m", "firsthand.nodes.recorder", "--ros-args"]
    command += ["-p", f"bag:={tmp_path / 'bag'}", "-p", "topics:=[joint_states]"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    node = ros.node()
    counts = []
    node.create_subscription(DiagnosticArray, "/diagnostics", lambda message: counts.append(count_of(message)), 10)
    publisher = node.create_publisher(JointState, "joint_states", PUBLISH)
    try:
        # A new process hears nothing until it has discovered the sender; the sender cannot see that, so it repeats.
        node.create_timer(0.01, lambda: publisher.publish(joint_state(1)))
        ros.spin_until(lambda: counts and counts[-1] >= 20, timeout=60.0, what="the recorder to report 20 messages")
        process.send_signal(number)
        process.send_signal(signal.SIGINT)  # an impatient second one
        assert process.wait(timeout=30) == 0, process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    with open_bag(tmp_path / "bag") as bag:  # whole, with index and metadata
        assert bag.message_count >= 20


def count_of(message):
    values = {value.key: value.value for value in message.status[0].values}
    return int(values["messages"])
