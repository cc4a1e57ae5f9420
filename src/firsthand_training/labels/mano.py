"""The MANO hand (Romero, Tzionas, Black 2017): 10 numbers of shape and 48 of pose to 778 vertices and 21 keypoints.

The model is licensed and not shipped: get MANO_RIGHT.pkl from its authors' site and convert it once, with
`python -m firsthand_training.labels.mano_file MANO_RIGHT.pkl mano_right.npz`, which runs no code of the file.

Left hands are the mirrored right one (x -> -x), as in WiLoR and HaMeR: a left hand's own pose is that of the mirrored
right hand, rotations mirrored with it. Pose 0 is the flat hand.
"""

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand.space.rotations import matrix_from_rotation_vector
from firsthand_training.hand_bones import MIRROR
from firsthand_training.labels.hand_rig import RIGHT, Integers, keypoints_in_wrist

Array = NDArray[np.floating]

VERTICES, JOINTS, SHAPE, POSE = 778, 16, 10, 48
TIP_VERTICES = [744, 320, 443, 554, 671]  # thumb to little, as smplx counts them
KEYPOINTS_OF_JOINTS = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
"""Where each of our 21 keypoints is among the 16 joints and the 5 fingertips; MANO's order is index, middle, little,
ring, thumb."""
PALM = [0, 5, 9, 13, 17]
_MIRROR = np.array([-1.0, 1.0, 1.0])

FILE_SHAPES = {
    "v_template": (VERTICES, 3),
    "shapedirs": (VERTICES, 3, SHAPE),
    "posedirs": (VERTICES, 3, 9 * (JOINTS - 1)),
    "J_regressor": (JOINTS, VERTICES),
    "weights": (VERTICES, JOINTS),
    "parents": (JOINTS,),
}
"""Arrays of a converted file."""

MANO_FROM_WRIST: Array = np.array(  # (2, 3, 3): its hand lies along -x (a left one's along +x), back up, +y
    [
        [[1.0, 0, 0], [0, 0, 1], [0, -1, 0]],
        [[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]],
    ]
)
"""Our wrist frame's axes in those of MANO's wrist at pose 0, left then right."""


@dataclass(frozen=True)
class ManoHands:
    """B hands in the frame that theta_w turns from, wrist translation as MANO has it."""

    vertices: Array  # (B, 778, 3), [m]
    keypoints: Array  # (B, 21, 3), [m], in our order
    rotations: Array  # (B, 3, 3), of our wrist frame


