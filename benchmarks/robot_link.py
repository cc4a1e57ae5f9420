"""The robot's wire, measured: how even the stream to an H1-2 is, and how long it takes until a fault is held.

    python benchmarks/robot_link.py [--seconds 20] [--repeats 5] [--json FILE]

Real processes on loopback: `firsthand fake-robot` (physics and DDS), the body node that drives it, the kinematics node
and a policy that swings the hands. The stream is what the body measured of itself, from its diagnostics. A fault is
timed from the moment it is made to the change of `gate_state` that it leads to.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool

from firsthand.nodes.process import prepare_process
from firsthand.nodes.qos import LATCHED

ROS_DOMAIN, DDS_DOMAIN = "74", "174"
POLICY = str(Path(__file__).parent / "swinging_policy.py")
PATIENCE = 60.0  # [s]
STREAM = (
    "stream [Hz]",
    "period p50 [ms]",
    "period p99 [ms]",
    "period max [ms]",
    "state age [ms]",
    "commands",
    "states",
)


class Operator(Node):
    """Engages, stops, and notes when the gate changes."""

    def __init__(self) -> None:
        super().__init__("operator")
        self.states: list[tuple[float, str]] = []
        self.health: dict[str, dict[str, str]] = {}
        changes = QoSProfile(depth=100, durability=LATCHED.durability)
        self.create_subscription(String, "gate_state", self._on_state, changes)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_health, 10)
        self.stop = self.create_publisher(Bool, "estop", 10)
        self.requests = {name: self.create_client(SetBool, name) for name in ("engage", "estop")}
        self.turner = SingleThreadedExecutor()
        self.turner.add_node(self)

    def spin(self, done: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        """Wait for something."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                sys.exit(f"waited in vain for {what}; the gate: {self.states[-3:]}")
            self.turner.spin_once(timeout_sec=0.02)

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turner.spin_once(timeout_sec=0.02)

    def call(self, service: str, value: bool) -> bool:
        """Ask the body for something."""
        client = self.requests[service]
        self.spin(client.service_is_ready, service)
        future = client.call_async(SetBool.Request(data=value))
        self.spin(future.done, service)
        return bool(future.result().success)

    def engage(self) -> None:
        """Drive until the gate follows; asked again while there is nothing measured."""
        while not self.states or self.states[-1][1] != "active":
            self.call("engage", True)
            self.rest(3.0)

    def time_to(self, state: str, since: float) -> float:
        """Milliseconds until the gate is in a state."""
        self.spin(lambda: any(name == state and at >= since for at, name in self.states), state)
        return 1e3 * next(at - since for at, name in self.states if name == state and at >= since)

    def _on_state(self, message: String) -> None:
        self.states.append((time.monotonic(), message.data))

    def _on_health(self, message: DiagnosticArray) -> None:
        self.health |= {s.name: {v.key: v.value for v in s.values} for s in message.status}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the stream")
    parser.add_argument("--repeats", type=int, default=5, help="of each fault")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    os.environ["ROS_DOMAIN_ID"] = ROS_DOMAIN
    prepare_process()
    rclpy.init()
    operator, robot, graph = Operator(), start_robot(), start_graph()
    try:
        operator.engage()
        operator.rest(arguments.seconds)
        results: dict[str, object] = {"stream": {key: operator.health["body: robot"][key] for key in STREAM}}
        results["control thread"] = operator.health["body: control thread"]
        results |= measure_faults(operator, robot, arguments.repeats)
    finally:
        for process in (*graph, *robot):
            process.send_signal(signal.SIGCONT)  # a frozen one would not end
            process.terminate()
        for process in (*graph, *robot):
            process.wait()
    print(json.dumps(results, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        print(arguments.json)


def measure_faults(operator: Operator, robot: list[subprocess.Popen[bytes]], repeats: int) -> dict[str, object]:
    """Times to hold and to let go, [ms]."""
    frozen, let_go, gone, stopped = [], [], [], []
    for _ in range(repeats):
        operator.engage()
        since = time.monotonic()
        robot[0].send_signal(signal.SIGSTOP)
        frozen.append(operator.time_to("holding", since))
        let_go.append(operator.time_to("disengaged", since))
        robot[0].send_signal(signal.SIGCONT)
        operator.engage()
        since = time.monotonic()
        robot[0].kill()
        gone.append(operator.time_to("holding", since))
        robot[0].wait()
        robot[:] = start_robot()
        operator.engage()
        since = time.monotonic()
        operator.stop.publish(Bool(data=True))
        stopped.append(operator.time_to("stopped", since))
        operator.call("estop", False)
    names = ("frozen to holding", "frozen to disengaged", "killed to holding", "estop topic to stopped")
    return {
        f"{name} [ms]": [round(value, 1) for value in values]
        for name, values in zip(names, (frozen, let_go, gone, stopped), strict=True)
    }


def start_graph() -> list[subprocess.Popen[bytes]]:
    """What drives it."""
    return [
        node("body", body="h1_2", dds_domain=DDS_DOMAIN, hold_time="0.5"),
        node("kinematics"),
        subprocess.Popen([sys.executable, POLICY], stderr=subprocess.DEVNULL),
    ]


def start_robot() -> list[subprocess.Popen[bytes]]:
    """The fake robot, listening."""
    command = [sys.executable, "-u", "-m", "firsthand.command", "fake-robot", "--domain", DDS_DOMAIN]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return [process]


def node(name: str, **parameters: str) -> subprocess.Popen[bytes]:
    """One of our nodes."""
    given = [part for key, value in parameters.items() for part in ("-p", f"{key}:={value}")]
    command = [sys.executable, "-c", f"from firsthand.nodes.{name} import main; main()", "--ros-args", *given]
    return subprocess.Popen(command)


if __name__ == "__main__":
    main()
