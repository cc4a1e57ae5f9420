"""The camera of a clip: its intrinsics, its way, and which way is up (Appendix II-B).

Structure from motion with COLMAP over every third frame, the others registered against its points; then the scene is
turned until its +Z points against gravity, by right angles, the main plane and where hands are at work. Where the
camera hardly travelled only its turning can be told, and the scene says so: `parallax` is False.

The scene's frame: z up, x where the camera looks on average, seen from above, the origin where it starts. Its unit is
the median distance of the points along the optical axis, unless the way of the camera is known in metres.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand_training.labels.clip_frames import clip_frames
from firsthand_training.labels.hand_masks import hand_mask
from firsthand_training.labels.scene.camera import Array, Integers, KnownCamera, Track, intrinsic_matrix
from firsthand_training.labels.scene.checks import Limits, doubts, focal_sigma
from firsthand_training.labels.scene.focal import Focal, weigh_focals
from firsthand_training.labels.scene.gravity import GravitySettings, Sights, Vertical, find_vertical
from firsthand_training.labels.scene.lines import find_edges
from firsthand_training.labels.scene.mapping import Keyframes, MappingSettings, Model, Prior
from firsthand_training.labels.scene.registration import register_frames
from firsthand_training.labels.scene.tracks import Sighting, track_corners
from firsthand_training.labels.scene.turning import (
    FocalTest,
    Turning,
    explain_by_turning,
    focal_from_turning,
    turned_at,
)
from firsthand_training.labels.stage_files import Clip, Hands, Scene, load_stage, save_stage
from firsthand_training.labels.video import Image

Gray = NDArray[np.uint8]
Mask = NDArray[np.bool_]

MIN_CORNERS = 15  # of a keyframe, on average
FOUND_SIGMA, GUESSED_SIGMA, GIVEN_SIGMA = 0.02, 0.2, 0.003  # relative, of a focal length
ANY_SIGMA = 1.0  # relative, of a focal length about which nothing is assumed
LEAST_CHANCE = 1e-3  # of the likeliest focal length's, of one that is looked at
QUICK_LINES, QUICK_CELLS = 80, 10  # of `GravitySettings`, for each focal length that is tried
IMU_SIGMA = 0.01  # [rad]


@dataclass(frozen=True)
class SceneSettings:
    """How a clip's camera is found."""

    keyframe_rate: float = 10.0  # [Hz], of the frames that are mapped
    max_keyframes: int = 60
    longest_side: int = 960  # [px], larger pictures are made smaller first
    mapping: MappingSettings = field(default_factory=MappingSettings)
    limits: Limits = field(default_factory=Limits)
    gravity: GravitySettings = field(default_factory=GravitySettings)
    focal_starts: tuple[float, ...] = (
        0.5,
        0.75,
    )  # longer sides, from which mapping tries again if it found none itself
    guessed_focal: float = 0.8  # longer sides of a picture, where it is not known and cannot be found: 64 deg wide
    turned_only: float = 0.5  # [px] of a picture of 640x480: turning that explains corners so well is taken for all
    hardly_moved: float = 1.0  # [px], the same: here no more is tried than the first kind of features
    max_residual: float = 2.0  # [px] of a picture of 640x480, of a camera that only turned, as far as one can tell

    def __post_init__(self) -> None:
        if not 0 < self.keyframe_rate < np.inf or self.max_keyframes < 3:
            raise LabelError(f"expected a positive keyframe_rate and 3 keyframes or more, got {self}")
        if not self.focal_starts or not all(0.1 < focal < 10 for focal in self.focal_starts):
            raise LabelError(f"mapping starts from focal lengths of about 0.5 to 1, got {self.focal_starts}")
        if self.longest_side < 64 or not 0 < self.guessed_focal < 10:
            raise LabelError(f"expected longest_side >= 64 px and guessed_focal of about 0.8, got {self}")


DEFAULT = SceneSettings()
UNKNOWN = KnownCamera()


