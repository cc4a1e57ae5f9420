"""The command `firsthand`: what a robot's operator types. Each part is thin; the work is done in the rooms."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from firsthand.errors import FirsthandError

DESCRIPTION = """Runs two-handed skills on a Unitree H1-2, or on a simulated one.

  firsthand launch rollout          a trained policy drives the simulated robot through ROS 2
  firsthand report BAG              rates, gaps, skew and drops of a recording
  firsthand recover BAG             make a recording readable that was cut off
  firsthand urdf                    the robot's description
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
    from firsthand.launching.command import add_launch_command, run_launch_command
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

    report = commands.add_parser("report", help="what is in a bag, and how good it is", description=_run_report.__doc__)
    report.add_argument("bag", type=Path, help="rosbag2 folder or .mcap file")
    report.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    report.set_defaults(run=_run_report)

    recover = commands.add_parser("recover", help="repair a bag that was cut off", description=_run_recover.__doc__)
    recover.add_argument("bag", type=Path, help="rosbag2 folder or .mcap file; it is left as it is")
    recover.add_argument("--output", type=Path, help="folder to make; default: BAG_recovered")
    recover.set_defaults(run=_run_recover)

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


def _run_report(options: argparse.Namespace) -> int:
    """Report rates, gaps, jitter, left-right skew and drops of every topic of a bag."""
    from firsthand.bags.report import report_bag

    report = report_bag(options.bag)
    print(report)
    if options.json is not None:
        options.json.write_text(report.to_json() + "\n", encoding="utf-8")
    return 0


def _run_recover(options: argparse.Namespace) -> int:
    """Copy every whole chunk of a bag that was cut off into a new one, with index and metadata.yaml."""
    from firsthand.bags.recover import recover_bag

    print(recover_bag(options.bag, options.output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
