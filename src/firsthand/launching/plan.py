"""What a launch file starts, with the same command lines as `ros2 launch firsthand NAME.launch.yaml`.

Supported are `arg`, `let`, `node` (args, param, remap, namespace, if, unless, on_exit: shutdown), `executable`,
`group`, `include`, `set_parameter`, `set_remap` and `push_ros_namespace`; anything else is refused by name, never
passed over.
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from firsthand.errors import LaunchError
from firsthand.launching.executables import find_executable
from firsthand.launching.launch_file import check_keys, only_item, read_argument, read_arguments, read_entries
from firsthand.launching.substitutions import Values, has_substitution, is_true, substitute

TYPES = {"str": str, "int": int, "float": float, "bool": bool}


@dataclass(frozen=True)
class InlineParameter:
    """A parameter written in the launch file; reaches the node as a parameter file of its own."""

    node: str  # fully qualified name, or /** for a node without a namespace, as ROS 2 does it
    name: str
    value: Any

    def to_yaml(self) -> str:
        """The file's content."""
        content = {self.node: {"ros__parameters": {self.name: self.value}}}
        return yaml.safe_dump(content, default_flow_style=True, width=1 << 20)  # one line


@dataclass(frozen=True)
class Process:
    """One program to start."""

    name: str  # executable and number, as it stands before each line of output
    command: tuple[str | InlineParameter, ...]
    ends_all: bool  # its end is the end of the whole launch


@dataclass
class Scope:
    """What later entries of a file see; a group works on a copy."""

    directory: Path
    variables: dict[str, str] = field(default_factory=dict)
    namespace: str = ""
    parameters: list[tuple[str, Any]] = field(default_factory=list)
    remaps: list[tuple[str, str]] = field(default_factory=list)

    def copy(self) -> "Scope":
        """A scope whose changes stay its own."""
        return replace(self, variables=dict(self.variables), parameters=list(self.parameters), remaps=list(self.remaps))

    def text(self, value: object) -> str:
        """A scalar of the file as text, substituted."""
        return substitute(str(value), Values(self.variables, self.directory))


def plan(path: Path, given: Mapping[str, str] | None = None) -> tuple[Process, ...]:
    """Everything that a launch file starts.

    Args:
        path: The launch file.
        given: Values of its arguments; the others take their defaults.

    Raises:
        LaunchError: The file, an argument, a parameter file or an executable is not there or not understood.
    """
    given = dict(given or {})
    known = [one.name for one in read_arguments(path)]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise LaunchError(f"{path.name} has no argument {', '.join(unknown)}; it has {', '.join(known) or 'none'}")
    processes: list[Process] = []
    _run_file(path, Scope(path.parent, variables=given), processes)
    return tuple(processes)


def _run_file(path: Path, scope: Scope, processes: list[Process]) -> None:
    outer, scope.directory = scope.directory, path.parent
    _run_entries(read_entries(path), scope, processes, path)
    scope.directory = outer


def _run_entries(entries: list[Any], scope: Scope, processes: list[Process], path: Path) -> None:
    for entry in entries:
        kind, body = only_item(entry, path)
        if kind not in ACTIONS:
            raise LaunchError(f"{path.name}: no entry {kind!r} in firsthand launch; there are {', '.join(ACTIONS)}")
        if isinstance(body, dict) and not _condition(body, scope):
            continue
        ACTIONS[kind](body, scope, processes, path)


def _condition(body: dict[str, Any], scope: Scope) -> bool:
    if "if" in body:
        return is_true(scope.text(body["if"]))
    return "unless" not in body or not is_true(scope.text(body["unless"]))


def _run_arg(body: dict[str, Any], scope: Scope, processes: list[Process], path: Path) -> None:
    argument = read_argument(body)
    if argument.name not in scope.variables:
        if argument.default is None:
            raise LaunchError(f"{path.name} needs {argument.name}:=... ({argument.description or 'no description'})")
        scope.variables[argument.name] = scope.text(argument.default)
    value = scope.variables[argument.name]
    if argument.choices and value not in argument.choices:
        raise LaunchError(f"argument {argument.name} is one of {', '.join(argument.choices)}; got {value!r}")


def _run_let(body: dict[str, Any], scope: Scope, processes: list[Process], path: Path) -> None:
    check_keys(body, "let", {"name", "value"})
    scope.variables[scope.text(body["name"])] = scope.text(body["value"])


def _run_group(body: Any, scope: Scope, processes: list[Process], path: Path) -> None:
    if isinstance(body, list):
        return _run_entries(body, scope.copy(), processes, path)
    check_keys(body, "group", {"children", "scoped"})
    scoped = is_true(scope.text(body.get("scoped", "true")))
    return _run_entries(body["children"], scope.copy() if scoped else scope, processes, path)


def _run_include(body: dict[str, Any], scope: Scope, processes: list[Process], path: Path) -> None:
    check_keys(body, "include", {"file", "arg"})
    for one in body.get("arg", []):
        scope.variables[scope.text(one["name"])] = scope.text(one["value"])
    _run_file(_existing_file(scope.text(body["file"]), path), scope, processes)


def _run_set_parameter(body: dict[str, Any], scope: Scope, processes: list[Process], path: Path) -> None:
    check_keys(body, "set_parameter", {"name", "value"})
    scope.parameters.append((scope.text(body["name"]), _as_yaml(scope.text(body["value"]))))


