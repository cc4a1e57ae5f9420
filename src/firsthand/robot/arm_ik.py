"""Joint positions of both arms for two wrist poses: one small quadratic program a control tick.

Each tick takes one damped Gauss-Newton step from the last command, so the answer moves continuously and a tick costs
the same whatever happens:

    minimise over dq    sum over arms of |W (J dq - e)|^2 + damping |dq - posture step|^2
    subject to          joint limits and velocity limits as boxes, self-collision rows with slack

e is the error of the wrist pose, position and rotation. W weighs rotation far below position and e is cut to a
length, so out of reach the orientation yields and the position stays. The damping grows with the error
(Levenberg-Marquardt): steps are bold near the target and timid out of reach and near singularities. The posture
step draws the elbows, where the wrists leave them a choice, slowly to a natural pose.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import daqp
import numpy as np
import pinocchio as pin
from numpy.typing import NDArray

from firsthand.errors import ShapeError
from firsthand.robot.arms import Arms
from firsthand.robot.collision import SelfCollision
from firsthand.robot.joints import ARMS, ARMS_SLICE
from firsthand.robot.model import RobotModel
from firsthand.space.frames import inverse

Array = NDArray[np.floating]

Reasons = Sequence[str | None]  # why the target of the left, the right arm was rejected

JOINTS_OF_SIDE = (slice(0, 7), slice(7, 14))
ROWS_OF_SIDE = (slice(0, 6), slice(6, 12))
NO_ROWS = np.zeros((0, len(ARMS)))
SOFT = 8  # daqp's mark of a constraint that may be violated at a price
SMALL = 1e-12
RIGID_TOLERANCE = 1e-3  # how far a rotation matrix may be from orthonormal
PROGRESS = 0.99  # an arm approaches while a tick leaves less of the error than this

STATUSES = ("ok", "approaching", "orientation_yielded", "position_limited")
"""What can be said of an arm whose target was not rejected, from good to bad."""


@dataclass(frozen=True)
class ArmIkSettings:
    """Tuned with benchmarks/arm_ik.py."""

    max_velocity: float = 6.0  # [rad/s], each joint, never above the description's
    rotation_weight: float = 0.1  # [m/rad]: 1 rad counts as much as 0.1 m
    max_position_error: float = 0.2  # [m]; a longer error pulls no harder
    max_rotation_error: float = 1.0  # [rad]; the same
    damping: float = 6e-4  # always there; less is closer in motion and rougher out of reach
    error_damping: float = 1.0  # times the squared weighted error [1/m^2]
    posture_rate: float = 0.5  # [1/s], how fast the elbows drift to the natural pose
    position_tolerance: float = 1e-3  # [m]; inside both tolerances an arm has converged
    rotation_tolerance: float = 1e-2  # [rad]
    self_collision: bool = True
    collision_distance: float = 0.01  # [m], kept between capsules
    collision_range: float = 0.08  # [m], farther pairs are not looked at
    collision_rate: float = 25.0  # [1/s], so fast may the remaining distance be used up
    collision_pairs: int = 12  # at most so many rows


@dataclass(frozen=True)
class ArmIkResult:
    """The step taken and how far from the targets it leaves the wrists."""

    q: Array  # (14,), [rad], inside the joint limits
    position_error: Array  # (2,), [m], left then right; NaN for a rejected target
    rotation_error: Array  # (2,), [rad]; NaN for a rejected target
    converged: bool  # both arms are inside the tolerances
    arm_status: tuple[str, str]  # one of STATUSES, or "rejected: ..." with the reason
    status: str  # "ok", or the worse arm's, named


class ArmIk:
    """Inverse kinematics of both wrists; see the top of this file.

    Args:
        model: Gives the arms, and where the robot frame F_R is.
        settings: Weights, limits, tolerances.
    """

    def __init__(self, model: RobotModel, settings: ArmIkSettings | None = None) -> None:
        self.settings = settings or ArmIkSettings()
        self.arms = Arms(model)
        self.collision = SelfCollision(model, self.arms) if self.settings.self_collision else None
        self._velocity = np.minimum(model.velocity_limits[ARMS_SLICE], self.settings.max_velocity)
        self._posture = np.array(model.neutral[ARMS_SLICE])
        self._pelvis_from_robot = self.arms.torso_placement @ inverse(model.robot_from_torso)
        self._weights = np.tile(np.repeat([1.0, self.settings.rotation_weight], 3), 2)[:, None]

    def solve(self, wrist_poses: Array, q_arms: Array, dt: float) -> ArmIkResult:
        """Step towards two wrist poses.

        Args:
            wrist_poses: (2, 4, 4), robot_from_wrist, left then right. An arm whose pose is not a finite rigid transform
                holds still and says so; the other one goes on.
            q_arms: (14,), [rad], the command of the tick before.
            dt: Length of the tick [s].
        """
        q_arms, wrist_poses = _check_input(q_arms, wrist_poses)
        rejections = [_rejection(pose.tolist()) for pose in wrist_poses]
        targets = self._pelvis_from_robot @ wrist_poses
        q_arms = self._within_limits(q_arms)
        self.arms.update(q_arms)
        before = self._errors(targets, rejections)
        step, failure = self._step(before, rejections, q_arms, dt)
        q = self._within_limits(q_arms + step)  # the boxes hold up to rounding
        self.arms.update(q)
        return self._result(q, before, self._errors(targets, rejections), [failure or reason for reason in rejections])

    def _within_limits(self, q: Array) -> Array:
        return np.minimum(np.maximum(q, self.arms.lower), self.arms.upper)  # np.clip takes three times as long

    def _errors(self, targets: Array, rejections: Reasons) -> "_Errors":
        """What is missing to the targets (2, 4, 4) in the pelvis."""
        values = np.zeros(12)
        for side in (0, 1):
            if rejections[side] is None:
                turn = targets[side, :3, :3] @ self.arms.wrist_rotations[side].T
                values[6 * side : 6 * side + 3] = targets[side, :3, 3] - self.arms.wrist_positions[side]
                values[6 * side + 3 : 6 * side + 6] = pin.log3(turn)
        x, y, z, rx, ry, rz, x2, y2, z2, rx2, ry2, rz2 = values.tolist()
        position = (math.hypot(x, y, z), math.hypot(x2, y2, z2))
        rotation = (math.hypot(rx, ry, rz), math.hypot(rx2, ry2, rz2))
        return _Errors(values, position, rotation)

    def _step(self, errors: "_Errors", rejections: Reasons, q: Array, dt: float) -> tuple[Array, str | None]:
        """The joint step dq (14,) of this tick; zero, with the reason, where there is none."""
        settings = self.settings
        reach = self._velocity * dt
        lower = np.maximum(self.arms.lower - q, -reach)
        upper = np.minimum(self.arms.upper - q, reach)
        jacobian, weights, damping = np.zeros((12, 14)), [0.0] * 4, [settings.damping] * 2
        for side, (joints, rows) in enumerate(zip(JOINTS_OF_SIDE, ROWS_OF_SIDE, strict=True)):
            if rejections[side]:
                lower[joints] = upper[joints] = 0.0
                continue
            jacobian[rows, joints] = self.arms.wrist_jacobian(side)[:, joints]
            pull = min(errors.position[side], settings.max_position_error)
            twist = min(errors.rotation[side], settings.max_rotation_error) * settings.rotation_weight
            damping[side] += settings.error_damping * (pull * pull + twist * twist)
            weights[2 * side] = pull / max(errors.position[side], SMALL)
            weights[2 * side + 1] = twist / max(errors.rotation[side], SMALL)
        jacobian *= self._weights
        hessian = jacobian.T @ jacobian
        hessian.flat[:: len(ARMS) + 1] += np.repeat(damping, 7)
        posture_step = settings.posture_rate * dt * (self._posture - q)
        gradient = -(np.repeat(weights, 3) * errors.values) @ jacobian - settings.damping * posture_step
        return self._minimise(hessian, gradient, lower, upper, dt)

    def _minimise(
        self, hessian: Array, gradient: Array, lower: Array, upper: Array, dt: float
    ) -> tuple[Array, str | None]:
        rows: Array = NO_ROWS
        sense = None
        if self.collision is not None:
            closest = self.collision.closest_now(self.settings.collision_pairs, self.settings.collision_range)
            rows = closest.jacobians
            share = min(self.settings.collision_rate * dt, 1.0)
            may_shrink = share * (closest.distances - self.settings.collision_distance)
            lower = np.concatenate([lower, -may_shrink])
            upper = np.concatenate([upper, np.full(len(rows), np.inf)])
            sense = np.repeat(np.array([0, SOFT], dtype=np.int32), [len(ARMS), len(rows)])
        step, _, flag, _ = daqp.solve(hessian, gradient, rows, upper, lower, sense)
        if flag < 0:
            return np.zeros(len(ARMS)), f"rejected: no solution of the quadratic program (daqp says {flag})"
        return step, None

    def _result(self, q: Array, before: "_Errors", after: "_Errors", rejections: Reasons) -> ArmIkResult:
        left, right = (rejections[side] or self._judge(before.of(side), after.of(side)) for side in (0, 1))
        worse = max(("left", left), ("right", right), key=lambda side_and_status: _badness(side_and_status[1]))
        return ArmIkResult(
            q=q,
            position_error=np.array([math.nan if r else e for r, e in zip(rejections, after.position, strict=True)]),
            rotation_error=np.array([math.nan if r else e for r, e in zip(rejections, after.rotation, strict=True)]),
            converged=left == right == "ok",
            arm_status=(left, right),
            status="ok" if worse[1] == "ok" else " ".join(worse),
        )

    def _judge(self, before: tuple[float, float], after: tuple[float, float]) -> str:
        """One of STATUSES for an arm's distance and angle to its target before and after the step."""
        far, turned = after[0] > self.settings.position_tolerance, after[1] > self.settings.rotation_tolerance
        if not far and not turned:
            return "ok"
        weight = self.settings.rotation_weight
        if math.hypot(after[0], weight * after[1]) < PROGRESS * math.hypot(before[0], weight * before[1]):
            return "approaching"
        return "position_limited" if far else "orientation_yielded"


