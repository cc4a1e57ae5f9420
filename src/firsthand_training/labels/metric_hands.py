"""Two hands in the camera, frame by frame, in metres: by the rig (default), or back-projected as in the paper.

`rig`: the hands of `fit_hands`, joined by `smooth_hands`, of a hand of MEAN_LENGTH; size comes later.
`back_projection` (Appendix II-C): wrist and fingertips are pixels sent through depth maps; the wrist's rotation is
MANO's theta_w, or the rig's where there is none. What moves is not where depth from motion says: the sigmas know.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand.space.rotations import matrix_from_rotation_vector
from firsthand_training.labels.depth_maps import depth_intrinsics, load_depth
from firsthand_training.labels.fit_hands import FitSettings, Observations, fit_hands
from firsthand_training.labels.landmark_bias import LandmarkBias, Said, mediapipe_bias
from firsthand_training.labels.landmarks import metres_a_pixel, offsets_of, tips_in_wrist
from firsthand_training.labels.mano import MANO_FROM_WRIST
from firsthand_training.labels.pinhole import turned_to
from firsthand_training.labels.smooth_hands import MotionSettings, error_memory, of_side, smooth_hand
from firsthand_training.labels.stage_files import TIPS, HandPoses
from firsthand_training.labels.uncertainty import spread_of, worst_sigma

Array = NDArray[np.floating]

TOGETHER = 8.0
"""What variances are multiplied by where sigmas are a detector's: its errors last, and those of a hand go together."""
DEPTH_SIGMA = 0.02
"""Of a keypoint's depth from that of the wrist by WiLoR, [m]; assumed, as nobody could run it here."""
WINDOW = 2  # [px], how far around a keypoint a depth map is asked


@dataclass(frozen=True)
class CameraHands:
    """Left and right hand of N frames in the camera; NaN where nothing is known."""

    rotation: Array  # (N, 2, 3, 3), camera_from_wrist
    position: Array  # (N, 2, 3), of the wrist
    tips: Array  # (N, 2, 5, 3), in the wrist frame
    wrist_sigma: Array  # (N, 2), along the worst direction
    rotation_sigma: Array  # (N, 2), [rad]
    tips_sigma: Array  # (N, 2), root mean square over fingertips of the worst direction
    measured: NDArray[np.bool_]  # (N, 2)

    def scaled(self, factor: float) -> "CameraHands":
        """The same, larger and farther away."""
        return CameraHands(
            self.rotation,
            factor * self.position,
            factor * self.tips,
            factor * self.wrist_sigma,
            self.rotation_sigma,
            factor * self.tips_sigma,
            self.measured,
        )


def rig_hands(
    poses: HandPoses,
    stamps: Array,
    intrinsics: Array,
    keypoints: str,
    fit: FitSettings,
    motion: MotionSettings,
    proportion_sigma: float,
) -> CameraHands:
    """Hands of the rig, [m] of a hand of MEAN_LENGTH; frames without keypoints are bridged and not `measured`.

    Args:
        poses: N frames.
        stamps: (N,), [s].
        intrinsics: (3, 3), [px].
        keypoints: Whose they are, a name in `landmarks.OFFSETS`.
        fit: How hands are fitted.
        motion: How they move.
        proportion_sigma: Spread of the logarithm of a bone's length among people.
    """
    observed = observations(poses, intrinsics, keypoints)
    count = len(poses.frames)
    found = fit_hands(observed, fit)
    calibrated = observed.sigma is not None
    memory = 1.0 if calibrated else error_memory(found, observed, count)
    hands = _nothing(count)
    for side in (0, 1):
        part, mine = of_side(found, observed, side)
        if not part.believed.any():
            continue
        track = smooth_hand(part, mine, stamps, fit, motion, memory)
        if calibrated:
            track = replace(track, covariance=TOGETHER * track.covariance)
        spread = spread_of(track, part, mine, fit, proportion_sigma)
        hands.rotation[:, side], hands.position[:, side] = track.pose.rotation, track.pose.position
        hands.tips[:, side] = tips_in_wrist(track.pose.angles, mine.side, part.shape)
        hands.wrist_sigma[:, side], hands.rotation_sigma[:, side] = (
            worst_sigma(spread.wrist),
            worst_sigma(spread.rotation),
        )
        hands.tips_sigma[:, side] = np.sqrt((worst_sigma(spread.tips) ** 2).mean(axis=-1))
        hands.measured[:, side] = part.believed
    return hands


def back_projected_hands(
    poses: HandPoses, rig: CameraHands, intrinsics: Array, depth: Path, scale: float, depth_sigma: float
) -> CameraHands:
    """Hands through depth maps, [m].

    Args:
        poses: N frames.
        rig: The same hands by the rig: rotations where MANO's are not known.
        intrinsics: (3, 3), [px] of the pictures.
        depth: Folder of depth maps.
        scale: [m] of a unit of the maps.
        depth_sigma: Of a depth on a hand, relative.

    Raises:
        LabelError: No depth map knows a depth on a hand.
    """
    points = np.stack([_through(load, poses, i, intrinsics) for i, load in enumerate(_maps(poses, depth))]) * scale
    rotation = mano_rotations(poses, intrinsics)
    rotation = np.where(np.isfinite(rotation).all(axis=(-1, -2), keepdims=True), rotation, rig.rotation)
    position = points[:, :, 0]
    tips = np.swapaxes(rotation, -1, -2)[:, :, None] @ (points[:, :, 1:] - position[:, :, None])[..., None]
    known = np.isfinite(points).all(axis=(-1, -2)) & np.isfinite(rotation).all(axis=(-1, -2)) & rig.measured
    if not known.any():
        raise LabelError(
            f"no frame of {depth} knows the depth of a wrist and all fingertips: maps from motion leave hands out. "
            "Use method `rig`, or depth of a stereo pair or a sensor"
        )
    wrist_sigma = depth_sigma * np.linalg.norm(position, axis=-1)
    return CameraHands(
        np.where(known[..., None, None], rotation, np.nan),
        np.where(known[..., None], position, np.nan),
        np.where(known[..., None, None], tips[..., 0], np.nan),
        np.where(known, wrist_sigma, np.nan),
        np.where(known, rig.rotation_sigma, np.nan),
        np.where(known, np.sqrt(2) * wrist_sigma, np.nan),  # a wrist and a fingertip err each by itself
        known,
    )


