"""Join the pictures of a clip: one hand's way through it, from all its keypoints and from how hands move.

All frames are solved together (Gauss-Newton on the keypoints themselves, not a filter over finished poses), with the
second differences of position, rotation and angles held as small as accelerations of hands are. Steps of two frames
make blocks of 54 whose system is block tridiagonal. What comes out is the most likely way and a covariance a frame.

What makes the covariances honest: keypoints of neighbouring frames err alike, as detectors do, so that n frames tell
less than n times as much as one. How much less is measured on what the fits of single pictures left over.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand.space.rotations import angle_between, matrix_from_rotation_vector, rotation_vector_from_matrix
from firsthand_training.labels.block_tridiagonal import inverse_diagonal, solve
from firsthand_training.labels.fit_hands import Fit, FitSettings, Linear, Observations, linearize
from firsthand_training.labels.hand_rig import PARAMETERS, HandPose
from firsthand_training.labels.pinhole import see

Array = NDArray[np.floating]
Booleans = NDArray[np.bool_]

LONGEST_MEMORY = 30  # [frames], over which keypoints' errors are compared
WINDOW, OVERLAP = 600, 60  # [frames], of what is solved at once, and what is thrown away where two meet


@dataclass(frozen=True)
class MotionSettings:
    """How hands move."""

    acceleration: float = 3.0
    """Of a wrist, root mean square along an axis, [m/s2]."""
    turning: float = 25.0
    """Of its rotation, [rad/s2]."""
    bending: float = 40.0
    """Of a joint, [rad/s2]."""
    acceleration_time: float = 0.1
    """How long an acceleration lasts, [s]: frames closer than this do not count it anew."""
    pose_time: float = 0.5
    """How long a hand keeps a pose, [s]: the prior on angles counts once in this time."""
    iterations: int = 8
    """At most."""

    def __post_init__(self) -> None:
        """Refuse what is no size."""
        if not min(getattr(self, name) for name in self.__dataclass_fields__) > 0:
            raise LabelError(f"expected positive accelerations, times and iterations of hands, got {self}")


@dataclass(frozen=True)
class Track:
    """One hand through T frames; frames without keypoints are bridged, and their covariances say how well."""

    pose: HandPose  # (T)
    covariance: Array  # (T, 27, 27), of a step of the rig


def smooth_hand(
    fit: Fit, observed: Observations, stamps: Array, settings: FitSettings, motion: MotionSettings, memory: float = 1.0
) -> Track:
    """The most likely way of one hand through a clip.

    Args:
        fit: Of its T pictures.
        observed: The same T pictures.
        stamps: (T,), [s], growing.
        settings: As of the fit.
        motion: How hands move.
        memory: From `error_memory`: how many frames tell as much as one.

    Raises:
        LabelError: No picture was fitted, or time stands still.
    """
    if not fit.believed.any():
        raise LabelError("expected a hand in at least one frame to follow through the clip, got none")
    if len(stamps) > 1 and not (np.diff(stamps) > 0).all():
        raise LabelError(f"expected stamps that grow, frame {int(np.argmin(np.diff(stamps) > 0)) + 1} is not later")
    start = bridge(choose(fit, stamps), fit.believed, stamps)
    poses, covariances = [], []
    for first in range(0, len(stamps), WINDOW):
        low, high = max(0, first - OVERLAP), min(len(stamps), first + WINDOW + OVERLAP)
        rows = slice(low, high)
        part = _Clip(observed[rows], fit.believed[rows], stamps[rows], fit, settings, motion, memory)
        pose, covariance = part.smooth(start[rows])
        kept = slice(first - low, min(first + WINDOW, len(stamps)) - low)
        poses.append(pose[kept])
        covariances.append(covariance[kept])
    joined = (np.concatenate([getattr(pose, name) for pose in poses]) for name in ("rotation", "position", "angles"))
    return Track(HandPose(*joined), np.concatenate(covariances))


def of_side(fit: Fit, observed: Observations, side: int) -> tuple[Fit, Observations]:
    """What belongs to the left (0) or the right (1) hands."""
    rows = np.flatnonzero(observed.side == side)
    part = Fit(fit.pose[rows], fit.mirrored[rows], fit.cost[rows], fit.believed[rows], fit.sigma, fit.shape)
    return part, observed[rows]


def error_memory(fit: Fit, observed: Observations, frames: int) -> float:
    """How many frames of a clip tell as much as one whose keypoints err on their own, at least 1.

    1 + 2 (sum of the autocorrelation of what the fits left over), up to where it dies.

    Args:
        fit: Of all hands.
        observed: Frame after frame the same number of hands.
        frames: How many.
    """
    rows = np.flatnonzero(fit.believed)
    left = np.full(observed.keypoints.shape, np.nan)
    seen = see(fit.pose[rows], observed.side[rows], fit.shape, observed.intrinsics, observed.offsets)
    left[rows] = seen.pixels - observed.keypoints[rows]
    size = np.linalg.norm(left, axis=-1, keepdims=True)
    left = (left / np.sqrt(1 + (size / (2 * fit.sigma)) ** 2)).reshape(frames, -1)  # single misses are no habit
    power = np.nanmean(left**2) if len(rows) else 0.0
    total = 1.0
    for lag in range(1, min(LONGEST_MEMORY, frames - 1) + 1):
        products = left[lag:] * left[:-lag]
        known = np.isfinite(products)
        alike = float(products[known].mean()) / power if known.sum() > 100 and power > 0 else 0.0
        if alike < 0.05:
            break
        total += 2 * alike
    return total


def choose(fit: Fit, stamps: Array) -> HandPose:
    """Of each picture's two answers the one that goes with its neighbours (Viterbi)."""
    rows = np.flatnonzero(fit.believed)
    both = [fit.pose[rows], fit.mirrored[rows]]
    cost = np.minimum(fit.cost[rows] - fit.cost[rows, :1], 20.0)
    total, came_from = cost[0], np.zeros((len(rows), 2), dtype=int)
    for i in range(1, len(rows)):
        gap = stamps[rows[i]] - stamps[rows[i - 1]]
        steps = np.array([[_unlikely(both[a], both[b], i, gap) for b in (0, 1)] for a in (0, 1)])
        came_from[i] = (total[:, None] + steps).argmin(axis=0)
        total = (total[:, None] + steps).min(axis=0) + cost[i]
    which = np.zeros(len(rows), dtype=int)
    which[-1] = int(total.argmin())
    for i in range(len(rows) - 1, 0, -1):
        which[i - 1] = came_from[i, which[i]]
    taken = rows[which == 1]
    pose = HandPose(fit.pose.rotation.copy(), fit.pose.position.copy(), fit.pose.angles.copy())
    for name in ("rotation", "position", "angles"):
        getattr(pose, name)[taken] = getattr(fit.mirrored, name)[taken]
    return pose


