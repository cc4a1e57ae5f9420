"""The robot: is its body heard, which robot does it say it is, and are its hands heard."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from firsthand.doctor.finding import Finding, fail, ok, skip, warn

H1_2 = 6  # mode_machine of an H1-2
GOOD_RATE = 200.0  # [Hz] of the body
STARTING = 30.0  # [s] that the probe may take beyond listening


def check_robot(interface: str, domain: int, hand: str, seconds: float) -> Iterator[Finding]:
    """Everything that the robot says on its wire; nothing is sent to it.

    Args:
        interface: That leads to it; nothing is listened to where it is empty.
        domain: Of DDS, 0 of a real robot, 1 of simulators.
        hand: dfx, ftp or none.
        seconds: How long to listen.
    """
    if not interface:
        yield skip(
            "robot", "no interface named", "--interface eth0, or --interface lo --domain 1 for firsthand fake-robot"
        )
        return
    heard = _listen(interface, domain, hand, seconds)
    if heard["error"]:
        first, _, advice = heard["error"].partition("\n")
        yield fail("robot", first, advice or "see `ip link` and `pip list`")
        return
    yield from _body(heard, interface, domain, seconds)
    for topic, count in heard["hands"].items():
        if count:
            yield ok(topic, f"{count / seconds:.0f} Hz")
        else:
            yield fail(
                topic, f"silent for {seconds:g} s: {_side(topic)} not heard",
                "start the hands' service on the robot's computer, see their serial line or address; or --hand ftp",
            )  # fmt: skip


def _body(heard: dict[str, Any], interface: str, domain: int, seconds: float) -> Iterator[Finding]:
    count, mode = heard["states"], heard["mode_machine"]
    if not count:
        if heard["unreadable"]:
            yield fail(
                "rt/lowstate",
                f"{heard['unreadable']} messages that are none of an H1-2",
                "is this another robot's network?",
            )
            return
        yield fail(
            "rt/lowstate", f"silent for {seconds:g} s on {interface}, DDS domain {domain}",
            "is the robot on, the cable in, the interface the right one, the domain 0 (a robot) or 1 (a simulator)?",
        )  # fmt: skip
        return
    rate = count / seconds
    if rate < GOOD_RATE:
        yield warn(
            "rt/lowstate", f"{rate:.0f} Hz, expected {GOOD_RATE:.0f} or more", "use a cable; look for other load on it"
        )
    else:
        yield ok("rt/lowstate", f"{rate:.0f} Hz")
    if mode == H1_2:
        yield ok("mode_machine", f"{mode}: an H1-2")
    else:
        yield fail(
            "mode_machine",
            f"{mode}, an H1-2 says {H1_2}",
            "is this another robot? It would not move: it wants its own number back",
        )


def _side(topic: str) -> str:
    return {"l": "the left hand", "r": "the right hand"}.get(topic.rpartition("/")[2], "both hands")


def _listen(interface: str, domain: int, hand: str, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "firsthand.doctor.robot_probe", interface, str(domain), hand, str(seconds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + STARTING, check=False)
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return {"error": f"the DDS library hung for {STARTING:g} s"}
    except (ValueError, IndexError):
        return {"error": f"the DDS library crashed (exit code {done.returncode}): {done.stderr.strip()[-300:]}"}
