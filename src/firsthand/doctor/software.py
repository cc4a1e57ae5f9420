"""Python, packages and their versions, and two mistakes that harm: a wrong DDS, and two ROS installations at once."""

import importlib.metadata
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from firsthand.doctor.finding import Finding, fail, ok, skip, warn
from firsthand.errors import RobotError
from firsthand.robot.unitree.dds import VERSION as DDS_VERSION
from firsthand.robot.unitree.dds import require_cyclonedds

PYTHONS = ((3, 10), (3, 12))
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*([^;]*)(?:;\s*(.*))?$")
COMPARISON = re.compile(r"(>=|<=|==|!=|<|>|~=)\s*([0-9][0-9A-Za-z.]*)")


def check_software(wants_robot: bool = False) -> Iterator[Finding]:
    """Everything about installed software."""
    yield check_python(sys.version_info[:2])
    yield from check_packages(needed_packages())
    yield check_ros(os.environ)
    yield check_dds(wants_robot)


def check_python(version: tuple[int, ...]) -> Finding:
    """Whether this Python is one that the project is tested with."""
    found = ".".join(map(str, version))
    if PYTHONS[0] <= tuple(version) <= PYTHONS[1]:
        return ok("Python", found)
    return fail("Python", found, "use 3.10, 3.11 or 3.12: make PYTHON=python3.11 test")


def check_packages(
    requirements: Sequence[str], version_of: Callable[[str], str] = importlib.metadata.version
) -> Iterator[Finding]:
    """Whether each package that is always needed is there, in a version that will do.

    Args:
        requirements: As in the package's metadata; those of extras are left aside.
        version_of: Finds a package's version.
    """
    good = bad = 0
    for text in requirements:
        match = REQUIREMENT.match(text)
        if match is None or "extra" in (match.group(3) or ""):
            continue
        name, wanted = match.group(1), match.group(2).strip(" ()")
        try:
            version = version_of(name)
        except importlib.metadata.PackageNotFoundError:
            version = ""
        if version and _satisfies(version, wanted):
            good += 1
            continue
        bad += 1
        found = f"{version}, expected {wanted}" if version else "not installed"
        yield fail(name, found, f"pip install '{name}{wanted}'")
    if not good and not bad:
        yield warn("packages", "this Python has no list of what firsthand needs", "pip install -e . in the source tree")
    elif not bad:
        yield ok("packages", f"{good} that are always needed, in versions that will do")


def needed_packages() -> list[str]:
    """What the installed package says it needs; nothing where it runs from source alone."""
    try:
        return importlib.metadata.requires("firsthand") or []
    except importlib.metadata.PackageNotFoundError:
        return []


def check_ros(environment: Mapping[str, str]) -> Finding:
    """Whether there is one ROS 2, not two."""
    sourced = [path for path in environment.get("AMENT_PREFIX_PATH", "").split(":") if path.startswith("/opt/ros")]
    wheels = _installed("ros-rclpy")
    if sourced and wheels:
        return fail(
            "ROS 2", f"two: wheels {wheels} in this Python and {sourced[0]} sourced",
            "use one: a shell without `source /opt/ros/...`, or an environment without the [ros] extra",
        )  # fmt: skip
    if sourced:
        return ok("ROS 2", sourced[0])
    if wheels:
        return ok("ROS 2", f"wheels, rclpy {wheels}")
    return warn("ROS 2", "none", "pip install 'firsthand[ros]', or source an apt ROS 2; training needs neither")


def check_dds(needed: bool) -> Finding:
    """Whether the robot's DDS is here in the one version that does not crash it."""
    installed = _installed("cyclonedds")
    if installed is None and not needed:
        return skip("cyclonedds", "not installed; only the real robot needs it", "make robot")
    try:
        require_cyclonedds()
    except RobotError as error:
        first, _, recipe = str(error).partition("\n")
        return fail("cyclonedds", first, recipe)
    return ok("cyclonedds", DDS_VERSION)


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _satisfies(version: str, wanted: str) -> bool:
    tests: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
        ">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
        "<": lambda a, b: a < b, ">": lambda a, b: a > b, "~=": lambda a, b: a >= b and a[:1] == b[:1],
    }  # fmt: skip
    return all(tests[sign](*_same_length(version, bound)) for sign, bound in COMPARISON.findall(wanted))


def _same_length(version: str, bound: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    first, second = ([int(part) for part in re.findall(r"\d+", text.split("+")[0])] for text in (version, bound))
    size = max(len(first), len(second))
    return tuple(first + [0] * (size - len(first))), tuple(second + [0] * (size - len(second)))
