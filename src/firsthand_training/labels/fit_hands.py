"""Fit the rig of `hand_rig.py` to keypoints in pictures, all hands of a clip at once, a picture at a time.

Robust Levenberg-Marquardt (soft L1) from two starts: the palm, by SQPnP or by the depths that a detector gives, and the
same palm tilted the other way, which looks much alike in one picture. Angles are held by a weak prior and by their
limits. What keypoints are off is told by the detector's calibration (`landmark_bias.py`), or else estimated from what
is left over when the clip is fitted: that holds for errors that are independent, not for those of a detector that takes
a hand for one in another pose.
`smooth_hands.py` then joins pictures.

Everything here is for a hand of MEAN_LENGTH; see `hand_rig.py`.
"""

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand_training.hand_bones import MEAN_LENGTH
from firsthand_training.labels.hand_rig import (
    ANGLES,
    LOWER,
    PARAMETERS,
    REST,
    SHAPE,
    UPPER,
    HandPose,
    Integers,
    keypoints_in_wrist,
)
from firsthand_training.labels.pinhole import Seen, see

Array = NDArray[np.floating]
Booleans = NDArray[np.bool_]

PALM = [0, 5, 9, 13, 17]  # keypoints that no finger moves
FEWEST = 8  # keypoints that a hand must show
BATCH = 512  # hands fitted at once: what fits into a core's cache and into memory
SMALLEST = 3.0  # [px], of a palm in the picture
NOISE_FLOOR = 0.5  # [px]
ROUGH, DONE = 1e-2, 1e-4  # relative gains at which hands leave, before and after the noise is known


@dataclass(frozen=True)
class FitSettings:
    """How hands are fitted to keypoints."""

    keypoint_sigma: float = 0.0
    """How far keypoints are off along each axis, [px]; 0: estimated from the clip."""
    robust: float = 2.0
    """Residuals beyond this many sigmas pull less and less."""
    iterations: int = 40
    """At most, for each start."""
    bend_sigma: float = 0.6
    """Spread of a finger's bends around those of a hand at rest, [rad]."""
    spread_sigma: float = 0.15
    """Of fingers sideways, [rad]."""
    coupling_sigma: float = 0.2
    """Of the last joint of a finger around two thirds of the one before, [rad]."""
    thumb_sigma: float = 0.5
    """Of the thumb's angles, [rad]; sideways at its second joint a third of it."""
    limit_sigma: float = 0.05
    """How far an angle may lie outside its limits, [rad]."""
    nearest: float = 0.08
    """[m], of a hand from the camera; nearer ones, and those behind it, are not believed."""
    farthest: float = 1.5
    """[m]."""
    worst_residual: float = 0.2
    """Of the keypoints in the picture, relative to the hand's size there; hands beyond are not believed."""

    def __post_init__(self) -> None:
        """Refuse what is no size."""
        sizes = {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("keypoint_sigma", "nearest")
        }
        wrong = {name: value for name, value in sizes.items() if not value > 0}
        if wrong or self.keypoint_sigma < 0 or not 0 < self.nearest < self.farthest:
            raise LabelError(f"expected positive sizes to fit hands with, nearest below farthest, got {self}")


