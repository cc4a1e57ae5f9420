"""Handtrack's SSD: boxes around hands whatever they hold, without their direction."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from firsthand.inference import DEFAULT, Runtime, Session, open_session
from firsthand_training.labels.hand_networks.candidates import Candidate
from firsthand_training.labels.hand_networks.prepare import SSD_SIZE
from firsthand_training.labels.hand_networks.regions import Picture, suppress

HANDS = (1, 2, 3, 4, 6, 7)
"""Its classes that are hands: open, closed, pinching, pointing, two that pinch with tips; 0 is nothing, 5 a face."""


@dataclass(frozen=True)
class SsdDetector:
    """Boxes around hands."""

    session: Session
    score: float  # 0 to 1, from which on a box is a candidate
    overlap: float  # of two boxes, above which they are one

    @classmethod
    def load(cls, graph: Path, score: float, overlap: float, runtime: Runtime = DEFAULT) -> "SsdDetector":
        """Open the graph that `find_ssd_graph` has found."""
        return cls(open_session(graph, runtime), score, overlap)

    def detect(self, picture: Picture) -> list[Candidate]:
        """Boxes, best first."""
        region = picture.all()
        crop = picture.cut(region, SSD_SIZE, cv2.BORDER_CONSTANT)[None]
        boxes, scores = self.session.run(["boxes", "scores"], {"pictures": crop})
        best = scores[0][:, HANDS].max(axis=1).astype(np.float64)
        chosen = (best >= self.score) & (best > scores[0][:, 5])
        corners = boxes[0, chosen].astype(np.float64).reshape(-1, 2, 2)[..., ::-1] * SSD_SIZE - 0.5  # from (y, x)
        found = region.to_picture(corners, SSD_SIZE).reshape(-1, 4)
        return [Candidate(found[i], float(best[chosen][i])) for i in suppress(found, best[chosen], self.overlap)]
