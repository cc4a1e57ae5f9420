"""Arm inverse kinematics against pink (daqp) on the same target streams, in one run.

Five streams of wrist targets, made at 60 Hz and interpolated to control ticks of 250 Hz:

    reachable     forward kinematics of smooth joint motions clear of the body
    noisy         the same with white noise, 2 mm an axis and 1 degree
    human         smooth reaches whose orientations are a person's, beyond the robot's +-26 degrees of wrist pitch
    unreachable   the human ones, up to a metre away
    crossing      the hands swing through the chest and through each other

"ours, at the motors" is what leaves the whole chain of arm IK, governor and safety gate; the others are bare solutions.
Every solver takes one step a tick and feeds its own answer back; it has a second to settle on the first target. Time is
CPU time of the thread, so that neighbours on the machine count less; compare the ratios, not the microseconds, between
machines. Errors are against the target that was given, after the step. Jerk is the third difference of the joints.
"Over limit" is the worst breach of a position limit, or of the velocity limit times the tick. "Clearance" is the
smallest distance of any two capsules of the robot: below zero it would have hit itself.
"""

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pink
import pinocchio as pin
import tyro
from numpy.typing import NDArray
from pink.tasks import FrameTask, PostureTask

from firsthand.robot.arm_ik import ArmIk, ArmIkSettings
from firsthand.robot.arms import Arms
from firsthand.robot.collision import SelfCollision
from firsthand.robot.joints import ARMS_SLICE
from firsthand.robot.limits import Governor, JointLimits
from firsthand.robot.model import RobotModel
from firsthand.robot.safety_gate import Command, SafetyGate, SafetyGateSettings
from firsthand.space.frames import inverse, pose
from firsthand.space.rotations import matrix_from_rpy

Array = NDArray[np.floating]
Solver = Callable[[Array, Array], Array]  # wrist poses (2, 4, 4) in F_R and joints (14,) to the next joints (14,)

DT = 0.004  # [s]
TARGET_RATE = 60.0  # [Hz]
MAX_VELOCITY = 6.0  # [rad/s], the same for everyone
SETTLING = 250  # ticks on the first target before the clock runs


@dataclass(frozen=True)
class Settings:
    """Which streams, how long, where the numbers go."""

    seconds: float = 12.0
    """Length of each stream."""
    seed: int = 0
    """Streams are the same for the same seed."""
    streams: tuple[str, ...] = ("reachable", "noisy", "human", "unreachable", "crossing")
    """Which of the streams to run."""
    json: Path | None = None
    """Write settings, machine and every number here."""


@dataclass(frozen=True)
class Row:
    """What one solver did on one stream."""

    stream: str
    solver: str
    median_us: float
    p99_us: float
    times_ours: float  # median time over that of ours without self-collision
    position_median_mm: float
    position_p95_mm: float
    position_max_mm: float
    rotation_median_deg: float
    rotation_max_deg: float
    jerk_rms: float  # [rad/s^3]
    over_limit_rad: float
    clearance_mm: float


def main(settings: Settings) -> None:
    """Run every solver on every stream, print the table, write the JSON."""
    model = RobotModel.load()
    rows: list[Row] = []
    for name in settings.streams:
        targets = STREAMS[name](model, settings.seconds, np.random.default_rng(settings.seed))
        for solver_name, solver in solvers(model).items():
            rows.append(measure(name, solver_name, solver, targets, model, rows))
    print(table(rows))
    if settings.json is not None:
        document = {"machine": platform.processor() or platform.machine(), "settings": asdict(settings)}
        document["rows"] = [asdict(row) for row in rows]
        settings.json.write_text(json.dumps(document, indent=1, default=str), encoding="utf-8")
        print(settings.json)


# Solvers


def solvers(model: RobotModel) -> dict[str, Solver]:
    """Fresh ones for every stream: none carries memory over."""
    return {
        "ours": our_solver(model, self_collision=False),
        "ours + collision": our_solver(model, self_collision=True),
        "ours, at the motors": motor_commands(model),
        "pink": pink_solver(model),
    }


