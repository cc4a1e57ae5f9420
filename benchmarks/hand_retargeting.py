"""Hand retargeting, measured: time per hand, fingertip error, and whether pinches stay pinches.

    python benchmarks/hand_retargeting.py [--hand dfx|ftp] [--json FILE]

Three streams at 60 Hz: `robot`, fingertips of the robot's own hands (what a policy trained on it asks for); `person`, a
kinematic human hand with the proportions of a headset's 25-joint skeleton, through fists, points, grasps and pinches in
which thumb and finger touch; `broken`, the person with lost and absurd fingertips (errors are those of the others).
Time is CPU time of this thread; the last line says how busy the machine was.
"""

import argparse
import itertools
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.robot.description import urdf
from firsthand.robot.hand_retargeting import DEFAULT, HandRetargeting, HandRetargetingSettings, TipCalibration
from firsthand.robot.joints import HANDS_SLICE
from firsthand.robot.model import RobotModel
from firsthand.space.hand_state import FINGERS
from firsthand.space.rotations import matrix_from_rotation_vector

Array = NDArray[np.floating]

TOUCH = 0.012  # [m] between the bones' ends of two fingertips whose skins touch
LONGEST_HAND = 0.25  # [m], wrist to fingertip
FRAMES_PER_MOVE = 36  # at 60 Hz, 0.6 s
MIRROR = np.array([1.0, -1.0, 1.0])


def main() -> None:
    """Run every row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hand", choices=("dfx", "ftp"), default="dfx")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    model = RobotModel.load(urdf(arguments.hand))
    person = person_stream()
    open_hand = both_hands(fingertips(OPEN))
    calibrated = TipCalibration.from_open_hands(model, open_hand, touch=TOUCH)
    raw = TipCalibration(np.zeros((2, 5, 3)), np.zeros((2, 5, 3)), np.full((2, 5), 1.2), TOUCH)
    without_pinch = replace(DEFAULT, pinch_weight=0.0)
    rows = [
        measure("robot", model, robot_stream(model), None, DEFAULT),
        measure("person", model, person, calibrated, DEFAULT),
        measure("person, no pinch terms", model, person, calibrated, without_pinch),
        measure("person, raw tips x 1.2", model, person, raw, DEFAULT),
        measure("broken", model, break_stream(person), calibrated, DEFAULT),
    ]
    print_table(rows)
    print(f"(one numpy addition of 12 numbers took {addition_time():.2f} us; an idle core needs 0.3 to 0.4)")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        print(arguments.json)


def measure(
    name: str, model: RobotModel, stream: Array, calibration: TipCalibration | None, settings: HandRetargetingSettings
) -> dict[str, object]:
    """Follow a stream (frames, 2, 5, 3) and gather what matters."""
    retargeting = HandRetargeting(model, calibration, settings)
    touch = 0.0 if calibration is None else calibration.touch
    q = settle(retargeting, stream[0], model.neutral[HANDS_SLICE])
    lower, upper = model.lower[HANDS_SLICE], model.upper[HANDS_SLICE]
    times, errors, steps, pinches, outside = [], [], [], [], 0.0
    for tips in stream:
        start = time.thread_time()
        result = retargeting.solve(tips, q)
        times.append((time.thread_time() - start) / 2 * 1e6)
        errors.append(result.error * 1e3)
        steps.append(np.abs(result.q - q).max())
        outside = max(outside, float((lower - result.q).max()), float((result.q - upper).max()))
        q = result.q
        pinches += pinch_errors(model, tips, q, touch)
    error = np.where(honest(stream), np.array(errors), np.nan)
    return {
        "stream": name,
        "frames": len(stream),
        "us_per_hand_p50": float(np.percentile(times, 50)),
        "us_per_hand_p99": float(np.percentile(times, 99)),
        "mean_mm": float(np.nanmean(error)),
        "p95_mm": float(np.nanpercentile(error, 95)),
        "by_finger_mm": dict(zip(FINGERS, np.nanmean(error, axis=(0, 1)).tolist(), strict=True)),
        "pinch_frames": len(pinches),
        "pinch_distance_error_mm": float(np.mean(pinches) * 1e3) if pinches else None,
        "largest_step_rad": float(np.max(steps)),
        "outside_limits_rad": outside,
    }


def honest(stream: Array) -> NDArray[np.bool_]:
    """(frames, 2, 5): fingertips that could belong to a hand."""
    return np.linalg.norm(stream, axis=-1) < LONGEST_HAND  # false for NaN


def settle(retargeting: HandRetargeting, tips: Array, q: Array) -> Array:
    """Where the hands are once they have had time for the first frame."""
    for _ in range(20):
        q = retargeting.solve(tips, q).q
    return q


def pinch_errors(model: RobotModel, tips: Array, q_hands: Array, touch: float) -> list[float]:
    """For each closed pinch of the target: how far the robot's thumb and finger are from that distance, [m]."""
    wanted = np.linalg.norm(tips[:, :1] - tips[:, 1:], axis=-1)
    q = model.neutral.copy()
    q[HANDS_SLICE] = q_hands
    met = model.hand_state(q).fingertips_in_wrist
    distance = np.linalg.norm(met[:, :1] - met[:, 1:], axis=-1)
    closed = wanted < TOUCH + 0.002
    return list(np.abs(distance[closed] - np.maximum(wanted[closed] - touch, 0.0)))