def bridge(pose: HandPose, known: Booleans, stamps: Array) -> HandPose:
    """Straight lines and great circles through the frames where nothing is known; the first and last are held."""
    rows = np.flatnonzero(known)
    after = np.clip(np.searchsorted(rows, np.arange(len(known))), 1, max(len(rows) - 1, 1))
    low, high = rows[np.minimum(after - 1, len(rows) - 1)], rows[np.minimum(after, len(rows) - 1)]
    span = np.maximum(stamps[high] - stamps[low], 1e-9)
    share = np.clip((stamps - stamps[low]) / span, 0.0, 1.0)[:, None]
    turn = rotation_vector_from_matrix(pose.rotation[high] @ np.swapaxes(pose.rotation[low], 1, 2))
    return HandPose(
        matrix_from_rotation_vector(share * turn) @ pose.rotation[low],
        (1 - share) * pose.position[low] + share * pose.position[high],
        (1 - share) * pose.angles[low] + share * pose.angles[high],
    )


def _unlikely(before: HandPose, after: HandPose, i: int, gap: float) -> float:
    turned = float(angle_between(before.rotation[i - 1], after.rotation[i]))
    moved = float(np.linalg.norm(after.position[i] - before.position[i - 1]))
    return 0.5 * (turned**2 / ((3 * gap) ** 2 + 0.15**2) + moved**2 / (gap**2 + 0.04**2))


