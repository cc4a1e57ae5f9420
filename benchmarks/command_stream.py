"""The 250 Hz command stream over real DDS, measured where it arrives: how even it is, and how long a chunk takes.

    python benchmarks/command_stream.py [--seconds 20] [--json FILE]

Real processes on the system's time: a mock body, the kinematics node (its own thread, absolute times, FIFO priority
where it is allowed) and a policy that says a new chunk of 28 actions ten times a second. The peer is what a node of
rclpy looks like at first: a timer of 4 ms that publishes 26 joints and computes nothing. One listener hears them, one
after the other, so that its own unevenness is in both rows.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

from firsthand.nodes.messages import ns_from_stamp
from firsthand.nodes.process import prepare_process

PERIOD = 4.0  # [ms]
SETTLING = 3.0  # [s] after the first command
DOMAIN = "73"
ALL = QoSProfile(depth=20000)

POLICY = str(Path(__file__).parent / "swinging_policy.py")

TIMER = """
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import JointState
from firsthand.nodes.qos import PUBLISH
from firsthand.robot.joints import JOINTS

rclpy.init()
node = Node("timer")
publisher = node.create_publisher(JointState, "joint_command", PUBLISH)
def publish():
    message = JointState(name=list(JOINTS), position=[0.0] * 26)
    message.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(message)
timer = node.create_timer(0.004, publish)
rclpy.spin(node)
"""


class Listener(Node):
    """Notes when each joint command arrives."""

    def __init__(self) -> None:
        super().__init__("listener")
        self.arrivals: list[int] = []  # [ns], monotonic
        self.ages: list[float] = []  # [ms], arrival minus the command's stamp
        self.create_subscription(JointState, "joint_command", self._on_command, ALL)

    def _on_command(self, message: JointState) -> None:
        self.arrivals.append(time.monotonic_ns())
        self.ages.append((time.time_ns() - ns_from_stamp(message.header.stamp)) / 1e6)


def main() -> None:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each row")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    os.environ["ROS_DOMAIN_ID"] = DOMAIN
    prepare_process()
    rclpy.init()
    python = [sys.executable, "-c"]
    rows = {
        "ours: kinematics": measure(
            [node("body", BODY), node("kinematics", {}), [sys.executable, POLICY]], arguments.seconds
        ),
        "rclpy timer": measure([[*python, TIMER]], arguments.seconds),
    }
    print_table(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        print(arguments.json)


BODY = {"body": "mock", "publish_clock": "false", "engage_on_start": "true"}


def node(name: str, parameters: dict[str, str]) -> list[str]:
    """The command line of one of our nodes."""
    given = [part for key, value in parameters.items() for part in ("-p", f"{key}:={value}")]
    return [str(Path(sys.executable).parent / name), "--ros-args", *given]


def measure(commands: list[list[str]], seconds: float) -> dict[str, float]:
    """Run processes, listen for a while, and describe the stream."""
    processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for command in commands]
    listener = Listener()
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    try:
        spin(executor, lambda: len(listener.arrivals) > 0, 60.0)
        spin(executor, lambda: False, SETTLING)
        listener.arrivals.clear()
        listener.ages.clear()
        spin(executor, lambda: False, seconds)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
        listener.destroy_node()
    periods = np.diff(listener.arrivals) / 1e6
    deviation = np.abs(periods - PERIOD)
    return {
        "rate": 1e3 / statistics.fmean(periods),
        "p50": float(np.percentile(deviation, 50)),
        "p99": float(np.percentile(deviation, 99)),
        "max": float(deviation.max()),
        "age_p50": float(np.percentile(listener.ages, 50)),
        "age_p99": float(np.percentile(listener.ages, 99)),
    }


def spin(executor: Executor, done: Callable[[], bool], seconds: float) -> None:
    """Turn the executor until `done()`, or for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not done():
        executor.spin_once(timeout_sec=0.05)


def print_table(rows: dict[str, dict[str, float]]) -> None:
    """Markdown."""
    peer = rows["rclpy timer"]["p99"]
    print("| stream | rate Hz | jitter p50 ms | p99 ms | p99 / timer's | max ms | stamp to arrival p50 / p99 ms |")
    print("|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        print(
            f"| {name} | {row['rate']:.1f} | {row['p50']:.3f} | {row['p99']:.3f} | {row['p99'] / peer:.2f} "
            f"| {row['max']:.2f} | {row['age_p50']:.2f} / {row['age_p99']:.2f} |"
        )
    print("jitter: how far the time between two arrivals is from 4 ms")


if __name__ == "__main__":
    main()