@dataclass(frozen=True)
class Observations:
    """Keypoints of B hands, in pictures of one camera."""

    keypoints: Array  # (B, 21, 2), [px]; NaN where there is none
    side: Integers  # (B,), 0 left, 1 right
    confidence: Array  # (B,), 0 to 1
    intrinsics: Array  # (3, 3), [px]
    offsets: Array | None = None  # (21, 3), [m], see `keypoints_in_wrist`
    sigma: Array | None = None  # (B, 21), [px], of a keypoint along an axis; None: not known
    depths: Array | None = None  # (B, 21), [m], farther than the wrist along the ray to the hand; NaN where unknown
    depth_sigma: Array | None = None  # (B, 21), [m], of them

    def __len__(self) -> int:
        return len(self.side)

    def __getitem__(self, rows: Integers | Booleans | slice) -> "Observations":
        return replace(
            self,
            keypoints=self.keypoints[rows],
            side=self.side[rows],
            confidence=self.confidence[rows],
            sigma=None if self.sigma is None else self.sigma[rows],
            depths=None if self.depths is None else self.depths[rows],
            depth_sigma=None if self.depth_sigma is None else self.depth_sigma[rows],
        )

    def trust(self, sigma: float) -> Array:
        """(B, 21), [1/px], what a keypoint's error counts; 0 where there is none.

        Args:
            sigma: At confidence 1, of keypoints whose own is not known, [px].
        """
        trust = np.sqrt(np.clip(self.confidence, 0.0, 1.0))[:, None] / sigma
        if self.sigma is not None:
            trust = (self.confidence > 0)[:, None] / self.sigma
        return np.where(known_keypoints(self.keypoints), trust, 0.0)

    @property
    def rays(self) -> Array:
        """(B, 3), unit vectors from the camera to the hands."""
        known = known_keypoints(self.keypoints)[..., None]
        middle = np.where(known, self.keypoints, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        rays = np.append(middle, np.ones((len(middle), 1)), axis=1) @ np.linalg.inv(self.intrinsics).T
        return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))

    @property
    def usable(self) -> Booleans:
        """(B,), hands with enough keypoints, four of the palm's among them, that do not all lie on one spot."""
        seen = known_keypoints(self.keypoints)
        wide = np.nan_to_num(hand_sizes(self.keypoints[:, PALM])) > SMALLEST
        return wide & (seen.sum(axis=1) >= FEWEST) & (seen[:, PALM].sum(axis=1) >= 4) & (self.confidence > 0)


@dataclass(frozen=True)
class Fit:
    """What one picture alone says of B hands; a row that could not be fitted has `believed` False and means nothing."""

    pose: HandPose
    mirrored: HandPose  # the second best answer, its palm tilted the other way
    cost: Array  # (B, 2), of both: half the sum of squares
    believed: Booleans  # (B,)
    sigma: float  # [px], of a keypoint along an axis, at confidence 1
    shape: Array = field(default_factory=lambda: np.zeros((1, SHAPE)))  # (1, 21), that was used


@dataclass(frozen=True)
class Linear:
    """Keypoints at a pose: normal equations of a step."""

    cost: Array  # (B,), half the sum of squares, priors included
    gradient: Array  # (B, 27)
    hessian: Array  # (B, 27, 27), of keypoints and limits
    residual: Array  # (B, R), weighted; R: 42 of pixels, then 21 of depths where there are any
    by_pose: Array  # (B, R, 27), of it
    by_shape: Array  # (B, R, 21), of it; (B, R, 0) if not asked for


def fit_hands(observed: Observations, settings: FitSettings, shape: Array | None = None) -> Fit:
    """The pose of every hand from its own picture.

    Args:
        observed: B hands.
        settings: How.
        shape: (1, 21), logarithms of proportions; None: the mean hand's.

    Raises:
        LabelError: Keypoints, sides and confidences of different numbers, or a camera that is none.
    """
    _check(observed)
    shape = np.zeros((1, SHAPE)) if shape is None else shape
    usable = np.flatnonzero(observed.usable)
    starts = _start(observed[usable], settings, shape)
    given = settings.keypoint_sigma or _usual_sigma(observed[usable])
    sigma = given or 0.03 * _median_size(observed[usable])
    found, costs = _solve_all(starts, observed[usable], shape, sigma, settings, DONE if given else ROUGH)
    if not given and len(usable):
        best = _best(found, costs)
        sigma = estimate_noise(best, observed[usable], shape, settings)
        found, costs = _solve_all(found, observed[usable], shape, sigma, settings, DONE)
    return _gathered(observed, usable, found, costs, sigma, shape, settings)


