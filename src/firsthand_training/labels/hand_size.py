"""How large a hand is, and how large the scene: what a single moving camera cannot see, with how sure that is.

A hand twice as large and twice as far away gives the same picture, so every position that the rig finds is in units of
its size. Where size comes from, best first:

    stereo       the same hands in the pair's other picture
    calibrated   the person's hand was measured, wrist to middle fingertip
    contact      hands touch a scene whose scale is known: seen through a hand, it is never nearer than the hand
    prior        an adult's hand

The scene's scale moves nothing but the camera's own way, `Labels.origin`. Where `Scene.scale` does not tell, hands do:
they must be in front of what they hide (`contact`), or else the scene is taken to be at arm's length (`prior`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand_training.hand_bones import MEAN_LENGTH
from firsthand_training.labels.metric_hands import CameraHands
from firsthand_training.labels.stage_files import HandPoses, Scene

Array = NDArray[np.floating]

PALM = [0, 5, 9, 13, 17]
FEWEST_PAIRS = 30  # of hand and scene in the same pixel, to speak of contact
TOUCHING = 90  # [%], of those pairs that are farther apart than the nearest ones, which touch
REACH = 0.1  # of the hand's size in the picture, within which a point of the scene is behind a keypoint
LOOKED_AT = 200  # frames at most


@dataclass(frozen=True)
class SizeSettings:
    """What is known of the hands' size."""

    hand_length: float = 0.0
    """Of this person, wrist to middle fingertip, [m], if measured; 0: not."""
    calibrated_sigma: float = 0.02
    """Of a measured hand, relative."""
    prior_sigma: float = 0.06
    """Of adults' hands around MEAN_LENGTH, relative."""
    contact_sigma: float = 0.1
    """Of a size or scale found by contact, relative."""
    scene_depth: float = 0.8
    """Median depth of a scene of which nothing else tells the scale, [m]."""
    scene_depth_sigma: float = 0.4
    """Relative."""
    baseline: float = 0.0
    """From the camera to the right one of a pair, [m]; 0: a single camera. ZED Mini: 0.063."""

    def __post_init__(self) -> None:
        """Refuse what is no size."""
        sigmas = (self.calibrated_sigma, self.prior_sigma, self.contact_sigma, self.scene_depth_sigma)
        if not (min(sigmas) > 0 and self.scene_depth > 0 and self.baseline >= 0):
            raise LabelError(
                f"expected positive sigmas and depth of the scene, and a baseline of 0 or more, got {self}"
            )
        if self.hand_length and not 0.12 <= self.hand_length <= 0.25:
            raise LabelError(
                f"expected a hand of 0.12 to 0.25 m from wrist to middle fingertip, or 0, got {self.hand_length}"
            )


@dataclass(frozen=True)
class Scale:
    """A factor, how sure it is, and where it comes from."""

    factor: float
    sigma: float  # relative
    source: str


def hand_size(
    hands: CameraHands, poses: HandPoses, scene: Scene, settings: SizeSettings, right: HandPoses | None = None
) -> Scale:
    """What to multiply hands of MEAN_LENGTH by.

    Args:
        hands: By the rig, of MEAN_LENGTH.
        poses: Their keypoints.
        scene: The camera, points, and a scale if known.
        settings: What is known.
        right: Keypoints in the rectified pictures of the pair's right camera, the same frames.

    Raises:
        LabelError: Keypoints of a right camera without a baseline, or of other frames.
    """
    if right is not None:
        found = size_by_stereo(hands, poses, right, scene.intrinsics, settings.baseline)
        if found is not None:
            return found
    if settings.hand_length:
        return Scale(settings.hand_length / MEAN_LENGTH, settings.calibrated_sigma, "calibrated")
    prior = Scale(1.0, settings.prior_sigma, "prior")
    if not np.isfinite(scene.scale[0]):
        return prior
    nearest = contact_ratio(hands, poses, scene)
    if nearest is None:
        return prior
    weights = np.array([1 / prior.sigma**2, 1 / settings.contact_sigma**2])
    logarithm = weights @ np.array([0.0, np.log(float(scene.scale[0]) / nearest)]) / weights.sum()
    return Scale(float(np.exp(logarithm)), float(weights.sum() ** -0.5), "contact")


