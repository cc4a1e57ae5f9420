"""The whole teleoperation graph, measured from outside: rates, drops, latency from headset to motors, CPU, memory.

    python benchmarks/teleoperation.py [--devices] [--minutes 10] [--json FILE] [body:=mock] [cameras:=none] ...

Starts `firsthand launch teleop` with the arguments given (default: body:=mock cameras:=none: the fake headset at 90 Hz,
headset, teleop, kinematics, body, each a process on the system's time), waits until the hands are followed, and listens
to what everybody else hears. The body has to run on the system's time: mock or h1_2. `--devices` starts a fake H1-2 (on
its DDS) and a fake stereo camera (1280x720 at 60 Hz) too, and has the graph use them.

    latency       from a sample's stamp (its arrival from the headset) to the tick of the safety gate whose output is
                  the first that can know of it: the first joint command made `ON_THE_WAY` after its target was sent,
                  then the first motor command made so long after that was sent. Sent is what the middleware says, so
                  it does not matter when this process looks: it does ten times a second, to be no burden itself.
    motion lag    by how much the motors' commanded wrists trail the targets: filters included, by the best match
"""

import argparse
import json
import os
import struct
import subprocess
import sys
import time
from collections import defaultdict, deque
from pathlib import Path

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import MultiDOFJointTrajectory

from firsthand.nodes.messages import read_hand_state, read_joint_state
from firsthand.nodes.process import prepare_process
from firsthand.nodes.qos import LATCHED
from firsthand.robot.joints import JOINTS
from firsthand.robot.model import RobotModel
from firsthand.space.hand_state import WRIST_POSITIONS

DOMAIN = "81"  # unless ROS_DOMAIN_ID is set
ALL = QoSProfile(depth=20000)
STAMP = struct.Struct("<iI")
TOPICS = {
    "teleop/hands": MultiDOFJointTrajectory,
    "teleop/target": MultiDOFJointTrajectory,
    "joint_command": JointState,
    "motor_command": JointState,
    "left/color/rect/camera_info": CameraInfo,  # sent with each picture, and lighter to listen to
    "right/color/rect/camera_info": CameraInfo,
}
EXPECTED = {
    "teleop/hands": 90.0,
    "teleop/target": 90.0,
    "joint_command": 250.0,
    "motor_command": 250.0,
    "left/color/rect/camera_info": 25.0,
    "right/color/rect/camera_info": 25.0,
}
BEFORE_NAMES = ("-m", "firsthand.command")  # on a command line
FIRSTHAND = [sys.executable, "-m", "firsthand.command"]
DDS_DOMAIN, CAMERA_PORT = 83, 5683
DEVICES = (
    ["fake-robot", "--domain", str(DDS_DOMAIN)],
    ["fake-camera", "--port", str(CAMERA_PORT), "--rate", "60"],
)
WITH_DEVICES = ["body:=h1_2", f"dds_domain:={DDS_DOMAIN}", "cameras:=uvc", f"device:=tcp://127.0.0.1:{CAMERA_PORT}"]
SETTLING = 5.0  # [s] after the hands are followed: what differs from the robot has faded
START = 90.0  # [s] that the graph may take to follow
ON_THE_WAY = 1_000_000  # [ns] that a message takes between two processes; 0.3 ms were measured
LAST = 15000  # messages that the motion lag is read from: a minute of motor commands
LAGS = np.arange(0.0, 0.2, 0.002)  # [s]
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

Times = NDArray[np.int64]


class Listener(Node):
    """Notes every message: when it was sent, its stamp, and the bytes of targets and motor commands."""

    def __init__(self) -> None:
        super().__init__("listener")
        self.status = self.gate = ""
        self.clear()
        # In no executor: messages wait until they are gathered.
        self._streams = rclpy.create_node("listener_to_streams")
        self._readers = {
            topic: self._streams.create_subscription(kind, topic, lambda _: None, ALL, raw=True)
            for topic, kind in TOPICS.items()
        }
        self.create_subscription(String, "teleop/status", lambda m: setattr(self, "status", m.data), LATCHED)
        self.create_subscription(String, "gate_state", self._on_gate, LATCHED)

    def clear(self) -> None:
        """Begin anew."""
        self.times: dict[str, list[tuple[int, int]]] = defaultdict(list)  # (sent, stamp), [ns]
        self.raw: dict[str, deque[bytes]] = defaultdict(lambda: deque(maxlen=LAST))
        self.gate_changes: list[str] = []

    def gather(self) -> None:
        """Note what has come since the last time."""
        for topic, reader in self._readers.items():
            with reader.handle:
                while (taken := reader.handle.take_message(reader.msg_type, True)) is not None:
                    self._note(topic, *taken)

    def _note(self, topic: str, raw: bytes, info: dict[str, int]) -> None:
        seconds, nanoseconds = STAMP.unpack_from(raw, 4)
        self.times[topic].append((info["source_timestamp"], seconds * 1_000_000_000 + nanoseconds))
        if topic in ("teleop/target", "motor_command"):
            self.raw[topic].append(raw)

    def _on_gate(self, message: String) -> None:
        self.gate = message.data
        self.gate_changes.append(message.data)


