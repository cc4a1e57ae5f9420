"""A policy in a process of its own, for benchmarks and tests of the graph: both wrists swing by 6 cm.

python benchmarks/swinging_policy.py [ACTIONS]

Ten chunks a second of ACTIONS (28) targets at 25 Hz, on the system's time.
"""

import sys
import time

import numpy as np
import rclpy
from trajectory_msgs.msg import MultiDOFJointTrajectory

from firsthand.nodes.messages import write_chunk
from firsthand.nodes.process import prepare_process
from firsthand.nodes.qos import PUBLISH
from firsthand.robot.model import RobotModel
from firsthand.space.hand_state import WRIST_POSITIONS

RATE, SWING, FREQUENCY = 25.0, 0.06, 0.8  # [Hz], [m], [Hz]


def main(actions: int) -> None:
    """Publish until the process is ended."""
    prepare_process()
    rclpy.init()
    publisher = rclpy.create_node("policy").create_publisher(MultiDOFJointTrajectory, "action_chunk", PUBLISH)
    model = RobotModel.load()
    home = model.hand_state(model.neutral).to_vector()
    while rclpy.ok():
        stamp_ns = time.time_ns()
        seconds = stamp_ns / 1e9 + np.arange(1, actions + 1) / RATE
        chunk = np.tile(home, (actions, 1))
        chunk[:, WRIST_POSITIONS] += SWING * np.sin(2 * np.pi * FREQUENCY * seconds)[:, None]
        publisher.publish(write_chunk(chunk, stamp_ns, RATE))
        time.sleep(0.1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 28)
