"""What a landmark network says of a hand, less what it usually gets wrong of such a hand.

A constant offset (`landmarks.OFFSETS`) is not enough: MediaPipe takes a hand that holds something and is seen from its
thumb for one seen from its back, turned by some 40 deg about the fingers, too small by a fifth and with too little
depth; it does so every time. A Gaussian process learns that from rendered hands whose pose is known: two hands of which
the network says the same are likely to be off alike, by as much as looks at them differ: a hand that looks the same
however it is looked at, as open hands do, is left nearly as it was said. The process knows how far a hand is from those
it has learnt from; far from all of them it leaves what was said as it is, and its sigmas say so.

In: 21 keypoints and depths, how much looks differ, presence; upright, of one size, left hands mirrored. Out: what is to
be added to keypoints and depths. `evaluation/landmark_calibration.py` makes the file.
"""

from dataclasses import dataclass, fields
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand_training.episodes.arrays import read_arrays
from firsthand_training.episodes.durable import whole_file
from firsthand_training.labels.fit_hands import hand_sizes
from firsthand_training.labels.hand_networks.regions import region_of_keypoints

Array = NDArray[np.floating]
Integers = NDArray[np.int64]

SAID, OFF, CAUSES = 65, 63, 4  # 42 numbers of keypoints, 21 of depths, spread and presence; keypoints and depths
STRETCH = 1.9  # MediaPipe's depths are this much too small (11 rendered clips)
WIDTH = 0.003  # of the kernel: exp(-WIDTH * squared distance), numbers in standard deviations
NOISE = 0.05  # variance of what such a process cannot explain, over that of what it can
NARROWEST = 0.005  # standard deviation of a number; those that hardly vary tell no hands apart
LEAST, MOST = 1e-4, 0.15  # variance of any number, in sizes of the hand squared
REWEIGHTED = 10  # times
FILE = Path(__file__).parent / "mediapipe_bias.npz"


