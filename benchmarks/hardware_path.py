"""A policy drives the fake robot by what the fake robot sees: the whole hardware path, closed, trial after trial.

    python benchmarks/hardware_path.py [--trials 10] [--seed 10000] [--speed 0.2] [--json FILE] [name:=value ...]

Real processes on loopback: `firsthand fake-robot --camera` (DDS, physics, stereo camera) and the command that it prints
(`firsthand launch rollout ...`), with the arguments given after it. This script is the operator: it engages, and lets
go when the fake robot, which knows the truth, says that a trial is over. Latency is what the nodes measured, in the
robot's time: from a picture's stamp to the first joint command of its chunk.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import rclpy
from robot_link import Operator

from firsthand.nodes.process import prepare_process

ROS_DOMAIN, DDS_DOMAIN = "75", "175"
LAUNCH = "in a second terminal: firsthand "
OUTCOME = re.compile(r"trial (\S+): (success after|no success within) ([\d.]+) s(?:, (\d+)%)?")
SETTLE = 1.0  # [s] of the robot's time, for pictures of a new scene to become chunks
PATIENCE = 600.0  # [s]
SHOWN = {
    "camera: camera": ("rate [Hz]", "received", "lost", "late"),
    "camera: pictures": ("rate [Hz]", "making p50 [ms]"),
    "features: features": ("encoding p50 [ms]", "picture to features p50 [ms]"),
    "policy: policy": ("inference p50 [ms]", "picture to chunk p50 [ms]"),
    "kinematics: commands": ("observation to command p50 [ms]", "observation to command p95 [ms]"),
    "body: robot": ("stream [Hz]", "period p50 [ms]", "period p99 [ms]"),
}


class Robot:
    """The fake robot's process, and what it has said."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        options = {
            "domain": DDS_DOMAIN, "task": arguments.task, "variant": arguments.variant, "seed": arguments.seed,
            "trials": arguments.trials, "speed": arguments.speed, "camera-rate": arguments.camera_rate,
            "camera-port": 0,
        }  # fmt: skip
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "firsthand.command", "fake-robot", "--camera", *words],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            print(line, end="", flush=True)

    def launch(self) -> list[str] | None:
        """The words of the command that drives it, once it is up."""
        return next((line.split(LAUNCH)[1].split() for line in self.lines if LAUNCH in line), None)

    def said(self, word: str) -> list[str]:
        """Lines that begin so."""
        return [line for line in self.lines if line.startswith(word)]

    def ended(self) -> bool:
        """Whether all trials are over."""
        return self.process.poll() is not None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--task", default="push")
    parser.add_argument("--variant", default="id")
    parser.add_argument("--seed", type=int, default=10000)
    parser.add_argument("--speed", type=float, default=1.0, help="of the fake robot's time")
    parser.add_argument("--camera-rate", type=float, default=10.0, help="[Hz] of the fake robot's time")
    parser.add_argument("--json", type=Path)
    parser.add_argument("arguments", nargs="*", metavar="name:=value", help="more for the launch file")
    arguments = parser.parse_args()
    os.environ["ROS_DOMAIN_ID"] = ROS_DOMAIN
    prepare_process()
    rclpy.init()
    robot, operator, graph = Robot(arguments), Operator(), None
    try:
        operator.spin(robot.launch, "the fake robot", PATIENCE)
        command = [sys.executable, "-m", "firsthand.command", *(robot.launch() or []), *arguments.arguments]
        graph = subprocess.Popen(command)
        for number in range(arguments.trials):
            run_trial(operator, robot, number, SETTLE / arguments.speed)
        operator.spin(robot.ended, "the fake robot's end", PATIENCE)
    finally:
        for process in filter(None, (graph, robot.process)):
            process.send_signal(signal.SIGINT)
            process.wait(60)
    results = {"trials": [outcome(line) for line in robot.said("trial ")], "robot": robot.lines[-1], **shown(operator)}
    print(json.dumps(results, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        print(arguments.json)


def run_trial(operator: Operator, robot: Robot, number: int, settle: float) -> None:
    """Drive until the robot says that the trial is over, and give the arms back."""
    operator.spin(lambda: number == len(robot.said("scene ")), "the scene", PATIENCE)
    operator.spin(lambda: float(operator.health.get("policy: policy", {}).get("chunks", 0)) > 0, "chunks", PATIENCE)
    operator.rest(settle)
    while not operator.call("engage", True):
        operator.rest(0.5)
    operator.spin(lambda: len(robot.said("trial ")) > number or robot.ended(), "the end of the trial", PATIENCE)
    operator.call("engage", False)


def outcome(line: str) -> dict[str, object]:
    """A trial as the robot told it."""
    match = OUTCOME.match(line)
    if match is None:
        raise ValueError(f"expected the outcome of a trial, got {line!r}")
    name, how, seconds, share = match.groups()
    success = how.startswith("success")
    return {"scene": name, "success": success, "seconds": float(seconds), "progress [%]": int(share or 100)}


def shown(operator: Operator) -> dict[str, object]:
    """What the nodes said of themselves last."""
    health = operator.health
    return {name: {key: health.get(name, {}).get(key) for key in keys} for name, keys in SHOWN.items()}


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"{time.monotonic() - started:.0f} s in all")