def _run_set_remap(body: dict[str, Any], scope: Scope, processes: list[Process], path: Path) -> None:
    check_keys(body, "set_remap", {"from", "to"})
    scope.remaps.append((scope.text(body["from"]), scope.text(body["to"])))


def _run_push_namespace(body: dict[str, Any], scope: Scope, processes: list[Process], path: Path) -> None:
    check_keys(body, "push_ros_namespace", {"namespace"})
    scope.namespace = _join_namespace(scope.namespace, scope.text(body["namespace"]))


def _run_executable(body: dict[str, Any], scope: Scope, processes: list[Process], path: Path) -> None:
    check_keys(body, "executable", {"cmd", "name", "output", "on_exit"})
    command = shlex.split(scope.text(body["cmd"]))
    name = scope.text(body.get("name", Path(command[0]).name))
    processes.append(_process(name, tuple(command), body, processes))


def _run_node(body: dict[str, Any], scope: Scope, processes: list[Process], path: Path) -> None:
    check_keys(
        body, "node", {"pkg", "exec", "name", "namespace", "args", "param", "remap", "output", "on_exit", "exec_name"}
    )
    executable = scope.text(body["exec"])
    name = scope.text(body["name"]) if "name" in body else None
    namespace = _join_namespace(scope.namespace, scope.text(body.get("namespace", "")))
    command: list[str | InlineParameter] = [str(find_executable(scope.text(body["pkg"]), executable))]
    command += shlex.split(scope.text(body.get("args", "")))
    command.append("--ros-args")
    command += ["-r", f"__node:={name}"] if name else []
    command += ["-r", f"__ns:={namespace}"] if namespace else []
    for parameter, value in scope.parameters:
        command += ["-p", f"{parameter}:={value}"]
    for parameter_entry in body.get("param", []):
        full_name = f"{namespace.rstrip('/')}/{name}" if name and namespace else "/**"
        command += ["--params-file", _parameter(parameter_entry, scope, full_name, path)]
    for source, target in [*scope.remaps, *_remaps(body, scope)]:
        command += ["-r", f"{source}:={target}"]
    processes.append(_process(scope.text(body.get("exec_name", executable)), tuple(command), body, processes))


Action = Callable[[Any, Scope, list[Process], Path], None]
ACTIONS: dict[str, Action] = {
    "arg": _run_arg,
    "let": _run_let,
    "node": _run_node,
    "executable": _run_executable,
    "group": _run_group,
    "include": _run_include,
    "set_parameter": _run_set_parameter,
    "set_remap": _run_set_remap,
    "push_ros_namespace": _run_push_namespace,
}


def _process(
    name: str, command: tuple[str | InlineParameter, ...], body: dict[str, Any], processes: list[Process]
) -> Process:
    if body.get("output", "screen") not in ("screen", "both"):
        raise LaunchError(f"output of {name} is screen or both; got {body['output']!r}")
    if body.get("on_exit", "shutdown") != "shutdown":
        raise LaunchError(f"on_exit of {name} is shutdown or left out; got {body['on_exit']!r}")
    return Process(f"{name}-{len(processes) + 1}", command, ends_all="on_exit" in body)


def _parameter(entry: dict[str, Any], scope: Scope, node: str, path: Path) -> str | InlineParameter:
    """What follows `--params-file`: a file, or one parameter as if it were in one."""
    if "from" in entry:
        check_keys(entry, "param", {"from"})
        return str(_existing_file(scope.text(entry["from"]), path))
    check_keys(entry, "param", {"name", "value", "type"})
    return InlineParameter(node, scope.text(entry["name"]), _typed(entry, scope))


def _typed(entry: dict[str, Any], scope: Scope) -> Any:
    """A parameter's value as ROS 2 reads it: substituted text is read as YAML, plain text stays text."""
    value = entry.get("value")
    if isinstance(value, list):
        if any(isinstance(one, str) and has_substitution(one) for one in value):
            raise LaunchError(f"no substitutions inside a list; write parameter {entry['name']} as text: '[...]'")
        return value
    if not isinstance(value, str):
        return value
    text = scope.text(value)
    if "type" in entry:
        if entry["type"] not in TYPES:
            raise LaunchError(f"the type of parameter {entry['name']} is {', '.join(TYPES)}; got {entry['type']!r}")
        return text if entry["type"] == "str" else _convert(text, TYPES[entry["type"]], entry["name"])
    return _as_yaml(text) if has_substitution(value) else text


def _convert(text: str, wanted: type, name: str) -> Any:
    value = _as_yaml(text)
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise LaunchError(f"parameter {name} is of type {wanted.__name__}, got {text!r}")
    return value


def _as_yaml(text: str) -> Any:
    """A value out of text, as YAML reads it; text that YAML makes a mapping or nothing of stays text."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return text if value is None or isinstance(value, dict) else value


def _remaps(body: dict[str, Any], scope: Scope) -> list[tuple[str, str]]:
    return [(scope.text(one["from"]), scope.text(one["to"])) for one in body.get("remap", [])]


def _join_namespace(outer: str, inner: str) -> str:
    """The namespace `inner` within `outer`, absolute; empty if both are."""
    if inner.startswith("/") or not (outer or inner):
        return inner
    return f"{outer.rstrip('/')}/{inner}".rstrip("/")


def _existing_file(name: str, path: Path) -> Path:
    if not Path(name).is_file():
        raise LaunchError(f"{path.name} names a file that is not there: {name}")
    return Path(name)