def our_solver(model: RobotModel, self_collision: bool) -> Solver:
    """`ArmIk` as it ships."""
    ik = ArmIk(model, ArmIkSettings(self_collision=self_collision, max_velocity=MAX_VELOCITY))
    return lambda wrist_poses, q: ik.solve(wrist_poses, q, DT).q


def motor_commands(model: RobotModel) -> Solver:
    """What the motors get: `ArmIk`, the kinematics' `Governor` (20 ms behind), then the `SafetyGate`."""
    solve = our_solver(model, self_collision=True)
    limits = JointLimits.from_model(model, MAX_VELOCITY)
    governor = Governor(limits, DT)
    gate = SafetyGate(limits, SafetyGateSettings(engage_time=DT), SelfCollision(model))
    gate.engage()
    solution = model.neutral.copy()
    governor.reset(solution)
    now_ns = 0

    def step(wrist_poses: Array, _: Array) -> Array:
        nonlocal now_ns
        now_ns += round(1e9 * DT)
        solution[ARMS_SLICE] = solve(wrist_poses, solution[ARMS_SLICE])
        return gate.step(now_ns, Command(now_ns, governor.step(solution)), model.neutral).positions[ARMS_SLICE]

    return step


def pink_solver(model: RobotModel) -> Solver:
    """pink's frame tasks with our weights, Levenberg-Marquardt damping and limits."""
    ours = ArmIkSettings()
    arms = Arms(model)
    arms.model.velocityLimit[:] = MAX_VELOCITY
    pelvis_from_robot = arms.torso_placement @ inverse(model.robot_from_torso)
    wrists = [FrameTask(f"{side}_wrist", 1.0, ours.rotation_weight, lm_damping=1.0) for side in ("left", "right")]
    posture = PostureTask(cost=1e-3)
    posture.set_target(model.neutral[ARMS_SLICE])
    configuration = pink.Configuration(arms.model, arms.data, model.neutral[ARMS_SLICE])

    def solve(wrist_poses: Array, q: Array) -> Array:
        configuration.update(q)
        for task, target in zip(wrists, pelvis_from_robot @ wrist_poses, strict=True):
            task.set_target(pin.SE3(target))
        velocity = pink.solve_ik(configuration, [*wrists, posture], DT, solver="daqp", safety_break=False)
        return q + velocity * DT

    return solve


def measure(stream: str, name: str, solver: Solver, targets: Array, model: RobotModel, done: list[Row]) -> Row:
    """Run a solver along (n, 2, 4, 4) targets in F_R."""
    q = model.neutral[ARMS_SLICE].copy()
    for _ in range(SETTLING):
        q = solver(targets[0], q)
    joints, seconds = [q], []
    for target in targets:
        begin = time.thread_time_ns()
        q = solver(target, q)
        seconds.append(1e-9 * (time.thread_time_ns() - begin))
        joints.append(q)
    trajectory = np.array(joints)
    position, rotation = errors(trajectory[1:], targets, model)
    ours = next((row.median_us for row in done if row.stream == stream), 1e6 * float(np.median(seconds)))
    return Row(
        stream=stream,
        solver=name,
        median_us=1e6 * float(np.median(seconds)),
        p99_us=1e6 * float(np.percentile(seconds, 99)),
        times_ours=1e6 * float(np.median(seconds)) / ours,
        position_median_mm=1e3 * float(np.median(position)),
        position_p95_mm=1e3 * float(np.percentile(position, 95)),
        position_max_mm=1e3 * float(position.max()),
        rotation_median_deg=float(np.rad2deg(np.median(rotation))),
        rotation_max_deg=float(np.rad2deg(rotation.max())),
        jerk_rms=float(np.sqrt(np.mean(np.square(np.diff(trajectory, n=3, axis=0) / DT**3)))),
        over_limit_rad=over_limit(trajectory, model),
        clearance_mm=1e3 * clearance(trajectory, model),
    )


