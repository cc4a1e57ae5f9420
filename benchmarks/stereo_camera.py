"""What the camera node makes of 720p60: a fake camera in a process of its own, the node in another, a listener here.

python benchmarks/stereo_camera.py [--seconds 20] [--width 640] [--height 360] [--rate 25]

Prints rates, pictures lost, time from exposure to arrival, and the CPU time of both processes.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage

from firsthand.nodes.image_messages import read_compressed_image
from firsthand.nodes.messages import ns_from_stamp
from firsthand.nodes.process import prepare_process
from firsthand.vision.sources.fake_camera import read_number


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--rate", type=float, default=25.0)
    options = parser.parse_args()
    fake = subprocess.Popen(
        [sys.executable, "-m", "firsthand.command", "fake-camera", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    device = fake.stdout.readline().strip()
    given = {"source": "uvc", "device": device, "width": options.width, "height": options.height, "rate": options.rate}
    words = [word for key, value in given.items() for word in ("-p", f"{key}:={value}")]
    camera = subprocess.Popen([str(Path(sys.executable).parent / "camera"), "--ros-args", *words])
    try:
        report(*listen(options.seconds, fake.pid, camera.pid))
    finally:
        for process in (camera, fake):
            process.terminate()
            process.wait(timeout=20)


def listen(seconds: float, *processes: int) -> tuple[np.ndarray, list[float]]:
    """Number, stamp and arrival [ns] of every left picture (n, 3), and the CPU share of each process."""
    prepare_process()
    rclpy.init()
    node, found = rclpy.create_node("listener"), []

    def hear(message: CompressedImage) -> None:
        arrived = time.time_ns()
        found.append((read_number(read_compressed_image(message)), ns_from_stamp(message.header.stamp), arrived))

    node.create_subscription(CompressedImage, "left/color/rect/image/compressed", hear, QoSProfile(depth=50))
    while not found:
        rclpy.spin_once(node, timeout_sec=0.1)
    settle = time.monotonic() + 2.0
    while time.monotonic() < settle:
        rclpy.spin_once(node, timeout_sec=0.1)
    found.clear()
    before, began = [_cpu(pid) for pid in processes], time.monotonic()
    while time.monotonic() - began < seconds:
        rclpy.spin_once(node, timeout_sec=0.1)
    elapsed = time.monotonic() - began
    return np.array(found), [(_cpu(pid) - first) / elapsed for pid, first in zip(processes, before, strict=True)]


def report(found: np.ndarray, shares: list[float]) -> None:
    """Print it."""
    numbers, stamps, arrivals = found.T
    delay = (arrivals - stamps) / 1e6
    rate = (len(stamps) - 1) / (stamps[-1] - stamps[0]) * 1e9
    p50, p95, p99 = np.percentile(delay, [50, 95, 99])
    print(f"{len(numbers)} pairs at {rate:.2f} Hz; exposure to arrival p50 {p50:.1f} p95 {p95:.1f} p99 {p99:.1f} ms")
    print(f"pictures sent meanwhile: {numbers[-1] - numbers[0] + 1}")
    print(f"CPU: fake camera {100 * shares[0]:.0f} %, camera node {100 * shares[1]:.0f} % of a core, "
          f"{1e3 * shares[1] / rate:.1f} ms a published pair")  # fmt: skip


def _cpu(pid: int) -> float:
    """User and system time of a process, [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
