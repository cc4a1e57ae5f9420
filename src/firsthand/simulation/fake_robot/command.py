"""`firsthand fake-robot`: its options, and its life until Ctrl-C."""

import argparse
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from firsthand.errors import SimulationError
from firsthand.realtime import take_precedence
from firsthand.robot.joints import HANDS_KNOWN

if TYPE_CHECKING:
    from firsthand.simulation.fake_robot.robot import FakeRobot

DESCRIPTION = """Be an H1-2 with Inspire hands on the network: Unitree's DDS in front, physics behind, no GPU.

  firsthand fake-robot                                      in sport mode: send rt/arm_sdk
  firsthand launch teleop body:=h1_2 dds_domain:=1 cameras:=none      ... driven by hand, in a second terminal
  firsthand fake-robot --mode debug --hand none             send rt/lowcmd, as far-unitree-sdk does
  firsthand fake-robot --camera --task push --seed 10000    it sees: prints the launch of a policy that drives it

Any client of unitree_sdk2 can drive it: ChannelFactoryInitialize(1, "lo"). It listens on loopback unless --interface
names another. rt/lowcmd needs the right checksum and mode_machine and is obeyed in debug mode; clients get there by
ReleaseMode of the motion switcher. rt/arm_sdk is obeyed in sport mode. Ctrl-C ends it.

A trial begins when somebody takes the arms, and is judged here: "success after X s". SIGUSR1 puts up the scene of the
next seed, the robot as it starts there; with --trials that happens by itself when the arms are given back afterwards.

With --camera the head's stereo camera is served as a ZED on USB is read: 1280x720 side by side, YUYV, raw, with the
factory's calibration in a file. It renders in a process of its own and only while somebody looks. On a computer that is
too slow for a policy, --speed 0.2 lets the robot live in slow motion, and real_time_factor:=0.2 whoever drives it."""

REPORT_PERIOD = 5.0  # [s]
MODES = ("sport", "debug")
SWITCH_INTERVAL = 0.0005  # [s]
PRIORITY = 20  # as those who drive it have


def add_fake_robot_command(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description, parser.formatter_class = DESCRIPTION, argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--interface", default="", help="network interface; default: loopback, nothing leaves this machine"
    )
    parser.add_argument("--domain", type=int, default=1, help="DDS domain; default 1, as simulators use; a robot has 0")
    parser.add_argument("--mode", choices=MODES, default="sport", help="what it starts in; default sport")
    parser.add_argument("--hand", choices=(*HANDS_KNOWN, "none"), default="dfx", help="Inspire hands; default dfx")
    parser.add_argument("--task", default="push", help="what stands before it; default push")
    parser.add_argument("--variant", choices=("id", "ood"), default="id", help="of the task")
    parser.add_argument("--seed", type=int, default=0, help="of the task")
    parser.add_argument(
        "--mode-machine", type=int, default=6, metavar="N", help="the kind of robot it says it is; default 6"
    )
    parser.add_argument("--strict", action="store_true", help="ask for checksum and mode_machine on rt/arm_sdk too")
    parser.add_argument("--camera", action="store_true", help="serve what the head's stereo camera sees")
    parser.add_argument("--camera-port", type=int, default=5600, help="of the pictures, on this machine; default 5600")
    parser.add_argument(
        "--camera-rate", type=float, default=10.0, help="pairs a second of the robot's time; default 10"
    )
    parser.add_argument("--camera-calibration", default="", metavar="FILE", help="where the factory's file is written")
    parser.add_argument(
        "--trials", type=int, default=0, help="end after so many, each of the next seed; default: never"
    )
    parser.add_argument("--speed", type=float, default=1.0, help="of its time, 0.01 to 1; default 1")
    parser.add_argument("--seconds", type=float, default=0.0, help="end by itself; default 0: run until Ctrl-C")
    parser.set_defaults(run=run_fake_robot)


def run_fake_robot(options: argparse.Namespace) -> int:
    """Run it until a signal, or for so long; says every few seconds how it does.

    Raises:
        RobotError: No DDS to speak to anybody.
        SimulationError: An option that does not fit, or MuJoCo is missing.
    """
    try:
        from firsthand.simulation.fake_robot.camera_settings import HeadCameraSettings
        from firsthand.simulation.fake_robot.firmware import FirmwareSettings
        from firsthand.simulation.fake_robot.robot import FakeRobot, FakeRobotSettings
    except ImportError as error:
        raise SimulationError(f"the fake robot needs MuJoCo (pip install 'firsthand[sim]'): {error}") from error
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    sys.setswitchinterval(SWITCH_INTERVAL)
    take_precedence(PRIORITY)  # a robot has its computer for itself
    try:
        where = FakeRobotSettings(
            options.interface, options.domain, options.hand, options.task, options.variant, options.seed,
            options.speed, options.trials,
        )  # fmt: skip
        firmware = FirmwareSettings(options.mode, options.mode_machine, options.strict)
    except ValueError as error:
        raise SimulationError(str(error)) from error
    camera = (
        HeadCameraSettings(options.camera_port, options.camera_rate, options.camera_calibration)
        if options.camera
        else None
    )
    robot = FakeRobot(where, firmware, camera, tell=lambda text: print(text, flush=True))
    signal.signal(signal.SIGUSR1, lambda *_: robot.ask_for_next_scene())
    print(_introduce(robot), flush=True)
    try:
        _serve(robot, stop, options.seconds)
    finally:
        print(robot.describe(), flush=True)
        robot.close()
    return 0


def _introduce(robot: "FakeRobot") -> str:
    s = robot.settings
    text = (
        f"an H1-2 ({s.hand} hands, {s.task}) on DDS domain {s.domain}, interface {s.interface or 'lo'}; Ctrl-C ends it"
    )
    if robot.camera is None:
        return text
    slow = f" real_time_factor:={s.speed:g}" if s.speed != 1.0 else ""
    launch = (
        f"firsthand launch rollout body:=h1_2 dds_domain:={s.domain} cameras:=uvc device:={robot.camera.address} "
        f"camera_calibration:={robot.camera.calibration_file} camera_rate:={robot.camera.settings.rate:g}{slow}"
    )
    return f"{text}\nit sees; in a second terminal: {launch}"


def _serve(robot: "FakeRobot", stop: threading.Event, seconds: float) -> None:
    end = time.monotonic() + seconds if seconds > 0 else float("inf")
    told = time.monotonic()
    for _ in robot.ticks(stop):
        now = time.monotonic()
        if now > end:
            return
        if now - told > REPORT_PERIOD:
            told = now
            print(robot.describe(), flush=True)
