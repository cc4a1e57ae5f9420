"""The robot: is its body heard, which robot and mode is it, are its hands heard, and does somebody else drive it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from firsthand.doctor.finding import Finding, fail, ok, skip, warn
from firsthand.errors import CalibrationError
from firsthand.robot.bodies.h1_2 import CONTROLS, H1_2, H12Settings
from firsthand.robot.hand_strokes import read_strokes

GOOD_RATE = 200.0  # [Hz] of the body
GOOD_HAND_RATE = 10.0  # [Hz]
LONGEST_HAND_PAUSE = H12Settings.hand_state_timeout  # [s], after which the body holds
STARTING = 60.0  # [s] that the probe may take beyond listening
OBEYED = {True: "lowcmd", False: "arm_sdk"}
"""What is obeyed in debug mode, and what beside a controller of the robot's own."""


def check_robot(interface: str, domain: int, hand: str, seconds: float, control: str = "arm_sdk") -> Iterator[Finding]:
    """Everything that the robot says on its wire; no command is sent to it, it is asked for its mode.

    Args:
        interface: That leads to it; nothing is listened to where it is empty.
        domain: Of DDS, 0 of a real robot, 1 of simulators.
        hand: dfx, ftp or none.
        seconds: How long to listen.
        control: How it is to be driven, arm_sdk or lowcmd.
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
    body = heard["body"]
    yield _body(body, heard["other_domain"], f"{interface}, DDS domain {domain}", seconds)
    if body["good"]:
        yield _kind(heard["mode_machines"])
        yield _mode(heard["controller"], control)
        yield _motors(heard["motors"])
        yield from _others(heard["commands"])
    for topic, stream in heard["hands"].items():
        yield _hand(topic, stream, seconds, heard["other_hands"])


def check_strokes(path: str, hand: str) -> Finding:
    """Whether a file that says how far the fingers go can be used with these hands."""
    what, advice = f"hand strokes {path}", f"firsthand calibrate hands BAG --hand {hand} --output strokes.yaml"
    try:
        strokes = read_strokes(path)
    except CalibrationError as error:
        return fail(what, str(error), advice)
    if hand != strokes.hand:
        return fail(what, f"of {strokes.hand} hands; these are {hand}", advice)
    return ok(what, f"open at {strokes.open.min():.2f} or more, closed at {strokes.closed.max():.2f} or less")


def _body(stream: Mapping[str, Any], other_domain: int | None, where: str, seconds: float) -> Finding:
    what, bad = "rt/lowstate", _reasons(stream["bad"])
    if not stream["good"] and bad:
        return fail(
            what, f"not one message of use: {bad}",
            "is this another robot's network? A simulator that sends no checksum needs check_crc: false",
        )  # fmt: skip
    if not stream["good"] and other_domain is not None:
        return fail(
            what, f"silent for {seconds:g} s on {where}, but heard in domain {other_domain}",
            f"--domain {other_domain} here, dds_domain:={other_domain} in the launch",
        )  # fmt: skip
    if not stream["good"]:
        return fail(
            what, f"silent for {seconds:g} s on {where}",
            "is the robot on, the cable in, the interface the right one, the domain 0 (a robot) or 1 (a simulator)?",
        )  # fmt: skip
    if bad:
        return warn(what, f"{stream['rate']:.0f} Hz, and dropped: {bad}", "use a cable; is there a second robot?")
    if stream["pause"] > 1.0:
        return fail(what, f"fell silent for {stream['pause']:.1f} s", "is the cable loose, the robot's computer up?")
    if stream["rate"] < GOOD_RATE:
        return warn(
            what, f"{stream['rate']:.0f} Hz, expected {GOOD_RATE:.0f} or more", "use a cable; look for other load on it"
        )
    return ok(what, f"{stream['rate']:.0f} Hz, longest pause {1e3 * stream['pause']:.0f} ms")


def _kind(modes: list[int]) -> Finding:
    if modes == [H1_2]:
        return ok("mode_machine", f"{H1_2}: an H1-2")
    if len(modes) > 1:
        return fail(
            "mode_machine", f"{' and '.join(map(str, modes))}: more than one robot on this network",
            "take the others off it, or give each robot a DDS domain of its own",
        )  # fmt: skip
    return fail(
        "mode_machine", f"{modes[0]}, an H1-2 says {H1_2}",
        f"is this another robot? The body refuses it; mode_machine: {modes[0]} takes it, for a simulator or an H1-2 "
        "of another make",
    )  # fmt: skip


def _mode(controller: str | None, control: str) -> Finding:
    if controller is None:
        return skip(
            "mode", "the robot does not say which controller it runs",
            "lowcmd wants debug mode (L2+R2 on the remote), arm_sdk the robot's own controller",
        )  # fmt: skip
    found = f"controller {controller!r}" if controller else "debug mode"
    obeyed = OBEYED[not controller]
    if control == obeyed:
        return ok("mode", f"{found}: {CONTROLS[control].name} is obeyed")
    advice = (
        "start the robot's own controller by its remote, or drive by control:=lowcmd"
        if control == "arm_sdk"
        else "press L2+R2 on the remote while the robot hangs or stands in a frame, or drive by control:=arm_sdk"
    )
    return fail("mode", f"{found}: {CONTROLS[control].name} is not obeyed", advice)


def _motors(problem: str) -> Finding:
    if problem:
        return fail("motors", problem, "let it cool, switch it off and on; see the error's number in Unitree's manual")
    return ok("motors", "no errors, none hot")


def _others(commands: Mapping[str, int]) -> Iterator[Finding]:
    for topic, count in commands.items():
        yield warn(
            topic, f"somebody sends commands already ({count} while we listened)",
            "if it is not your own running graph, end that program: two masters make motors loud and arms jump",
        )  # fmt: skip


def _hand(topic: str, stream: Mapping[str, Any], seconds: float, other_hands: list[str]) -> Finding:
    bad = _reasons(stream["bad"])
    if not stream["good"] and bad:
        return fail(topic, f"not one message of use: {bad}", "is it a hand of another make, another driver?")
    if not stream["good"] and other_hands:
        kind = "ftp" if "inspire_hand" in other_hands[0] else "dfx"
        return fail(
            topic, f"silent, but {other_hands[0]} is heard: these are {kind} hands", f"--hand {kind}, hand:={kind}"
        )
    if not stream["good"]:
        return fail(
            topic, f"silent for {seconds:g} s: {_side(topic)} not heard",
            "start the hands' service on the robot's computer, see their serial line or address; or hand:=none",
        )  # fmt: skip
    if stream["pause"] > LONGEST_HAND_PAUSE:
        return fail(
            topic, f"fell silent for {stream['pause']:.1f} s; after {LONGEST_HAND_PAUSE} s the body holds",
            "see the hands' serial line or cable; hand_state_timeout bears longer pauses",
        )  # fmt: skip
    if bad or stream["rate"] < GOOD_HAND_RATE:
        return warn(
            topic, f"{stream['rate']:.0f} Hz{f', and dropped: {bad}' if bad else ''}",
            f"expected {GOOD_HAND_RATE:.0f} Hz or more without damage; see the hands' serial line",
        )  # fmt: skip
    return ok(topic, f"{stream['rate']:.0f} Hz")


def _reasons(bad: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {reason}" for reason, count in bad.items())


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
