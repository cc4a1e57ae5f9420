"""A kinematic hand of 27 parameters whose 21 keypoints can be fitted to those in a picture.

    0:3     rotation of the wrist, as a small turn in the camera's axes
    3:6     position of the wrist in the camera, [m]
    6:27    21 joint angles, [rad]: thumb 5 (opposition, bend, sideways and bend at its second joint, bend at its
            third), then each finger 4 (spread, bend at the knuckle, at the second, at the third joint)

Bones are those of `hand_bones.py`, of a hand of `MEAN_LENGTH`: a larger hand farther away gives the same picture, so
size is settled elsewhere (`hand_size.py`) and multiplies positions afterwards. Proportions are 21 logarithms, `shape`:
15 bones, 5 distances from the wrist to where the digits begin, and the breadth of the palm.

B hands along the first axis; a left hand is the mirrored right one (y -> -y in the wrist frame) with the same angles.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.space.rotations import matrix_from_rotation_vector
from firsthand_training.hand_bones import BASES, MIRROR, SEGMENTS, base_rotations, spread_axes

Array = NDArray[np.floating]
Integers = NDArray[np.int64]

ANGLES, PARAMETERS, SHAPE = 21, 27, 21
LEFT, RIGHT = 0, 1

THUMB_REST = (0.5, 0.1, 0.0, 0.3, 0.3)
FINGER_REST = (0.0, 0.45, 0.6, 0.4)
REST: Array = np.array([*THUMB_REST, *FINGER_REST * 4])  # [rad], of a hand that works
LOWER: Array = np.array([*(-0.4, -0.6, -0.4, -0.3, -0.4), *(-0.35, -0.5, -0.1, -0.2) * 4])
UPPER: Array = np.array([*(1.9, 0.9, 0.4, 1.1, 1.4), *(0.35, 1.6, 1.9, 1.4) * 4])

_SLOTS = np.array([[0, 1, 2, 3, 4], *[[4 * f + 5, 4 * f + 6, -1, 4 * f + 7, 4 * f + 8] for f in range(4)]])
"""Which angle turns each digit at its five places: twice at its base, twice at its second joint, once at its third."""
_UPSTREAM = np.array([[0, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]], dtype=float)
"""Which of those places move the digit's points: its base, second joint, third joint, tip."""
_JOINT_OF_SLOT = [0, 0, 1, 1, 2]
_DIGIT, _PLACE = np.nonzero(_SLOTS >= 0)
_ANGLE = _SLOTS[_DIGIT, _PLACE]

_FRAMES, _AXES = base_rotations(), spread_axes()
_FIRST_AXIS = np.einsum("dij,dj->di", _FRAMES, _AXES)  # (5, 3), of slot 0 in the wrist frame
_ALONG = _FIRST_AXIS[..., None] * np.einsum("di,dij->dj", _FIRST_AXIS, _FRAMES)[:, None]  # (5, 3, 3)
_ACROSS = np.cross(_FIRST_AXIS[:, :, None], _FRAMES, axis=1)


@dataclass(frozen=True)
class HandPose:
    """Where B hands are and how they are bent."""

    rotation: Array  # (B, 3, 3), camera_from_wrist
    position: Array  # (B, 3), [m], of the wrist in the camera, for a hand of MEAN_LENGTH
    angles: Array  # (B, 21), [rad]

    def __len__(self) -> int:
        return len(self.position)

    def __getitem__(self, rows: "slice | Integers | NDArray[np.bool_]") -> "HandPose":
        return HandPose(self.rotation[rows], self.position[rows], self.angles[rows])

    def moved(self, step: Array) -> "HandPose":
        """The pose after a step (B, 27) in the order of this module's table."""
        turned = matrix_from_rotation_vector(step[:, :3]) @ self.rotation
        return HandPose(turned, self.position + step[:, 3:6], self.angles + step[:, 6:])


@dataclass(frozen=True)
class Keypoints:
    """The 21 points of B hands in the wrist frame, and how they move."""

    points: Array  # (B, 21, 3), [m]
    by_angles: Array  # (B, 21, 3, 21), [m/rad]
    by_shape: Array  # (B, 21, 3, 21), [m]; (B, 21, 3, 0) if not asked for


def keypoints_in_wrist(
    angles: Array, side: Integers, shape: Array, offsets: Array | None = None, with_shape: bool = False
) -> Keypoints:
    """Forward kinematics with analytic derivatives.

    Args:
        angles: (B, 21), [rad].
        side: (B,), 0 left, 1 right.
        shape: (B or 1, 21), logarithms of proportions.
        offsets: (21, 3), [m], of what a detector calls a keypoint from the joint or fingertip, in the frame of the bone
            that ends there (the palm's for the wrist and where digits begin), of a right hand; None: none.
        with_shape: Whether derivatives by proportions are wanted.
    """
    frames, axes = _turn(angles)
    segments, bases = _bones(shape)
    joints = _chain(frames, segments, bases)  # (B, 5, 4, 3)
    points = joints if offsets is None else joints + _carried(frames, offsets)
    count = len(angles)
    by_angles = np.zeros((count, 21, 3, ANGLES))
    arms = points[:, :, :, None] - joints[:, :, None, _JOINT_OF_SLOT]  # (B, 5, 4 points, 5 slots, 3)
    moves = _cross(axes[:, :, None], arms) * _UPSTREAM[:, :, None]
    digits = by_angles[:, 1:].reshape(count, 5, 4, 3, ANGLES)  # a view
    digits[:, _DIGIT, ..., _ANGLE] = moves[:, _DIGIT, :, _PLACE]
    everything = np.zeros((count, 21, 3))
    everything[:, 1:] = points.reshape(count, 20, 3)
    if offsets is not None:
        everything[:, 0] = offsets[0]
    by_shape = _by_shape(frames, segments, bases, count) if with_shape else np.zeros((count, 21, 3, 0))
    mirror = mirror_of(side)
    return Keypoints(
        everything * mirror[:, None],
        by_angles * mirror[:, None, :, None],
        by_shape * mirror[:, None, :, None],
    )


