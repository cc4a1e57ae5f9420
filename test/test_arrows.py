"""The rooms stay one-way: who may import whom, read from the imports themselves."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"

RUNTIME = {
    "errors": set(),
    "share": set(),
    "realtime": set(),
    "space": {"errors"},
    "robot": {"errors", "share", "space"},
    "inference": {"errors", "share"},
    "vision": {"errors", "inference", "share", "space"},
    "headset": {"errors", "share", "space"},
    "teleoperation": {"errors", "share", "space", "robot", "headset"},
    "policy": {"errors", "inference", "share", "space"},
    "simulation": {"errors", "share", "realtime", "space", "robot", "vision"},
    "bags": {"errors", "share", "space"},
    "calibration": {"errors", "share", "space", "robot", "vision", "bags"},
    "launching": {"errors", "share"},
    "nodes": {
        "errors",
        "inference",
        "share",
        "realtime",
        "space",
        "robot",
        "vision",
        "headset",
        "teleoperation",
        "policy",
        "simulation",
        "bags",
    },
    "command": {
        "errors",
        "share",
        "robot",
        "bags",
        "launching",
        "vision",
        "headset",
        "simulation",
        "doctor",
        "calibration",
    },
    "doctor": {"errors", "share", "robot", "headset", "vision"},
}
"""Each runtime room and the rooms it may import."""

OFFLINE = {
    "episodes": set(),
    "hand_bones": set(),
    "metrics": set(),
    "labels": {"episodes", "hand_bones"},
    "demonstrations": {"episodes", "hand_bones"},
    "models": set(),
    "training": {"episodes", "metrics", "models"},
    "evaluation": {"episodes", "metrics", "labels", "demonstrations"},
    "experiments": {"episodes", "models", "training", "evaluation"},
    "command": {"episodes", "labels", "demonstrations", "models", "training", "evaluation", "experiments"},
}
"""Each offline room and the offline rooms it may import; all of them may import the runtime."""

ROS = {
    "rclpy",
    "rosbag2_py",
    "launch",
    "launch_ros",
    "ament_index_python",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "geometry_msgs",
    "trajectory_msgs",
    "diagnostic_msgs",
    "visualization_msgs",
    "builtin_interfaces",
    "rosgraph_msgs",
    "rcl_interfaces",
    "tf2_msgs",
    "tf2_ros",
}


def imports(path):
    """Every module that a file imports, at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module, package):
    parts = module.split(".")
    return parts[1] if parts[0] == package and len(parts) > 1 else None


def files(package):
    return sorted((SOURCE / package).rglob("*.py"))


@pytest.mark.parametrize(("package", "rules"), [("firsthand", RUNTIME), ("firsthand_training", OFFLINE)])
def test_rooms_import_only_what_they_may(package, rules):
    rooms = {path.relative_to(SOURCE / package).parts[0].removesuffix(".py") for path in files(package)}
    assert rooms - {"__init__", "__main__"} <= set(rules), "a room without a rule"
    for path in files(package):
        room = path.relative_to(SOURCE / package).parts[0].removesuffix(".py")
        if room in {"__init__", "__main__"}:
            continue
        used = {room_of(module, package) for module in imports(path)} & set(rules)
        assert used - {room} <= rules[room], f"{path} imports {used - {room} - rules[room]}"


def test_no_torch_and_no_training_at_run_time():
    for path in files("firsthand"):
        roots = {module.split(".")[0] for module in imports(path)}
        assert not roots & {"torch", "firsthand_training", "pyarrow"}, path


def test_ros_only_in_nodes():
    for path in [*files("firsthand"), *files("firsthand_training")]:
        if SOURCE / "firsthand" / "nodes" not in path.parents:
            assert not {module.split(".")[0] for module in imports(path)} & ROS, path


def test_no_import_circle_between_files():
    graph = {}
    for package in ("firsthand", "firsthand_training"):
        for path in files(package):
            module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
            graph[module] = path
    edges = {name: {m for m in imports(path) if m in graph and m != name} for name, path in graph.items()}
    done, on_path = set(), []

    def visit(name):
        if name in done:
            return
        assert name not in on_path, f"import circle: {' -> '.join([*on_path, name])}"
        on_path.append(name)
        for target in edges[name]:
            visit(target)
        on_path.pop()
        done.add(name)

    for name in edges:
        visit(name)