def reconstruct_scene(
    video: Path,
    hands: Path,
    clip: Clip,
    output: Path,
    settings: SceneSettings = DEFAULT,
    known: KnownCamera = UNKNOWN,
) -> Path:
    """Find the camera of each frame of a clip.

    Args:
        video: Any that PyAV reads.
        hands: From `detect_hands`: what moves on its own.
        clip: From `trim_clips`.
        output: Where the `Scene` goes; left alone if it exists.
        settings: How.
        known: What is known of the camera.

    Returns:
        `output`. Frames that could not be registered have NaN poses.

    Raises:
        LabelError: Neither the camera's way nor its turning can be told, and why.
    """
    if output.exists():
        return output
    footage = _footage(video, load_stage(hands, Hands), clip, settings)
    known.check(clip.last - clip.first)
    with tempfile.TemporaryDirectory(prefix="firsthand-scene-") as scratch:
        keyframes = Keyframes(Path(scratch), settings.mapping)
        track, vertical = _settle(footage, _watch(footage, keyframes, settings), keyframes, known, settings)
    return save_stage(output, _scene(footage, track, vertical, known))


class Frame(NamedTuple):
    """A picture at the size that is worked with."""

    number: int  # in the video
    gray: Gray  # (H, W)
    hidden: Mask  # (H, W), by hands


@dataclass(frozen=True)
class _Footage:
    """A clip that can be watched again and again."""

    frames: Callable[[], Iterator[Frame]]
    hands: Hands
    clip: Clip
    rate: float  # [Hz]
    full: tuple[int, int]  # width and height, [px]
    size: tuple[int, int]  # as worked with
    shrink: float  # [px] of the video in one worked with

    @property
    def unit(self) -> float:
        """[px] worked with in one of a picture of 640x480."""
        return float(np.hypot(*self.size)) / 800

    def middles_of_hands(self, frame: int) -> Array:
        """Of those seen in a frame, (H, 2), [px] worked with."""
        boxes = self.hands.box[self.hands.frame == frame].reshape(-1, 2, 2)
        middles: Array = (boxes[np.isfinite(boxes).all(axis=(1, 2))].mean(axis=1) + 0.5) / self.shrink - 0.5
        return middles


@dataclass(frozen=True)
class _Seen:
    """What watching a clip leaves."""

    sightings: list[Sighting]  # of each frame
    keyframes: Integers  # (K,), which of them, those of keyframes
    views: Integers  # (V,), those in whose pictures edges and hands were looked for
    sights: Sights

    @property
    def mapped(self) -> list[Sighting]:
        """Of the keyframes."""
        return [self.sightings[at] for at in self.keyframes]


def _footage(video: Path, hands: Hands, clip: Clip, settings: SceneSettings) -> _Footage:
    if not 0 <= clip.first < clip.last - 2:
        raise LabelError(f"a scene needs a clip of 3 frames or more, got frames {clip.first} to {clip.last}")
    start = list(clip_frames(video, clip.first, clip.first + 2))
    height, width = start[0].picture.shape[:2]
    shrink = max(1.0, max(width, height) / settings.longest_side)
    size = (round(width / shrink), round(height / shrink))
    period = start[1].seconds - start[0].seconds
    rate = 1 / period if period > 0 else 30.0

    def frames() -> Iterator[Frame]:
        for index, _, picture in clip_frames(video, clip.first, clip.last):
            if picture.shape[:2] != (height, width):
                raise LabelError(f"{video} changes its size from {width}x{height} at frame {index}; cut it there")
            yield _worked(index, picture, hand_mask(hands, index, (width, height)), size)

    return _Footage(frames, hands, clip, rate, (width, height), size, width / size[0])


