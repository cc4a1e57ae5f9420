"""Does a 1-Euro filter on the operator's hands pay? Jitter of the commanded robot against the lag that it adds.

    python benchmarks/hand_smoothing.py [--noise 1.0] [--seconds 4]

A person in a headset at 90 Hz leads the robot through session and command stream, at 250 Hz and in a time of its own.
Noise on every tracked joint of the hand: white, `--noise` mm RMS an axis, and as much again that wanders (correlated
over 50 ms), the same for every setting. What noise does is the difference to the same run without it. Jitter is
measured with hands that all but rest, and with hands that swing through 10 to 14 cm; lag is by how much the commanded
wrists, and the commanded fingers, trail those of a run without filter, swinging.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.headset.hand_motion import GeneratedMotion
from firsthand.headset.hands_sample import HandsSample
from firsthand.nodes.command_stream import CommandStream
from firsthand.nodes.messages import SECOND, JointReading, StampedHandState
from firsthand.robot.bodies.interface import TICK, TICK_NS
from firsthand.robot.joints import ARMS_SLICE, HANDS_SLICE
from firsthand.robot.model import RobotModel
from firsthand.teleoperation.session import Teleoperation
from firsthand.teleoperation.settings import TeleoperationSettings
from firsthand.teleoperation.smoothing import SmoothingSettings

Array = NDArray[np.floating]

RATE = 90.0  # [Hz]
WANDERS = 0.05  # [s]
SETTLING = 3.5  # [s]
LAGS = np.arange(0.0, 0.15, 0.002)  # [s]
SETTINGS = {
    "no filter": None,
    "1 Hz, 20": SmoothingSettings(1.0, 20.0, 2.0),
    "1 Hz, 100": SmoothingSettings(1.0, 100.0, 5.0),
    "2 Hz, 200": SmoothingSettings(2.0, 200.0, 10.0),
    "4 Hz, 400": SmoothingSettings(4.0, 400.0, 20.0),
}


@dataclass(frozen=True)
class Run:
    """What was commanded, tick by tick."""

    wrists: Array  # (n, 6), [m]
    joints: Array  # (n, 26), [rad]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noise", type=float, default=1.0, help="[mm]; default 1")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS, help="default all")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured in each run; default 4")
    options = parser.parse_args()
    model = RobotModel.load()
    print("| filter: cutoff, beta | at rest: wrist mm, arms deg, fingers deg | swinging | lag ms: wrists, fingers |")
    print("|---|---|---|---|")
    unfiltered = None
    for name in options.settings:
        smoothing = SETTINGS[name]
        cells, clean = [], None
        for motion in ("still", "reach"):
            clean = run(model, motion, smoothing, 0.0, options.seconds)
            cells.append(jitter(run(model, motion, smoothing, options.noise / 1e3, options.seconds), clean))
        unfiltered = unfiltered or clean
        wrists = lag(unfiltered.wrists, clean.wrists)
        fingers = lag(unfiltered.joints[:, HANDS_SLICE], clean.joints[:, HANDS_SLICE])
        print(f"| {name} | {cells[0]} | {cells[1]} | {wrists:.0f}, {fingers:.0f} |", flush=True)


def run(model: RobotModel, motion: str, smoothing: SmoothingSettings | None, noise: float, seconds: float) -> Run:
    """Lead the robot for some seconds after it has come to where the hands are; `noise` in [m]."""
    person, noises = GeneratedMotion(motion), JointNoise(noise)
    session = Teleoperation(model, TeleoperationSettings(clutch="pedal", smoothing=smoothing))
    stream = CommandStream(RobotModel.load())
    stream.set_source("teleop")
    session.hear_source("teleop")
    session.hear_gate("active")
    joints, commanded, samples = model.neutral, [], 0
    for tick in range(round((SETTLING + seconds) / TICK)):
        now_ns = SECOND + tick * TICK_NS
        if tick % 5 == 0:
            session.hear_pedal(now_ns, tick > 10)
            session.hear_robot(now_ns, model.hand_state(joints).to_vector())
        if samples / RATE <= tick * TICK:
            output = session.take(noises.added_to(person, samples / RATE, now_ns), now_ns)
            samples += 1
            if output.target is not None:
                stream.set_target(StampedHandState(now_ns, output.target))
        stream.set_joints(JointReading(now_ns, joints, None))
        command = stream.step(now_ns)
        joints = joints if command is None else command.positions
        commanded.append(joints)
    assert session.state.value == "following", session.state
    path = np.array(commanded[round(SETTLING / TICK) :])
    return Run(np.array([model.hand_state(q).wrist_positions.ravel() for q in path]), path)


class JointNoise:
    """Of a headset that sees hands not quite where they are."""

    def __init__(self, noise: float) -> None:
        self._noise, self._rng = noise, np.random.default_rng(5)
        self._wandered: Array = np.zeros((2, 25, 3))

    def added_to(self, motion: GeneratedMotion, time: float, stamp_ns: int) -> HandsSample:
        """What the headset sees of a person at a time, [s]."""
        keep = np.exp(-1 / RATE / WANDERS)
        push = self._noise * np.sqrt(1 - keep**2)
        self._wandered = keep * self._wandered + push * self._rng.standard_normal((2, 25, 3))
        person = motion.at(time)
        joints = person.wrists[:, None] @ person.joints
        joints[..., :3, 3] += self._wandered + self._noise * self._rng.standard_normal((2, 25, 3))
        return HandsSample(stamp_ns, person.head, joints, (True, True))


def jitter(noisy: Run, clean: Run) -> str:
    """RMS of what noise did: wrists [mm], arm joints [deg], hand joints [deg]."""
    wrists = 1e3 * np.sqrt(np.square((noisy.wrists - clean.wrists).reshape(-1, 3)).sum(axis=1).mean())
    arms, hands = (np.rad2deg(rms((noisy.joints - clean.joints)[:, part])) for part in (ARMS_SLICE, HANDS_SLICE))
    return f"{wrists:.2f}, {arms:.2f}, {hands:.2f}"


def rms(values: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.square(values).mean()))


def lag(first: Array, second: Array) -> float:
    """By how much one path (n, m) trails another at best, [ms]."""
    times = np.arange(len(first)) * TICK
    inside = times > LAGS[-1]

    def mismatch(by: float) -> float:
        moved = np.stack([np.interp(times[inside] - by, times, column) for column in first.T], axis=1)
        return rms(moved - second[inside])

    return 1e3 * float(LAGS[np.argmin([mismatch(by) for by in LAGS])])


if __name__ == "__main__":
    main()