def linearize(
    pose: HandPose,
    observed: Observations,
    shape: Array,
    sigma: float,
    settings: FitSettings,
    data_weight: float = 1.0,
    prior_weight: float = 1.0,
    with_shape: bool = False,
) -> Linear:
    """Cost and normal equations of keypoints, prior and limits at a pose.

    Args:
        pose: B hands.
        observed: Their keypoints.
        shape: (B or 1, 21).
        sigma: Of a keypoint along an axis at confidence 1, [px].
        settings: Robustness, prior and limits.
        data_weight: Of the keypoints' squares: below 1 if those of neighbouring frames err alike.
        prior_weight: Of the prior's: below 1 if it is asked of many frames of one movement.
        with_shape: Whether `by_shape` is wanted.
    """
    seen = see(pose, observed.side, shape, observed.intrinsics, observed.offsets, with_shape)
    known = known_keypoints(observed.keypoints)
    off = np.where(known[..., None], seen.pixels - observed.keypoints, 0.0)
    rows = [_calmed(off, observed.trust(sigma), seen.by_pose, seen.by_shape, data_weight, settings.robust)]
    if observed.depths is not None and observed.depth_sigma is not None:
        rows.append(_calmed(*_depth_rows(pose, observed, seen), data_weight, settings.robust))
    residual, by_pose, by_shape = (
        np.concatenate(parts, axis=1) for parts in zip(*(row[1:] for row in rows), strict=True)
    )
    transposed = np.swapaxes(by_pose, 1, 2)
    hessian = transposed @ by_pose
    gradient = (transposed @ residual[..., None])[..., 0]
    cost = sum(row[0] for row in rows)
    precision, mean = angle_prior(settings)
    off_rest = pose.angles - mean
    pull = prior_weight * off_rest @ precision
    beyond = np.maximum(pose.angles - UPPER, 0) + np.minimum(pose.angles - LOWER, 0)
    stiff = 1 / settings.limit_sigma**2
    gradient[:, 6:] += pull + stiff * beyond
    hessian[:, 6:, 6:] += prior_weight * precision
    diagonal = np.arange(6, PARAMETERS)
    hessian[:, diagonal, diagonal] += stiff * (beyond != 0)
    cost = cost + 0.5 * (off_rest * pull).sum(axis=1) + 0.5 * stiff * (beyond**2).sum(axis=1)
    return Linear(cost, gradient, hessian, residual, by_pose, by_shape)


def _calmed(
    off: Array, trust: Array, by_pose: Array, by_shape: Array, data_weight: float, robust: float
) -> tuple[Array, Array, Array, Array]:
    """Soft L1 as iteratively reweighted squares, of residuals (B, 21, k): cost (B,), then rows of 21 k each."""
    count, axes = len(off), off.shape[2]
    raw = off * trust[..., None]
    root = np.sqrt(1 + (raw**2).sum(axis=-1) / robust**2)
    calm = np.sqrt(data_weight / root)
    weight = (trust * calm)[..., None, None]
    return (
        data_weight * robust**2 * (root - 1).sum(axis=1),
        (raw * calm[..., None]).reshape(count, 21 * axes),
        (by_pose * weight).reshape(count, 21 * axes, PARAMETERS),
        (by_shape * weight).reshape(count, 21 * axes, -1),
    )


def _depth_rows(pose: HandPose, observed: Observations, seen: Seen) -> tuple[Array, Array, Array, Array]:
    """How much farther than the wrist keypoints are along the ray, less what is observed: as arguments of `_calmed`."""
    assert observed.depths is not None
    assert observed.depth_sigma is not None
    rays, known = observed.rays, np.isfinite(observed.depths)
    arms = seen.in_camera - seen.in_camera[:, :1]
    off = np.where(known, np.einsum("bki,bi->bk", arms, rays) - observed.depths, 0.0)
    trust = known * (observed.confidence > 0)[:, None] / observed.depth_sigma
    by_pose = np.zeros((*off.shape, 1, PARAMETERS))
    by_pose[:, :, 0, :3] = np.cross(arms, rays[:, None])
    by_pose[:, :, 0, 6:] = np.einsum("bi,bkij->bkj", rays, seen.by_angles)
    by_shape = np.einsum("bi,bkij->bkj", rays, seen.in_camera_by_shape)[:, :, None]
    return off[..., None], trust, by_pose, by_shape


