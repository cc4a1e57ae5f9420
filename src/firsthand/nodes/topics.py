"""Types of the topics that our nodes publish, so that a recorder can listen before the first message is sent."""

import importlib
from dataclasses import dataclass
from typing import Any

from firsthand.errors import LaunchError

JOINT_STATE = "sensor_msgs/msg/JointState"
PICTURE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
STATES = "trajectory_msgs/msg/MultiDOFJointTrajectory"

TYPES = {
    "left/color/rect/image/compressed": PICTURE,
    "right/color/rect/image/compressed": PICTURE,
    "left/color/rect/camera_info": CAMERA_INFO,
    "right/color/rect/camera_info": CAMERA_INFO,
    "features": "sensor_msgs/msg/Image",
    "joint_states": JOINT_STATE,
    "joint_command": JOINT_STATE,
    "motor_command": JOINT_STATE,
    "hand_state": STATES,
    "action_chunk": STATES,
    "teleop/hands": STATES,
    "teleop/target": STATES,
    "teleop/status": "std_msgs/msg/String",
    "source": "std_msgs/msg/String",
    "joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "gate_state": "std_msgs/msg/String",
    "recorder/state": "std_msgs/msg/String",
    "estop": "std_msgs/msg/Bool",
    "simulation/state": JOINT_STATE,
    "simulation/status": "diagnostic_msgs/msg/DiagnosticArray",
    "policy/markers": "visualization_msgs/msg/MarkerArray",
    "/diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
    "/tf_static": "tf2_msgs/msg/TFMessage",
}
"""Topic to type; names as the nodes know them, before any remapping."""

LATCHED_TOPICS = ("gate_state", "source", "teleop/status", "recorder/state", "/tf_static")
"""Those whose last message also reaches who comes late."""


@dataclass(frozen=True)
class NamedTopic:
    """A topic as a parameter names it."""

    name: str
    type: str  # such as sensor_msgs/msg/JointState
    latched: bool


def read_topic(text: str) -> NamedTopic:
    """A topic out of "name", if it is one of ours, or "name type".

    Raises:
        LaunchError: Neither.
    """
    name, _, type_name = text.strip().partition(" ")
    type_name = type_name.strip() or TYPES.get(name, "")
    if not type_name:
        raise LaunchError(f"topic {name!r} is none of ours; write it with its type: '{name} sensor_msgs/msg/Imu'")
    return NamedTopic(name, type_name, name in LATCHED_TOPICS)


def message_class(type_name: str) -> Any:
    """The class of a message type such as "sensor_msgs/msg/JointState".

    Raises:
        LaunchError: The package is not installed or has no such message.
    """
    package, _, name = type_name.rpartition("/")
    try:
        return getattr(importlib.import_module(package.replace("/", ".")), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise LaunchError(f"no message type {type_name!r} here; install the ROS package it belongs to") from error