def main() -> None:
    """Run the graph, listen, and print what came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--devices", action="store_true", help="a fake H1-2 and a fake stereo camera too")
    parser.add_argument("--json", type=Path)
    parser.add_argument("arguments", nargs="*", help="of the launch file, name:=value")
    options = parser.parse_args()
    given = (
        [*WITH_DEVICES, *options.arguments] if options.devices else options.arguments or ["body:=mock", "cameras:=none"]
    )
    os.environ.setdefault("ROS_DOMAIN_ID", DOMAIN)
    prepare_process()
    rclpy.init()
    listener, executor = Listener(), SingleThreadedExecutor()
    executor.add_node(listener)
    devices = [subprocess.Popen([*FIRSTHAND, *device]) for device in (DEVICES if options.devices else ())]
    launch = subprocess.Popen([*FIRSTHAND, "launch", "teleop", *given])
    try:
        result = listen(listener, executor, launch.pid, 60 * options.minutes)
    finally:
        for process in (launch, *devices):
            process.terminate()
            process.wait()
        listener.destroy_node()
        rclpy.try_shutdown()
    result["arguments"] = given
    print_result(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(options.json)


def listen(listener: Listener, executor: SingleThreadedExecutor, launcher: int, seconds: float) -> dict[str, object]:
    """Wait for the hands to be followed, then gather for so long, [s]."""
    deadline = time.monotonic() + START
    while not (listener.status.startswith("following") and listener.gate == "active"):
        if time.monotonic() > deadline:
            sys.exit(
                f"not followed within {START:g} s; the operator was told: {listener.status!r}, gate {listener.gate!r}"
            )
        executor.spin_once(timeout_sec=0.1)
    spin(listener, executor, SETTLING)
    processes = children(launcher)
    listener.clear()
    processes["this benchmark"] = os.getpid()
    processes |= {f"fake {kind}": pid for kind, pid in children(os.getpid()).items() if pid != launcher}
    begun, before = time.monotonic(), {name: usage(pid) for name, pid in processes.items()}
    memory: dict[str, list[float]] = {name: [] for name in processes}
    parts = max(int(seconds // 10), 4)
    for _ in range(parts):
        spin(listener, executor, seconds / parts)
        for name, pid in processes.items():
            memory[name].append(usage(pid)[1])
    elapsed = time.monotonic() - begun
    cpu = {name: 100 * (usage(pid)[0] - before[name][0]) / elapsed for name, pid in processes.items()}
    return {
        "seconds": elapsed,
        "topics": {topic: stream(listener.times[topic], elapsed, EXPECTED.get(topic)) for topic in TOPICS},
        "latency_ms": latencies(listener.times),
        "motion_lag_ms": motion_lag(listener) * 1e3,
        "gate_changes": listener.gate_changes,
        "cpu_percent": cpu,
        "memory_mb": {name: {"first": values[0], "last": values[-1]} for name, values in memory.items()},
        "load": os.getloadavg(),
    }


def spin(listener: Listener, executor: SingleThreadedExecutor, seconds: float) -> None:
    """Listen for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
        listener.gather()


def stream(times: list[tuple[int, int]], elapsed: float, expected: float | None) -> dict[str, float]:
    """Rate, and how uneven: gaps between stamps, and messages that are missing for the rate expected, [Hz]."""
    if len(times) < 3:
        return {"rate": len(times) / elapsed}
    sent, stamps = np.array(times).T
    gaps = np.diff(np.sort(stamps)) / 1e6
    row = {
        "rate": len(times) / elapsed,
        "gap_p99_ms": float(np.percentile(gaps, 99)),
        "gap_max_ms": float(gaps.max()),
        "age_p50_ms": float(np.percentile((sent - stamps) / 1e6, 50)),
    }
    if expected:
        row["missing"] = max(round(elapsed * expected) - len(times), 0)
    return row


