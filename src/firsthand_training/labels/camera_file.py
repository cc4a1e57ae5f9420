"""What is known of a video's camera: `kitchen.camera.json` beside `kitchen.mp4`.

{"intrinsics": [[512, 0, 319.5], [0, 512, 239.5], [0, 0, 1]],       [px], of upright pictures of the video's size
 "gravity": [0.0, 0.8, 0.6]}                                        optional: which way is down, in the camera
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from firsthand.errors import LabelError
from firsthand_training.labels.scene.camera import KnownCamera

ENDING = ".camera.json"
KNOWN = {"intrinsics", "gravity"}


def read_camera(video: Path) -> KnownCamera:
    """What the file beside a video says; nothing is known without one.

    Raises:
        LabelError: It is not what is described above.
    """
    path = video.with_suffix(ENDING)
    if not path.exists():
        return KnownCamera()
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        arrays = {name: np.array(value, dtype=float) for name, value in values.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise LabelError(
            f"{path} is no JSON object of arrays ({error}); expected {', '.join(sorted(KNOWN))}"
        ) from error
    if not arrays or not arrays.keys() <= KNOWN:
        raise LabelError(f"{path} has {', '.join(sorted(arrays)) or 'nothing'}; expected {', '.join(sorted(KNOWN))}")
    camera = KnownCamera(**arrays)
    camera.check(0)
    return camera
