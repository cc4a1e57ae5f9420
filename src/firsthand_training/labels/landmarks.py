"""What a detector calls a keypoint, from the joint or fingertip that the rig means by it; and our fingertips.

An offset lies in the frame of the bone that ends at the keypoint (the palm's for the wrist and where digits begin), of
a right hand of MEAN_LENGTH: x along the bone, y to the thumb's side, z towards nail or back of the hand.
"""

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand_training.labels.hand_rig import (
    REST,
    SHAPE,
    HandPose,
    Integers,
    bone_frames,
    keypoints_in_wrist,
    mirror_of,
)
from firsthand_training.labels.pinhole import see
from firsthand_training.labels.stage_files import KEYPOINTS, TIPS

Array = NDArray[np.floating]


def _table(**known: tuple[float, float, float]) -> Array:
    offsets = np.zeros((21, 3))
    for name, offset in known.items():
        offsets[KEYPOINTS.index(name)] = offset
    return offsets


OFFSETS = {
    "joints": _table(),
    "mediapipe": _table(wrist=(0.0134, 0.0, 0.0050)),
}
"""By the name of what makes keypoints, (21, 3), [m]. `joints`: those of the rig itself, near MANO's, which are WiLoR's;
`mediapipe`: its wrist, measured against the wrist joint of WebXR's hand."""


def metres_a_pixel(keypoints: Array, depths: Array) -> Array:
    """(B,), of hands of MEAN_LENGTH, by the lengths of bones whose ends are (B, 21, 2) and (B, 21) deep, [px]."""
    solid = np.concatenate([keypoints, depths[..., None]], axis=-1)
    lengths = np.linalg.norm(solid[:, _BONES[:, 0]] - solid[:, _BONES[:, 1]], axis=-1)
    return np.asarray(1 / np.median(lengths / _LENGTHS, axis=1))


_BONES: Integers = np.array(
    [[0 if joint == 0 else 4 * digit + joint, 4 * digit + joint + 1] for digit in range(5) for joint in range(4)]
    + [[5, 9], [9, 13], [13, 17], [5, 17]]
)
_LENGTHS: Array = np.linalg.norm(
    np.diff(keypoints_in_wrist(REST[None], np.array([1]), np.zeros((1, SHAPE))).points[0][_BONES], axis=1)[:, 0],
    axis=-1,
)


def offsets_of(backend: str) -> Array:
    """The table of a backend.

    Raises:
        LabelError: There is none.
    """
    if backend not in OFFSETS:
        raise LabelError(f"no table of keypoint offsets for {backend!r}; there are {', '.join(OFFSETS)}")
    return OFFSETS[backend]


def tips_in_wrist(angles: Array, side: Integers, shape: Array) -> Array:
    """Our fingertips (B, 5, 3), [m], thumb to little, in each hand's own wrist frame; for the arguments see the rig."""
    return keypoints_in_wrist(angles, side, shape).points[:, TIPS]


def calibrate_offsets(
    pose: HandPose, side: Integers, shape: Array, intrinsics: Array, keypoints: Array, prior_sigma: float = 0.02
) -> Array:
    """The offsets that bring hands of known pose to what a detector saw of them.

    Least squares over all hands, made robust against single misses by two rounds of soft-L1 weights.

    Args:
        pose: B hands, for instance of rendered clips.
        side: (B,).
        shape: (B or 1, 21).
        intrinsics: (3, 3), [px].
        keypoints: (B, 21, 2), [px]; NaN where nothing was seen.
        prior_sigma: How large offsets are expected to be, [m].

    Returns:
        (21, 3), [m].

    Raises:
        LabelError: A keypoint was seen in fewer than ten hands.
    """
    offsets = np.zeros((21, 3))
    seen_in = np.isfinite(keypoints).all(axis=-1).sum(axis=0)
    if (seen_in < 10).any():
        raise LabelError(f"expected every keypoint in 10 hands or more to calibrate offsets, got {seen_in.tolist()}")
    turn = _camera_from_bone(pose, side)
    for _ in range(3):
        seen = see(pose, side, shape, intrinsics, offsets)
        left = np.where(np.isfinite(keypoints), keypoints - seen.pixels, 0.0)
        size = np.linalg.norm(left, axis=-1)
        sigma = max(float(np.median(size[size > 0])), 0.1) if (size > 0).any() else 0.1
        weight = np.isfinite(keypoints).all(axis=-1) / np.sqrt(1 + (size / sigma) ** 2) / sigma**2
        moves = seen.by_pose[..., 3:6] @ turn  # (B, 21, 2, 3)
        normal = np.einsum("bk,bkij,bkil->kjl", weight, moves, moves) + np.eye(3) / prior_sigma**2
        gradient = np.einsum("bk,bkij,bki->kj", weight, moves, left) - offsets / prior_sigma**2
        offsets = offsets + np.linalg.solve(normal, gradient[..., None])[..., 0]
    return offsets


def _camera_from_bone(pose: HandPose, side: Integers) -> Array:
    """(B, 21, 3, 3): what turns an offset into the camera, the mirror of a left hand included."""
    frames = np.tile(np.eye(3), (len(pose), 21, 1, 1))
    frames[:, 1:].reshape(len(pose), 5, 4, 3, 3)[:, :, 1:] = bone_frames(pose.angles)
    return pose.rotation[:, None] @ (mirror_of(side)[:, None, :, None] * frames)
