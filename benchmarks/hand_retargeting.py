"""Hand retargeting, measured: time per hand, fingertip error, and whether pinches stay pinches.

    python benchmarks/hand_retargeting.py [--hand dfx|ftp] [--json FILE]

Three streams at 60 Hz: `robot`, fingertips of the robot's own hands (what a policy trained on it asks for); `person`, a
kinematic human hand with the proportions of a headset's 25-joint skeleton, through fists, points, grasps and pinches in
which thumb and finger touch; `broken`, the person with lost and absurd fingertips (errors are those of the others).
Where dex-retargeting is installed, it gets the person's stream too. Its fingertips are wanted elsewhere (1.15 times the
person's, from the wrist), so errors are told against both wishes; a pinch is a pinch for both.
Time is CPU time of this thread; the last line says how busy the machine was.
"""

import argparse
import importlib.util
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from dex_peer import SCALING, DexRetargeting
from numpy.typing import NDArray

from firsthand.headset.hand_frames import MIRROR
from firsthand.headset.hand_model import (
    FIST,
    GRASP,
    HALF,
    OPEN,
    POINT,
    RELAXED,
    TOUCH,
    HandPose,
    fingertips,
    pinch,
)
from firsthand.robot.description import urdf
from firsthand.robot.hand_retargeting import DEFAULT, HandRetargeting, HandRetargetingSettings, TipCalibration
from firsthand.robot.joints import HANDS_SLICE
from firsthand.robot.model import RobotModel
from firsthand.space.hand_state import FINGERS

Array = NDArray[np.floating]

LONGEST_HAND = 0.25  # [m], wrist to fingertip
FRAMES_PER_MOVE = 36  # at 60 Hz, 0.6 s


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
    ours = [
        ("robot", robot_stream(model), None, DEFAULT),
        ("person", person, calibrated, DEFAULT),
        ("person, no pinch terms", person, calibrated, without_pinch),
        ("person, raw tips x 1.2", person, raw, DEFAULT),
        ("broken", break_stream(person), calibrated, DEFAULT),
    ]
    rows = [measure_ours(name, model, *how) for name, *how in ours]
    rows += measure_peers(model, person, calibrated) if arguments.hand == "dfx" else []
    print_table(rows)
    print(f"(one numpy addition of 12 numbers took {addition_time():.2f} us; an idle core needs 0.3 to 0.4)")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        print(arguments.json)


def measure_ours(
    name: str, model: RobotModel, stream: Array, calibration: TipCalibration | None, settings: HandRetargetingSettings
) -> dict[str, object]:
    """A stream (frames, 2, 5, 3) by our own."""
    retargeting = HandRetargeting(model, calibration, settings)
    wish = (lambda tips: tips) if calibration is None else calibration.targets
    touch = 0.0 if calibration is None else calibration.touch
    return measure(name, model, stream, lambda tips, q: retargeting.solve(tips, q).q, wish, touch)


def measure_peers(model: RobotModel, person: Array, calibrated: TipCalibration) -> list[dict[str, object]]:
    """The person's stream by dex-retargeting, or nothing where that is not installed."""
    if importlib.util.find_spec("dex_retargeting") is None:
        print("(dex-retargeting is not installed: see benchmarks/dex_peer.py)")
        return []
    return [
        measure(f"dex-retargeting {kind}", model, person, DexRetargeting(model, kind).solve, calibrated.targets, TOUCH)
        for kind in ("vector", "dexpilot")
    ]


def measure(
    name: str,
    model: RobotModel,
    stream: Array,
    solve: Callable[[Array, Array], Array],
    wish: Callable[[Array], Array],
    touch: float,
) -> dict[str, object]:
    """Follow a stream (frames, 2, 5, 3) and gather what matters.

    Args:
        name: Of the row.
        model: The robot.
        stream: A person's fingertips.
        solve: From fingertips (2, 5, 3) and the angles before (12,) to angles (12,).
        wish: Where the robot's fingertips are wanted for those of the person.
        touch: Distance of tracked fingertips that touch, [m].
    """
    q = model.neutral[HANDS_SLICE]
    for _ in range(20):  # time for the first frame
        q = solve(stream[0], q)
    lower, upper = model.lower[HANDS_SLICE], model.upper[HANDS_SLICE]
    times, errors, scaled, steps, pinches, outside = [], [], [], [], [], 0.0
    for tips in stream:
        start = time.thread_time()
        found = solve(tips, q)
        times.append((time.thread_time() - start) / 2 * 1e6)
        met = tips_of(model, found)
        errors.append(np.linalg.norm(met - wish(tips), axis=-1) * 1e3)
        scaled.append(np.linalg.norm(met - SCALING * tips, axis=-1) * 1e3)
        steps.append(np.abs(found - q).max())
        outside = max(outside, float((lower - found).max()), float((found - upper).max()))
        q = found
        pinches.append(pinch_errors(tips, met, touch) * 1e3)
    kept, pinch = honest(stream), np.array(pinches)
    error, scaled_error = (np.where(kept, np.array(values), np.nan) for values in (errors, scaled))
    return {
        "stream": name,
        "frames": len(stream),
        "us_per_hand_p50": float(np.percentile(times, 50)),
        "us_per_hand_p99": float(np.percentile(times, 99)),
        "mean_mm": float(np.nanmean(error)),
        "p95_mm": float(np.nanpercentile(error, 95)),
        "mean_mm_to_scaled_tips": float(np.nanmean(scaled_error)),
        "by_finger_mm": dict(zip(FINGERS, np.nanmean(error, axis=(0, 1)).tolist(), strict=True)),
        "pinch_frames": [int(frames) for frames in np.isfinite(pinch).sum(axis=(0, 1))],
        "pinch_error_mm": [
            float(np.nanmean(one)) if np.isfinite(one).any() else None for one in pinch.transpose(2, 0, 1)
        ],
        "largest_step_rad": float(np.max(steps)),
        "outside_limits_rad": outside,
    }


