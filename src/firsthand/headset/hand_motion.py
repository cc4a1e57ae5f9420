"""What a fake wearer does: a motion of head, wrists and fingers, with gestures at set times, or a recording.

A motion is a function of time. Wrists move about a place in front of the wearer, who stands 1.6 m tall at the world's
origin; a little noise keeps the numbers from ever standing still to the last bit, as a headset's do not either.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import HeadsetError
from firsthand.headset.hand_model import GRASP, OPEN, RELAXED, THUMB_OUT, HandPose, joints, left_hand, pinch
from firsthand.headset.hands_sample import HandsSample
from firsthand.space.frames import pose
from firsthand.space.rotations import matrix_from_rpy

Array = NDArray[np.floating]

EYES: Array = np.array([0.0, 0.0, 1.6])  # [m]
WRISTS: Array = np.array([[0.36, 0.20, -0.36], [0.36, -0.20, -0.36]])  # [m], from the eyes, left then right
HANDS_UP: Array = np.array([[0.25, 0.25, 0.20], [0.25, -0.25, 0.20]])
PITCH = 0.35  # [rad], hands point a little down
NOISE = 2e-4  # [m]
BLEND = 0.3  # [s] into a gesture and out of it
MOTIONS = ("reach", "pinch", "still")
GESTURES = {"clutch": 0.9, "stop": 1.0, "record": 1.4, "discard": 1.9}
"""What a wearer can say, and for how long each is held, [s]."""
THUMBS_UP: Array = np.array([-0.5, 0.5]) * np.pi  # [rad] about the fingers that turns a flat left, or right, hand so


@dataclass(frozen=True)
class Person:
    """Where a wearer's head and hands are at one time, in the world (x forward, y left, z up)."""

    head: Array  # (4, 4)
    wrists: Array  # (2, 4, 4), left then right
    joints: Array  # (2, 25, 4, 4), each in its wrist's frame


class Motion(Protocol):
    """Whatever says where the wearer is."""

    def at(self, time: float) -> Person:
        """The wearer at a time, [s] since the start."""


@dataclass(frozen=True)
class Gesture:
    """Something to do at a time, [s]."""

    name: str
    start: float

    def __post_init__(self) -> None:
        if self.name not in GESTURES:
            raise HeadsetError(f"expected a gesture of {', '.join(GESTURES)}, got {self.name!r}")


def read_gesture(text: str) -> Gesture:
    """A gesture out of "name@time".

    Raises:
        HeadsetError: It is none.
    """
    name, _, when = text.partition("@")
    try:
        return Gesture(name, float(when))
    except ValueError as error:
        raise HeadsetError(f"expected GESTURE@TIME with a gesture of {', '.join(GESTURES)}, got {text!r}") from error


class GeneratedMotion:
    """One of MOTIONS, with gestures.

    Args:
        name: `reach` swings both wrists through 10 to 14 cm and closes the hands now and then, `pinch` touches thumb
            and index finger again and again, `still` only breathes.
        gestures: `clutch` touches thumb and little finger of both hands, `stop` throws both hands up, `record` and
            `discard` hold both thumbs up and down.
        seed: Of the noise.
    """

    def __init__(self, name: str = "reach", gestures: tuple[Gesture, ...] = (), seed: int = 0) -> None:
        if name not in MOTIONS:
            raise HeadsetError(f"expected a motion of {', '.join(MOTIONS)} or a recording's file, got {name!r}")
        self.gestures = gestures
        self._name = name
        self._rng = np.random.default_rng(seed)

    def at(self, time: float) -> Person:
        """The wearer at a time, [s]."""
        swing = 1.0 if self._name == "reach" else 0.15
        phases = np.array([[0.31, 0.43, 0.37], [0.37, 0.29, 0.41]]) * 2 * np.pi * time
        offsets = swing * np.array([0.07, 0.06, 0.05]) * np.sin(phases)
        places = WRISTS + offsets
        hands = [self._pose(time, side) for side in (0, 1)]
        rolls = 0.2 * swing * np.sin(phases[:, 0])
        for gesture in self.gestures:
            share = _share(time - gesture.start, GESTURES[gesture.name])
            if gesture.name == "clutch":
                hands = [_between(hand, pinch((3,), others=0.2), share) for hand in hands]
            elif gesture.name == "stop":
                places = places + share * (HANDS_UP - places)
            else:
                hands = [_between(hand, THUMB_OUT, share) for hand in hands]
                rolls = rolls + share * ((1 if gesture.name == "record" else -1) * THUMBS_UP - rolls)
        sway = np.array([0.01 * np.sin(time), 0.02 * np.sin(0.7 * time), 0.0])
        eyes = EYES + sway + self._noise(3)
        head = pose(matrix_from_rpy(0.0, 0.3 + 0.05 * np.sin(0.9 * time), 0.08 * np.sin(0.5 * time)), eyes)
        turns = [matrix_from_rpy(float(roll), PITCH, 0.0) for roll in rolls]
        wrists = [pose(turns[side], EYES + places[side] + self._noise(3)) for side in (0, 1)]
        right = [_joints(hand) for hand in hands]
        return Person(head, np.stack(wrists), np.stack([left_hand(right[0]), right[1]]))

    def _pose(self, time: float, side: int) -> HandPose:
        share = round(0.5 - 0.5 * math.cos(2 * math.pi * time / (3.0 + 0.7 * side)), 3)  # so that poses come again
        if self._name == "pinch":
            return _between(RELAXED, pinch((0,)), share)
        return _between(OPEN, GRASP, 0.3 + 0.5 * share) if self._name == "reach" else RELAXED

    def _noise(self, size: int) -> Array:
        return NOISE * self._rng.standard_normal(size)


class RecordedMotion:
    """A recording, again and again.

    Args:
        samples: At least two, in order; where a hand was not tracked it stays where it was.
    """

    def __init__(self, samples: list[HandsSample]) -> None:
        if len(samples) < 2:
            raise HeadsetError(f"expected a recording of two samples or more, got {len(samples)}")
        self._times = (np.array([sample.stamp_ns for sample in samples]) - samples[0].stamp_ns) / 1e9
        self._people = [_person(sample) for sample in samples]
        for before, person in zip(self._people, self._people[1:], strict=False):
            for side in (0, 1):
                if np.isnan(person.wrists[side]).any():
                    person.wrists[side], person.joints[side] = before.wrists[side], before.joints[side]

    def at(self, time: float) -> Person:
        """The sample that is due, [s]."""
        span = float(self._times[-1]) + 1 / 90
        return self._people[int(np.searchsorted(self._times, time % span, side="right")) - 1]


_joints = lru_cache(maxsize=4096)(joints)


def _person(sample: HandsSample) -> Person:
    wrists = sample.world_from_joints[:, 0].copy()
    joints_in_wrist = np.linalg.inv(wrists)[:, None] @ sample.world_from_joints
    return Person(sample.world_from_head, wrists, joints_in_wrist)


def _share(since: float, duration: float) -> float:
    """How far into a gesture, 0 to 1, with smooth flanks on both sides."""
    linear = min(max(min(since, duration + 2 * BLEND - since) / BLEND, 0.0), 1.0)
    return linear * linear * (3 - 2 * linear)


def _between(start: HandPose, end: HandPose, share: float) -> HandPose:
    return HandPose.from_vector((1 - share) * start.vector() + share * end.vector())