@dataclass(frozen=True)
class Said:
    """What a network says of B hands."""

    keypoints: Array  # (B, 21, 2), [px]
    depths: Array  # (B, 21), farther than the wrist, [px]
    spread: Array  # (B,), [px], between looks
    presence: Array  # (B,)
    side: Integers  # (B,), 0 left, 1 right

    @property
    def whole(self) -> NDArray[np.bool_]:
        """(B,), of which everything is known."""
        known = np.isfinite(self.keypoints).all(axis=(1, 2)) & np.isfinite(self.depths).all(axis=1)
        return known & np.isfinite(self.spread) & (np.nan_to_num(hand_sizes(self.keypoints)) > 1.0)

    def __getitem__(self, rows: NDArray[np.bool_] | Integers) -> "Said":
        return Said(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class Corrected:
    """The same hands put right."""

    keypoints: Array  # (B, 21, 2), [px], of joints and fingertips as the rig means them
    depths: Array  # (B, 21), [px]
    sigma: Array  # (B, 21), [px], of a keypoint along an axis
    depth_sigma: Array  # (B, 21), [px]


@dataclass(frozen=True)
class LandmarkBias:
    """Hands that were learnt from, M of them."""

    said: Array  # (M, 65), as `describe` gives it
    off: Array  # (M, 63), what was to be added
    variance: Array  # (4, 63), of what is left over, for each of `_causes`

    def predict(self, said: Array) -> tuple[Array, Array]:
        """What is to be added (B, 63), and how far from what is known that is (B,), 0 to 1."""
        kernel = _kernel(self._scaled(said), self._known)
        gain = kernel @ self._precision
        added = gain @ (self.off / self._usual(self.said)[:, None]) * self._usual(said)[:, None]
        return added, np.clip(1 - (gain * kernel).sum(axis=1), 0.0, 1.0)

    def correct(self, said: Said) -> Corrected:
        """Put hands right of which everything is known; see `Said.whole`."""
        frame = HandFrame.of(said)
        described = frame.describe(said)
        added, strange = self.predict(described)
        flat = described[:, :42].reshape(-1, 21, 2) + added[:, :42].reshape(-1, 21, 2)
        depths = STRETCH * described[:, 42:63] + added[:, 42:]
        variance = _causes(described, strange) @ self.variance
        along = np.sqrt(variance[:, :42].reshape(-1, 21, 2).mean(axis=2))
        size = frame.size[:, None]
        return Corrected(frame.to_picture(flat), depths * size, along * size, np.sqrt(variance[:, 42:]) * size)

    def _usual(self, said: Array) -> Array:
        """By how much such hands are off, (B,), root mean square."""
        return np.asarray(np.sqrt(np.minimum(_doubts(said) @ self._growth, MOST)))

    @cached_property
    def _growth(self) -> Array:
        """(3,), of the variance with `_doubts`; hands that are hardly off count as much as others."""
        doubts, squares = _doubts(self.said), (self.off**2).mean(axis=1, keepdims=True)
        expected = np.ones((len(doubts), 1))
        for _ in range(REWEIGHTED):
            growth = _positive_fit(doubts / expected, squares / expected)
            expected = np.maximum(doubts @ growth, LEAST)
        return growth[:, 0]

    def _scaled(self, said: Array) -> Array:
        return np.asarray((said - self.said.mean(axis=0)) / np.maximum(self.said.std(axis=0), NARROWEST))

    @cached_property
    def _known(self) -> Array:
        return self._scaled(self.said)

    @cached_property
    def _precision(self) -> Array:
        return np.linalg.inv(_kernel(self._known, self._known) + NOISE * np.eye(len(self.said)))

    def save(self, path: Path) -> Path:
        """Write it, hands in half precision."""
        with whole_file(path) as partial, partial.open("wb") as file:
            np.savez_compressed(
                file, said=self.said.astype(np.float16), off=self.off.astype(np.float16), variance=self.variance
            )
        return path

    @classmethod
    def load(cls, path: Path) -> "LandmarkBias":
        """Read it.

        Raises:
            LabelError: It is missing or damaged.
        """
        try:
            arrays = read_arrays(path, [field.name for field in fields(cls)])
            parts = [arrays[field.name].astype(float) for field in fields(cls)]
        except (OSError, ValueError, KeyError) as error:
            raise LabelError(f"{path} is no calibration of a landmark network ({error!r})") from error
        shapes = [part.shape for part in parts]
        if shapes != [(len(parts[0]), SAID), (len(parts[0]), OFF), (CAUSES, OFF)]:
            raise LabelError(f"{path} has arrays of {shapes}; expected (M, {SAID}), (M, {OFF}) and ({CAUSES}, {OFF})")
        return cls(*parts)


@dataclass(frozen=True)
class HandFrame:
    """Where hands are upright, of size 1, and right ones."""

    origin: Array  # (B, 2), [px]
    size: Array  # (B,), [px]
    turn: Array  # (B, 2, 2), picture from there, the mirror of a left hand included

    @classmethod
    def of(cls, said: Said) -> "HandFrame":
        """That of hands as a network sees them."""
        angles = np.array([region_of_keypoints(each).angle for each in said.keypoints])
        mirror = np.where(said.side == 1, 1.0, -1.0)
        across = np.stack([np.cos(angles), np.sin(angles)], axis=1) * mirror[:, None]
        turn = np.stack([across, np.stack([-np.sin(angles), np.cos(angles)], axis=1)], axis=2)
        return cls(said.keypoints.mean(axis=1), hand_sizes(said.keypoints), turn)

    def describe(self, said: Said) -> Array:
        """(B, 65)."""
        flat = self.from_picture(said.keypoints).reshape(-1, 42)
        size = self.size[:, None]
        return np.concatenate([flat, said.depths / size, said.spread[:, None] / size, said.presence[:, None]], axis=1)

    def from_picture(self, pixels: Array) -> Array:
        """(B, K, 2)."""
        return np.asarray((pixels - self.origin[:, None]) @ self.turn / self.size[:, None, None])

    def to_picture(self, points: Array) -> Array:
        """(B, K, 2), [px]."""
        return np.asarray(self.size[:, None, None] * points @ np.swapaxes(self.turn, 1, 2) + self.origin[:, None])


def learn(said: Array, off: Array, groups: Integers) -> LandmarkBias:
    """Learn from hands whose truth is known.

    Args:
        said: (M, 65), from `HandFrame.describe`.
        off: (M, 63), what should have been added.
        groups: (M,), the clip of each hand: sigmas are measured on clips that were left out.

    Raises:
        LabelError: There are fewer than three clips.
    """
    names = np.unique(groups)
    if len(names) < 3:
        raise LabelError(f"expected hands of three clips or more to calibrate a landmark network, got {len(names)}")
    nothing = np.zeros((CAUSES, OFF))
    squares, strange = np.zeros(off.shape), np.zeros(len(off))
    for name in names:
        out = groups == name
        added, strange[out] = LandmarkBias(said[~out], off[~out], nothing).predict(said[out])
        squares[out] = (off[out] - added) ** 2
    return LandmarkBias(said, off, _positive_fit(_causes(said, strange), squares))


def _doubts(said: Array) -> Array:
    """What makes hands (B) be off more than others, (B, 3): nothing; looks that differ; a network that is not sure."""
    spread, presence = said[:, 63], said[:, 64]
    return np.stack([np.ones(len(said)), spread**2, (1 - presence) ** 2], axis=1)


def _causes(said: Array, strange: Array) -> Array:
    """The same of what is left over, (B, 4): also being unlike known ones."""
    return np.insert(_doubts(said), 1, strange, axis=1)


def _positive_fit(causes: Array, squares: Array) -> Array:
    """Coefficients (C, K), none negative, least squares: causes (M, C) @ coefficients = squares (M, K)."""
    scale = np.maximum(causes.std(axis=0) + causes.mean(axis=0), np.finfo(float).tiny)  # 0: a cause that never was
    gram, right = (causes / scale).T @ (causes / scale), (causes / scale).T @ squares
    found = np.tile(squares.mean(axis=0) / causes.shape[1], (causes.shape[1], 1))
    for _ in range(200):
        for row in range(len(found)):
            rest = right[row] - gram[row] @ found + gram[row, row] * found[row]
            found[row] = np.maximum(rest / max(gram[row, row], LEAST), 0.0)
    found[0] = np.maximum(found[0], LEAST * scale[0])
    return found / scale[:, None]


def _kernel(one: Array, other: Array) -> Array:
    squared = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    return np.exp(-WIDTH * np.maximum(squared, 0.0))


@cache
def mediapipe_bias() -> LandmarkBias:
    """That of MediaPipe's landmark network on looks of `estimate_hands`, learnt from rendered hands."""
    return LandmarkBias.load(FILE)
