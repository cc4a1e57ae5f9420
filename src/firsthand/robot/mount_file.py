"""Where this robot's camera is mounted, as a file: `firsthand calibrate eyes` writes it, kinematics and teleop read it.

    format: firsthand/camera_mount/1
    eyes_xyz: [0.12, 0.0, 0.69]       midway between the eyes, in torso_link, [m]
    eyes_rpy: [0.0, 1.01, 0.0]        roll, pitch, yaw of the eyes in torso_link, [rad]
    camera_baseline: 0.063            [m]

Whatever else such a file says (how sure it is, when it was made) is for people.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import yaml
from numpy.typing import NDArray

from firsthand.errors import CalibrationError
from firsthand.robot.description import urdf
from firsthand.robot.joints import described_hand
from firsthand.space.frames import pose
from firsthand.space.rotations import matrix_from_rpy

FORMAT = "firsthand/camera_mount/1"
FARTHEST = 2.0  # [m] from the torso's origin
LARGEST_FILE, MOST_BRACKETS = 1 << 16, 200  # bytes; nested thousands deep, YAML takes minutes to be refused

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Mount:
    """Where the eyes are in `torso_link`."""

    eyes_xyz: tuple[float, float, float]  # [m]
    eyes_rpy: tuple[float, float, float]  # [rad]
    camera_baseline: float  # [m]

    @classmethod
    def from_pose(cls, torso_from_eyes: Array, baseline: float) -> "Mount":
        """The mount at a pose (4, 4)."""
        r = torso_from_eyes[:3, :3]
        rpy = math.atan2(r[2, 1], r[2, 2]), -math.asin(max(-1.0, min(1.0, r[2, 0]))), math.atan2(r[1, 0], r[0, 0])
        x, y, z = (float(value) for value in torso_from_eyes[:3, 3])
        return cls((x, y, z), rpy, float(baseline))

    @property
    def torso_from_eyes(self) -> Array:
        """(4, 4)."""
        return pose(matrix_from_rpy(*self.eyes_rpy), np.array(self.eyes_xyz))

    def urdf(self, hand: str = "dfx") -> str:
        """The robot's description with the eyes where they are."""
        return urdf(
            hand, eyes_xyz=self.eyes_xyz, eyes_rpy=self.eyes_rpy, camera_baseline=self.camera_baseline
        )  # fmt: skip


def read_mount(path: str | Path) -> Mount:
    """Read such a file.

    Raises:
        CalibrationError: There is none, or it says something else.
    """
    content = read_calibration_file(Path(path), FORMAT)
    baseline = content.get("camera_baseline")
    if not _is_number(baseline) or not 0.01 < baseline < 0.5:
        raise CalibrationError(f"{path}: camera_baseline is {baseline!r}, expected 0.01 to 0.5 m")
    xyz, rpy = _triple(content, "eyes_xyz", FARTHEST, path), _triple(content, "eyes_rpy", math.pi + 1e-6, path)
    return Mount(xyz, rpy, float(baseline))


def robot_urdf(hand: str, mount: str = "") -> str:
    """The description of the robot with one of `HAND_CHOICES`, its eyes where a mount file has them if one is named.

    Raises:
        CalibrationError: The file cannot be used.
    """
    carried = described_hand(hand)
    return read_mount(mount).urdf(carried) if mount else urdf(carried)


def read_calibration_file(path: Path, form: str) -> Mapping[str, Any]:
    """The entries of one of our YAML files.

    Raises:
        CalibrationError: No file, no YAML, or another format; the message says which.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE + 1)
        plain = len(text) <= LARGEST_FILE and text.count(b"[") + text.count(b"{") < MOST_BRACKETS
        content = yaml.safe_load(text) if plain else None
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise CalibrationError(f"cannot read {path}: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict) or content.get("format") != form:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise CalibrationError(f"{path} is of format {found!r}, expected {form!r}")
    return content


def write_calibration_file(path: Path, form: str, content: Mapping[str, Any]) -> Path:
    """Write one of our YAML files whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(yaml.safe_dump({"format": form, **content}, sort_keys=False, width=120), encoding="utf-8")
    partial.replace(path)
    return path


def _triple(content: Mapping[str, Any], name: str, largest: float, path: str | Path) -> tuple[float, float, float]:
    values = content.get(name)
    if (
        not isinstance(values, list)
        or len(values) != 3
        or not all(_is_number(value) and abs(value) <= largest for value in values)
    ):
        raise CalibrationError(f"{path}: {name} is {values!r}, expected three numbers up to {largest:.4g}")
    return float(values[0]), float(values[1]), float(values[2])


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