def errors(trajectory: Array, targets: Array, model: RobotModel) -> tuple[Array, Array]:
    """Of both wrists at every tick: (n, 2) [m] and (n, 2) [rad]."""
    arms = Arms(model)
    robot_from_pelvis = model.robot_from_torso @ inverse(arms.torso_placement)
    position, rotation = np.empty((len(targets), 2)), np.empty((len(targets), 2))
    for tick, (q, target) in enumerate(zip(trajectory, targets, strict=True)):
        arms.update(q)
        for side in (0, 1):
            reached = robot_from_pelvis @ pose(arms.wrist_rotations[side], arms.wrist_positions[side])
            position[tick, side] = np.linalg.norm(target[side, :3, 3] - reached[:3, 3])
            rotation[tick, side] = np.linalg.norm(pin.log3(target[side, :3, :3] @ reached[:3, :3].T))
    return position, rotation


def over_limit(trajectory: Array, model: RobotModel) -> float:
    """[rad], the worst breach of a position limit or of the step that the velocity limit allows; 0 if there is none."""
    below = model.lower[ARMS_SLICE] - trajectory
    above = trajectory - model.upper[ARMS_SLICE]
    fast = np.abs(np.diff(trajectory, axis=0)) - MAX_VELOCITY * DT
    worst = max(below.max(), above.max(), fast.max())
    return float(worst) if worst > 1e-9 else 0.0


def clearance(trajectory: Array, model: RobotModel) -> float:
    """[m], the smallest distance between capsules along the way, every fifth tick."""
    collision = SelfCollision(model)
    return min(float(collision.distances(q).min()) for q in trajectory[::5])


# Streams: (n, 2, 4, 4) wrist poses in F_R at control ticks


def reachable(model: RobotModel, seconds: float, rng: np.random.Generator) -> Array:
    """Smooth motions between random postures around the natural one that do not touch the robot."""
    collision = SelfCollision(model)
    neutral = model.neutral[ARMS_SLICE]
    spread = np.tile([0.5, 0.2, 0.5, 0.5, 0.6, 0.3, 0.5], 2)

    def posture() -> Array:
        while True:
            q = neutral + spread * rng.uniform(-1, 1, 14)
            inside = np.clip(q, model.lower[ARMS_SLICE] + 0.05, model.upper[ARMS_SLICE] - 0.05)
            if collision.distances(inside).min() > 0.02:
                return inside

    def blend(start: Array, end: Array, fraction: float) -> Array:
        return wrist_poses(start + fraction * (end - start), model)

    return to_ticks(via(posture, blend, seconds, rng))


def noisy(model: RobotModel, seconds: float, rng: np.random.Generator) -> Array:
    """The reachable stream as a tracker would see it."""
    at_target_rate = reachable(model, seconds, rng)[:: round(1 / (TARGET_RATE * DT))].copy()
    for target in at_target_rate.reshape(-1, 4, 4):
        target[:3, 3] += rng.normal(0.0, 0.002, 3)
        target[:3, :3] = pin.exp3(rng.normal(0.0, np.deg2rad(1.0), 3)) @ target[:3, :3]
    return to_ticks(at_target_rate)


def human(model: RobotModel, seconds: float, rng: np.random.Generator, reach: float = 0.0) -> Array:
    """Straight reaches between random hand poses; `reach` [m] lets them go farther away."""

    def hands() -> Array:
        poses = []
        for side in (1.0, -1.0):
            roll, pitch, yaw = rng.uniform([-1.2, -0.9, -0.6], [0.3, 0.9, 0.9])
            position = rng.uniform([0.22, 0.05, 0.0], [0.42 + reach, 0.35 + reach, 0.35 + reach])
            poses.append(pose(matrix_from_rpy(side * -roll, pitch, side * -yaw), position * [1, side, 1]))
        return model.robot_from_torso @ np.array(poses)

    return to_ticks(via(hands, blend_poses, seconds, rng))


