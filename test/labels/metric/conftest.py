"""Clips of two moving hands whose truth is known, seen by a head camera that looks down at a table."""

from dataclasses import dataclass

import numpy as np
import pytest

from firsthand.space.rotations import matrix_from_rotation_vector, matrix_from_rpy
from firsthand_training.labels.hand_rig import SHAPE, HandPose
from firsthand_training.labels.landmarks import tips_in_wrist
from firsthand_training.labels.pinhole import see
from firsthand_training.labels.stage_files import HandPoses, Scene
from firsthand_training.labels.to_robot_frame import CAMERA_FROM_EYES

INTRINSICS = np.array([[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]])
BENT = np.array([0.6, 0.1, 0.0, 0.3, 0.4, *(0.0, 0.5, 0.7, 0.45) * 4])
PITCH, YAW = 0.8, 0.6  # [rad], of the head: down, and its heading in the world


@dataclass(frozen=True)
class TrueClip:
    pose: HandPose  # (2 T), left then right, frame by frame
    side: np.ndarray
    stamps_ns: np.ndarray
    world_from_camera: np.ndarray  # (T, 4, 4), [m]
    pixels: np.ndarray  # (2 T, 21, 2)

    def poses(self, noise=0.0, seed=0, hidden=()):
        """What `estimate_hands` would say; `hidden` are (frame, side)."""
        count = len(self.stamps_ns)
        keypoints = self.pixels + noise * np.random.default_rng(seed).standard_normal(self.pixels.shape)
        keypoints, confidence = keypoints.reshape(count, 2, 21, 2), np.ones((count, 2))
        for frame, side in hidden:
            keypoints[frame, side], confidence[frame, side] = np.nan, 0.0
        nothing = np.full((count, 2, 10), np.nan), np.full((count, 2, 48), np.nan)
        return HandPoses(np.arange(count), keypoints, confidence, *nothing)

    def scene(self, unit=1.0, scale=np.nan, points=None, parallax=True):
        """What `reconstruct_scene` would say, in units of `unit` metres."""
        world = self.world_from_camera.copy()
        world[:, :3, 3] = world[:, :3, 3] / unit if parallax else 0.0
        return Scene(
            frames=np.arange(len(world)),
            size=np.array([640, 480]),
            intrinsics=INTRINSICS,
            world_from_camera=world,
            points=np.zeros((0, 3)) if points is None else points / unit,
            reprojection_error=np.array([0.3]),
            parallax=np.array([parallax]),
            gravity_sigma=np.array([0.0]),
            scale=np.array([scale]),
        )

    @property
    def wrists_in_world(self):
        """(T, 2, 3), [m]."""
        camera = np.repeat(self.world_from_camera, 2, axis=0)
        return (np.einsum("bij,bj->bi", camera[:, :3, :3], self.pose.position) + camera[:, :3, 3]).reshape(-1, 2, 3)

    @property
    def rotations_in_world(self):
        """(T, 2, 3, 3)."""
        turned = np.repeat(self.world_from_camera, 2, axis=0)[:, :3, :3] @ self.pose.rotation
        return turned.reshape(-1, 2, 3, 3)

    @property
    def tips(self):
        """(T, 2, 5, 3), [m], in the wrist frames."""
        return tips_in_wrist(self.pose.angles, self.side, np.zeros((1, SHAPE))).reshape(-1, 2, 5, 3)


def make_clip(frames=30, seed=0):
    rng = np.random.default_rng(seed)
    times = np.arange(frames) / 30
    hands = [moving_hand(rng, times, side) for side in (0, 1)]
    joined = (np.stack(parts, axis=1).reshape(2 * frames, *parts[0].shape[1:]) for parts in zip(*hands, strict=True))
    pose, side = HandPose(*joined), np.tile([0, 1], frames)
    world = np.tile(np.eye(4), (frames, 1, 1))
    nod = 0.05 * swing(rng, times, 1)[:, 0]
    for i in range(frames):
        world[i, :3, :3] = matrix_from_rpy(0.0, PITCH + nod[i], YAW) @ CAMERA_FROM_EYES.T
    world[:, :3, 3] = [0.3, -0.2, 1.5] + 0.03 * swing(rng, times, 3)
    pixels = see(pose, side, np.zeros((1, SHAPE)), INTRINSICS, None).pixels
    return TrueClip(pose, side, (1e9 * times).astype(np.int64) + 7_000, world, pixels)


def moving_hand(rng, times, side):
    outward = 1.0 if side else -1.0
    place = np.array([0.11 * outward, 0.04, 0.55]) + 0.04 * swing(rng, times, 3)
    along, back = np.array([-0.15 * outward, -0.6, 0.78]), np.array([0.0, -0.78, -0.6])
    along = along / np.linalg.norm(along)
    back = back - (back @ along) * along
    back = back / np.linalg.norm(back)
    upright = np.stack([along, np.cross(back, along), back], axis=1)
    turn = matrix_from_rotation_vector(0.25 * swing(rng, times, 3)) @ upright
    return turn, place, BENT + 0.15 * swing(rng, times, 21)


def swing(rng, times, width):
    rate, phase = rng.uniform(0.2, 1.0, width), rng.uniform(0, 2 * np.pi, width)
    return np.sin(2 * np.pi * rate * times[:, None] + phase)


@pytest.fixture(scope="session")
def true_clip():
    return make_clip()


@pytest.fixture(scope="session")
def make_true_clip():
    return make_clip


@pytest.fixture(scope="session")
def intrinsics():
    return INTRINSICS
