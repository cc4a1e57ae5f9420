"""From ten fingertips to the twelve motors of the hands: a damped Gauss-Newton search that keeps pinches.

A hand's fingers have one motor each and its thumb two, so that most targets can only be met nearly. Each solve
minimises, for both hands at once,

    sum over fingers of  |tip - target|^2
    + sum over fingers of  w(d)^2 |(thumb tip - finger tip) - (the same in the target)|^2

where w(d) grows as the target's thumb and finger close in to d: a pinch stays a pinch even where the two tips cannot
both be right. Joint
limits and the longest step are bounds of the quadratic programs, so they hold exactly. Fingertips of a person are first
brought to the robot's proportions by a `TipCalibration`.
"""

from dataclasses import dataclass

import daqp
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ShapeError
from firsthand.robot.fingertips import Fingertips
from firsthand.robot.joints import HANDS_SLICE
from firsthand.robot.model import RobotModel

Array = NDArray[np.floating]

SMALL = 1e-9
NO_ROWS = np.zeros((0, 12))
NO_SENSE = np.zeros(12, dtype=np.int32)


@dataclass(frozen=True)
class HandRetargetingSettings:
    """Tuned with benchmarks/hand_retargeting.py."""

    iterations: int = 3  # at most, per solve
    converged: float = 0.02  # [rad], no further iteration after a step this small: 0.02 mm are left
    damping: float = 2e-3  # [m/rad], what a step costs against the error it removes
    farthest: float = 0.35  # [m] from the wrist along any axis; a fingertip beyond is taken for a tracking fault
    longest_step: float = 0.3  # [rad] of any motor in one solve
    pinch_weight: float = 4.0  # of a closed pinch's distance against a tip's position
    pinch_closed: float = 0.015  # [m], full weight below
    pinch_open: float = 0.030  # [m], no weight above


DEFAULT = HandRetargetingSettings()


@dataclass(frozen=True)
class TipCalibration:
    """Brings a person's fingertips to the robot's proportions, finger by finger.

    target = robot_open + scale * (tip - person_open): raw tips, however scaled, leave 20 mm of error, because fingers
    differ in where they begin more than in how far they reach.
    """

    person_open: Array  # (2, 5, 3), [m], the person's flat hands
    robot_open: Array  # (2, 5, 3), [m], the robot's
    scale: Array  # (2, 5)
    touch: float = 0.0  # [m] between the person's tracked tips when they touch

    @classmethod
    def from_open_hands(
        cls, model: RobotModel, person_open: Array, scale: float | Array = 0.9, touch: float = 0.0
    ) -> "TipCalibration":
        """Calibrate from one look at a person's flat, open hands.

        Args:
            model: The robot.
            person_open: (2, 5, 3), [m], the fingertips in their wrist frames.
            scale: The robot's finger length over the person's, for all or for each (2, 5).
            touch: Distance that tracking reports for two touching fingertips (it tracks bones, not skin), [m].
        """
        person_open = _check_tips(person_open)
        robot_open = model.hand_state(model.zero).fingertips_in_wrist
        return cls(person_open, robot_open, np.broadcast_to(np.asarray(scale, dtype=float), (2, 5)), touch)

    def targets(self, tips: Array) -> Array:
        """A person's tips (2, 5, 3) as targets for the robot's."""
        return self.robot_open + self.scale[..., None] * (tips - self.person_open)


@dataclass(frozen=True)
class HandRetargetingResult:
    """Motor angles and what they leave to be desired."""

    q: Array  # (12,), [rad], left hand then right, always within the limits
    error: Array  # (2, 5), [m], tip to target; infinite where the target was not finite


