"""The ROS graph: do processes find each other, and which topic is silent, slow or old; who should publish it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from firsthand.doctor.finding import Finding, fail, ok, skip, warn

WATCH = "firsthand.nodes.watch_topics"
HELLO = "firsthand_doctor/hello"
STARTING = 30.0  # [s] that a ROS process may take to start
OLD = 0.5  # [s] of a message's stamp


@dataclass(frozen=True)
class Expected:
    """A topic of a graph that runs."""

    topic: str
    type: str
    rate: float  # [Hz], at least; 0: it comes at changes
    node: str  # that publishes it
    optional: bool = False  # a graph may do without


PICTURE, STATES = "sensor_msgs/msg/CompressedImage", "trajectory_msgs/msg/MultiDOFJointTrajectory"
ALWAYS = (
    Expected("joint_states", "sensor_msgs/msg/JointState", 100.0, "body"),
    Expected("motor_command", "sensor_msgs/msg/JointState", 100.0, "body"),
    Expected("gate_state", "std_msgs/msg/String", 0.0, "body"),
    Expected("hand_state", STATES, 50.0, "kinematics"),
    Expected("joint_command", "sensor_msgs/msg/JointState", 100.0, "kinematics"),
    Expected("source", "std_msgs/msg/String", 0.0, "kinematics"),
)
CAMERAS = (
    Expected("left/color/rect/image/compressed", PICTURE, 20.0, "camera"),
    Expected("right/color/rect/image/compressed", PICTURE, 20.0, "camera"),
)
ONLY = {
    "rollout": (
        Expected("features", "sensor_msgs/msg/Image", 15.0, "features"),
        Expected("action_chunk", STATES, 2.0, "policy"),
    ),
    "teleop": (
        Expected("teleop/hands", STATES, 30.0, "headset"),
        Expected("teleop/status", "std_msgs/msg/String", 0.0, "teleop"),
        Expected("recorder/state", "std_msgs/msg/String", 0.0, "recorder"),
    ),
    "record": (Expected("recorder/state", "std_msgs/msg/String", 0.0, "recorder"),),
}
"""By launch file: the topics that it has beside those of every graph."""


def check_ros_environment(environment: Mapping[str, str], wants_robot: bool = False) -> Iterator[Finding]:
    """Settings that keep nodes from finding each other."""
    domain = environment.get("ROS_DOMAIN_ID", "0")
    if not domain.isdigit() or int(domain) > 232:
        yield fail("ROS_DOMAIN_ID", domain, "a number from 0 to 101, the same for all nodes")
    else:
        yield ok("ROS_DOMAIN_ID", domain)
    reach = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST, our default")
    if reach == "OFF":
        yield fail(
            "discovery",
            "ROS_AUTOMATIC_DISCOVERY_RANGE is OFF: nodes find nobody",
            "LOCALHOST, or SUBNET for several computers",
        )
    else:
        yield ok("discovery", reach)
    if environment.get("ROS_LOCALHOST_ONLY"):
        yield warn(
            "ROS_LOCALHOST_ONLY",
            "set; Jazzy ignores or obeys it depending on other settings",
            "use ROS_AUTOMATIC_DISCOVERY_RANGE",
        )
    middleware = environment.get("RMW_IMPLEMENTATION", "")
    if "cyclone" in middleware:
        yield (fail if wants_robot else warn)(
            "RMW_IMPLEMENTATION",
            f"{middleware}: its CycloneDDS and the robot's cannot share the body's process",
            "export RMW_IMPLEMENTATION=rmw_fastrtps_cpp",
        )
    profile = environment.get("FASTDDS_DEFAULT_PROFILES_FILE", "")
    if profile and not os.path.isfile(profile):
        yield fail("FASTDDS_DEFAULT_PROFILES_FILE", f"{profile} does not exist", "unset it: ours is used then")


def check_discovery(seconds: float) -> Finding:
    """Whether two processes of this environment hear each other, as all our nodes must."""
    command = [sys.executable, "-m", WATCH]
    speaker = subprocess.Popen(
        [*command, "--say", HELLO, "--seconds", str(seconds + STARTING)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        heard = _watch(seconds, [f"{HELLO} std_msgs/msg/String"], until_heard=True)
    finally:
        speaker.terminate()
        speaker.wait()
    if isinstance(heard, str):
        return fail("ROS processes", heard, "see the group software")
    if heard[0]["count"]:
        return ok("ROS processes", "two of this environment hear each other")
    return fail(
        "ROS processes", "two of this environment do not hear each other",
        "run `fastdds shm clean`; in Docker use --ipc host; or FASTDDS_BUILTIN_TRANSPORTS=UDPv4",
    )  # fmt: skip


def check_topics(graph: str, seconds: float) -> Iterator[Finding]:
    """Every topic of a running graph: is it published, does it come, how often, how old.

    Args:
        graph: The launch file's name: rollout, teleop, record; empty where none should be running.
        seconds: How long to listen.
    """
    if not graph:
        yield skip("topics", "no graph named", "while one runs: --graph teleop (or rollout, record)")
        return
    cameras = () if graph == "rollout" else CAMERAS  # a person may drive without: cameras:=none
    expected = tuple(
        replace(one, optional=True) if one in cameras else one for one in (*ALWAYS, *CAMERAS, *ONLY[graph])
    )
    heard = _watch(seconds, [f"{one.topic} {one.type}" for one in expected])
    if isinstance(heard, str):
        yield fail("topics", heard, "see the groups software and ros")
        return
    for one, what in zip(expected, heard, strict=True):
        yield judge_topic(one, what, seconds)


def judge_topic(expected: Expected, heard: Mapping[str, Any], seconds: float) -> Finding:
    """What is said of one topic.

    Args:
        expected: Of the topic.
        heard: `publishers` (names of nodes), `writers` (how many), `types`,
            `count`, `rate` [Hz], `age` [s] of the newest stamp or None.
        seconds: For how long it was listened to.
    """
    topic, node = expected.topic, expected.node
    others = [kind for kind in heard["types"] if kind != expected.type]
    if others:
        return fail(
            topic,
            f"is of type {others[0]}, expected {expected.type}",
            f"another node publishes under this name: {', '.join(heard['publishers'])}",
        )
    if not heard["publishers"]:
        return (warn if expected.optional else fail)(
            topic, "nobody publishes it", f"the node {node!r} is not running, or in another namespace or ROS_DOMAIN_ID"
        )
    who = ", ".join(heard["publishers"])
    if heard["writers"] > 1:
        return fail(
            topic, f"{heard['writers']} publishers at once: {who}",
            "another graph still runs; end it, or give each its own ROS_DOMAIN_ID",
        )  # fmt: skip
    if not heard["count"]:
        return fail(
            topic,
            f"{who} publishes it, but nothing came in {seconds:g} s",
            f"see what {node} says on /diagnostics and in its log",
        )
    rate, age = heard["rate"] or 0.0, heard["age"]
    if expected.rate and rate < expected.rate:
        return fail(
            topic,
            f"{rate:.1f} Hz from {who}, expected {expected.rate:g} or more",
            f"see what {node} says on /diagnostics; is the computer too busy?",
        )
    if expected.rate and age is not None and abs(age) > OLD:
        return warn(
            topic,
            f"{rate:.0f} Hz, stamped {age:.2f} s before it came",
            "do sender and this computer share a clock? See group machine",
        )
    return ok(topic, f"{rate:.0f} Hz from {who}" if expected.rate else f"{heard['count']} from {who}")


def _watch(seconds: float, topics: Sequence[str], until_heard: bool = False) -> list[dict[str, Any]] | str:
    """What came on topics, from a process of its own; or why there was none."""
    command = [
        sys.executable,
        "-m",
        WATCH,
        "--seconds",
        str(seconds),
        *(["--until-heard"] if until_heard else []),
        *topics,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 2 * STARTING, check=False)
        return list(json.loads(done.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return f"ROS hung for {2 * STARTING:g} s"
    except (ValueError, IndexError):
        last = done.stderr.strip().splitlines() or ["it said nothing"]
        return f"ROS does not start (exit code {done.returncode}): {last[-1]}"