@dataclass(frozen=True)
class _Errors:
    """What is missing to the targets, in the pelvis; zero where the target was rejected."""

    values: Array  # (12,), position [m] and rotation [rad] of the left, then of the right arm
    position: tuple[float, float]  # [m], the lengths
    rotation: tuple[float, float]  # [rad]

    def of(self, side: int) -> tuple[float, float]:
        return self.position[side], self.rotation[side]


def _check_input(q_arms: Array, wrist_poses: Array) -> tuple[Array, Array]:
    q_arms, wrist_poses = np.asarray(q_arms, dtype=float), np.asarray(wrist_poses, dtype=float)
    if q_arms.shape != (len(ARMS),):
        raise ShapeError(f"expected {len(ARMS)} arm joints, got shape {q_arms.shape}")
    if not np.isfinite(q_arms).all():
        raise ValueError(f"arm joints are not finite: {q_arms}; pass the last command, which always is")
    if wrist_poses.shape != (2, 4, 4):
        raise ShapeError(f"expected two wrist poses (2, 4, 4), got shape {wrist_poses.shape}")
    return q_arms, wrist_poses


def _rejection(pose: list[list[float]]) -> str | None:
    """Why a pose (4, 4) is no target, or None."""
    # Plain floats: for two small matrices numpy's overhead would be a fifth of the tick.
    (a, b, c, x), (d, e, f, y), (g, h, i, z), _ = pose
    squares = a * a + b * b + c * c + d * d + e * e + f * f + g * g + h * h + i * i
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if not math.isfinite(squares + x + y + z):
        return "rejected: non-finite target"
    # Singular values whose squares add up to three and whose product is one are all one.
    if abs(squares - 3.0) > RIGID_TOLERANCE or abs(determinant - 1.0) > RIGID_TOLERANCE:
        return f"rejected: no rotation (determinant {determinant:.4g}, sum of squares {squares:.4g}; expected 1 and 3)"
    return None


def _badness(status: str) -> int:
    return STATUSES.index(status) if status in STATUSES else len(STATUSES)