def of_mean_length(shape: Array) -> Array:
    """The same proportions (B, 21) of hands as long as the mean one, from the wrist to the middle fingertip."""
    segments, bases = _bones(shape)
    length = np.linalg.norm(bases[:, 2], axis=1) + segments[:, 2].sum(axis=1)
    mean = np.linalg.norm(BASES[2]) + SEGMENTS[2].sum()
    scaled = shape.copy()
    scaled[:, :20] -= np.log(length / mean)[:, None]
    return scaled


def mirror_of(side: Integers) -> Array:
    """(B, 3): what turns points of a right hand's wrist frame into those of each hand's own."""
    return np.where((np.asarray(side) == LEFT)[:, None], MIRROR, 1.0)


def bone_frames(angles: Array) -> Array:
    """wrist_from_bone rotations of a right hand's bones, (B, 5, 3, 3, 3): x along each, z towards the nail."""
    return _turn(angles)[0]


def _bones(shape: Array) -> tuple[Array, Array]:
    """Lengths (B, 5, 3) and where digits begin (B, 5, 3), [m]."""
    factors = np.exp(shape)
    segments = SEGMENTS * factors[:, :15].reshape(-1, 5, 3)
    bases = BASES * factors[:, 15:20, None]
    bases = bases * np.stack([np.ones(len(shape)), factors[:, 20], np.ones(len(shape))], axis=-1)[:, None]
    return segments, bases


def _turn(angles: Array) -> tuple[Array, Array]:
    """Frames of the bones (B, 5, 3, 3, 3) and axes of the five places to turn at (B, 5, 5, 3), in the wrist frame."""
    slots = np.where(_SLOTS >= 0, np.asarray(angles, dtype=float)[:, _SLOTS], 0.0)  # (B, 5, 5)
    sine, cosine = np.sin(slots)[..., None], np.cos(slots)[..., None]
    first = cosine[:, :, 0, None] * _FRAMES + sine[:, :, 0, None] * _ACROSS + (1 - cosine[:, :, 0, None]) * _ALONG
    x, y, z = first[..., 0], first[..., 1], first[..., 2]
    axes = np.empty((len(slots), 5, 5, 3))
    axes[:, :, 0], axes[:, :, 1] = _FIRST_AXIS, y
    x, z = cosine[:, :, 1] * x - sine[:, :, 1] * z, sine[:, :, 1] * x + cosine[:, :, 1] * z
    frames = [np.stack([x, y, z], axis=-1)]
    axes[:, :, 2] = z
    x, y = cosine[:, :, 2] * x + sine[:, :, 2] * y, cosine[:, :, 2] * y - sine[:, :, 2] * x
    for slot in (3, 4):
        axes[:, :, slot] = y
        x, z = cosine[:, :, slot] * x - sine[:, :, slot] * z, sine[:, :, slot] * x + cosine[:, :, slot] * z
        frames.append(np.stack([x, y, z], axis=-1))
    return np.stack(frames, axis=2), axes


def _chain(frames: Array, segments: Array, bases: Array) -> Array:
    """The four points of each digit, (B, 5, 4, 3)."""
    joints = np.empty((*frames.shape[:2], 4, 3))
    joints[:, :, 0] = bases
    joints[:, :, 1:] = segments[..., None] * frames[..., 0]
    return np.cumsum(joints, axis=2)


def _carried(frames: Array, offsets: Array) -> Array:
    """Offsets (21, 3) turned with the bones they belong to, (B, 5, 4, 3)."""
    own = offsets[1:].reshape(5, 4, 3)
    carried = np.empty((*frames.shape[:2], 4, 3))
    carried[:, :, 0] = own[:, 0]
    carried[:, :, 1:] = (frames @ own[:, 1:, :, None])[..., 0]
    return carried


def _by_shape(frames: Array, segments: Array, bases: Array, count: int) -> Array:
    moves = np.zeros((count, 21, 3, SHAPE))
    digits = moves[:, 1:].reshape(count, 5, 4, 3, SHAPE)
    for digit in range(5):
        for bone in range(3):
            along = segments[:, digit, bone, None] * frames[:, digit, bone, :, 0]
            digits[:, digit, bone + 1 :, :, 3 * digit + bone] = along[:, None]
        digits[:, digit, :, :, 15 + digit] = bases[:, digit, None]
        digits[:, digit, :, 1, 20] = bases[:, digit, 1, None]
    return moves


def _cross(a: Array, b: Array) -> Array:
    result = np.empty(np.broadcast_shapes(a.shape, b.shape))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        result[..., i] = a[..., j] * b[..., k] - a[..., k] * b[..., j]
    return result
