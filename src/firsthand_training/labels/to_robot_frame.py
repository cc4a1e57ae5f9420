"""From hands in pictures to the 54 numbers: metric wrists and fingertips in F_R (Appendix II-C).

F_R of a frame has its origin midway between the eyes and level axes, x along the heading of the clip: its axes do not
turn within a clip, its origin goes along with the head. The head's rotation is the camera's, less a fixed pitch.

    wrist in F_R = F_R from world . world from camera . camera from wrist, in metres by the size of the hand

A frame in which a hand was not seen has NaN for that side; a gap may be bridged by option and is marked all the same.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import matrix_from_rpy
from firsthand_training.labels.fit_hands import FitSettings
from firsthand_training.labels.hand_height import HEIGHT_SIGMA, level_hands
from firsthand_training.labels.hand_size import Scale, SizeSettings, hand_size, scene_scale
from firsthand_training.labels.landmarks import OFFSETS
from firsthand_training.labels.metric_hands import CameraHands, back_projected_hands, rig_hands
from firsthand_training.labels.smooth_hands import MotionSettings
from firsthand_training.labels.stage_files import HandPoses, Labels, Scene, load_stage, save_stage

Array = NDArray[np.floating]
Booleans = NDArray[np.bool_]

CAMERA_FROM_EYES: Array = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
"""x forward, y left, z up in the camera's x right, y down, z forward."""


@dataclass(frozen=True)
class RobotFrameSettings:
    """From pictures to metres."""

    method: Literal["rig", "back_projection"] = "rig"
    """Where depth comes from: the size of hands, or depth maps (the paper's)."""
    keypoints: str = "joints"
    """Whose the keypoints are, a name in `landmarks.OFFSETS`."""
    eyes_in_camera: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Midway between the eyes, right, down and forward of the camera, [m]. The default takes the camera, with which the
    policy sees, for the eyes. The left camera of a ZED Mini: (0.0315, 0, 0)."""
    camera_pitch: float = 0.0
    """How far the camera looks down in a head that looks straight on, [rad]."""
    bridge: float = 0.0
    """Gaps up to this long are filled from both sides, [s]; they stay marked as not measured."""
    proportion_sigma: float = 0.05
    """Spread of the logarithm of a bone's length among people, size taken out."""
    height_sigma: float = HEIGHT_SIGMA
    """Of one wrist's height over the other's, [m]: the surer hand tells how far away the other is."""
    depth_sigma: float = 0.35
    """Of a depth map on hands, relative; measured for depth from motion on moving hands."""
    fit: FitSettings = field(default_factory=FitSettings)
    motion: MotionSettings = field(default_factory=MotionSettings)
    size: SizeSettings = field(default_factory=SizeSettings)

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        if self.method not in ("rig", "back_projection"):
            raise LabelError(f"no method {self.method!r}; there are rig and back_projection")
        if self.keypoints not in OFFSETS:
            raise LabelError(f"no table of keypoint offsets for {self.keypoints!r}; there are {', '.join(OFFSETS)}")
        if len(self.eyes_in_camera) != 3 or not np.isfinite([*self.eyes_in_camera, self.camera_pitch]).all():
            raise LabelError(f"expected three finite numbers for eyes_in_camera and one for camera_pitch, got {self}")
        if self.bridge < 0 or min(self.proportion_sigma, self.height_sigma, self.depth_sigma) <= 0:
            raise LabelError(f"expected a bridge of 0 s or more and positive sigmas, got {self}")

    @property
    def camera_from_head(self) -> Array:
        """Rotation (3, 3) of the head, x forward, y left, z up, in the camera."""
        return CAMERA_FROM_EYES @ matrix_from_rpy(0.0, -self.camera_pitch, 0.0)


DEFAULT = RobotFrameSettings()


