"""The camera of a clip: its intrinsics, its way, and which way is up (Appendix II-B).

Corners are followed through the clip, and every third frame is mapped with them, by ourselves or, from SIFT features,
by COLMAP; the others are registered against the points. Then the scene is turned until its +Z points against gravity,
by right angles, the main plane and where hands are at work. Where the camera hardly travelled only its turning can be
told, and the scene says so: `parallax` is False.

The scene's frame: z up, x where the camera looks on average, seen from above, the origin where it starts. Its unit is
the median distance of the points along the optical axis, unless the way of the camera is known in metres.
"""

from pathlib import Path

import numpy as np

from firsthand_training.labels.scene.camera import KnownCamera, Track
from firsthand_training.labels.scene.footage import Footage, open_footage, resized, watch
from firsthand_training.labels.scene.gravity import Vertical
from firsthand_training.labels.scene.settings import SceneSettings
from firsthand_training.labels.scene.travel import find_way
from firsthand_training.labels.scene.turned import check_turning, explain_turning, no_way, turned_track
from firsthand_training.labels.scene.upright import upright_scene, vertical_of
from firsthand_training.labels.stage_files import Clip, Hands, load_stage, save_stage

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
    footage = open_footage(video, load_stage(hands, Hands), clip, settings.longest_side)
    known.check(clip.last - clip.first)
    track, vertical = _settle(footage, known, settings)
    return save_stage(output, upright_scene(footage, track, vertical, known))


def _settle(footage: Footage, known: KnownCamera, settings: SceneSettings) -> tuple[Track, Vertical]:
    """The camera's way and the vertical if the way can be told, else the camera's turning and the vertical.

    Raises:
        LabelError: Neither can.
    """
    seen = watch(footage, settings)
    given = None if known.intrinsics is None else resized(np.asarray(known.intrinsics, dtype=float), footage.shrink)
    turned = explain_turning(footage, seen, given, known, settings)
    found: Track | str = no_way(turned.turning, footage, settings) or find_way(footage, seen, turned, settings)
    if isinstance(found, Track):
        return found, vertical_of(seen, found, known, settings.gravity)
    check_turning(turned.turning, footage, found, settings)
    return turned_track(footage, seen, turned, known, found, settings)
