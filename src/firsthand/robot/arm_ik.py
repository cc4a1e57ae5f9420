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
    max_position_error: float = 0.1  # [m]; a longer error pulls no harder
    max_rotation_error: float = 0.3  # [rad]; the same
    damping: float = 1e-4  # always there
    error_damping: float = 1.0  # times the squared weighted error [1/m^2]
    posture_rate: float = 0.5  # [1/s], how fast the elbows drift to the natural pose
    position_tolerance: float = 1e-3  # [m]; inside both tolerances an arm has converged
    rotation_tolerance: float = 1e-2  # [rad]
    self_collision: bool = True
    collision_distance: float = 0.01  # [m], kept between capsules
    collision_range: float = 0.06  # [m], farther pairs are not looked at
    collision_gain: float = 0.3  # share of the remaining distance that one tick may use up
    collision_pairs: int = 6  # at most so many rows


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
        self._weights = np.repeat([1.0, self.settings.rotation_weight], 3)
        self._weights_of_rows = np.tile(self._weights, 2)[:, None]

    def solve(self, wrist_poses: Array, q_arms: Array, dt: float) -> ArmIkResult:
        """Step towards two wrist poses.

        Args:
            wrist_poses: (2, 4, 4), robot_from_wrist, left then right. An arm whose pose is not a finite rigid transform
                holds still and says so; the other one goes on.
            q_arms: (14,), [rad], the command of the tick before.
            dt: Length of the tick [s].
        """
        q_arms, wrist_poses = _check_input(q_arms, wrist_poses)
        rejections = _rejections(wrist_poses)
        targets = self._pelvis_from_robot @ wrist_poses
        self.arms.update(q_arms)
        before = self._errors(targets)
        step, failure = self._step(before, rejections, q_arms, dt)
        q = np.minimum(np.maximum(q_arms + step, self.arms.lower), self.arms.upper)
        self.arms.update(q)
        return self._result(q, before, self._errors(targets), [failure or reason for reason in rejections])

    def _errors(self, targets: Array) -> Array:
        """What is missing to the targets (2, 4, 4) in the pelvis: (2, 6), [m] and [rad], left then right."""
        errors = np.empty((2, 6))
        for side in (0, 1):
            rotation, position = self.arms.wrist_placement(side)
            errors[side, :3] = targets[side, :3, 3] - position
            errors[side, 3:] = pin.log3(targets[side, :3, :3] @ rotation.T)
        return errors

    def _step(self, errors: Array, rejections: Reasons, q: Array, dt: float) -> tuple[Array, str | None]:
        """The joint step dq (14,) of this tick; zero, with the reason, where there is none."""
        settings = self.settings
        reach = self._velocity * dt
        lower = np.minimum(np.maximum(self.arms.lower - q, -reach), reach)
        upper = np.minimum(np.maximum(self.arms.upper - q, -reach), reach)
        jacobian, error, damping = np.zeros((12, 14)), np.zeros(12), np.full(14, settings.damping)
        for side, (joints, rows) in enumerate(zip(JOINTS_OF_SIDE, ROWS_OF_SIDE, strict=True)):
            if rejections[side]:
                lower[joints] = upper[joints] = 0.0
                continue
            jacobian[rows, joints] = self.arms.wrist_jacobian(side)[:, joints]
            error[rows] = weighted = self._weights * self._cut(errors[side])
            damping[joints] += settings.error_damping * (weighted @ weighted)
        jacobian *= self._weights_of_rows
        hessian = jacobian.T @ jacobian
        hessian.flat[:: len(ARMS) + 1] += damping
        posture_step = settings.posture_rate * dt * (self._posture - q)
        gradient = -error @ jacobian - settings.damping * posture_step
        return self._minimise(hessian, gradient, lower, upper)

    def _cut(self, error: Array) -> Array:
        """The error (6,), its position and its rotation shortened to the lengths that may pull."""
        length, angle = _lengths(error)
        if length > self.settings.max_position_error or angle > self.settings.max_rotation_error:
            error = error.copy()
            error[:3] *= min(1.0, self.settings.max_position_error / max(length, SMALL))
            error[3:] *= min(1.0, self.settings.max_rotation_error / max(angle, SMALL))
        return error

    def _minimise(self, hessian: Array, gradient: Array, lower: Array, upper: Array) -> tuple[Array, str | None]:
        rows: Array = NO_ROWS
        sense = None
        if self.collision is not None:
            closest = self.collision.closest_now(self.settings.collision_pairs, self.settings.collision_range)
            rows = closest.jacobians
            may_shrink = self.settings.collision_gain * (closest.distances - self.settings.collision_distance)
            lower = np.concatenate([lower, -may_shrink])
            upper = np.concatenate([upper, np.full(len(rows), np.inf)])
            sense = np.repeat(np.array([0, SOFT], dtype=np.int32), [len(ARMS), len(rows)])
        step, _, flag, _ = daqp.solve(hessian, gradient, rows, upper, lower, sense)
        if flag < 0:
            return np.zeros(len(ARMS)), f"rejected: no solution of the quadratic program (daqp says {flag})"
        return step, None

    def _result(self, q: Array, before: Array, after: Array, rejections: Reasons) -> ArmIkResult:
        left, right = (rejections[side] or self._judge(before[side], after[side]) for side in (0, 1))
        worse = max(("left", left), ("right", right), key=lambda side_and_status: _badness(side_and_status[1]))
        lengths = np.array([_lengths(after[0]), _lengths(after[1])])
        return ArmIkResult(
            q=q,
            position_error=lengths[:, 0],
            rotation_error=lengths[:, 1],
            converged=left == right == "ok",
            arm_status=(left, right),
            status="ok" if worse[1] == "ok" else " ".join(worse),
        )

    def _judge(self, before: Array, after: Array) -> str:
        """One of STATUSES for an arm's errors (6,) before and after the step."""
        length, angle = _lengths(after)
        far, turned = length > self.settings.position_tolerance, angle > self.settings.rotation_tolerance
        if not far and not turned:
            return "ok"
        weight = self.settings.rotation_weight
        length_before, angle_before = _lengths(before)
        if math.hypot(length, weight * angle) < PROGRESS * math.hypot(length_before, weight * angle_before):
            return "approaching"
        return "position_limited" if far else "orientation_yielded"


