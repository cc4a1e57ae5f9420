"""The 1-Euro filter (Casiez, Roussel, Vogel: 1 Euro Filter, CHI 2012) on wrists and fingertips.

A low-pass filter of first order whose cutoff rises with speed: fc = min_cutoff + beta |speed|. A hand that rests is
steadied, one that moves is hardly held back. A filtered rotation turns towards the new one by that share of the way.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.space.rotations import matrix_from_rotation_vector, rotation_vector_from_matrix

Array = NDArray[np.floating]

SECOND = 1_000_000_000  # [ns]
SPEED_CUTOFF = 1.0  # [Hz] of the speed itself, as in the paper
SHORTEST = 1e-3  # [s] between two samples; messages that waited on the way arrive together


@dataclass(frozen=True)
class SmoothingSettings:
    """The cutoff at rest, and how it rises with speed."""

    min_cutoff: float = 2.0  # [Hz]
    beta: float = 200.0  # [Hz] for each m/s of the wrist, and of each fingertip in its wrist
    beta_turn: float = 10.0  # [Hz] for each rad/s of the wrist

    def __post_init__(self) -> None:
        if not self.min_cutoff > 0 or min(self.beta, self.beta_turn) < 0:
            raise ValueError(f"expected a cutoff above 0 Hz and betas of 0 or more, got {self}")


class HandsFilter:
    """Of both hands; one that comes into sight begins anew."""

    def __init__(self, settings: SmoothingSettings) -> None:
        self._settings = settings
        self._then_ns = 0
        self._seen = np.zeros(2, dtype=bool)  # in the last sample
        self._points: Array = np.zeros((2, 6, 3))  # the wrist's place and the fingertips, filtered
        self._rotations: Array = np.tile(np.eye(3), (2, 1, 1))  # filtered
        self._last: tuple[Array, Array] = (self._points, self._rotations)  # as they came
        self._speeds: tuple[Array, Array] = (np.zeros((2, 6, 3)), np.zeros((2, 3)))  # filtered, [m/s], [rad/s]

    def smooth(self, stamp_ns: int, wrists: Array, tips: Array, seen: tuple[bool, bool]) -> tuple[Array, Array]:
        """Filter one sample.

        Args:
            stamp_ns: Its time.
            wrists: (2, 4, 4).
            tips: (2, 5, 3), [m], fingertips in their wrists.
            seen: Whether each hand is; those that are not come back as they are, NaN or not.
        """
        now_seen = np.array(seen)
        points = np.concatenate([wrists[:, None, :3, 3], tips], axis=1)
        here = now_seen[:, None, None]
        points, rotations = np.where(here, points, self._points), np.where(here, wrists[:, :3, :3], self._rotations)
        self._begin(now_seen & ~self._seen, points, rotations)
        self._advance(max((stamp_ns - self._then_ns) / SECOND, SHORTEST), points, rotations)
        self._then_ns, self._seen, self._last = stamp_ns, now_seen, (points, rotations)
        wrists, tips = wrists.copy(), tips.copy()
        wrists[now_seen, :3, :3] = self._rotations[now_seen]
        wrists[now_seen, :3, 3], tips[now_seen] = self._points[now_seen, 0], self._points[now_seen, 1:]
        return wrists, tips

    def reset(self) -> None:
        """Begin anew with the next sample."""
        self._seen = np.zeros(2, dtype=bool)

    def _begin(self, hands: NDArray[np.bool_], points: Array, rotations: Array) -> None:
        if hands.any():
            last_points, last_rotations = self._last
            speeds, turns = self._speeds
            self._points[hands], self._rotations[hands] = points[hands], rotations[hands]
            last_points[hands], last_rotations[hands] = points[hands], rotations[hands]
            speeds[hands], turns[hands] = 0.0, 0.0

    def _advance(self, dt: float, points: Array, rotations: Array) -> None:
        s = self._settings
        share = _share(np.array(SPEED_CUTOFF), dt)
        before = np.concatenate([self._last[1], self._rotations])
        turns = rotation_vector_from_matrix(np.concatenate([rotations, rotations]) @ np.swapaxes(before, 1, 2))
        speeds, turning = self._speeds
        speeds = speeds + share * ((points - self._last[0]) / dt - speeds)
        turning = turning + share * (turns[:2] / dt - turning)
        self._speeds = speeds, turning
        shares = _share(s.min_cutoff + s.beta * np.linalg.norm(speeds, axis=-1), dt)
        self._points = self._points + shares[..., None] * (points - self._points)
        shares = _share(s.min_cutoff + s.beta_turn * np.linalg.norm(turning, axis=-1), dt)
        self._rotations = matrix_from_rotation_vector(shares[:, None] * turns[2:]) @ self._rotations


def _share(cutoff: Array, dt: float) -> Array:
    """Of the way to a new value that a low-pass filter goes in one step."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * dt))
