"""A left and a right hand for each frame of a clip, in pixels (paper, Appendix II-C).

Two backends: `landmarks` looks again at the hands of `detect_hands`; `wilor` runs the user's WiLoR, whose weights are
not free, in the boxes of `detect_hands`, and gives MANO parameters as well.

Why again: the network is followed from frame to frame in regions made of its own keypoints. On a hand that holds
something and is seen from its thumb it puts the wrist too near, the next region is too small, and there it stays. Wider
regions, moved towards the wrist, get it out of there; in a mirror it errs otherwise; and how much looks differ says how
far to believe them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand.inference import DEFAULT as DEFAULT_RUNTIME
from firsthand.inference import Runtime
from firsthand_training.labels.hand_networks.landmarks import Hand, LandmarkNetwork
from firsthand_training.labels.hand_networks.regions import Picture, region_of_keypoints
from firsthand_training.labels.hand_networks.wilor import Wilor
from firsthand_training.labels.stage_files import KEYPOINTS, Clip, HandPoses, Hands, load_stage, save_stage
from firsthand_training.labels.video import Video, frames, open_video

Array = NDArray[np.floating]
Integers = NDArray[np.int64]

BACKENDS = ("landmarks", "wilor")
LOOKS = ((1.3, 0.15, False), (1.6, 0.15, False), (1.0, 0.0, True))
"""Further looks at a hand: how much larger its region is, by which share of its side moved towards the wrist, and
whether in a mirror. `mediapipe_bias.npz` is of these: after a change it has to be made anew."""
AGREEING = 3  # looks of four that must find a hand where the detector has lost it
SAME_PLACE = 0.25  # mean distance of keypoints over a hand's size, below which left and right are the same hand


@dataclass(frozen=True)
class EstimateSettings:
    """How hands are estimated."""

    backend: str = "landmarks"  # or wilor
    weights: str = ""  # of `wilor`: an ONNX or a TorchScript file, see `hand_networks/wilor.py`
    presence: float = 0.5  # of a hand that is looked for again, above which it is there
    longest_gap: int = 15  # frames without a side, between frames with it, over which its place is interpolated
    batch: int = 16  # crops that WiLoR gets at once
    runtime: Runtime = DEFAULT_RUNTIME

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.backend not in BACKENDS:
            raise LabelError(f"no backend {self.backend!r} for hands; there are {', '.join(BACKENDS)}")
        if bool(self.weights) != (self.backend == "wilor"):
            raise LabelError(
                f"`weights` are a file for backend 'wilor'; got {self.weights!r} for backend {self.backend!r}"
            )
        if not 0 <= self.presence <= 1 or self.longest_gap < 0 or self.batch < 1:
            raise LabelError(
                "expected a presence between 0 and 1, a longest gap of 0 or more frames and a batch of at least 1, got "
                f"{self.presence}, {self.longest_gap} and {self.batch}"
            )


DEFAULT = EstimateSettings()


@dataclass(frozen=True)
class _Seen:
    """What `detect_hands` says about a clip: NaN where it has not seen a side."""

    keypoints: Array  # (N, 2, 21, 2)
    box: Array  # (N, 2, 4)
    score: Array  # (N, 2)


def estimate_hands(video: Path, hands: Path, clip: Clip, output: Path, settings: EstimateSettings = DEFAULT) -> Path:
    """Estimate the left and the right hand of each frame of a clip.

    Args:
        video: The video.
        hands: `Hands` of it, from `detect_hands`.
        clip: Which frames.
        output: Where `HandPoses` go; left alone if it exists.
        settings: Which backend, and how sure.

    Returns:
        `output`, ready for `to_robot_frame`. A side that is not there in a frame is NaN, with confidence 0.

    Raises:
        LabelError: The video, the hands or the clip cannot be used, or no hand is in the clip.
        ModelError: The networks are not installed.
    """
    if output.exists():
        return output
    footage, found = open_video(video), load_stage(hands, Hands)
    if int(found.frames[0]) != footage.frames:
        raise LabelError(f"{hands} is of a video with {int(found.frames[0])} frames; {video} has {footage.frames}")
    if not 0 <= clip.first < clip.last <= footage.frames:
        raise LabelError(f"expected a clip within the {footage.frames} frames of {video}, got {clip}")
    seen = _seen_in(found, clip)
    if np.isnan(seen.box).all():
        raise LabelError(f"frames {clip.first} to {clip.last} of {video} show no hand")
    make = _with_wilor if settings.backend == "wilor" else _with_landmarks
    return save_stage(output, make(footage, clip, seen, settings))


def _seen_in(hands: Hands, clip: Clip) -> _Seen:
    """The surest hand of each side in each frame."""
    count = clip.last - clip.first
    keypoints = np.full((count, 2, len(KEYPOINTS), 2), np.nan)
    box, score = np.full((count, 2, 4), np.nan), np.full((count, 2), np.nan)
    for index in np.argsort(hands.score, kind="stable"):  # the surest last
        frame, side = int(hands.frame[index]) - clip.first, int(hands.side[index])
        if 0 <= frame < count:
            keypoints[frame, side] = hands.keypoints[index]
            box[frame, side], score[frame, side] = hands.box[index], hands.score[index]
    return _Seen(keypoints, box, score)


def _with_landmarks(video: Video, clip: Clip, seen: _Seen, settings: EstimateSettings) -> HandPoses:
    count = len(seen.keypoints)
    keypoints, confidence = np.full(seen.keypoints.shape, np.nan), np.zeros((count, 2))
    depths, spread = np.full((count, 2, len(KEYPOINTS)), np.nan), np.full((count, 2), np.nan)
    places = interpolate(seen.keypoints, settings.longest_gap)
    there, detected = _known(places), _known(seen.keypoints)
    network = LandmarkNetwork.load(settings.runtime)
    for frame, picture in _pictures(video, clip, there):
        for side in np.flatnonzero(there[frame]):
            place = places[frame, side]
            looks = _look_again(network, picture, place)
            if detected[frame, side]:
                looks.append(Hand(place, float(seen.score[frame, side]), 0.5))
            else:
                looks.append(network.look(picture, region_of_keypoints(place)))
                other = seen.keypoints[frame, 1 - side]
                looks = [hand for hand in looks if _accept(hand, place, other, settings)]
                if len(looks) < AGREEING:
                    continue
            score = seen.score[frame, side] if detected[frame, side] else max(hand.presence for hand in looks)
            views = np.array([hand.keypoints for hand in looks])
            keypoints[frame, side], confidence[frame, side] = np.median(views, axis=0), score
            depths[frame, side] = np.median([hand.depths for hand in looks if hand.depths is not None], axis=0)
            spread[frame, side] = np.median(np.linalg.norm(views - keypoints[frame, side], axis=-1))
    return _poses(clip, keypoints, confidence, depths=depths, spread=spread)


def _look_again(network: LandmarkNetwork, picture: Picture, place: Array) -> list[Hand]:
    """What the network says of a hand with keypoints about there (21, 2), look by look."""
    region = region_of_keypoints(place)
    return [network.look(picture, region.wider(factor, back), mirrored) for factor, back, mirrored in LOOKS]


def _with_wilor(video: Video, clip: Clip, seen: _Seen, settings: EstimateSettings) -> HandPoses:
    network = Wilor.load(Path(settings.weights), settings.runtime)
    boxes = interpolate(seen.box, settings.longest_gap)
    scores = interpolate(seen.score, settings.longest_gap)
    there = _known(boxes)
    count = len(boxes)
    keypoints, confidence = np.full((count, 2, len(KEYPOINTS), 2), np.nan), np.zeros((count, 2))
    shape, pose = np.full((count, 2, 10), np.nan), np.full((count, 2, 48), np.nan)
    depths = np.full((count, 2, len(KEYPOINTS)), np.nan)
    waiting: list[tuple[int, int, NDArray[np.float32]]] = []

    def estimate() -> None:
        frames_, sides = (np.array(column) for column in list(zip(*waiting, strict=True))[:2])
        crops = np.stack([crop for _, _, crop in waiting])
        hands = network.estimate(crops, boxes[frames_, sides], sides)
        keypoints[frames_, sides], confidence[frames_, sides] = hands.keypoints, scores[frames_, sides]
        shape[frames_, sides], pose[frames_, sides] = hands.mano_shape, hands.mano_pose
        depths[frames_, sides] = hands.depths
        waiting.clear()

    for frame, picture in _pictures(video, clip, there):
        for side in np.flatnonzero(there[frame]):
            waiting.append((frame, int(side), network.crop(picture, boxes[frame, side], int(side))))
            if len(waiting) == settings.batch:
                estimate()
    if waiting:
        estimate()
    poses = _poses(clip, keypoints, confidence, depths=depths)
    return replace(poses, mano_shape=shape, mano_pose=pose, mano_ray=(boxes[..., :2] + boxes[..., 2:]) / 2)


def _pictures(video: Video, clip: Clip, sides: NDArray[np.bool_]) -> Iterator[tuple[int, Picture]]:
    """Pictures of a clip in which a side (N, 2) is wanted, with their number in it."""
    wanted = np.unique(np.nonzero(sides)[0])
    if not len(wanted):
        return
    first, last = int(wanted[0]), int(wanted[-1]) + 1
    for frame, image in enumerate(frames(video, clip.first + first, clip.first + last), first):
        if sides[frame].any():
            yield frame, Picture(image)


def interpolate(values: Array, longest_gap: int) -> Array:
    """Values (N, 2, ...) with gaps of up to so many frames, between frames that have them, filled linearly.

    Frames before the first and after the last one stay NaN, as do longer gaps.
    """
    filled = values.copy()
    flat = filled.reshape(*values.shape[:2], -1)
    for side in (0, 1):
        known = np.flatnonzero(_known(values)[:, side])
        for before, after in pairwise(known):
            if 1 < after - before <= longest_gap + 1:
                share = ((np.arange(before + 1, after) - before) / (after - before))[:, None]
                flat[before + 1 : after, side] = (1 - share) * flat[before, side] + share * flat[after, side]
    return filled


def _known(values: Array) -> NDArray[np.bool_]:
    """Which of (N, 2, ...) have all their numbers."""
    unknown = np.isnan(values).reshape(*values.shape[:2], -1).sum(axis=2)
    return np.asarray(unknown == 0, np.bool_)


def _accept(hand: Hand, place: Array, other: Array, settings: EstimateSettings) -> bool:
    """Whether what was found at a hand's place is that hand, not nothing and not the hand of the other side."""
    size = float(np.linalg.norm(np.ptp(place, axis=0)))
    here = float(np.linalg.norm(hand.keypoints.mean(axis=0) - place.mean(axis=0))) < 0.5 * size
    doubled = float(np.linalg.norm(hand.keypoints - other, axis=1).mean()) < SAME_PLACE * size  # False for NaN
    return hand.presence > settings.presence and here and not doubled


def _poses(clip: Clip, keypoints: Array, confidence: Array, depths: Array, spread: Array | None = None) -> HandPoses:
    count = clip.last - clip.first
    return HandPoses(
        frames=np.arange(clip.first, clip.last, dtype=np.int64),
        keypoints=keypoints,
        confidence=np.clip(confidence, 0.0, 1.0),
        mano_shape=np.full((count, 2, 10), np.nan),
        mano_pose=np.full((count, 2, 48), np.nan),
        depths=depths,
        spread=np.array(np.nan) if spread is None else spread,
    )
