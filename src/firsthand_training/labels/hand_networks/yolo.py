"""A YOLO hand detector of the user's, as in the paper: an ONNX file with the detection head of v5 or v8.

Known layouts, for one picture of `size` pixels (letterboxed, RGB, 0 to 1, channels first):

(1, 4 + classes, N)   v8 and after: x, y of the centre, width, height, then a score for each class
(1, N, 5 + classes)   v3, v5, v7: the same, with the score that there is anything at all before the classes
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand.inference import DEFAULT, Runtime
from firsthand_training.labels.hand_networks.candidates import Candidate
from firsthand_training.labels.hand_networks.regions import Picture, suppress
from firsthand_training.labels.user_graphs import UserGraph

Array = NDArray[np.floating]

SIZE = 640  # [px], of a graph that leaves it open
GREY = 114  # what YOLO fills the margin with
ROLES = ("hand", "left", "right", "other")
USUAL_CLASSES = {1: ("hand",), 2: ("left", "right")}
"""By their number; two as in WiLoR's detector."""


@dataclass(frozen=True)
class YoloDetector:
    """Boxes around hands, and their sides where the network has a class for each."""

    graph: UserGraph
    classes: tuple[str, ...]  # of `ROLES`, one for each class of the network; empty: `USUAL_CLASSES`
    score: float  # 0 to 1, from which on a box is a hand
    overlap: float  # of two boxes, above which they are one

    @classmethod
    def load(
        cls, weights: Path, score: float, overlap: float, classes: tuple[str, ...] = (), runtime: Runtime = DEFAULT
    ) -> "YoloDetector":
        """Open it.

        Raises:
            LabelError: It is missing, or not of the kind above.
        """
        if unknown := set(classes) - set(ROLES):
            raise LabelError(f"no role {', '.join(sorted(unknown))} for a class; there are {', '.join(ROLES)}")
        return cls(UserGraph(weights, runtime), classes, score, overlap)

    def detect(self, picture: Picture) -> list[Candidate]:
        """Boxes, best first.

        Raises:
            LabelError: The network's output has none of the known layouts.
        """
        pixels, scale, margin = letterbox(picture.image, self.graph.size or (SIZE, SIZE))
        output = next(iter(self.graph.run(pixels[None]).values()))
        boxes, scores = split_yolo(output, str(self.graph.path))
        roles = self._roles(scores.shape[1])
        scores = scores[:, [role != "other" for role in roles]]
        roles = tuple(role for role in roles if role != "other")
        best = scores.max(axis=1)
        chosen = best >= self.score
        corners = (boxes[chosen].reshape(-1, 2, 2) - margin) / scale - 0.5
        boxes, best, sides = corners.reshape(-1, 4), best[chosen], scores[chosen].argmax(axis=1)
        return [
            Candidate(boxes[i], float(best[i]), side={"left": 0, "right": 1}.get(roles[sides[i]]), certain=True)
            for i in suppress(boxes, best, self.overlap)
        ]

    def _roles(self, count: int) -> tuple[str, ...]:
        roles = self.classes or USUAL_CLASSES.get(count, ())
        if len(roles) != count or set(roles) == {"other"}:
            raise LabelError(
                f"{self.graph.path} tells {count} classes apart; say what each is (`classes`, of {', '.join(ROLES)}), "
                f"got {', '.join(roles) or 'nothing'}"
            )
        return roles


def letterbox(image: NDArray[np.uint8], size: tuple[int, int]) -> tuple[NDArray[np.float32], float, Array]:
    """Fit a picture (H, W, 3) into rows and columns.

    Returns:
        (3, rows, columns), 0 to 1; how many times smaller or larger it got; the margin (x, y), [px].
    """
    rows, columns = size
    height, width = image.shape[:2]
    scale = min(rows / height, columns / width)
    inner = (max(round(width * scale), 1), max(round(height * scale), 1))
    resized = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (columns - inner[0]) // 2, (rows - inner[1]) // 2
    filled = np.full((rows, columns, 3), GREY, np.uint8)
    filled[top : top + inner[1], left : left + inner[0]] = resized
    return filled.transpose(2, 0, 1).astype(np.float32) / 255, scale, np.array([left, top], np.float64)


def split_yolo(output: NDArray[np.floating], name: str = "the network") -> tuple[Array, Array]:
    """Boxes (N, 4), left, top, right, bottom, and scores (N, classes) out of either layout.

    Raises:
        LabelError: It is neither.
    """
    shape = output.shape
    if len(shape) == 3 and shape[0] == 1 and 5 <= shape[1] < shape[2]:
        values = output[0].T.astype(np.float64)
        boxes, scores = values[:, :4], values[:, 4:]
    elif len(shape) == 3 and shape[0] == 1 and 6 <= shape[2] < shape[1] and shape[1] > 300:  # 300: already suppressed
        values = output[0].astype(np.float64)
        boxes, scores = values[:, :4], values[:, 4:5] * values[:, 5:]
    else:
        raise LabelError(
            f"{name} gives {shape}; expected (1, 4 + classes, N) or (1, N, 5 + classes): export it with its detection "
            "head and without non-maximum suppression"
        )
    if not np.isfinite(values).all() or scores.max(initial=0) > 1.001 or scores.min(initial=0) < 0:
        raise LabelError(f"{name} gives scores that are not between 0 and 1; expected those after the sigmoid")
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1), scores
