"""The command `firsthand`: what a robot's operator types. Each part is thin; the work is done in the rooms."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from firsthand.errors import FirsthandError

DESCRIPTION = """Runs two-handed skills on a Unitree H1-2, or on a simulated one.

  firsthand launch rollout          a trained policy drives the simulated robot through ROS 2
  firsthand launch teleop           a person drives it through a headset, or a fake one
  firsthand keys                    the operator's keyboard: record, label, engage, emergency stop
  firsthand doctor                  before a run: which thing is missing or silent, and what to do
  firsthand headset ADDRESS         look at a headset: is it there, which hands does it see?
  firsthand fake-headset            serve hands as a Vision Pro does, without one
  firsthand report BAG              how good a recording is: rates, gaps, drops, limits, still phases
  firsthand recover BAG             make a recording readable that was cut off
  firsthand urdf                    the robot's description
  firsthand fake-robot              an H1-2 on the network without one, for tests and any Unitree client
  firsthand calibrate eyes BAG      where this robot's camera is mounted; also: board, stereo, sides, hands
  firsthand fake-camera             stereo pictures at 60 Hz without a camera, for tests of the graph

Training and evaluation have a command of their own: firsthand-lab."""

HANDS = ("dfx", "ftp")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: 0 if all went well, 1 if a command failed (its message says why), 2 if the call itself is wrong."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except FirsthandError as error:
        print(f"firsthand {options.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `firsthand urdf | head` is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    from firsthand.calibration.command import add_calibrate_command
    from firsthand.doctor.command import add_doctor_command
    from firsthand.headset.command import add_fake_headset_command, add_headset_command
    from firsthand.launching.command import add_launch_command, run_launch_command
    from firsthand.simulation.fake_robot.command import add_fake_robot_command
    from firsthand.vision.sources.fake_camera_command import FAKE_CAMERA, add_fake_camera_arguments, run_fake_camera

    parser = argparse.ArgumentParser(
        "firsthand", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    urdf = commands.add_parser("urdf", help="print the robot's URDF", description=_run_urdf.__doc__)
    urdf.add_argument("--hand", choices=HANDS, default="dfx", help="Inspire hand: DFX (default) or tactile FTP")
    urdf.add_argument(
        "--camera-mount", type=Path, metavar="FILE", help="with the eyes where `calibrate eyes` found them"
    )
    urdf.add_argument("--output", type=Path, help="write to this file instead of printing")
    urdf.set_defaults(run=_run_urdf)

    launch = commands.add_parser("launch", help="start a launch file")
    add_launch_command(launch)
    launch.set_defaults(run=run_launch_command)

    add_doctor_command(commands.add_parser("doctor", help="what is missing or silent, and what to do"))

    keys = commands.add_parser("keys", help="the operator's keyboard", description=_run_keys.__doc__)
    keys.add_argument("ros", nargs=argparse.REMAINDER, help="ROS arguments, such as --ros-args -r __ns:=/robot")
    keys.set_defaults(run=_run_keys)
    add_headset_command(commands.add_parser("headset", help="look at a headset"))
    add_fake_headset_command(commands.add_parser("fake-headset", help="serve hands as a Vision Pro does"))

    report = commands.add_parser("report", help="what is in a bag, and how good it is", description=_run_report.__doc__)
    report.add_argument("bag", type=Path, nargs="+", help="rosbag2 folder, .mcap file, or a folder of recordings")
    report.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    report.add_argument("--page", type=Path, metavar="FILE", help="also write a page (.html) for people")
    report.add_argument("--save", action="store_true", help="keep report.json and report.txt in each bag's folder")
    report.add_argument(
        "--limit", action="append", default=[], metavar="NAME=VALUE", help="flag beyond this, e.g. camera_rate=55"
    )
    report.set_defaults(run=_run_report)

    recover = commands.add_parser("recover", help="repair a bag that was cut off", description=_run_recover.__doc__)
    recover.add_argument("bag", type=Path, help="rosbag2 folder or .mcap file; it is left as it is")
    recover.add_argument("--output", type=Path, help="folder to make; default: BAG_recovered")
    recover.set_defaults(run=_run_recover)
    add_fake_robot_command(commands.add_parser("fake-robot", help="be an H1-2 on the network, without one"))

    calibrate = commands.add_parser("calibrate", help="measure this robot's cameras and hands")
    add_calibrate_command(calibrate)

    fake = commands.add_parser("fake-camera", help="send stereo pictures as a camera does", description=FAKE_CAMERA)
    add_fake_camera_arguments(fake)
    fake.set_defaults(run=run_fake_camera)
    return parser


def _run_urdf(options: argparse.Namespace) -> int:
    """Print the H1-2's processed URDF: primitive geometry, inertias, limits, mimic joints, eye and fingertip frames."""
    from firsthand.robot.description import urdf
    from firsthand.robot.mount_file import read_mount

    mount = read_mount(options.camera_mount) if options.camera_mount else None
    text = mount.urdf(options.hand) if mount else urdf(hand=options.hand)
    if options.output is None:
        print(text)
    else:
        options.output.write_text(text, encoding="utf-8")
        print(options.output)
    return 0


def _run_keys(options: argparse.Namespace) -> int:
    """Read the operator's keys in this terminal: r records, SPACE stops the robot; all keys are shown at the start."""
    from firsthand.launching.executables import find_executable

    program = find_executable("firsthand", "keys")
    os.execv(program, [str(program), *options.ros])


def _run_report(options: argparse.Namespace) -> int:
    """Report rates, gaps, jitter, left-right skew and drops of every topic of a bag, and judge it as an episode.

    The last line says "good", or "flagged" and why. Of a folder of recordings each gets a line.
    """
    from firsthand.bags.overview import report_recordings
    from firsthand.bags.quality import QualityLimits

    report_recordings(
        options.bag, QualityLimits.changed(options.limit), _arm_ranges(), options.json, options.page, options.save
    )
    return 0


def _arm_ranges() -> dict[str, tuple[float, float]]:
    """Limits of the arm joints, [rad]; hands are often at theirs, which means open or closed."""
    from firsthand.robot.joints import ARMS
    from firsthand.robot.model import RobotModel

    model = RobotModel.load()
    return {name: (float(model.lower[i]), float(model.upper[i])) for i, name in enumerate(ARMS)}


def _run_recover(options: argparse.Namespace) -> int:
    """Copy every whole chunk of a bag that was cut off into a new one, with index and metadata.yaml."""
    from firsthand.bags.recover import recover_bag

    print(recover_bag(options.bag, options.output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
