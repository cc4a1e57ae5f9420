"""`firsthand doctor`: its options and its report."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from firsthand.doctor.finding import Finding, fail, worst
from firsthand.doctor.graph import ONLY, check_discovery, check_ros_environment, check_topics
from firsthand.doctor.machine import check_machine
from firsthand.doctor.network import check_network
from firsthand.doctor.software import check_software
from firsthand.robot.joints import HAND_CHOICES

DESCRIPTION = """Look before a run: which thing is missing or silent, and what to do about it.

  firsthand doctor                                  software, machine, network, ROS; says what else it could look at
  firsthand doctor --interface eth0 --headset 192.168.1.20 --camera /dev/video0 --calibration SN12345.conf
  firsthand doctor robot --interface lo --domain 1  one group alone: here firsthand fake-robot
  firsthand doctor topics --graph teleop            while it runs: every topic's rate and age

No command is sent to the robot. Exit code 0: nothing is broken; 1: something is; 2: a wrong call."""

COLORS = {"ok": "32", "warn": "33", "fail": "31", "skip": "90"}


def add_doctor_command(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description, parser.formatter_class = DESCRIPTION, argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "group", nargs="*", choices=[[], *GROUPS], metavar="GROUP", help=f"{', '.join(GROUPS)}; default: all"
    )
    parser.add_argument("--interface", default="", help="network interface that leads to the robot")
    parser.add_argument("--domain", type=int, default=0, help="DDS domain: 0 a robot (default), 1 simulators")
    parser.add_argument("--hand", choices=HAND_CHOICES, default="dfx", help="Inspire hands; default dfx")
    parser.add_argument(
        "--control", choices=("arm_sdk", "lowcmd"), default="arm_sdk", help="how to drive; default arm_sdk"
    )
    parser.add_argument("--hand-strokes", default="", metavar="FILE", help="of these hands, from calibrate hands")
    parser.add_argument("--headset", default="", metavar="ADDRESS", help="that Tracking Streamer shows")
    parser.add_argument("--camera", default="", metavar="DEVICE", help="/dev/video0, or zed for the ZED SDK")
    parser.add_argument("--calibration", default="", metavar="FILE", help="of that camera, SN<serial>.conf")
    parser.add_argument("--size", type=_size, default=(1280, 720), metavar="WxH", help="of one view; default 1280x720")
    parser.add_argument("--camera-mount", default="", metavar="FILE", help="of that camera, from calibrate eyes")
    parser.add_argument(
        "--graph", default="", choices=("", *ONLY), help="launch file that is running, to look at its topics"
    )
    parser.add_argument("--recordings", type=Path, default=Path("recordings"), help="where bags go; default recordings")
    parser.add_argument("--seconds", type=_seconds, default=3.0, help="how long to listen to a thing; default 3")
    parser.add_argument("--json", action="store_true", help="print findings as JSON")
    parser.set_defaults(run=run_doctor)


def run_doctor(options: argparse.Namespace) -> int:
    """Look at each group, print what was found as it is found; 1 if something is broken."""
    everything: dict[str, list[Finding]] = {}
    for group in options.group or GROUPS:
        findings = everything[group] = []
        for finding in _every(group, options):
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


def _every(group: str, options: argparse.Namespace) -> Iterator[Finding]:
    """A group's findings; a check that fails itself is one more, and does not keep the others from being made.

    Groups are imported when they are looked at: without Pinocchio, `software` still says that it is missing.
    """
    try:
        yield from GROUPS[group](options)
    except ImportError as error:
        yield fail(f"group {group}", f"needs what is not installed: {error}", "see the group software")
    except Exception as error:  # whatever this machine has that nobody thought of
        yield fail(
            f"group {group}", f"could not be looked at: {type(error).__name__}: {error}",
            "this is a fault of the doctor: please report it with `firsthand doctor --json`",
        )  # fmt: skip


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 600:
        raise argparse.ArgumentTypeError(f"expected 0 to 600 s, got {text}")
    return value


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) >= 64 and int(height) >= 64):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT of one view, such as 1280x720, got {text!r}")
    return int(width), int(height)


def _software(options: argparse.Namespace) -> Iterable[Finding]:
    return check_software(wants_robot=bool(options.interface))


def _machine(options: argparse.Namespace) -> Iterable[Finding]:
    return check_machine(options.recordings)


def _network(options: argparse.Namespace) -> Iterable[Finding]:
    return check_network(options.interface)


def _ros(options: argparse.Namespace) -> Iterable[Finding]:
    yield from check_ros_environment(os.environ, wants_robot=bool(options.interface))
    yield check_discovery(options.seconds)


def _cameras(options: argparse.Namespace) -> Iterable[Finding]:
    from firsthand.doctor.cameras import check_cameras

    return check_cameras(
        options.camera, options.calibration, options.size, options.camera_mount, min(options.seconds, 2.0)
    )  # fmt: skip


def _headset(options: argparse.Namespace) -> Iterable[Finding]:
    from firsthand.doctor.headset import check_headset

    return check_headset(options.headset, options.seconds)


def _robot(options: argparse.Namespace) -> Iterable[Finding]:
    from firsthand.doctor.robot import check_robot, check_strokes

    if options.hand_strokes:
        yield check_strokes(options.hand_strokes, options.hand)
    yield from check_robot(options.interface, options.domain, options.hand, options.seconds, options.control)


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