def angle_prior(settings: FitSettings) -> tuple[Array, Array]:
    """Precision (21, 21) and mean (21,) of the angles of a hand that works."""
    precision = np.zeros((ANGLES, ANGLES))
    thumb = settings.thumb_sigma * np.array([1.0, 0.7, 0.3, 0.8, 1.0])
    precision[range(5), range(5)] = 1 / thumb**2
    for finger in range(4):
        spread, knuckle, second, third = range(4 * finger + 5, 4 * finger + 9)
        precision[spread, spread] = 1 / settings.spread_sigma**2
        precision[knuckle, knuckle] = precision[second, second] = 1 / settings.bend_sigma**2
        row = np.zeros(ANGLES)
        row[third], row[second] = 1.0, -2 / 3
        precision += np.outer(row, row) / settings.coupling_sigma**2
    return precision, REST


def estimate_noise(pose: HandPose, observed: Observations, shape: Array, settings: FitSettings) -> float:
    """How far keypoints are off along an axis, [px]: what is left over, and what a rig of 27 numbers has swallowed."""
    seen = see(pose, observed.side, shape, observed.intrinsics, observed.offsets)
    left = np.linalg.norm(seen.pixels - observed.keypoints, axis=-1)
    left = left * np.sqrt(observed.confidence)[:, None]
    spread = float(np.nanmedian(left) / np.sqrt(2 * np.log(2)))  # of a Rayleigh distribution
    for _ in range(3):
        sigma = max(spread, NOISE_FLOOR)
        lines = linearize(pose, observed, shape, sigma, settings)
        data = np.swapaxes(lines.by_pose, 1, 2) @ lines.by_pose
        swallowed = np.trace(np.linalg.solve(lines.hessian + 1e-9 * np.eye(PARAMETERS), data), axis1=1, axis2=2)
        free = 1 - float(np.median(swallowed)) / 42
        spread = float(np.nanmedian(left) / np.sqrt(2 * np.log(2)) / np.sqrt(max(free, 0.1)))
    return max(spread, NOISE_FLOOR)


def known_keypoints(keypoints: Array) -> Booleans:
    """(B, 21), which of (B, 21, 2) there are."""
    return np.asarray(np.isfinite(keypoints).all(axis=-1))


def hand_sizes(keypoints: Array) -> Array:
    """How large hands are in their pictures, (B,), [px]: the diagonal of what keypoints cover; NaN without any."""
    known = known_keypoints(keypoints)[..., None]
    highest, lowest = np.where(known, keypoints, -np.inf).max(axis=1), np.where(known, keypoints, np.inf).min(axis=1)
    return np.where(known.any(axis=(1, 2)), np.linalg.norm(np.maximum(highest - lowest, 0), axis=-1), np.nan)


def _check(observed: Observations) -> None:
    count = len(observed.side)
    if observed.keypoints.shape != (count, 21, 2) or observed.confidence.shape != (count,):
        raise LabelError(
            f"expected keypoints ({count}, 21, 2) and confidences ({count},) for {count} sides, "
            f"got {observed.keypoints.shape} and {observed.confidence.shape}"
        )
    camera = observed.intrinsics
    if camera.shape != (3, 3) or not np.isfinite(camera).all() or min(camera[0, 0], camera[1, 1]) <= 0:
        raise LabelError(f"expected the intrinsics of a camera, 3 by 3 with positive focal lengths, got {camera}")


def _usual_sigma(observed: Observations) -> float:
    """Median of the keypoints' sigmas, [px]; 0 where they are not known."""
    return float(np.median(observed.sigma)) if observed.sigma is not None and len(observed) else 0.0


def _median_size(observed: Observations) -> float:
    return float(np.median(hand_sizes(observed.keypoints))) if len(observed) else 1.0


def _start(observed: Observations, settings: FitSettings, shape: Array) -> tuple[HandPose, HandPose]:
    """Both ways in which the palm may be tilted, fingers at rest."""
    count = len(observed)
    angles = np.tile(REST, (count, 1))
    points = keypoints_in_wrist(angles, observed.side, shape, observed.offsets).points
    palm = points[:, PALM]
    rotation, position = np.tile(np.eye(3), (count, 1, 1)), np.tile([0.0, 0.0, 0.5], (count, 1))
    for row in range(count):
        rotation[row], position[row] = _palm_pose(palm[row], observed.keypoints[row, PALM], observed.intrinsics)
    if observed.depths is not None:
        whole = np.isfinite(observed.depths).all(axis=1) & known_keypoints(observed.keypoints).all(axis=1)
        solid = np.flatnonzero(whole)
        rotation[solid], position[solid] = _solid_pose(points[solid], observed[solid])
    middle = (rotation @ palm.mean(axis=1)[..., None])[..., 0] + position
    sight = middle / np.linalg.norm(middle, axis=1, keepdims=True)
    mirror = np.eye(3) - 2 * sight[:, :, None] * sight[:, None]
    other = mirror @ rotation @ np.diag([1.0, 1.0, -1.0])
    moved = middle - (other @ palm.mean(axis=1)[..., None])[..., 0]
    return HandPose(rotation, position, angles), HandPose(other, moved, angles.copy())


