"""Every hand in every frame of a video (paper, Appendix II-A)."""

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firsthand.errors import LabelError
from firsthand.inference import DEFAULT as DEFAULT_RUNTIME
from firsthand.inference import Runtime
from firsthand_training.labels.hand_networks.candidates import HandDetector
from firsthand_training.labels.hand_networks.finder import Find, HandFinder, same
from firsthand_training.labels.hand_networks.landmarks import Hand, LandmarkNetwork
from firsthand_training.labels.hand_networks.packages import HANDTRACK
from firsthand_training.labels.hand_networks.palms import PalmDetector
from firsthand_training.labels.hand_networks.prepare import find_ssd_graph
from firsthand_training.labels.hand_networks.regions import Picture
from firsthand_training.labels.hand_networks.ssd import SsdDetector
from firsthand_training.labels.hand_networks.yolo import YoloDetector
from firsthand_training.labels.sides import Sighting, choose_sides
from firsthand_training.labels.stage_files import KEYPOINTS, Hands, save_stage
from firsthand_training.labels.video import Image, Video, frames, open_video

DETECTORS = ("auto", "palms+ssd", "palms", "yolo")
LEFT, RIGHT = 0, 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DetectSettings:
    """How hands are found."""

    detectors: str = "auto"  # palms+ssd where the SSD has been fetched, else palms; or one of the others
    weights: str = ""  # of `yolo`: an ONNX file
    classes: tuple[str, ...] = ()  # of `yolo`: hand, left, right or other for each; empty: one hand, or left and right
    presence: float = 0.5  # of the landmark network, above which there is a hand
    follow: float = 0.3  # the same for a hand that was there in the frame before
    palm_score: float = 0.3  # from which on a detector's proposal is looked at
    ssd_score: float = 0.3
    yolo_score: float = 0.5
    overlap: float = 0.3  # intersection over union, above which two proposals are one
    search_every: int = 30  # frames, between searches while two or more hands are followed; 1 for every frame
    retry_every: int = 5  # frames, while fewer are; what is found is followed back to the search before
    most: int = 4  # hands of a frame, the surest
    first_person: bool = True  # the hands are those of who wears the camera: where they are helps to tell their sides
    runtime: Runtime = DEFAULT_RUNTIME

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.detectors not in DETECTORS:
            raise LabelError(f"no detectors {self.detectors!r}; there are {', '.join(DETECTORS)}")
        if bool(self.weights) != (self.detectors == "yolo"):
            raise LabelError(
                f"`weights` are an ONNX file for detectors 'yolo'; got {self.weights!r} for {self.detectors!r}"
            )
        for name in ("presence", "follow", "palm_score", "ssd_score", "yolo_score", "overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise LabelError(f"expected {name} between 0 and 1, got {getattr(self, name)}")
        for name in ("search_every", "retry_every", "most"):
            if getattr(self, name) < 1:
                raise LabelError(f"expected {name} of at least 1, got {getattr(self, name)}")


DEFAULT = DetectSettings()


def detect_hands(video: Path, output: Path, settings: DetectSettings = DEFAULT) -> Path:
    """Find every hand in a video, with its keypoints and its side.

    Hands are searched at the start, after a loss and every so often, and followed from frame to frame in between.

    Args:
        video: Any file that `open_video` reads.
        output: Where `Hands` go; left alone if it exists.
        settings: Which detectors, how sure, how often.

    Returns:
        `output`, ready for `trim_clips` and `estimate_hands`.

    Raises:
        LabelError: The video cannot be used, or the user's detector is not of a known kind.
        ModelError: The networks are not installed.
    """
    if output.exists():
        return output
    footage = open_video(video)
    sightings = sight_hands(frames(footage), load_finder(settings), settings)
    return save_stage(output, gather(sightings, footage, settings))


def load_finder(settings: DetectSettings) -> HandFinder:
    """Open the networks that the settings ask for.

    Raises:
        LabelError: `palms+ssd` is asked for and the SSD is not here, or the user's detector is of no known kind.
        ModelError: The networks are not installed.
    """
    landmarks = LandmarkNetwork.load(settings.runtime)
    return HandFinder(_load_detectors(settings), landmarks, settings.presence, settings.follow, settings.overlap)


def sight_hands(pictures: Iterable[Image], finder: HandFinder, settings: DetectSettings) -> list[Sighting]:
    """Hands of consecutive pictures (H, W, 3) RGB, followed from one to the next."""
    tracks = _Tracks(finder, settings)
    for number, image in enumerate(pictures):
        tracks.see(number, Picture(image))
    return [sighting for number in range(len(tracks.seen)) for sighting in tracks.seen[number]]


def gather(sightings: list[Sighting], video: Video, settings: DetectSettings) -> Hands:
    """All that was seen in a video, with the sides of the hands, ready to be written."""
    return Hands(
        frame=np.array([each.frame for each in sightings], np.int64),
        side=choose_sides(sightings, video.width, settings.first_person),
        score=np.array([each.score for each in sightings], np.float64),
        box=np.array([each.box for each in sightings], np.float64).reshape(-1, 4),
        keypoints=np.array([each.keypoints for each in sightings], np.float64).reshape(-1, len(KEYPOINTS), 2),
        frames=np.array([video.frames], np.int64),
    )


class _Tracks:
    """The hands that are being followed, and all that was seen."""

    def __init__(self, finder: HandFinder, settings: DetectSettings) -> None:
        self._finder, self._settings = finder, settings
        self._alive: dict[int, Find] = {}
        self._recent: deque[tuple[int, Picture]] = deque(maxlen=settings.retry_every + 1)
        self._searched: int | None = None
        self._tracks = 0
        self.seen: list[list[Sighting]] = []

    def see(self, number: int, picture: Picture) -> None:
        """Take the next picture."""
        self.seen.append([])
        followed = self._finder.follow(picture, list(self._alive.values()))
        self._alive = {track: find for track, find in zip(self._alive, followed, strict=True) if find is not None}
        if self._due(number):
            self._searched = number
            for find in self._finder.search(picture, list(self._alive.values())):
                self._alive[self._trace_back(find)] = find
        surest = sorted(self._alive, key=lambda track: -self._alive[track].score)[: self._settings.most]
        self._alive = {track: self._alive[track] for track in sorted(surest)}
        self.seen[number] = [_sighting(number, track, find) for track, find in self._alive.items()]
        self._recent.append((number, picture))

    def _due(self, number: int) -> bool:
        if self._searched is None:
            return True
        every = self._settings.search_every
        if len(self._alive) < 2:
            every = min(every, self._settings.retry_every)
        return number - self._searched >= every

    def _trace_back(self, find: Find) -> int:
        """Follow a new hand into the pictures before, until it is lost or meets itself; the number of its track."""
        earlier: list[tuple[int, Find]] = []
        meets: int | None = None
        for number, picture in reversed(self._recent):
            (before,) = self._finder.follow(picture, [find])
            if before is None:
                break
            meets = next((each.track for each in self.seen[number] if _is(before, each)), None)
            if meets is not None:
                break
            find = before
            earlier.append((number, find))
        if meets is None or meets in self._alive:
            meets, self._tracks = self._tracks, self._tracks + 1
        for number, each in earlier:
            self.seen[number].append(_sighting(number, meets, each))
        return meets


def _load_detectors(settings: DetectSettings) -> tuple[HandDetector, ...]:
    runtime = settings.runtime
    if settings.detectors == "yolo":
        weights = Path(settings.weights)
        return (YoloDetector.load(weights, settings.yolo_score, settings.overlap, settings.classes, runtime),)
    palms = PalmDetector.load(settings.palm_score, settings.overlap, runtime)
    ssd = find_ssd_graph() if settings.detectors != "palms" else None
    if ssd is not None:
        return palms, SsdDetector.load(ssd, settings.ssd_score, settings.overlap, runtime)
    missing = (
        f"the SSD detector (npm package {HANDTRACK}) is not here: `python -m "
        "firsthand_training.labels.hand_networks.prepare` fetches it where there is npm"
    )
    if settings.detectors == "palms+ssd":
        raise LabelError(missing)
    if settings.detectors == "auto":
        logger.warning("%s; without it, hands that hold something are found less often", missing)
    return (palms,)


def _sighting(frame: int, track: int, find: Find) -> Sighting:
    unknown = np.full((len(KEYPOINTS), 2), np.nan)
    keypoints = unknown if find.hand is None else find.hand.keypoints
    right = 0.5 if find.hand is None else find.hand.right
    side = None if find.candidate is None else find.candidate.side
    if side is not None:
        return Sighting(frame, track, find.score, find.box, keypoints, float(side), told=True)
    return Sighting(frame, track, find.score, find.box, keypoints, right)


def _is(find: Find, sighting: Sighting) -> bool:
    hand = None if np.isnan(sighting.keypoints).any() else Hand(sighting.keypoints, sighting.score, sighting.right)
    return hand is not None and same(find, Find(hand))