def observations(poses: HandPoses, intrinsics: Array, keypoints: str) -> Observations:
    """Both hands of all frames in a row: left, right, left, ..."""
    count = len(poses.frames)
    pixels = poses.keypoints.reshape(2 * count, 21, 2).astype(float)
    confidence = np.nan_to_num(poses.confidence.reshape(2 * count).astype(float))
    seen = Observations(pixels, np.tile([0, 1], count), confidence, intrinsics, offsets_of(keypoints))
    if keypoints == "mediapipe":
        return _put_right(seen, poses, mediapipe_bias())
    return _with_depths(seen, poses) if poses.depths.ndim else seen


def _with_depths(observed: Observations, poses: HandPoses) -> Observations:
    """Depths of a network that is right about them but for DEPTH_SIGMA."""
    depths = poses.depths.reshape(-1, 21)
    metres = metres_a_pixel(observed.keypoints, depths)[:, None] * depths
    return replace(observed, depths=metres, depth_sigma=np.full(depths.shape, DEPTH_SIGMA))


def _put_right(observed: Observations, poses: HandPoses, bias: LandmarkBias) -> Observations:
    """Keypoints, depths and their sigmas less what the network usually gets wrong; see `landmark_bias.py`."""
    count = len(poses.frames)
    depths = np.broadcast_to(poses.depths, (count, 2, 21)).reshape(2 * count, 21)
    spread = np.broadcast_to(poses.spread, (count, 2)).reshape(2 * count)
    said = Said(observed.keypoints, depths, spread, observed.confidence, observed.side)
    whole = said.whole & (observed.confidence > 0)
    if not whole.any():
        return observed
    right = bias.correct(said[whole])
    scale = metres_a_pixel(right.keypoints, right.depths)[:, None]
    pixels, sigma = np.full(observed.keypoints.shape, np.nan), np.ones((2 * count, 21))
    metres, depth_sigma = np.full((2 * count, 21), np.nan), np.ones((2 * count, 21))
    pixels[whole], sigma[whole] = right.keypoints, right.sigma
    metres[whole], depth_sigma[whole] = scale * right.depths, scale * right.depth_sigma
    return replace(observed, keypoints=pixels, offsets=None, sigma=sigma, depths=metres, depth_sigma=depth_sigma)


def _nothing(count: int) -> CameraHands:
    return CameraHands(
        np.full((count, 2, 3, 3), np.nan),
        np.full((count, 2, 3), np.nan),
        np.full((count, 2, 5, 3), np.nan),
        np.full((count, 2), np.nan),
        np.full((count, 2), np.nan),
        np.full((count, 2), np.nan),
        np.zeros((count, 2), dtype=bool),
    )


def _maps(poses: HandPoses, depth: Path) -> Iterator[tuple[Array, Array]]:
    intrinsics = depth_intrinsics(depth)
    for frame in poses.frames:
        yield load_depth(depth, int(frame)).depth, intrinsics


def _through(map_and_camera: tuple[Array, Array], poses: HandPoses, row: int, intrinsics: Array) -> Array:
    """Wrist and fingertips of both hands of a frame, (2, 6, 3), in the units of the map."""
    depth, camera = map_and_camera
    pixels = poses.keypoints[row][:, [0, *TIPS]].astype(float)  # (2, 6, 2)
    rays = np.concatenate([pixels, np.ones((2, 6, 1))], axis=-1) @ np.linalg.inv(intrinsics).T
    in_map = rays @ camera.T
    values = np.array([[_depth_at(depth, point) for point in hand] for hand in in_map])
    return rays * values[..., None]


def _depth_at(depth: Array, pixel: Array) -> float:
    """Median around a pixel; NaN outside, or where less than a quarter is known."""
    if not np.isfinite(pixel).all():
        return np.nan
    column, row = np.rint(pixel[:2]).astype(int)
    if not (0 <= row < depth.shape[0] and 0 <= column < depth.shape[1]):
        return np.nan
    part = depth[max(row - WINDOW, 0) : row + WINDOW + 1, max(column - WINDOW, 0) : column + WINDOW + 1]
    known = part[np.isfinite(part) & (part > 0)]
    return float(np.median(known)) if 4 * len(known) >= part.size else np.nan


def mano_rotations(poses: HandPoses, intrinsics: Array) -> Array:
    """camera_from_wrist (N, 2, 3, 3) by theta_w; NaN where MANO was not fitted.

    A network that was shown a crop tells it as a camera that looks at the crop's centre would see it; with the
    intrinsics (3, 3), [px], it is turned into the camera's own axes.
    """
    turn = poses.mano_pose[..., :3].astype(float)
    known = np.isfinite(turn).all(axis=-1)
    rotation = matrix_from_rotation_vector(np.where(known[..., None], turn, 0.0)) @ MANO_FROM_WRIST
    if poses.mano_ray.ndim:
        rotation = turned_to(poses.mano_ray, intrinsics) @ rotation
    return np.where(known[..., None, None], rotation, np.nan)
