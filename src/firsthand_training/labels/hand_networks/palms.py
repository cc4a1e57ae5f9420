"""MediaPipe's palm detector: it knows which way a hand points, and misses hands that hold something."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.inference import DEFAULT, Runtime, Session, open_session
from firsthand_training.labels.hand_networks.candidates import Candidate
from firsthand_training.labels.hand_networks.prepare import PALM_SIZE, palm_graph
from firsthand_training.labels.hand_networks.regions import Picture, Region, region_of_palm, suppress

Array = NDArray[np.floating]

GRIDS = ((24, 2), (12, 6))  # cells along a side, anchors in each
SCORE_LIMIT = 100.0  # of what goes into the sigmoid
MARGIN = 1.5  # side of a view with a margin, in which close hands are smaller
LONG = 1.3  # width over height, or the reverse, from which on a picture's ends are looked at alone


@dataclass(frozen=True)
class PalmDetector:
    """Palms at several scales."""

    session: Session
    score: float  # 0 to 1, from which on a palm is a candidate
    overlap: float  # of two palms, above which they are one

    @classmethod
    def load(cls, score: float, overlap: float, runtime: Runtime = DEFAULT) -> "PalmDetector":
        """Open it.

        Raises:
            ModelError: Its weights are not installed.
        """
        return cls(open_session(palm_graph(), runtime), score, overlap)

    def detect(self, picture: Picture) -> list[Candidate]:
        """Palms with the regions of their hands, best first."""
        found = [each for view in views(picture) for each in self._at(picture, view)]
        if not found:
            return []
        boxes, scores = np.array([each.box for each in found]), np.array([each.score for each in found])
        return [found[index] for index in suppress(boxes, scores, self.overlap)]

    def _at(self, picture: Picture, region: Region) -> list[Candidate]:
        crop = picture.cut(region, PALM_SIZE, cv2.BORDER_CONSTANT)[None]
        values, logits = self.session.run(["boxes", "scores"], {"pictures": crop})
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0].astype(np.float64), -SCORE_LIMIT, SCORE_LIMIT)))
        chosen = scores >= self.score
        boxes, points = decode_palms(values[0, chosen].astype(np.float64), ANCHORS[chosen])
        boxes = region.to_picture(boxes.reshape(-1, 2, 2), PALM_SIZE).reshape(-1, 4)
        points = region.to_picture(points, PALM_SIZE)
        return [
            Candidate(box, float(score), region_of_palm(box, wrist, knuckle))
            for box, score, (wrist, _, knuckle) in zip(boxes, scores[chosen], points[:, :3], strict=True)
        ]


def views(picture: Picture) -> list[Region]:
    """Squares in which palms are looked for: the whole picture, with a margin too, and the ends of a long one."""
    whole = picture.all()
    short, long = sorted((picture.width, picture.height))
    if long < LONG * short:
        return [whole, picture.all(MARGIN)]
    away = (long - short) / 2
    x, y = (away, 0.0) if picture.width > picture.height else (0.0, away)
    ends = [Region(whole.x - x, whole.y - y, short), Region(whole.x + x, whole.y + y, short)]
    return [whole, picture.all(MARGIN), *ends]


def decode_palms(values: Array, anchors: Array) -> tuple[Array, Array]:
    """Boxes (N, 4) and 7 points (N, 7, 2) in pixels of the crop, from the network's (N, 18) numbers.

    Its box is of the palm alone; its points are wrist, knuckles of index, middle, ring and little finger, and two of
    the thumb.
    """
    pairs = values.reshape(-1, 9, 2)
    center, size = pairs[:, 0] + anchors, pairs[:, 1]
    edge = 0.5  # the network's 0 is the edge of the first pixel
    boxes = np.concatenate([center - size / 2, center + size / 2], axis=1)
    return boxes - edge, pairs[:, 2:] + anchors[:, None] - edge


def _anchors() -> Array:
    """Centres (2016, 2) of the cells, in pixels from the edge of the crop, row after row."""
    parts = []
    for cells, count in GRIDS:
        centers = (np.arange(cells) + 0.5) * PALM_SIZE / cells
        y, x = np.meshgrid(centers, centers, indexing="ij")
        parts.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), count, axis=0))
    return np.concatenate(parts)


ANCHORS = _anchors()
