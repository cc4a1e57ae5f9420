"""The way of a clip's camera: keyframes mapped until a model is believed, then the frames between them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from firsthand_training.labels.scene.camera import Array, Track, intrinsic_matrix
from firsthand_training.labels.scene.checks import doubts, focal_sigma
from firsthand_training.labels.scene.footage import Footage, Seen
from firsthand_training.labels.scene.mapping import Keyframes
from firsthand_training.labels.scene.model import Model, Prior
from firsthand_training.labels.scene.registration import register_frames, register_sightings
from firsthand_training.labels.scene.settings import SceneSettings
from firsthand_training.labels.scene.small_motion import map_small_motion
from firsthand_training.labels.scene.turned import GIVEN_SIGMA, Turned
from firsthand_training.labels.scene.turning import turned_at

FOUND_SIGMA = 0.02  # relative, of a focal length that was mapped, at best


def find_way(footage: Footage, seen: Seen, turned: Turned, settings: SceneSettings) -> Track | str:
    """The camera at every frame and the points that it saw, or what speaks against each model that was tried."""
    model = _believed(footage, seen, turned, settings)
    if isinstance(model, str):
        return model
    return Track(
        intrinsics=model.intrinsics,
        world_from_camera=_all_frames(model, footage, seen, settings),
        points=model.points,
        reprojection_error=model.reprojection_error,
        parallax=True,
        focal_sigma=GIVEN_SIGMA if turned.given is not None else max(FOUND_SIGMA, focal_sigma(model)),
    )


def _believed(footage: Footage, seen: Seen, turned: Turned, settings: SceneSettings) -> Model | str:
    """The first model against which nothing speaks, or what speaks against each."""
    reasons: list[str] = []
    for features in settings.mapping.order:
        if reasons and turned.turning.residual < settings.hardly_moved * footage.unit:
            break  # there is little to be found
        models = _from_sift if features == "sift" else _from_corners
        for name, camera, model in models(footage, seen, turned, settings):
            against = ["no model"]
            if model is not None:
                against = doubts(model, len(seen.keyframes), footage.size, camera.exact, settings.limits)
                if not against:
                    return model
            reasons.append(f"{name}: {', '.join(against)}")
    return "; ".join(reasons)


Tried = Iterator[tuple[str, Prior, Model | None]]


def _from_corners(footage: Footage, seen: Seen, turned: Turned, settings: SceneSettings) -> Tried:
    rotations, focal = turned.turning.world_from_camera[seen.keyframes], float(turned.intrinsics[0, 0])
    for start, camera in _priors(footage, turned, settings).items():
        there = turned_at(rotations, focal, float(camera.intrinsics[0, 0]))
        yield f"corners{start}", camera, map_small_motion(seen.mapped, there, camera)


def _from_sift(footage: Footage, seen: Seen, turned: Turned, settings: SceneSettings) -> Tried:
    chosen = {sighting.frame for sighting in seen.mapped}
    with tempfile.TemporaryDirectory(prefix="firsthand-scene-") as scratch:
        keyframes = Keyframes(Path(scratch), settings.mapping)
        for frame in footage.frames():
            if frame.number in chosen:
                keyframes.add(frame.number, frame.gray, frame.hidden)
        for start, camera in _priors(footage, turned, settings).items():
            matches = keyframes.match(camera)
            for name in settings.mapping.mappers:
                model = matches.map_globally() if name == "global" else matches.map_incrementally()
                yield f"{name} mapping of sift{start}", camera, model


def _priors(footage: Footage, turned: Turned, settings: SceneSettings) -> dict[str, Prior]:
    """What mapping may start from, until a model is believed: what right angles say, then `focal_starts`.

    From focal lengths that are too long a mapper may end in a scene turned inside out; from shorter ones it does not.
    """
    if turned.focal is None:
        return {"": Prior(turned.intrinsics, True)}
    longest = max(footage.size)
    starts = [turned.focal.focal.pixels / longest, *settings.focal_starts]
    lengths = {f" from a focal length of {focal:.2f}": focal * longest for focal in starts}
    return {told: Prior(intrinsic_matrix(focal, footage.size), False) for told, focal in lengths.items()}


def _all_frames(model: Model, footage: Footage, seen: Seen, settings: SceneSettings) -> Array:
    """world_from_camera (N, 4, 4), NaN where too little was seen."""
    first, last = footage.clip.first, footage.clip.last
    if len(model.corners):
        return register_sightings(model, seen.sightings, first, last)
    pictures = ((frame.number, frame.gray) for frame in footage.frames())
    return register_frames(model, pictures, first, last, settings.mapping.seed)