def _worked(index: int, picture: Image, hidden: Mask, size: tuple[int, int]) -> Frame:
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if gray.shape[::-1] != size:
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
        hidden = cv2.resize(hidden.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    return Frame(index, gray, hidden)


def _watch(footage: _Footage, keyframes: Keyframes, settings: SceneSettings) -> _Seen:
    """Watch the clip once, and keep what is needed of it."""
    first, last = footage.clip.first, footage.clip.last
    chosen = _choose_keyframes(footage, settings)
    views = np.unique(np.linspace(first, last - 1, settings.gravity.pictures).round().astype(int)).tolist()
    edges: list[Array] = []

    def passing() -> Iterator[Frame]:
        for frame in footage.frames():
            if frame.number in chosen:
                keyframes.add(frame.number, frame.gray, frame.hidden)
            if frame.number in views:
                edges.append(find_edges(frame.gray, frame.hidden, settings.gravity.shortest))
            yield frame

    sightings = track_corners(passing(), chosen, settings.mapping.corners)
    hands = [footage.middles_of_hands(number) for number in views]
    return _Seen(sightings, np.array(sorted(chosen)) - first, np.array(views) - first, Sights(edges, hands))


def _settle(
    footage: _Footage, seen: _Seen, keyframes: Keyframes, known: KnownCamera, settings: SceneSettings
) -> tuple[Track, Vertical]:
    """The camera's way and the vertical if the way can be told, else the camera's turning and the vertical.

    Raises:
        LabelError: Neither can.
    """
    given = None if known.intrinsics is None else _resized(np.asarray(known.intrinsics, dtype=float), footage.shrink)
    if given is not None:
        focal, intrinsics = None, given
        turning = explain_by_turning(seen.sightings, seen.keyframes, intrinsics)
    else:
        test = focal_from_turning(seen.mapped, footage.size)
        told = weigh_focals(test.focals, test.log_likelihood, settings.guessed_focal * max(footage.size), ANY_SIGMA)
        intrinsics = intrinsic_matrix(told[0].pixels, footage.size)
        turning = explain_by_turning(seen.sightings, seen.keyframes, intrinsics)
        focal = _likeliest_focal(seen, turning, test, intrinsics, known, footage, settings)
    found: Model | str = _no_way(turning, footage, settings)
    if not found:
        start = None if focal is None else focal.focal.pixels
        found = _believed(keyframes, seen.mapped, given, start, turning, footage, settings)
    if isinstance(found, str):
        _check_turning(turning, footage, found, settings)
        return _turned(footage, seen, turning, focal, intrinsics, known, found, settings)
    track = Track(
        intrinsics=found.intrinsics,
        world_from_camera=register_frames(
            found,
            ((frame.number, frame.gray) for frame in footage.frames()),
            footage.clip.first,
            footage.clip.last,
            settings.mapping.seed,
        ),
        points=found.points,
        reprojection_error=found.reprojection_error,
        parallax=True,
        focal_sigma=GIVEN_SIGMA if given is not None else max(FOUND_SIGMA, focal_sigma(found)),
    )
    return track, _vertical(seen, track, known, settings)


def _no_way(turning: Turning, footage: _Footage, settings: SceneSettings) -> str:
    """Why no way can be told from these corners, if that is plain; empty if it is not."""
    if turning.corners < MIN_CORNERS:
        return f"{turning.corners:.0f} corners in a picture, at least {MIN_CORNERS} are needed"
    if turning.residual < settings.turned_only * footage.unit:
        return f"turning explains how corners move, to {turning.residual:.2f} px"
    return ""


def _believed(
    keyframes: Keyframes,
    sightings: Sequence[Sighting],
    given: Array | None,
    likely: float | None,
    turning: Turning,
    footage: _Footage,
    settings: SceneSettings,
) -> Model | str:
    """The first model against which nothing speaks, or what speaks against each."""
    reasons: list[str] = []
    for features in settings.mapping.order:
        if reasons and turning.residual < settings.hardly_moved * footage.unit:
            break  # there is little to be found
        for start, camera in _priors(given, likely, footage, settings).items():
            matches = keyframes.match_sift(camera) if features == "sift" else keyframes.match_tracks(sightings, camera)
            for name in settings.mapping.mappers:
                model = matches.map_globally() if name == "global" else matches.map_incrementally()
                against = ["no model"]
                if model is not None:
                    against = doubts(model, len(sightings), footage.size, camera.exact, settings.limits)
                    if not against:
                        return model
                reasons.append(f"{name} mapping of {features}{start}: {', '.join(against)}")
    return "; ".join(reasons)


def _priors(given: Array | None, likely: float | None, footage: _Footage, settings: SceneSettings) -> dict[str, Prior]:
    """What mapping may start from, until a model is believed: what right angles say, then `focal_starts`.

    From focal lengths that are too long a mapper may end in a scene turned inside out; from shorter ones it does not.
    """
    if given is not None:
        return {"": Prior(given, True)}
    longest = max(footage.size)
    starts = [*([likely / longest] if likely else []), *settings.focal_starts]
    lengths = {f" from a focal length of {focal:.2f}": focal * longest for focal in starts}
    return {told: Prior(intrinsic_matrix(focal, footage.size), False) for told, focal in lengths.items()}


def _choose_keyframes(footage: _Footage, settings: SceneSettings) -> set[int]:
    """Evenly spread over the clip, the first and the last among them."""
    count = footage.clip.last - footage.clip.first
    wanted = max(round(count * settings.keyframe_rate / footage.rate), min(count, 12))
    wanted = min(wanted, count, settings.max_keyframes)
    return set(np.linspace(footage.clip.first, footage.clip.last - 1, max(wanted, 3)).round().astype(int).tolist())


@dataclass(frozen=True)
class _FocalFound:
    """Of a camera whose way is not known."""

    focal: Focal
    vertical_sigma: float  # [rad], how far the vertical depends on it


def _turned(
    footage: _Footage,
    seen: _Seen,
    turning: Turning,
    found: _FocalFound | None,
    intrinsics: Array,
    known: KnownCamera,
    why_not: str,
    settings: SceneSettings,
) -> tuple[Track, Vertical]:
    """The camera's turning alone, with the focal length that turning and right angles tell."""
    notes, sigma, between = [f"turning alone: {why_not}"], GIVEN_SIGMA, 0.0
    if found is not None:
        focal, sigma, between = found.focal.pixels, found.focal.sigma, found.vertical_sigma
        intrinsics = intrinsic_matrix(focal, footage.size)
        turning = explain_by_turning(seen.sightings, seen.keyframes, intrinsics)
        notes.append(
            f"focal length of {focal / max(footage.size):.2f} of the picture's longer side, to {sigma:.0%}, "
            "from what cameras have, turning and right angles"
        )
    poses = np.tile(np.eye(4), (len(turning.world_from_camera), 1, 1))
    poses[:, :3, :3] = turning.world_from_camera
    poses[~np.isfinite(poses).all(axis=(1, 2))] = np.nan
    track = Track(intrinsics, poses, np.zeros((0, 3)), np.nan, False, sigma, tuple(notes))
    vertical = _vertical(seen, track, known, settings)
    return track, vertical._replace(sigma=float(np.hypot(vertical.sigma, between)))


def _likeliest_focal(
    seen: _Seen,
    turning: Turning,
    test: FocalTest,
    intrinsics: Array,
    known: KnownCamera,
    footage: _Footage,
    settings: SceneSettings,
) -> _FocalFound:
    """Weigh what turning, right angles and other cameras say of the focal length."""
    guess = settings.guessed_focal * max(footage.size)
    focal, chances = weigh_focals(test.focals, test.log_likelihood, guess, GUESSED_SIGMA)
    if known.gravity is not None or not np.isfinite(turning.world_from_camera[seen.views]).any():
        return _FocalFound(focal, 0.0)
    likely = chances > LEAST_CHANCE * chances.max()
    focals, told = test.focals[likely], test.log_likelihood[likely]
    quick = replace(settings.gravity, most_lines=QUICK_LINES, closely=QUICK_CELLS)
    verticals = []
    for value in focals.tolist():
        turned = turned_at(turning.world_from_camera, float(intrinsics[0, 0]), value)
        verticals.append(_from_sights(seen, turned, intrinsic_matrix(value, footage.size), np.zeros((0, 3)), quick))
    evidence = np.array([vertical.evidence for vertical in verticals])
    focal, chances = weigh_focals(focals, told + evidence, guess, GUESSED_SIGMA)
    mean = chances @ np.array([vertical.up for vertical in verticals])
    return _FocalFound(focal, float(np.sqrt(max(1 - mean @ mean, 0.0))))


def _check_turning(turning: Turning, footage: _Footage, why_not: str, settings: SceneSettings) -> None:
    """Raise LabelError if turning does not explain what is seen either."""
    allowed = settings.max_residual * footage.unit
    if not np.isfinite(turning.residual):
        raise LabelError(f"the scene has too little texture to tell how the camera moved ({why_not})")
    if turning.residual > allowed:
        raise LabelError(
            f"neither a way of the camera nor its turning explains the clip: {why_not}; turning alone leaves "
            f"{turning.residual:.1f} px where {allowed:.1f} px are allowed. Does the background move? "
            "Known intrinsics help where it does not."
        )


def _scene(footage: _Footage, track: Track, vertical: Vertical, known: KnownCamera) -> Scene:
    """Upright, in its own units, at the video's size."""
    upright_from_world = _upright(vertical.up, track.world_from_camera)
    poses, points = upright_from_world @ track.world_from_camera, track.points @ upright_from_world[:3, :3].T
    unit, scale = _unit(poses, points, known)
    origin = poses[np.isfinite(poses[:, 0, 3])][0, :3, 3].copy()
    poses[:, :3, 3] = (poses[:, :3, 3] - origin) / unit
    return Scene(
        frames=np.arange(footage.clip.first, footage.clip.last),
        size=np.array(footage.full),
        intrinsics=_resized(track.intrinsics, 1 / footage.shrink),
        world_from_camera=poses,
        points=(points - origin) / unit,
        reprojection_error=np.array([track.reprojection_error]),
        parallax=np.array([track.parallax]),
        gravity_sigma=np.array([vertical.sigma]),
        scale=np.array([scale]),
        focal_sigma=np.array([track.focal_sigma]),
        notes=np.array([*track.notes, f"vertical: {vertical.source}"]),
    )


def _vertical(seen: _Seen, track: Track, known: KnownCamera, settings: SceneSettings) -> Vertical:
    rotations = track.world_from_camera[:, :3, :3]
    if known.gravity is None:
        return _from_sights(seen, rotations, track.intrinsics, track.points, settings.gravity)
    good = np.isfinite(rotations[:, 0, 0])
    down = np.broadcast_to(np.asarray(known.gravity, dtype=float), (len(rotations), 3))
    up = -np.einsum("nij,nj->ni", rotations, down / np.linalg.norm(down, axis=1, keepdims=True))[good].mean(axis=0)
    return Vertical(up / np.linalg.norm(up), IMU_SIGMA, "given")


def _from_sights(
    seen: _Seen, rotations: Array, intrinsics: Array, points: Array, settings: GravitySettings
) -> Vertical:
    """From the pictures whose rotation (N, 3, 3) is known."""
    good = np.flatnonzero(np.isfinite(rotations[seen.views, 0, 0]))
    if not len(good):  # then how heads are held
        some = rotations[np.isfinite(rotations[:, 0, 0])][:1]
        return find_vertical(Sights([np.zeros((0, 2, 2))], [np.zeros((0, 2))]), some, intrinsics, points, settings)
    sights = Sights([seen.sights.edges[at] for at in good.tolist()], [seen.sights.hands[at] for at in good.tolist()])
    return find_vertical(sights, rotations[seen.views[good]], intrinsics, points, settings)


def _upright(up: Array, world_from_camera: Array) -> Array:
    """A rotation (4, 4) that takes `up` to +z and where the cameras look, seen from above, to +x."""
    looks = np.nanmean(world_from_camera[:, :3, 2], axis=0)
    forward = looks - (looks @ up) * up
    if np.linalg.norm(forward) < 1e-3:  # straight down: then where the top of the picture points
        forward = -np.nanmean(world_from_camera[:, :3, 1], axis=0)
        forward = forward - (forward @ up) * up
    forward = forward / np.linalg.norm(forward)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([forward, np.cross(up, forward), up])
    return pose


def _unit(poses: Array, points: Array, known: KnownCamera) -> tuple[float, float]:
    """By what positions are divided, and the metres of the unit that comes of it; NaN if nothing tells."""
    if not len(points):
        return 1.0, np.nan
    good = np.isfinite(poses[:, 0, 0])
    in_first = (points - poses[good][0, :3, 3]) @ poses[good][0, :3, :3]
    unit = float(np.median(in_first[:, 2]))
    if known.positions is None:
        return unit, np.nan
    told = np.asarray(known.positions, dtype=float)[good]
    ways = [np.linalg.norm(p - p.mean(axis=0)) for p in (told, poses[good][:, :3, 3] / unit)]
    return unit, float(ways[0] / ways[1])


def _resized(intrinsics: Array, shrink: float) -> Array:
    """The same camera with pictures smaller by `shrink`; the corner of the picture stays, not the first pixel."""
    K = intrinsics.copy()
    K[:2] /= shrink
    K[:2, 2] = (intrinsics[:2, 2] + 0.5) / shrink - 0.5
    return K