def to_robot_frame(
    stamps_ns: NDArray[np.int64],
    scene: Path,
    poses: Path,
    output: Path,
    settings: RobotFrameSettings = DEFAULT,
    depth: Path | None = None,
    right_poses: Path | None = None,
) -> Path:
    """Write the `Labels` of a clip.

    Args:
        stamps_ns: Of every frame of the video.
        scene: From `reconstruct_scene`.
        poses: From `estimate_hands`, of the same clip.
        output: Where they go; left alone if it exists.
        settings: How.
        depth: From `dense_depth`, for method `back_projection`.
        right_poses: From `estimate_hands` on the right camera of a rectified pair, if there is one.

    Returns:
        `output`.

    Raises:
        LabelError: A file is missing, damaged or of another clip, no hand can be placed, or depth maps do not help.
    """
    if output.exists():
        return output
    found, seen = load_stage(scene, Scene), load_stage(poses, HandPoses)
    _check(found, seen, stamps_ns, scene, poses)
    right = load_stage(right_poses, HandPoses) if right_poses is not None else None
    return save_stage(output, label_clip(stamps_ns, found, seen, settings, depth, right))


def label_clip(
    stamps_ns: NDArray[np.int64],
    scene: Scene,
    poses: HandPoses,
    settings: RobotFrameSettings = DEFAULT,
    depth: Path | None = None,
    right: HandPoses | None = None,
) -> Labels:
    """The same from and to memory; see `to_robot_frame`."""
    known: Booleans = np.asarray(np.isfinite(scene.world_from_camera).all(axis=(1, 2)))
    scene = _with_a_camera_everywhere(scene, known)
    stamps = (stamps_ns[poses.frames] - stamps_ns[poses.frames[0]]) / 1e9
    rig = rig_hands(
        poses, stamps, scene.intrinsics, settings.keypoints, settings.fit, settings.motion, settings.proportion_sigma
    )
    if not rig.measured.any():
        raise LabelError(
            f"none of {len(poses.frames)} frames has a hand that a rig can be fitted to: either no keypoints, or none "
            f"that look like a hand {settings.fit.nearest} to {settings.fit.farthest} m away"
        )
    size = hand_size(rig, poses, scene, settings.size, right)
    unit = scene_scale(rig, poses, scene, size, settings.size)
    if settings.method == "rig":
        up = scene.world_from_camera[:, 2, :3]
        tilt = float(np.nan_to_num(scene.gravity_sigma[0]))
        hands = level_hands(rig.scaled(size.factor), up, tilt, settings.height_sigma)
    else:
        if depth is None:
            raise LabelError("method `back_projection` needs depth maps: run dense_depth and pass its folder")
        hands = back_projected_hands(poses, rig, scene.intrinsics, depth, unit.factor, settings.depth_sigma)
        size = unit
    kept = hands.measured | _bridged(hands.measured, stamps, settings.bridge)
    labels = _labels(stamps_ns, scene, poses, _only(hands, kept), size, unit, settings)
    return _only_where(labels, known)


def heading(head_rotations: Array) -> float:
    """Of a head through a clip, its mean direction on the level plane, [rad] from world x.

    A head that looks steeply down points nowhere; the way up out of it then does.

    Args:
        head_rotations: (N, 3, 3), world_from_head, world z up.
    """
    way = (head_rotations[:, :2, 0] + head_rotations[:, :2, 2]).sum(axis=0)
    return float(np.arctan2(way[1], way[0]))


def _labels(
    stamps_ns: NDArray[np.int64],
    scene: Scene,
    poses: HandPoses,
    hands: CameraHands,
    size: Scale,
    unit: Scale,
    settings: RobotFrameSettings,
) -> Labels:
    turn = scene.world_from_camera[:, :3, :3]
    camera_from_head = settings.camera_from_head
    robot_from_world = matrix_from_rpy(0.0, 0.0, -heading(turn @ camera_from_head))
    robot_from_camera = robot_from_world @ turn  # (N, 3, 3)
    eyes = np.array(settings.eyes_in_camera)
    wrist_poses = np.tile(np.eye(4), (len(turn), 2, 1, 1))
    wrist_poses[..., :3, :3] = robot_from_camera[:, None] @ hands.rotation
    wrist_poses[..., :3, 3] = ((hands.position - eyes)[..., None, :] @ np.swapaxes(robot_from_camera, 1, 2)[:, None])[
        ..., 0, :
    ]
    state = HandState.from_poses(robot_from_camera @ camera_from_head, wrist_poses, hands.tips).to_vector()
    origin = (unit.factor * scene.world_from_camera[:, :3, 3]) @ robot_from_world.T + robot_from_camera @ eyes
    distance = np.linalg.norm(hands.position, axis=-1)
    tilt = np.nan_to_num(float(scene.gravity_sigma[0]))
    focal = np.nan_to_num(float(scene.focal_sigma[0]))
    whole = np.sqrt(hands.wrist_sigma**2 + (distance * np.sqrt(size.sigma**2 + tilt**2 + focal**2)) ** 2)
    reach = np.linalg.norm(hands.tips, axis=-1).mean(axis=-1)
    return Labels(
        frames=poses.frames,
        stamps_ns=stamps_ns[poses.frames],
        state=state,
        origin=origin,
        wrist_sigma=whole,
        rotation_sigma=np.hypot(hands.rotation_sigma, tilt),
        tips_sigma=np.hypot(hands.tips_sigma, size.sigma * reach),
        measured=hands.measured,
        scale_sigma=np.array([size.sigma]),
        scale_source=np.array([size.source]),
    )


