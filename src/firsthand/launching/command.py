"""`firsthand launch NAME name:=value ...`: what `ros2 launch` does with our launch files, where ROS 2 is only pip's."""

import argparse
import shlex
import sys
from pathlib import Path

from firsthand.errors import LaunchError
from firsthand.launching.launch_file import find_launch_file, read_arguments
from firsthand.launching.plan import InlineParameter, Process, plan
from firsthand.launching.supervisor import run_processes

DESCRIPTION = """Start a launch file of firsthand: the same files, arguments and command lines as `ros2 launch`.

examples:
  firsthand launch rollout                                 push an object in simulation with the shipped policy
  firsthand launch rollout variant:=ood seed:=3 bag:=third another scene, unlike the training's, and recorded
  firsthand launch rollout --show-args                     every argument with its default
  firsthand launch replay bag:=recordings/first --print    what would be started

Ctrl-C ends everything in order; a second one does not wait. With an apt ROS 2 and a built workspace,
`ros2 launch firsthand rollout.launch.yaml` does the same."""

COUNTED = "trials"
"""The argument of a launch that runs for a result. One of its processes less and there will be none: a failure ends it.
Without it the rest goes on, because a robot that holds still is better than one that is let go."""


def add_launch_command(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of `firsthand launch`."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", help="rollout, record, replay, or a path to a .launch.yaml")
    parser.add_argument("arguments", nargs="*", metavar="name:=value", help="arguments of the launch file")
    parser.add_argument("--show-args", action="store_true", help="list the arguments of the launch file and end")
    parser.add_argument("--print", action="store_true", help="print the command lines, ready for bash, and end")


def run_launch_command(options: argparse.Namespace) -> int:
    """Do what the options of `add_launch_command` ask for.

    Returns:
        The exit code: 0 if all went well or Ctrl-C ended it, 1 if a process failed.

    Raises:
        LaunchError: Something that cannot be started.
    """
    path = find_launch_file(options.name)
    if options.show_args:
        print(describe_arguments(path))
        return 0
    given = parse_arguments(options.arguments)
    processes = plan(path, given)
    if options.print:
        print("\n".join(map(to_bash, processes)))
        return 0
    return run_processes(processes, failure_ends_all=given.get(COUNTED, "0") != "0")


def parse_arguments(words: list[str]) -> dict[str, str]:
    """`name:=value` words as a mapping.

    Raises:
        LaunchError: A word of another form.
    """
    given = {}
    for word in words:
        name, separator, value = word.partition(":=")
        if not separator or not name:
            raise LaunchError(f"arguments are written name:=value; got {word!r}")
        given[name] = value
    return given


def describe_arguments(path: Path) -> str:
    """The arguments of a launch file for people to read."""
    lines = [f"Arguments of {path.name} (name:=value):", ""]
    for one in read_arguments(path):
        choices = f" One of: {', '.join(one.choices)}." if one.choices else ""
        default = "required" if one.default is None else f"default: {one.default!r}"
        lines += [f"  {one.name}", f"      {one.description}{choices}", f"      ({default})"]
    return "\n".join(lines)


def to_bash(process: Process) -> str:
    """A command line to paste: parameters of the launch file become files on the fly."""
    words = [
        f"<(echo {shlex.quote(word.to_yaml().strip())})" if isinstance(word, InlineParameter) else shlex.quote(word)
        for word in process.command
    ]
    return " ".join(words)


def main() -> int:
    """`python -m firsthand.launching.command`, the same as `firsthand launch`."""
    parser = argparse.ArgumentParser("firsthand launch")
    add_launch_command(parser)
    try:
        return run_launch_command(parser.parse_args())
    except LaunchError as error:
        print(f"firsthand launch: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