def latencies(times: dict[str, list[tuple[int, int]]]) -> dict[str, dict[str, float]]:
    """From samples' stamps to when messages were sent, and to ticks, [ms]: p50, p95, p99, max of each stage."""
    hands, targets, commands, motors = (
        np.array(times[topic] or np.zeros((0, 2)), dtype=np.int64)
        for topic in ("teleop/hands", "teleop/target", "joint_command", "motor_command")
    )
    command = following(commands[:, 1], targets[:, 0] + ON_THE_WAY)
    kept = command < len(commands)
    motor = np.full(len(targets), len(motors))
    motor[kept] = following(motors[:, 1], commands[command[kept], 0] + ON_THE_WAY)
    whole = motor < len(motors)
    stages = {
        "sample to teleop/hands": hands[:, 0] - hands[:, 1],
        "... as teleop/target": targets[:, 0] - targets[:, 1],
        "... in a joint command": commands[command[kept], 1] - targets[kept, 1],
        "... in a motor command": motors[motor[whole], 1] - targets[whole, 1],
    }
    return {name: percentiles(values / 1e6) for name, values in stages.items() if len(values)}


def following(stamps: Times, moments: Times) -> Times:
    """For each moment, which of the rising stamps is the first at or after it."""
    return np.searchsorted(stamps, moments, side="left")


def percentiles(values: NDArray[np.floating]) -> dict[str, float]:
    """p50, p95, p99 and the largest."""
    p50, p95, p99 = np.percentile(values, [50, 95, 99]).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "max": float(values.max())}


def motion_lag(listener: Listener) -> float:
    """By how much the wrists of the motor commands trail those of the targets, over the last minute, [s]."""
    model = RobotModel.load()
    targets = [read_hand_state(raw) for raw in listener.raw["teleop/target"]]
    motors = [read_joint_state(raw, JOINTS) for raw in list(listener.raw["motor_command"])[::4]]
    if len(targets) < 100 or len(motors) < 100:
        return float("nan")
    wished = np.array([target.vector[WRIST_POSITIONS] for target in targets])
    met = np.array([model.hand_state(motor.positions).to_vector()[WRIST_POSITIONS] for motor in motors])
    at = np.array([target.stamp_ns for target in targets]) / 1e9
    ticks = np.array([motor.stamp_ns for motor in motors]) / 1e9
    inside = (ticks > at[0] + LAGS[-1]) & (ticks < at[-1])

    def mismatch(lag: float) -> float:
        moved = np.stack([np.interp(ticks[inside] - lag, at, wished[:, k]) for k in range(6)], axis=1)
        return float(np.square(moved - met[inside]).mean())

    return float(LAGS[np.argmin([mismatch(lag) for lag in LAGS])])


def children(launcher: int) -> dict[str, int]:
    """The processes of a launch by name."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent == launcher:
            names = (Path(word.decode()).name for word in words if b"python" not in word)
            found[next((name for name in names if name not in BEFORE_NAMES), folder.name)] = int(folder.name)
    return found


def usage(pid: int) -> tuple[float, float]:
    """CPU time, [s], and resident memory, [MB], of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS, pages * PAGE / 1e6


def print_result(result: dict[str, object]) -> None:
    """Markdown."""
    print(f"\n{result['seconds']:.0f} s of `firsthand launch teleop {' '.join(result['arguments'])}`\n")
    print("| topic | rate Hz | missing | gap p99 / max ms | stamp to sent p50 ms |\n|---|---|---|---|---|")
    for topic, row in result["topics"].items():
        gaps = f"{row.get('gap_p99_ms', 0):.1f} / {row.get('gap_max_ms', 0):.1f}"
        print(f"| {topic} | {row['rate']:.1f} | {row.get('missing', '-')} | {gaps} | {row.get('age_p50_ms', 0):.2f} |")
    print("\n| latency ms | p50 | p95 | p99 | max |\n|---|---|---|---|---|")
    for name, row in result["latency_ms"].items():
        print(f"| {name} | {row['p50']:.1f} | {row['p95']:.1f} | {row['p99']:.1f} | {row['max']:.1f} |")
    changes = result["gate_changes"]
    held = f"the gate held {changes.count('holding')} times"
    print(f"\nmotion lag, filters included: {result['motion_lag_ms']:.0f} ms; {held}\n")
    print("| process | CPU % | memory MB, first and last |\n|---|---|---|")
    for name, cpu in result["cpu_percent"].items():
        memory = result["memory_mb"][name]
        print(f"| {name} | {cpu:.1f} | {memory['first']:.0f}, {memory['last']:.0f} |")
    print(f"\nload of the machine at the end: {result['load'][0]:.1f}")


if __name__ == "__main__":
    main()