@dataclass(frozen=True)
class _Clip:
    """What the way of one hand through T frames is to agree with."""

    observed: Observations
    believed: Booleans
    stamps: Array
    fit: Fit
    settings: FitSettings
    motion: MotionSettings
    memory: float

    def smooth(self, pose: HandPose) -> tuple[HandPose, Array]:
        """The most likely way and its covariances, from a first guess."""
        damping = 1e-3
        cost, gradient, blocks = self._at(pose)
        for _ in range(self.motion.iterations):
            step = -_solve_pairs(_damped(blocks, damping), gradient)
            step *= min(1.0, 0.5 / max(float(np.abs(step[:, :3]).max()), 1e-9))
            tried = pose.moved(step)
            new = self._at(tried)
            if new[0] < cost:
                done = cost - new[0] < 1e-4 * len(pose)
                pose, damping = tried, 0.2 * damping
                cost, gradient, blocks = new
                if done:
                    break
            else:
                damping *= 10
        return pose, _covariances(blocks)

    def _heard(self) -> Observations:
        seen = self.observed
        return replace(seen, confidence=np.where(self.believed, seen.confidence, 0.0))

    def _linearized(self, pose: HandPose, observed: Observations) -> Linear:
        period = float(np.median(np.diff(self.stamps))) if len(self.stamps) > 1 else self.motion.pose_time
        return linearize(
            pose,
            observed,
            self.fit.shape,
            self.fit.sigma,
            self.settings,
            data_weight=1 / self.memory,
            prior_weight=min(1.0, period / self.motion.pose_time),
        )

    def _at(self, pose: HandPose) -> tuple[float, Array, tuple[Array, Array, Array]]:
        """Cost, gradient (T, 27), and blocks of the Hessian: (T, 27, 27) and what ties a frame to the next two."""
        at = self._linearized(pose, self._heard())
        gradient, diagonal = at.gradient, at.hessian
        coefficients, weights = _second_differences(self.stamps, self.motion)
        acceleration = _accelerations(pose, self.stamps)
        cost = float(at.cost.sum()) + 0.5 * float((weights * acceleration**2).sum())
        ties = np.zeros((2, len(pose), PARAMETERS))
        count, every = len(pose), np.arange(PARAMETERS)
        for a in range(3):
            rows = slice(a, count - 2 + a)
            gradient[rows] += coefficients[:, a, None] * weights * acceleration
            diagonal[rows, every, every] += coefficients[:, a, None] ** 2 * weights
        for a, b in ((0, 1), (1, 2), (0, 2)):
            ties[b - a - 1, a : count - 2 + a] += (coefficients[:, a] * coefficients[:, b])[:, None] * weights
        return cost, gradient, (diagonal, ties[0], ties[1])


def _second_differences(stamps: Array, motion: MotionSettings) -> tuple[Array, Array]:
    """Of three frames each: what makes an acceleration (T - 2, 3), and how much its square counts (T - 2, 27)."""
    before, after = np.diff(stamps)[:-1], np.diff(stamps)[1:]
    span = 0.5 * (before + after)
    first, last = 1 / (span * before), 1 / (span * after)
    usual = np.repeat([motion.turning, motion.acceleration, motion.bending], [3, 3, PARAMETERS - 6])
    share = np.minimum(span / motion.acceleration_time, 1.0)
    return np.stack([first, -first - last, last], axis=1), share[:, None] / usual**2


def _accelerations(pose: HandPose, stamps: Array) -> Array:
    """(T - 2, 27)."""
    steps = np.concatenate(
        [
            rotation_vector_from_matrix(pose.rotation[1:] @ np.swapaxes(pose.rotation[:-1], 1, 2)),
            np.diff(pose.position, axis=0),
            np.diff(pose.angles, axis=0),
        ],
        axis=1,
    )
    gaps = np.diff(stamps)
    speeds = steps / gaps[:, None]
    return np.diff(speeds, axis=0) / (0.5 * (gaps[1:] + gaps[:-1]))[:, None]


def _damped(blocks: tuple[Array, Array, Array], damping: float) -> tuple[Array, Array, Array]:
    diagonal = blocks[0].copy()
    every = np.arange(PARAMETERS)
    diagonal[:, every, every] *= 1 + damping
    return diagonal, blocks[1], blocks[2]


def _pairs(blocks: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    """The same system in blocks of two frames; an odd last frame gets an idle neighbour."""
    frames, size = len(blocks[0]), PARAMETERS
    count, every = (frames + 1) // 2, np.arange(size)
    diagonal, upper = np.zeros((count, 2 * size, 2 * size)), np.zeros((count - 1, 2 * size, 2 * size))
    diagonal[:, size + every, size + every] = 1.0
    diagonal[:, :size, :size] = blocks[0][::2]
    diagonal[: frames // 2, size:, size:] = blocks[0][1::2]
    near, far = blocks[1], blocks[2]  # of frame i with i + 1, and with i + 2
    for rows, columns in ((every, size + every), (size + every, every)):
        diagonal[: frames // 2, rows, columns] = near[: 2 * (frames // 2) : 2]
    upper[:, every, every] = far[: 2 * (count - 1) : 2]
    upper[:, size + every, every] = near[1 : 2 * (count - 1) : 2]
    inner = max((frames - 2) // 2, 0)
    upper[:inner, size + every, size + every] = far[1 : 2 * inner : 2]
    return diagonal, upper


def _solve_pairs(blocks: tuple[Array, Array, Array], right: Array) -> Array:
    frames = len(right)
    padded = np.zeros((2 * ((frames + 1) // 2), PARAMETERS))
    padded[:frames] = right
    diagonal, upper = _pairs(blocks)
    return solve(diagonal, upper, padded.reshape(-1, 2 * PARAMETERS)).reshape(-1, PARAMETERS)[:frames]


def _covariances(blocks: tuple[Array, Array, Array]) -> Array:
    pairs = inverse_diagonal(*_pairs(blocks))
    size = PARAMETERS
    both = np.stack([pairs[:, :size, :size], pairs[:, size:, size:]], axis=1)
    return both.reshape(-1, size, size)[: len(blocks[0])]