def addition_time() -> float:
    """[us]: the yardstick for a machine that others use too."""
    numbers = np.zeros(12)
    start = time.thread_time()
    for _ in range(20_000):
        numbers + numbers
    return (time.thread_time() - start) / 20_000 * 1e6


def print_table(rows: list[dict[str, object]]) -> None:
    """One line for each row."""
    head = ("stream", "us/hand p50", "p99", "mean mm", "p95 mm", "pinch mm (frames)", "step rad", "outside")
    print(("{:<24}" + "{:>12}{:>8}{:>10}{:>9}{:>20}{:>10}{:>9}").format(*head))
    for row in rows:
        pinch = "-" if row["pinch_frames"] == 0 else f"{row['pinch_distance_error_mm']:.1f} ({row['pinch_frames']})"
        print(
            f"{row['stream']:<24}{row['us_per_hand_p50']:>12.0f}{row['us_per_hand_p99']:>8.0f}{row['mean_mm']:>10.2f}"
            f"{row['p95_mm']:>9.2f}{pinch:>20}{row['largest_step_rad']:>10.3f}{max(row['outside_limits_rad'], 0):>9.0e}"
        )
    for row in rows:
        print(f"{row['stream']:<24}" + "  ".join(f"{f} {e:.1f}" for f, e in row["by_finger_mm"].items()))


# ---- the person: a right hand in its wrist frame (x along the fingers, y to the thumb, z out of the back) ----


@dataclass(frozen=True)
class Pose:
    """What a person does with one hand. Angles in [rad]."""

    curl: tuple[float, float, float, float]  # of the knuckles, index to little; the other joints follow
    spread: float  # of the fingers
    oppose: float  # the thumb turns in front of the palm
    bend: float  # of the thumb's two outer joints


OPEN = Pose((0.0, 0.0, 0.0, 0.0), 0.0, 0.0, 0.0)
RELAXED = Pose((0.35, 0.4, 0.45, 0.5), 0.0, 0.35, 0.2)
FIST = Pose((1.25, 1.3, 1.3, 1.3), 0.0, 0.9, 0.7)
POINT = Pose((0.05, 1.25, 1.3, 1.3), 0.0, 0.8, 0.6)
GRASP = Pose((0.6, 0.6, 0.6, 0.6), 0.06, 0.9, 0.2)
HALF = Pose((0.8, 0.2, 0.7, 0.3), 0.05, 0.5, 0.4)

KNUCKLES = np.array([[0.092, 0.024, 0.0], [0.096, 0.002, 0.003], [0.089, -0.018, 0.0], [0.079, -0.036, -0.005]])
PHALANGES = np.array(
    [[0.041, 0.024, 0.020], [0.045, 0.028, 0.021], [0.041, 0.027, 0.021], [0.033, 0.020, 0.019]]
)  # [m]
FAN = np.array([1.0, 0.0, -0.8, -1.8])  # how the fingers share a spread
THUMB_ROOT = np.array([0.022, 0.026, -0.010])
THUMB_BONES = (0.045, 0.033, 0.026)  # [m]
THUMB_AT_REST = np.array([0.55, 0.80, -0.22])  # direction of the metacarpal with the hand flat
THUMB_OPPOSED = np.array([0.78, 0.05, -0.62])  # and in front of the palm
THUMB_BENDS_TO = np.array([0.0, -0.8, -0.6])  # where its tip goes with the hand flat


def fingertips(pose: Pose) -> Array:
    """(5, 3), thumb to little, of a right hand."""
    fingers = [finger_tip(i, pose.curl[i], pose.spread * FAN[i]) for i in range(4)]
    return np.array([thumb_tip(pose.oppose, pose.bend), *fingers])


def finger_tip(finger: int, curl: float, spread: float) -> Array:
    """A finger whose outer joints bend 1.1 and 0.7 times as far as its knuckle."""
    angles = np.cumsum([curl, 1.1 * curl, 0.7 * curl])
    along = np.array([np.cos(angles), np.zeros(3), -np.sin(angles)]).T  # curling turns x towards -z, the palm
    tip = (PHALANGES[finger][:, None] * along).sum(axis=0)
    return KNUCKLES[finger] + matrix_from_rotation_vector(np.array([0.0, 0.0, spread])) @ tip