def _solid_pose(points: Array, observed: Observations) -> tuple[Array, Array]:
    """Of hands whose keypoints have depths too: all 21 points (B, 21, 3) turned and moved onto them."""
    assert observed.depths is not None
    away, camera = observed.rays, observed.intrinsics
    rays = np.append(observed.keypoints, np.ones((len(observed), 21, 1)), axis=2) @ np.linalg.inv(camera).T
    rays = rays / np.einsum("bki,bi->bk", rays, away)[..., None]  # those of one length lie in a plane across the sight
    across = rays - rays.mean(axis=1, keepdims=True)
    depths = observed.depths - observed.depths.mean(axis=1, keepdims=True)
    own = points - points.mean(axis=1, keepdims=True)
    flat = np.maximum((own**2).sum(axis=(1, 2)) - (depths**2).sum(axis=1), 0.05 * (own**2).sum(axis=(1, 2)))
    distance = np.sqrt(flat / np.maximum((across**2).sum(axis=(1, 2)), 1e-12))
    seen = distance[:, None, None] * across + depths[..., None] * away[:, None]
    left, _, right = np.linalg.svd(np.swapaxes(seen, 1, 2) @ own)
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    rotation = left @ right
    return rotation, distance[:, None] * rays.mean(axis=1) - (rotation @ points.mean(axis=1)[..., None])[..., 0]


def _palm_pose(palm: Array, pixels: Array, intrinsics: Array) -> tuple[Array, Array]:
    known = np.isfinite(pixels).all(axis=1)
    try:
        found, turn, place = cv2.solvePnP(palm[known], pixels[known], intrinsics, None, flags=cv2.SOLVEPNP_SQPNP)
    except cv2.error:  # points on a line or on a spot
        found = False
    position = place[:, 0] if found else np.full(3, np.nan)
    if not np.isfinite(position).all() or position[2] < 0.05:
        focal = 0.5 * (intrinsics[0, 0] + intrinsics[1, 1])
        depth = focal * MEAN_LENGTH / 2 / max(float(np.linalg.norm(np.ptp(pixels[known], axis=0))), 1.0)
        ray = np.linalg.solve(intrinsics, np.append(pixels[known].mean(axis=0), 1.0))
        return np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]]), depth * ray  # seen from above, pointing away
    return cv2.Rodrigues(turn)[0], position


def _solve_all(
    starts: tuple[HandPose, HandPose],
    observed: Observations,
    shape: Array,
    sigma: float,
    settings: FitSettings,
    tolerance: float,
) -> tuple[tuple[HandPose, HandPose], Array]:
    """Both starts of every hand brought to their minima, and their costs (B, 2)."""
    found, costs = [], []
    for start in starts:
        parts = [
            _solve(start[rows], observed[rows], shape, sigma, settings, tolerance)
            for rows in (slice(first, first + BATCH) for first in range(0, len(start), BATCH))
        ]
        found.append(_joined([pose for pose, _ in parts]))
        costs.append(np.concatenate([cost for _, cost in parts]) if parts else np.zeros(0))
    return (found[0], found[1]), np.stack(costs, axis=1)


