"""Whether the hand that reports it moves is the one that the camera sees moving.

Between two pictures in which one hand moved and the other did not (so the joints say), the pictures change around one
hand. Where that is not the hand that the joints name, left and right are swapped somewhere between motors and topics.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.calibration.camera_mount import OPTICAL_FROM_EYE, SIDE
from firsthand.calibration.recording import Sample
from firsthand.robot.joints import hand_names
from firsthand.robot.model import RobotModel
from firsthand.space.frames import inverse
from firsthand.vision.intrinsics import Intrinsics

Array = NDArray[np.floating]
Picture = NDArray[np.uint8]

MOVED, STILL = 0.010, 0.002  # [m] that a hand's points move between two pictures: one at least, the other at most
AROUND = 0.07  # [m] about a hand's points that belong to it
CHANGED = 18  # grey levels
FEWEST = 5  # pairs of pictures that can tell
CLEAR = 0.8  # of them that have to agree


@dataclass(frozen=True)
class HandVote:
    """What the pictures say about the hands' names."""

    left: int  # pairs in which the left hand was said to move
    right: int
    agree: int  # of them, in which the picture changes around that hand

    @property
    def answer(self) -> str:
        """right way round, swapped, or unsure."""
        judged = self.left + self.right
        if judged < FEWEST or min(self.left, self.right) == 0:
            return "unsure"
        share = self.agree / judged
        return "right way round" if share >= CLEAR else "swapped" if share <= 1 - CLEAR else "unsure"

    def __str__(self) -> str:
        return (
            f"hands: {self.answer} (the left moved alone {self.left} times, the right {self.right} times; the picture "
            f"changed around the one that moved {self.agree} times)"
        )


def vote_on_hands(samples: Iterable[Sample], model: RobotModel, intrinsics: Intrinsics) -> HandVote:
    """Compare what joints say with what the left eye sees, from picture to picture."""
    left = right = agree = 0
    for before, after in pairwise(samples):
        points = [_hand_points(model, sample.q) for sample in (before, after)]  # (2, n, 3) each
        motion = np.linalg.norm(points[1] - points[0], axis=-1).max(axis=1)
        mover = int(motion.argmax())
        if motion[mover] < MOVED or motion[1 - mover] > STILL:
            continue
        changed = _changed(before.images[0], after.images[0])
        shares = [_share(changed, np.concatenate([p[side] for p in points]), intrinsics) for side in (0, 1)]
        if max(shares) == 0:
            continue
        left, right = left + (mover == 0), right + (mover == 1)
        agree += int(shares[mover] > shares[1 - mover])
    return HandVote(left, right, agree)


def _hand_points(model: RobotModel, q: Array) -> Array:
    """Wrist and fingertips of both hands, (2, 6, 3), in the left eye's optical frame, [m]."""
    names = hand_names(model.hand)
    frames = [[base, *tips] for base, tips in zip(names.bases, names.tips, strict=True)]
    poses = model.link_poses(["torso_link", *frames[0], *frames[1]], q)
    torso_from = inverse(poses[0]) @ poses[1:]
    in_eyes = (inverse(model.torso_from_eyes) @ torso_from)[:, :3, 3]
    return (in_eyes @ OPTICAL_FROM_EYE.T).reshape(2, -1, 3)


def _changed(before: Picture, after: Picture) -> NDArray[np.bool_]:
    greys = [cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (5, 5), 0) for image in (before, after)]
    return np.asarray(cv2.absdiff(*greys) > CHANGED)


def _share(changed: NDArray[np.bool_], points: Array, intrinsics: Intrinsics) -> float:
    """Which part of the picture around a hand has changed; 0 for a hand out of view."""
    shift = np.array([SIDE[0] * intrinsics.baseline, 0, 0])  # from between the eyes to the left one
    in_view = (points := points + shift)[:, 2] > 0.05
    area = np.zeros(changed.shape, np.uint8)
    for point, pixel in zip(points[in_view], intrinsics.project(points[in_view]), strict=True):
        if np.all(np.abs(pixel) < 4 * max(changed.shape)):
            radius = int(AROUND * intrinsics.fx / point[2])
            cv2.circle(area, tuple(int(v) for v in np.rint(pixel)), radius, 1, -1)
    inside = area.astype(bool)
    return float(changed[inside].mean()) if inside.any() else 0.0