def _check_input(q_arms: Array, wrist_poses: Array) -> tuple[Array, Array]:
    q_arms, wrist_poses = np.asarray(q_arms, dtype=float), np.asarray(wrist_poses, dtype=float)
    if q_arms.shape != (len(ARMS),):
        raise ShapeError(f"expected {len(ARMS)} arm joints, got shape {q_arms.shape}")
    if not np.isfinite(q_arms).all():
        raise ValueError(f"arm joints are not finite: {q_arms}; pass the last command, which always is")
    if wrist_poses.shape != (2, 4, 4):
        raise ShapeError(f"expected two wrist poses (2, 4, 4), got shape {wrist_poses.shape}")
    return q_arms, wrist_poses


def _rejections(wrist_poses: Array) -> list[str | None]:
    """Why each of two poses is no target, or None."""
    return [_rejection(pose.tolist()) for pose in wrist_poses]


def _rejection(pose: list[list[float]]) -> str | None:
    # Plain floats: a tick has two 4x4 matrices, and numpy's overhead for this is half the tick.
    (a, b, c, x), (d, e, f, y), (g, h, i, z), _ = pose
    if not math.isfinite(a + b + c + d + e + f + g + h + i + x + y + z):
        return "rejected: non-finite target"
    squares = (a * a + b * b + c * c, d * d + e * e + f * f, g * g + h * h + i * i)
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    # Rows of length one whose determinant is one are orthogonal (Hadamard).
    if max(abs(square - 1.0) for square in squares) > RIGID_TOLERANCE or abs(determinant - 1.0) > RIGID_TOLERANCE:
        return f"rejected: target is no rotation (squared rows {squares}, determinant {determinant:.3g}; expected ones)"
    return None


def _lengths(error: Array) -> tuple[float, float]:
    """[m] and [rad] of an error (6,)."""
    x, y, z, rx, ry, rz = error.tolist()
    return math.hypot(x, y, z), math.hypot(rx, ry, rz)


def _badness(status: str) -> int:
    return STATUSES.index(status) if status in STATUSES else len(STATUSES)
