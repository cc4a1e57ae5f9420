"""A camera that did not travel far enough for its way to be told: its turning, and a likely focal length."""

from dataclasses import dataclass, replace

import numpy as np

from firsthand.errors import LabelError
from firsthand_training.labels.scene.camera import Array, KnownCamera, Track, intrinsic_matrix
from firsthand_training.labels.scene.focal import Focal, weigh_focals
from firsthand_training.labels.scene.footage import Footage, Seen
from firsthand_training.labels.scene.gravity import Vertical
from firsthand_training.labels.scene.settings import SceneSettings
from firsthand_training.labels.scene.turning import (
    FocalTest,
    Turning,
    explain_by_turning,
    focal_from_turning,
    turned_at,
)
from firsthand_training.labels.scene.upright import vertical_from_sights, vertical_of

MIN_CORNERS = 15  # of a keyframe, on average
GUESSED_SIGMA, GIVEN_SIGMA = 0.2, 0.003  # relative, of a focal length
ANY_SIGMA = 1.0  # relative, of a focal length about which nothing is assumed
LEAST_CHANCE = 1e-3  # of the likeliest focal length's, of one that is looked at
QUICK_LINES, QUICK_CELLS = 80, 10  # of `GravitySettings`, for each focal length that is tried


@dataclass(frozen=True)
class Turned:
    """What turning alone tells of a clip."""

    turning: Turning
    intrinsics: Array  # (3, 3), [px], as given, or those that `turning` was found with
    focal: "FocalFound | None"  # None where the intrinsics are given

    @property
    def given(self) -> Array | None:
        """Intrinsics (3, 3), [px], that are not to be looked for."""
        return self.intrinsics if self.focal is None else None


@dataclass(frozen=True)
class FocalFound:
    """Of a camera whose way is not known."""

    focal: Focal
    vertical_sigma: float  # [rad], how far the vertical depends on it


def explain_turning(
    footage: Footage, seen: Seen, given: Array | None, known: KnownCamera, settings: SceneSettings
) -> Turned:
    """Explain what a clip shows by turning, with the intrinsics that are given or a focal length that is likely."""
    if given is not None:
        return Turned(explain_by_turning(seen.sightings, seen.keyframes, given), given, None)
    test = focal_from_turning(seen.mapped, footage.size)
    guess = settings.guessed_focal * max(footage.size)
    likely = weigh_focals(test.focals, test.log_likelihood, guess, ANY_SIGMA)[0].pixels
    intrinsics = intrinsic_matrix(likely, footage.size)
    turning = explain_by_turning(seen.sightings, seen.keyframes, intrinsics)
    return Turned(turning, intrinsics, _likeliest_focal(seen, turning, test, intrinsics, known, footage, settings))


def no_way(turning: Turning, footage: Footage, settings: SceneSettings) -> str:
    """Why no way can be told from these corners, if that is plain; empty if it is not."""
    if turning.corners < MIN_CORNERS:
        return f"{turning.corners:.0f} corners in a picture, at least {MIN_CORNERS} are needed"
    if turning.residual < settings.turned_only * footage.unit:
        return f"turning explains how corners move, to {turning.residual:.2f} px"
    return ""


def check_turning(turning: Turning, footage: Footage, why_not: str, settings: SceneSettings) -> None:
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


def turned_track(
    footage: Footage, seen: Seen, turned: Turned, known: KnownCamera, why_not: str, settings: SceneSettings
) -> tuple[Track, Vertical]:
    """The camera's turning alone, with the focal length that turning and right angles tell, and the vertical."""
    notes, sigma, between = [f"turning alone: {why_not}"], GIVEN_SIGMA, 0.0
    turning, intrinsics = turned.turning, turned.intrinsics
    if turned.focal is not None:
        focal, sigma, between = turned.focal.focal.pixels, turned.focal.focal.sigma, turned.focal.vertical_sigma
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
    vertical = vertical_of(seen, track, known, settings.gravity)
    return track, vertical._replace(sigma=float(np.hypot(vertical.sigma, between)))


def _likeliest_focal(
    seen: Seen,
    turning: Turning,
    test: FocalTest,
    intrinsics: Array,
    known: KnownCamera,
    footage: Footage,
    settings: SceneSettings,
) -> FocalFound:
    """Weigh what turning, right angles and other cameras say of the focal length."""
    guess = settings.guessed_focal * max(footage.size)
    focal, chances = weigh_focals(test.focals, test.log_likelihood, guess, GUESSED_SIGMA)
    if known.gravity is not None or not np.isfinite(turning.world_from_camera[seen.views]).any():
        return FocalFound(focal, 0.0)
    likely = chances > LEAST_CHANCE * chances.max()
    focals, told = test.focals[likely], test.log_likelihood[likely]
    quick = replace(settings.gravity, most_lines=QUICK_LINES, closely=QUICK_CELLS)
    verticals = []
    for value in focals.tolist():
        rotations = turned_at(turning.world_from_camera, float(intrinsics[0, 0]), value)
        camera = intrinsic_matrix(value, footage.size)
        verticals.append(vertical_from_sights(seen, rotations, camera, np.zeros((0, 3)), quick))
    evidence = np.array([vertical.evidence for vertical in verticals])
    focal, chances = weigh_focals(focals, told + evidence, guess, GUESSED_SIGMA)
    mean = chances @ np.array([vertical.up for vertical in verticals])
    return FocalFound(focal, float(np.sqrt(max(1 - mean @ mean, 0.0))))
