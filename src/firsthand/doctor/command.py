"""`firsthand doctor`: its options and its report."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from firsthand.doctor.cameras import check_cameras
from firsthand.doctor.finding import Finding, worst
from firsthand.doctor.graph import ONLY, check_discovery, check_ros_environment, check_topics
from firsthand.doctor.headset import check_headset
from firsthand.doctor.machine import check_machine
from firsthand.doctor.network import check_network
from firsthand.doctor.robot import check_robot
from firsthand.doctor.software import check_software

DESCRIPTION = """Look before a run: which thing is missing or silent, and what to do about it.

  firsthand doctor                                  software, machine, network, ROS; says what else it could look at
  firsthand doctor --interface eth0 --headset 192.168.1.20 --camera /dev/video0 --calibration SN12345.conf
  firsthand doctor robot --interface lo --domain 1  one group alone: here firsthand fake-robot
  firsthand doctor topics --graph teleop            while it runs: every topic's rate and age

Nothing is sent to the robot. Exit code 0: nothing is broken; 1: something is; 2: a wrong call."""

COLORS = {"ok": "32", "warn": "33", "fail": "31", "skip": "90"}


def add_doctor_command(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description, parser.formatter_class = DESCRIPTION, argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "group", nargs="*", choices=[[], *GROUPS], metavar="GROUP", help=f"{', '.join(GROUPS)}; default: all"
    )
    parser.add_argument("--interface", default="", help="network interface that leads to the robot")
    parser.add_argument("--domain", type=int, default=0, help="DDS domain: 0 a robot (default), 1 simulators")
    parser.add_argument("--hand", choices=("dfx", "ftp", "none"), default="dfx", help="Inspire hands; default dfx")
    parser.add_argument("--headset", default="", metavar="ADDRESS", help="that Tracking Streamer shows")
    parser.add_argument("--camera", default="", metavar="DEVICE", help="/dev/video0, or zed for the ZED SDK")
    parser.add_argument("--calibration", default="", metavar="FILE", help="of that camera, SN<serial>.conf")
    parser.add_argument(
        "--graph", default="", choices=("", *ONLY), help="launch file that is running, to look at its topics"
    )
    parser.add_argument("--recordings", type=Path, default=Path("recordings"), help="where bags go; default recordings")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to listen to a thing; default 3")
    parser.add_argument("--json", action="store_true", help="print findings as JSON")
    parser.set_defaults(run=run_doctor)


def run_doctor(options: argparse.Namespace) -> int:
    """Look at each group, print what was found as it is found; 1 if something is broken."""
    everything: dict[str, list[Finding]] = {}
    for group in options.group or GROUPS:
        findings = everything[group] = []
        for finding in GROUPS[group](options):
            findings.append(finding)
            if not options.json:
                print(_line(group, finding), flush=True)
    found = [finding for findings in everything.values() for finding in findings]
    if options.json:
        print(
            json.dumps({group: [asdict(one) for one in findings] for group, findings in everything.items()}, indent=1)
        )
    else:
        print(_summary(found))
    return 1 if worst(found) == "fail" else 0


def _software(options: argparse.Namespace) -> Iterable[Finding]:
    return check_software(wants_robot=bool(options.interface))


def _machine(options: argparse.Namespace) -> Iterable[Finding]:
    return check_machine(options.recordings)


def _network(options: argparse.Namespace) -> Iterable[Finding]:
    return check_network(options.interface)


def _ros(options: argparse.Namespace) -> Iterable[Finding]:
    yield from check_ros_environment(os.environ)
    yield check_discovery(options.seconds)


def _cameras(options: argparse.Namespace) -> Iterable[Finding]:
    return check_cameras(options.camera, options.calibration)


def _headset(options: argparse.Namespace) -> Iterable[Finding]:
    return check_headset(options.headset, options.seconds)


def _robot(options: argparse.Namespace) -> Iterable[Finding]:
    return check_robot(options.interface, options.domain, options.hand, options.seconds)


def _topics(options: argparse.Namespace) -> Iterable[Finding]:
    return check_topics(options.graph, options.seconds)


GROUPS: dict[str, Callable[[argparse.Namespace], Iterable[Finding]]] = {
    "software": _software, "machine": _machine, "network": _network, "ros": _ros, "cameras": _cameras,
    "headset": _headset, "robot": _robot, "topics": _topics,
}  # fmt: skip


def _line(group: str, finding: Finding) -> str:
    level = f"{finding.level:4}"
    if sys.stdout.isatty():
        level = f"\x1b[{COLORS[finding.level]}m{level}\x1b[0m"
    lines = [f"{level}  {group:8}  {finding.what}: {finding.found}"]
    lines += [f"{'':16}{'-> ' if i == 0 else '   '}{line}" for i, line in enumerate(finding.advice.splitlines())]
    return "\n".join(lines)


def _summary(findings: list[Finding]) -> str:
    counts = {level: sum(finding.level == level for finding in findings) for level in ("ok", "warn", "fail", "skip")}
    text = (
        f"{counts['ok']} in order, {counts['warn']} doubtful, {counts['fail']} broken, {counts['skip']} not looked at"
    )
    broken = [finding.what for finding in findings if finding.level == "fail"]
    return f"{text}; broken: {', '.join(broken)}" if broken else text