class Mano:
    """A loaded model."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        """Check that the arrays are a right hand's.

        Raises:
            LabelError: One is missing or of another shape, numbers are not finite, or the hand lies otherwise.
        """
        wrong = [
            f"{name} {np.shape(arrays[name]) if name in arrays else 'is missing'}"
            for name, shape in FILE_SHAPES.items()
            if name not in arrays or np.shape(arrays[name]) != shape or not np.isfinite(arrays[name]).all()
        ]
        if wrong:
            raise LabelError(f"not a MANO hand: {'; '.join(wrong)}; expected finite {FILE_SHAPES}")
        self._template = np.asarray(arrays["v_template"], dtype=float)
        self._shape = np.asarray(arrays["shapedirs"], dtype=float)
        self._pose = np.asarray(arrays["posedirs"], dtype=float)
        self._regressor = np.asarray(arrays["J_regressor"], dtype=float)
        self._weights = np.asarray(arrays["weights"], dtype=float)
        self._parents = np.asarray(arrays["parents"], dtype=int)
        if (self._parents[1:] >= np.arange(1, JOINTS)).any() or (self._parents[1:] < 0).any():
            raise LabelError(f"not a MANO hand: its joints' parents are {self._parents.tolist()}")
        tilt = np.arccos(np.clip((np.trace(self.wrist_frame()[1].T @ MANO_FROM_WRIST[RIGHT]) - 1) / 2, -1, 1))
        if tilt > np.deg2rad(30):
            raise LabelError(
                f"this file's hand lies {np.rad2deg(tilt):.0f} degrees from how MANO_RIGHT does: is it a right one?"
            )

    @classmethod
    def load(cls, path: Path) -> "Mano":
        """Read a converted file.

        Raises:
            LabelError: It is missing, damaged, or no MANO hand.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
                return cls({name: data[name] for name in FILE_SHAPES if name in data})
        except FileNotFoundError:
            raise LabelError(f"no MANO model at {path}; see the first lines of labels/mano.py") from None
        except (OSError, EOFError, BadZipFile, ValueError) as error:
            if isinstance(error, LabelError):
                raise
            raise LabelError(f"{path} cannot be read ({error}); convert MANO_RIGHT.pkl again") from error

    def hands(self, shape: Array, pose: Array, side: Integers) -> ManoHands:
        """Pose hands.

        Args:
            shape: (B, 10), beta.
            pose: (B, 48), theta, axis-angle, [rad]: the wrist, then 15 joints; a left hand's own.
            side: (B,), 0 left, 1 right.
        """
        mirror = np.where((np.asarray(side) == RIGHT)[:, None], 1.0, _MIRROR)  # (B, 3)
        own = np.asarray(pose, dtype=float).reshape(-1, JOINTS, 3)
        # a rotation seen in a mirror turns about the mirrored axis the other way
        turns = matrix_from_rotation_vector(own * (mirror * np.prod(mirror, axis=1, keepdims=True))[:, None])
        shaped = self._template + np.einsum("vis,bs->bvi", self._shape, np.asarray(shape, dtype=float))
        joints = self._regressor @ shaped
        bent = (turns[:, 1:] - np.eye(3)).reshape(len(turns), -1)
        posed = shaped + np.einsum("vip,bp->bvi", self._pose, bent)
        moves = self._skeleton(turns, joints)
        blended = np.einsum("vj,bjik->bvik", self._weights, moves)
        vertices = (blended[..., :3] @ posed[..., None])[..., 0] + blended[..., 3]
        placed = (moves[..., :3] @ joints[..., None])[..., 0] + moves[..., 3]
        keypoints = np.concatenate([placed, vertices[:, TIP_VERTICES]], axis=1)[:, KEYPOINTS_OF_JOINTS]
        wrists = matrix_from_rotation_vector(own[:, 0]) @ self.wrist_frame()[np.asarray(side)]
        return ManoHands(vertices * mirror[:, None], keypoints * mirror[:, None], wrists)

    def wrist_frame(self) -> Array:
        """Our wrist frame's axes in MANO's at pose 0, (2, 3, 3): where palm and knuckles of both models agree best."""
        ours = keypoints_in_wrist(np.zeros((1, 21)), np.array([RIGHT]), np.zeros((1, 21))).points[0, PALM]
        theirs = (self._regressor @ self._template)[[0, 1, 4, 10, 7]]
        left, _, right = np.linalg.svd((theirs - theirs[0]).T @ (ours - ours[0]))
        rotation = left @ np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right
        return np.stack([_MIRROR[:, None] * rotation * MIRROR, rotation])

    def _skeleton(self, turns: Array, joints: Array) -> Array:
        """What carries each joint's part of the rest pose to where it is, (B, 16, 3, 4)."""
        world = np.zeros((len(turns), JOINTS, 4, 4))
        for joint in range(JOINTS):
            local = np.zeros((len(turns), 4, 4))
            local[:, :3, :3], local[:, 3, 3] = turns[:, joint], 1.0
            parent = self._parents[joint] if joint else None
            local[:, :3, 3] = joints[:, joint] - (0 if parent is None else joints[:, parent])
            world[:, joint] = local if parent is None else world[:, parent] @ local
        moves = world[:, :, :3].copy()
        moves[..., 3] -= (world[:, :, :3, :3] @ joints[..., None])[..., 0]
        return moves