def _only(hands: CameraHands, kept: Booleans) -> CameraHands:
    """NaN for sides that are not to be labelled."""
    return replace(
        hands,
        rotation=np.where(kept[..., None, None], hands.rotation, np.nan),
        position=np.where(kept[..., None], hands.position, np.nan),
        tips=np.where(kept[..., None, None], hands.tips, np.nan),
        wrist_sigma=np.where(kept, hands.wrist_sigma, np.nan),
        rotation_sigma=np.where(kept, hands.rotation_sigma, np.nan),
        tips_sigma=np.where(kept, hands.tips_sigma, np.nan),
    )


def _with_a_camera_everywhere(scene: Scene, known: Booleans) -> Scene:
    """The nearest known camera stands in where it is unknown, so that numbers stay numbers; see `_only_where`."""
    rows, places = np.arange(len(known)), np.flatnonzero(known)
    nearest = places[np.abs(rows[:, None] - places).argmin(axis=1)]
    return replace(scene, world_from_camera=scene.world_from_camera[nearest])


def _only_where(labels: Labels, known: Booleans) -> Labels:
    """Nothing is said of frames whose camera is unknown."""
    told = known[:, None]
    return replace(
        labels,
        state=np.where(told, labels.state, np.nan),
        origin=np.where(told, labels.origin, np.nan),
        wrist_sigma=np.where(told, labels.wrist_sigma, np.nan),
        rotation_sigma=np.where(told, labels.rotation_sigma, np.nan),
        tips_sigma=np.where(told, labels.tips_sigma, np.nan),
        measured=labels.measured & told,
    )


def _bridged(measured: Booleans, stamps: Array, longest: float) -> Booleans:
    """(N, 2), frames of gaps with a measured frame on either side not more than `longest` apart."""
    bridged = np.zeros(measured.shape, dtype=bool)
    for side in (0, 1):
        rows = np.flatnonzero(measured[:, side])
        for before, after in pairwise(rows):
            if after > before + 1 and stamps[after] - stamps[before] <= longest:
                bridged[before + 1 : after, side] = True
    return bridged


def _check(scene: Scene, poses: HandPoses, stamps_ns: NDArray[np.int64], scene_path: Path, poses_path: Path) -> None:
    count = len(poses.frames)
    if count == 0:
        raise LabelError(f"{poses_path} has no frames")
    if not np.array_equal(scene.frames, poses.frames):
        raise LabelError(
            f"{scene_path} has {len(scene.frames)} frames from {scene.frames[:1].tolist()}, {poses_path} has {count} "
            f"from {poses.frames[:1].tolist()}: expected the same clip"
        )
    if poses.frames[0] < 0 or poses.frames[-1] >= len(stamps_ns) or (np.diff(poses.frames) <= 0).any():
        raise LabelError(f"{poses_path} counts frames outside of the video's {len(stamps_ns)}, or not in order")
    if (np.diff(stamps_ns[poses.frames]) <= 0).any():
        raise LabelError("expected stamps that grow from frame to frame of the clip; is this the video's own clock?")
    if poses.keypoints.shape != (count, 2, 21, 2) or poses.confidence.shape != (count, 2):
        raise LabelError(f"{poses_path} has keypoints {poses.keypoints.shape} for {count} frames, expected two hands")
    if scene.world_from_camera.shape != (count, 4, 4) or not np.isfinite(scene.world_from_camera).all((1, 2)).any():
        raise LabelError(f"{scene_path} does not say where the camera is in any of {count} frames")