def _solve(
    pose: HandPose, observed: Observations, shape: Array, sigma: float, settings: FitSettings, tolerance: float
) -> tuple[HandPose, Array]:
    """Levenberg-Marquardt; every hand has its own damping, and leaves when it no longer moves."""
    rotation, position, angles = pose.rotation.copy(), pose.position.copy(), pose.angles.copy()
    damping, active = np.full(len(pose), 1e-2), np.arange(len(pose))
    at = linearize(pose, observed, shape, sigma, settings)
    cost, gradient, hessian = at.cost.copy(), at.gradient.copy(), at.hessian.copy()
    diagonal = np.arange(PARAMETERS)
    for _ in range(settings.iterations):
        if not len(active):
            break
        damped = hessian[active]
        damped[:, diagonal, diagonal] *= 1 + damping[active, None]
        damped[:, diagonal, diagonal] += 1e-9
        step = -np.linalg.solve(damped, gradient[active][..., None])[..., 0]
        step *= np.minimum(1.0, 0.5 / np.maximum(np.abs(step[:, _TURNS]).max(axis=1, keepdims=True), 1e-9))
        tried = HandPose(rotation[active], position[active], angles[active]).moved(step)
        new = linearize(tried, observed[active], shape, sigma, settings)
        gain = cost[active] - new.cost
        better = (gain > 0) & (tried.position[:, 2] > 0)
        taken = active[better]
        rotation[taken], position[taken] = tried.rotation[better], tried.position[better]
        angles[taken], cost[taken] = tried.angles[better], new.cost[better]
        gradient[taken], hessian[taken] = new.gradient[better], new.hessian[better]
        damping[active] = np.where(better, 0.2 * damping[active], 5 * damping[active])
        going = np.where(better, gain > tolerance * (1 + new.cost), damping[active] < 1e5)
        active = active[going]
    return HandPose(rotation, position, angles), cost


_TURNS = [0, 1, 2, *range(6, PARAMETERS)]


def _best(found: tuple[HandPose, HandPose], costs: Array) -> HandPose:
    return _chosen(found, (costs[:, 1] < costs[:, 0]).astype(int))


def _chosen(found: tuple[HandPose, HandPose], which: Integers) -> HandPose:
    first = which == 0
    return HandPose(
        np.where(first[:, None, None], found[0].rotation, found[1].rotation),
        np.where(first[:, None], found[0].position, found[1].position),
        np.where(first[:, None], found[0].angles, found[1].angles),
    )


def _joined(poses: list[HandPose]) -> HandPose:
    if not poses:
        return HandPose(np.zeros((0, 3, 3)), np.zeros((0, 3)), np.zeros((0, ANGLES)))
    return HandPose(
        np.concatenate([pose.rotation for pose in poses]),
        np.concatenate([pose.position for pose in poses]),
        np.concatenate([pose.angles for pose in poses]),
    )


def _gathered(
    observed: Observations,
    usable: Integers,
    found: tuple[HandPose, HandPose],
    costs: Array,
    sigma: float,
    shape: Array,
    settings: FitSettings,
) -> Fit:
    """Answers at the rows of the hands they belong to, the better one first."""
    count = len(observed)
    swap = (costs[:, 1] < costs[:, 0]).astype(int)
    ordered = [_chosen(found, swap), _chosen(found, 1 - swap)]
    poses = []
    for pose in ordered:
        whole = HandPose(np.tile(np.eye(3), (count, 1, 1)), np.full((count, 3), np.nan), np.tile(REST, (count, 1)))
        whole.rotation[usable], whole.position[usable], whole.angles[usable] = (
            pose.rotation,
            pose.position,
            pose.angles,
        )
        poses.append(whole)
    cost = np.full((count, 2), np.inf)
    cost[usable] = np.sort(costs, axis=1)
    believed = np.zeros(count, dtype=bool)
    believed[usable] = _believed(ordered[0], observed[usable], shape, settings)
    return Fit(poses[0], poses[1], cost, believed, sigma, shape)


def _believed(pose: HandPose, observed: Observations, shape: Array, settings: FitSettings) -> Booleans:
    seen = see(pose, observed.side, shape, observed.intrinsics, observed.offsets)
    left = np.sqrt(np.nanmean((seen.pixels - observed.keypoints) ** 2, axis=(1, 2)) * 2)
    depth = pose.position[:, 2]
    fits = left < settings.worst_residual * hand_sizes(observed.keypoints)
    return fits & (depth > settings.nearest) & (depth < settings.farthest)