def scene_scale(hands: CameraHands, poses: HandPoses, scene: Scene, size: Scale, settings: SizeSettings) -> Scale:
    """[m] of a unit of the scene; 1 for a camera that only turned, whose positions are all 0."""
    if not scene.parallax[0]:
        return Scale(1.0, 0.0, "none")
    if np.isfinite(scene.scale[0]):
        return Scale(float(scene.scale[0]), settings.calibrated_sigma, "stereo")
    nearest = contact_ratio(hands, poses, scene)
    if nearest is not None:
        return Scale(size.factor * nearest, float(np.hypot(size.sigma, settings.contact_sigma)), "contact")
    depths = np.concatenate([_in_camera(scene, row)[:, 2] for row in _sample(len(scene.frames))])
    depths = depths[depths > 0]
    if not len(depths):
        return Scale(np.nan, np.inf, "none")
    return Scale(settings.scene_depth / float(np.median(depths)), settings.scene_depth_sigma, "prior")


def contact_ratio(hands: CameraHands, poses: HandPoses, scene: Scene) -> float | None:
    """Depth of hands of MEAN_LENGTH over that of the scene behind them, where they are closest; None: too few pairs."""
    if not scene.parallax[0] or not len(scene.points):
        return None
    ratios = [
        ratio
        for row in _sample(len(poses.frames))
        for side in (0, 1)
        if hands.measured[row, side]
        for ratio in _ratios(hands, poses, scene, row, side)
    ]
    return float(np.percentile(ratios, TOUCHING)) if len(ratios) >= FEWEST_PAIRS else None


def size_by_stereo(
    hands: CameraHands, poses: HandPoses, right: HandPoses, intrinsics: Array, baseline: float
) -> Scale | None:
    """Size by the palms' disparity in a rectified pair; None if no hand is seen in both."""
    if baseline <= 0:
        raise LabelError("expected the baseline of the pair to use keypoints of its right camera; set size.baseline")
    if not np.array_equal(poses.frames, right.frames):
        raise LabelError("expected keypoints of the same frames from both cameras of the pair")
    disparity = (poses.keypoints - right.keypoints)[:, :, PALM, 0]  # (N, 2, 5)
    shift = np.median(disparity, axis=-1)  # NaN if a keypoint of the palm is missing
    depth = intrinsics[0, 0] * baseline / np.where(shift > 1, shift, np.nan)
    ratio = depth / _palm_depth(hands)
    seen = np.isfinite(ratio) & hands.measured & (right.confidence > 0)
    if not seen.any():
        return None
    logarithms = np.log(ratio[seen])
    middle = float(np.median(logarithms))
    spread = 1.4826 * float(np.median(np.abs(logarithms - middle)))
    frames = max(1.0, seen.any(axis=1).sum() / 10)  # neighbours err alike
    return Scale(float(np.exp(middle)), float(np.hypot(spread / np.sqrt(frames), 0.01)), "stereo")


def _palm_depth(hands: CameraHands) -> Array:
    """Depth of the palm's middle, (N, 2): half way from the wrist to the knuckles, 9 cm along its x."""
    return hands.position[..., 2] + 0.07 * hands.rotation[..., 2, 0]


def _ratios(hands: CameraHands, poses: HandPoses, scene: Scene, row: int, side: int) -> list[float]:
    points = _in_camera(scene, row)
    points = points[points[:, 2] > 1e-6]
    pixels = points @ scene.intrinsics.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    tips = hands.position[row, side] + hands.tips[row, side] @ hands.rotation[row, side].T
    places = np.concatenate([hands.position[row, side, None], tips])
    seen = places @ scene.intrinsics.T
    seen = seen[:, :2] / seen[:, 2:]
    radius = REACH * np.linalg.norm(np.ptp(seen, axis=0))
    near = np.linalg.norm(pixels[:, None] - seen[None], axis=-1) < radius
    return [float(places[k, 2] / points[i, 2]) for i, k in np.argwhere(near)]


def _in_camera(scene: Scene, row: int) -> Array:
    pose = scene.world_from_camera[row]
    return (scene.points - pose[:3, 3]) @ pose[:3, :3]


def _sample(count: int) -> list[int]:
    return sorted({int(row) for row in np.linspace(0, count - 1, min(count, LOOKED_AT))})