class HandRetargeting:
    """Solves for both hands, one tick at a time, from the angles of the tick before."""

    def __init__(
        self,
        model: RobotModel,
        calibration: TipCalibration | None = None,
        settings: HandRetargetingSettings = DEFAULT,
    ) -> None:
        self.calibration = calibration
        self.settings = settings
        self._fingertips = Fingertips(model)
        self._damping = settings.damping**2 * np.eye(12)
        self._lower, self._upper = model.lower[HANDS_SLICE].copy(), model.upper[HANDS_SLICE].copy()

    def solve(self, fingertips_in_wrist: Array, q_hands: Array) -> HandRetargetingResult:
        """Move both hands towards their targets.

        A finger whose target is lost (not finite) or absurd (`farthest`) stays where it is, and its error says so;
        unreachable targets are approached as far as the limits allow.

        Args:
            fingertips_in_wrist: (2, 5, 3), [m], thumb to little, each in its own wrist frame.
            q_hands: (12,), [rad], where the hands are now or were last commanded.

        Raises:
            ShapeError: Other shapes, or `q_hands` is not finite.
        """
        tips = _check_tips(fingertips_in_wrist)
        q_hands = _check_motors(q_hands)
        calibration = self.calibration
        targets = tips if calibration is None else calibration.targets(tips)
        q = self._search(targets, self._pinches(tips), q_hands)
        return HandRetargetingResult(q, _length(self._fingertips.at(q) - targets))

    def _search(self, targets: Array, pinches: "_Pinches | None", start: Array) -> Array:
        settings = self.settings
        start = np.minimum(np.maximum(start, self._lower), self._upper)
        lower = np.maximum(self._lower, start - settings.longest_step)
        upper = np.minimum(self._upper, start + settings.longest_step)
        known = np.abs(targets) < settings.farthest  # neither lost (NaN) nor absurd
        everything = bool(known.all())
        q = start
        for _ in range(settings.iterations):
            tips, jacobian = self._fingertips.with_jacobian(q)
            rows: Array = jacobian.reshape(30, 12)
            residuals: Array = (targets - tips).reshape(30)
            if not everything:
                rows, residuals = _only(known.reshape(10, 3), rows, residuals)
            if pinches is not None:
                more_rows, more_residuals = pinches.rows(tips, jacobian)
                rows, residuals = np.concatenate((rows, more_rows)), np.concatenate((residuals, more_residuals))
            step = self._step(rows, residuals, lower - q, upper - q)
            q = q + step
            if max(step.max(), -step.min()) < settings.converged:
                break
        return np.minimum(np.maximum(q, lower), upper)  # daqp keeps bounds to its tolerance only

    def _step(self, rows: Array, residuals: Array, lower: Array, upper: Array) -> Array:
        """Damped least squares within bounds."""
        hessian = rows.T @ rows + self._damping
        step, _, flag, _ = daqp.solve(hessian, -(residuals @ rows), NO_ROWS, upper, lower, NO_SENSE)
        return step if flag > 0 else np.zeros(12)  # a damped problem always has a solution, but a bound may be crossed

    def _pinches(self, tips: Array) -> "_Pinches | None":
        """The pinches to keep, if there are any."""
        settings = self.settings
        apart = (tips[:, :1] - tips[:, 1:]).reshape(8, 3)
        distance = _length(apart)
        plausible = np.repeat(np.abs(tips[:, 0]).max(axis=1) < settings.farthest, 4)  # a pinch of absurd tips is none
        near = np.flatnonzero((distance < settings.pinch_open) & plausible)
        if not len(near):
            return None
        apart, distance = apart[near], distance[near]
        closeness = (settings.pinch_open - distance) / (settings.pinch_open - settings.pinch_closed)
        touch = 0.0 if self.calibration is None else self.calibration.touch
        gap = np.maximum(distance - touch, 0.0) / np.maximum(distance, SMALL)
        return _Pinches(near, apart * gap[:, None], settings.pinch_weight * np.minimum(closeness, 1.0))


@dataclass(frozen=True)
class _Pinches:
    """Fingers whose place relative to the thumb is to be kept."""

    fingers: NDArray[np.integer]  # (n,), of the eight: left index to right little
    apart: Array  # (n, 3), [m], from the finger's tip to the thumb's
    weight: Array  # (n,)

    def rows(self, tips: Array, jacobian: Array) -> tuple[Array, Array]:
        """rows @ step = residuals, (3 n, 12) and (3 n,)."""
        apart = (tips[:, :1] - tips[:, 1:]).reshape(8, 3)[self.fingers]
        slope = (jacobian[:, :1] - jacobian[:, 1:]).reshape(8, 3, 12)[self.fingers]
        rows = (slope * self.weight[:, None, None]).reshape(-1, 12)
        return rows, ((self.apart - apart) * self.weight[:, None]).reshape(-1)


def _only(known: NDArray[np.bool_], rows: Array, residuals: Array) -> tuple[Array, Array]:
    """Drop what fingers without a target would ask for."""
    keep = np.repeat(known.all(axis=1), 3)
    return rows[keep], residuals[keep]


def _length(vectors: Array) -> Array:
    """Along the last axis; infinite where it cannot be told."""
    length = np.sqrt((vectors * vectors).sum(axis=-1))
    return np.where(np.isnan(length), np.inf, length)


def _check_tips(tips: Array) -> Array:
    tips = np.asarray(tips, dtype=float)
    if tips.shape != (2, 5, 3):
        raise ShapeError(f"expected fingertips of shape (2, 5, 3), left then right, thumb to little; got {tips.shape}")
    return tips


def _check_motors(q_hands: Array) -> Array:
    q_hands = np.asarray(q_hands, dtype=float)
    if q_hands.shape != (12,):
        raise ShapeError(f"expected 12 hand joints, left then right; got shape {q_hands.shape}")
    if not np.isfinite(q_hands).all():
        raise ShapeError(f"expected 12 finite hand joints to start from; got {q_hands}")
    return q_hands