def honest(stream: Array) -> NDArray[np.bool_]:
    """(frames, 2, 5): fingertips that could belong to a hand."""
    return np.linalg.norm(stream, axis=-1) < LONGEST_HAND  # false for NaN


def tips_of(model: RobotModel, q_hands: Array) -> Array:
    """The robot's fingertips (2, 5, 3), [m]."""
    q = model.neutral.copy()
    q[HANDS_SLICE] = q_hands
    return model.hand_state(q).fingertips_in_wrist


def pinch_errors(tips: Array, met: Array, touch: float) -> Array:
    """How far the robot's tips are from the gap of a pinch that the person closes, (2, 4), [m]; NaN where none."""
    wanted, apart = (np.linalg.norm(hands[:, :1] - hands[:, 1:], axis=-1) for hands in (tips, met))
    return np.where(wanted < TOUCH + 0.002, np.abs(apart - np.maximum(wanted - touch, 0.0)), np.nan)


def addition_time() -> float:
    """[us]: the yardstick for a machine that others use too."""
    numbers = np.zeros(12)
    start = time.thread_time()
    for _ in range(20_000):
        numbers + numbers
    return (time.thread_time() - start) / 20_000 * 1e6


def print_table(rows: list[dict[str, object]]) -> None:
    """One line for each row."""
    head = (
        "stream",
        "us/hand p50",
        "p99",
        "mean mm",
        "p95",
        "to 1.15 tips",
        "pinch mm, index to little",
        "step rad",
        "outside",
    )
    print(("{:<24}" + "{:>12}{:>8}{:>9}{:>7}{:>14}{:>27}{:>10}{:>9}").format(*head))
    for row in rows:
        closed = " ".join("-" if error is None else f"{error:.1f}" for error in row["pinch_error_mm"])
        print(
            f"{row['stream']:<24}{row['us_per_hand_p50']:>12.0f}{row['us_per_hand_p99']:>8.0f}{row['mean_mm']:>9.2f}"
            f"{row['p95_mm']:>7.2f}{row['mean_mm_to_scaled_tips']:>14.2f}{closed:>27}{row['largest_step_rad']:>10.3f}"
            f"{max(row['outside_limits_rad'], 0):>9.0e}"
        )
    frames = dict(zip(FINGERS[1:], rows[1]["pinch_frames"], strict=True))
    print(f"(the person closes pinches of thumb and {frames} frames, both hands)")
    for row in rows:
        print(f"{row['stream']:<26}" + "  ".join(f"{f} {e:.1f}" for f, e in row["by_finger_mm"].items()))


# ---- the streams: (frames, 2, 5, 3) ----


def person_stream() -> Array:
    """Both hands through every pose, the left one pose ahead of the right."""
    poses = [OPEN, RELAXED, pinch((0,)), OPEN, pinch((1,)), GRASP, FIST, POINT, pinch((0, 1)), HALF, pinch((2,)), OPEN]
    right = moves(poses)
    left = np.roll(right, FRAMES_PER_MOVE, axis=0) * MIRROR
    return np.stack([left, right], axis=1)


def moves(poses: list[HandPose]) -> Array:
    """(frames, 5, 3): smooth moves from pose to pose, with a rest at each."""
    values = np.array([pose.vector() for pose in poses])
    ramp = np.linspace(0.0, 1.0, FRAMES_PER_MOVE)
    ramp = np.concatenate([ramp**3 * (10 - 15 * ramp + 6 * ramp**2), np.ones(FRAMES_PER_MOVE // 2)])
    path = np.concatenate([a + ramp[:, None] * (b - a) for a, b in itertools.pairwise(values)])
    return np.array([fingertips(HandPose.from_vector(v)) for v in path])


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
