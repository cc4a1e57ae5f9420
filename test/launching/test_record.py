"""The real thing: `firsthand launch record` starts the graph, Ctrl-C ends it, and the bag is whole."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import JointState

from firsthand.bags.read import open_bag
from firsthand.nodes.qos import LATEST

pytestmark = [pytest.mark.ros, pytest.mark.slow]
STATES = 100


def children_of(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_record_a_mock_body(ros, tmp_path):
    command = [sys.executable, "-m", "firsthand.launching.command", "record", "body:=mock", "cameras:=none"]
    command.append(f"bag:={tmp_path / 'bag'}")
    heard = []
    ros.node().create_subscription(JointState, "joint_states", heard.append, LATEST)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        ros.spin_until(lambda: len(heard) >= STATES, timeout=60.0, what="the body's joint states")
        nodes = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, output
    assert len(nodes) == 3
    assert not [pid for pid in nodes if Path(f"/proc/{pid}").exists()]
    assert "[recorder-1]" in output
    with open_bag(tmp_path / "bag") as bag:
        assert bag.topics["/motor_command"].count > 0
        assert bag.topics["/joint_states"].count > 0