def unreachable(model: RobotModel, seconds: float, rng: np.random.Generator) -> Array:
    """The human stream, up to a metre away."""
    return human(model, seconds, rng, reach=0.6)


def crossing(model: RobotModel, seconds: float, rng: np.random.Generator) -> Array:
    """Left hand far to the right and back while the right hand does the opposite, deep and high as it comes."""
    start = wrist_poses(model.neutral[ARMS_SLICE], model)
    swapped = True

    def hands() -> Array:
        nonlocal swapped
        swapped = not swapped
        poses = start.copy()
        for side, sign in enumerate((1.0, -1.0)):
            across = -0.25 if swapped else 0.30
            in_torso = np.array([rng.uniform(0.05, 0.30), sign * across, rng.uniform(0.05, 0.40)])
            poses[side, :3, 3] = (model.robot_from_torso @ np.append(in_torso, 1.0))[:3]
        return poses

    return to_ticks(via(hands, blend_poses, seconds, rng))


STREAMS: dict[str, Callable[[RobotModel, float, np.random.Generator], Array]] = {
    "reachable": reachable,
    "noisy": noisy,
    "human": human,
    "unreachable": unreachable,
    "crossing": crossing,
}


def via(
    draw: Callable[[], Array],
    blend: Callable[[Array, Array, float], Array],
    seconds: float,
    rng: np.random.Generator,
) -> Array:
    """Minimum-jerk motions of 0.7 to 1.4 s between drawn points, at the rate of the targets."""
    samples: list[Array] = []
    start = draw()
    while len(samples) < seconds * TARGET_RATE + 1:
        end = draw()
        steps = round(rng.uniform(0.7, 1.4) * TARGET_RATE)
        for s in np.arange(1, steps + 1) / steps:
            samples.append(blend(start, end, float(10 * s**3 - 15 * s**4 + 6 * s**5)))
        start = end
    return np.array(samples[: round(seconds * TARGET_RATE) + 1])


def to_ticks(targets: Array) -> Array:
    """Interpolate poses (n, 2, 4, 4) from the rate of the targets to control ticks."""
    times = np.arange(0.0, (len(targets) - 1) / TARGET_RATE, DT) * TARGET_RATE
    return np.array([blend_poses(targets[int(t)], targets[int(t) + 1], t - int(t)) for t in times])


def blend_poses(start: Array, end: Array, fraction: float) -> Array:
    """Straight lines and shortest rotations between two pairs of poses (2, 4, 4)."""
    blended = (1.0 - fraction) * start + fraction * end
    for side in (0, 1):
        turn = pin.log3(start[side, :3, :3].T @ end[side, :3, :3])
        blended[side, :3, :3] = start[side, :3, :3] @ pin.exp3(fraction * turn)
    return blended


def wrist_poses(q: Array, model: RobotModel) -> Array:
    """(2, 4, 4) in F_R of arm joints (14,)."""
    full = model.neutral.copy()
    full[ARMS_SLICE] = q
    return model.hand_state(full).wrist_poses


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| stream | solver | median / p99 µs | × ours | position median / p95 / max mm | rotation median / max deg "
        "| jerk rms rad/s³ | over limit rad | clearance mm |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (
            row.stream,
            row.solver,
            f"{row.median_us:.0f} / {row.p99_us:.0f}",
            f"{row.times_ours:.1f}",
            f"{row.position_median_mm:.3g} / {row.position_p95_mm:.3g} / {row.position_max_mm:.3g}",
            f"{row.rotation_median_deg:.2g} / {row.rotation_max_deg:.2g}",
            f"{row.jerk_rms:.2g}",
            f"{row.over_limit_rad:.2g}",
            f"{row.clearance_mm:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