def thumb_tip(oppose: float, bend: float) -> Array:
    """A thumb that swings in front of the palm (`oppose` = 1) and bends towards the fingers."""
    swing = matrix_from_rotation_vector(oppose * turn(THUMB_AT_REST, THUMB_OPPOSED))
    direction = swing @ (THUMB_AT_REST / np.linalg.norm(THUMB_AT_REST))
    axis = np.cross(direction, swing @ THUMB_BENDS_TO)
    axis /= np.linalg.norm(axis)
    tip = THUMB_ROOT
    for bone, angle in zip(THUMB_BONES, (0.0, 1.0, 2.1), strict=True):
        tip = tip + bone * matrix_from_rotation_vector(axis * angle * bend) @ direction
    return tip


def turn(start: Array, end: Array) -> Array:
    """The shortest rotation from one direction to another, as a rotation vector."""
    axis = np.cross(start, end)
    return axis / np.linalg.norm(axis) * np.arctan2(np.linalg.norm(axis), start @ end)


def pinch(fingers: tuple[int, ...], others: float = 0.35) -> Pose:
    """The pose in which the thumb touches these fingers (0 index to 3 little), found by Gauss-Newton."""

    def pose(x: Array) -> Pose:
        curl = [others] * 4
        for finger, angle in zip(fingers, x[2:], strict=True):
            curl[finger] = angle
        return Pose(tuple(curl), 0.0, x[0], x[1])

    def residual(x: Array) -> Array:
        tips = fingertips(pose(x))
        gaps = [np.linalg.norm(tips[0] - tips[1 + finger]) - TOUCH for finger in fingers]
        return np.array([*gaps, *(0.002 * (x - rest))])

    rest = np.array([1.0, 0.2, *[0.8] * len(fingers)])
    x = rest.copy()
    for _ in range(60):
        slope = np.array([(residual(x + d) - residual(x - d)) / 2e-5 for d in 1e-5 * np.eye(len(x))]).T
        step = np.linalg.lstsq(slope, -residual(x), rcond=None)[0]
        x = np.clip(x + np.clip(step, -0.2, 0.2), [0.0, 0.0, *[0.0] * len(fingers)], [1.5, 0.9, *[1.4] * len(fingers)])
    return pose(x)


# ---- the streams: (frames, 2, 5, 3) ----


def person_stream() -> Array:
    """Both hands through every pose, the left one pose ahead of the right."""
    poses = [OPEN, RELAXED, pinch((0,)), OPEN, pinch((1,)), GRASP, FIST, POINT, pinch((0, 1)), HALF, pinch((2,)), OPEN]
    right = moves(poses)
    left = np.roll(right, FRAMES_PER_MOVE, axis=0) * MIRROR
    return np.stack([left, right], axis=1)


def moves(poses: list[Pose]) -> Array:
    """(frames, 5, 3): smooth moves from pose to pose, with a rest at each."""
    values = np.array([[*pose.curl, pose.spread, pose.oppose, pose.bend] for pose in poses])
    ramp = np.linspace(0.0, 1.0, FRAMES_PER_MOVE)
    ramp = np.concatenate([ramp**3 * (10 - 15 * ramp + 6 * ramp**2), np.ones(FRAMES_PER_MOVE // 2)])
    path = np.concatenate([a + ramp[:, None] * (b - a) for a, b in itertools.pairwise(values)])
    return np.array([fingertips(Pose(tuple(v[:4]), *v[4:])) for v in path])


def both_hands(right: Array) -> Array:
    """(2, 5, 3) from one right hand (5, 3)."""
    return np.stack([right * MIRROR, right])


def robot_stream(model: RobotModel) -> Array:
    """Fingertips of the robot's own hands moving between random postures."""
    generator = np.random.default_rng(0)
    keys = generator.uniform(model.lower[HANDS_SLICE], model.upper[HANDS_SLICE], (16, 12))
    ramp = np.linspace(0.0, 1.0, FRAMES_PER_MOVE)
    ramp = ramp**3 * (10 - 15 * ramp + 6 * ramp**2)
    start = model.neutral[HANDS_SLICE]
    path = np.concatenate([a + ramp[:, None] * (b - a) for a, b in zip([start, *keys[:-1]], keys, strict=True)])
    q = model.neutral.copy()
    stream = []
    for hands in path:
        q[HANDS_SLICE] = hands
        stream.append(model.hand_state(q).fingertips_in_wrist)
    return np.array(stream)


def break_stream(stream: Array) -> Array:
    """Lost fingertips (NaN) and absurd ones (a metre away), a tenth each."""
    generator = np.random.default_rng(1)
    broken = stream.copy()
    fate = generator.uniform(size=stream.shape[:-1])
    broken[fate < 0.1] = np.nan
    absurd = generator.normal(size=(int((fate > 0.9).sum()), 3))
    broken[fate > 0.9] = absurd + np.sign(absurd) * 2 * LONGEST_HAND
    return broken


if __name__ == "__main__":
    main()
