"""The robot's URDF, made from urdf/h1_2.urdf.xacro: primitive shapes, no mesh files."""

import contextlib
import io
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import xacro

from firsthand.errors import ModelError
from firsthand.robot.joints import HANDS_KNOWN
from firsthand.share import share_directory

JOINT_TYPES = ("fixed", "revolute")


def urdf(
    hand: str = "dfx",
    *,
    eyes_xyz: Sequence[float] | None = None,
    eyes_rpy: Sequence[float] | None = None,
    camera_baseline: float | None = None,
    hand_xyz: Sequence[float] | None = None,
    hand_rpy: Sequence[float] | None = None,
    hand_mass: float | None = None,
    waist: str = "fixed",
    legs: str = "fixed",
) -> str:
    """Process the xacro files into one URDF document. What is None is as h1_2.urdf.xacro has it.

    Args:
        hand: Which Inspire hands, "dfx" or "ftp".
        eyes_xyz: Midpoint between the two eyes in `torso_link`, [m].
        eyes_rpy: Roll, pitch, yaw of the eyes in `torso_link`, [rad]; positive pitch looks down.
        camera_baseline: Distance between the eyes, [m].
        hand_xyz: How far the left hand is mounted from its official place, in the axes of `left_wrist_yaw_link`, [m];
            the right hand mirrors it.
        hand_rpy: The same for the rotation, [rad].
        hand_mass: Mass of one hand, [kg].
        waist: "fixed" or "revolute".
        legs: "fixed" or "revolute".

    Raises:
        ModelError: An argument is none of the above.
    """
    triples = {"eyes_xyz": eyes_xyz, "eyes_rpy": eyes_rpy, "hand_xyz": hand_xyz, "hand_rpy": hand_rpy}
    numbers = {"camera_baseline": camera_baseline, "hand_mass": hand_mass}
    arguments = {
        "hand": _choice("hand", hand, HANDS_KNOWN),
        "waist": _choice("waist", waist, JOINT_TYPES),
        "legs": _choice("legs", legs, JOINT_TYPES),
        **{name: _triple(name, value) for name, value in triples.items() if value is not None},
        **{name: _positive(name, value) for name, value in numbers.items() if value is not None},
    }
    return _process(share_directory() / "urdf" / "h1_2.urdf.xacro", tuple(arguments.items()))


@lru_cache(maxsize=16)  # a document takes a second to make
def _process(path: Path, arguments: tuple[tuple[str, str], ...]) -> str:
    """Run xacro; it reports on stderr and raises, and we pass both on as one error."""
    report = io.StringIO()
    try:
        with contextlib.redirect_stderr(report):
            document = xacro.process_file(str(path), mappings=dict(arguments))
    except xacro.XacroException as error:
        raise ModelError(f"{path.name}: {error} {report.getvalue()}".strip()) from error
    return document.toprettyxml(indent="  ")


def _choice(name: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise ModelError(f"{name} is {value!r}; choose {' or '.join(known)}")
    return value


def _triple(name: str, values: Sequence[float]) -> str:
    numbers = [float(value) for value in values]
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise ModelError(f"{name} is {tuple(numbers)}; expected three finite numbers")
    return " ".join(map(repr, numbers))


def _positive(name: str, value: float) -> str:
    if not (math.isfinite(value) and value > 0):
        raise ModelError(f"{name} is {value}; expected a positive number")
    return repr(float(value))
