"""The 1-Euro filter (Casiez, Roussel, Vogel: 1 Euro Filter, CHI 2012) on one hand's wrist and fingertips.

A low-pass filter of first order whose cutoff rises with speed: fc = min_cutoff + beta |speed|. A hand that rests is
steadied, one that moves is hardly held back. A filtered rotation turns towards the new one by that share of the way.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.space.frames import pose
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


class HandFilter:
    """Of one hand; a hand that comes into sight begins anew."""

    def __init__(self, settings: SmoothingSettings) -> None:
        self._settings = settings
        self._then_ns: int | None = None
        self._points: Array = np.zeros((6, 3))  # the wrist's place and the fingertips, filtered
        self._rotation: Array = np.eye(3)  # filtered
        self._last: tuple[Array, Array] = (self._points, self._rotation)  # as they came
        self._speeds: tuple[Array, Array] = (np.zeros((6, 3)), np.zeros(3))  # filtered, [m/s], [rad/s]

    def smooth(self, stamp_ns: int, wrist: Array, tips: Array) -> tuple[Array, Array]:
        """The wrist's pose (4, 4) and the fingertips (5, 3) in it, [m], filtered."""
        points, rotation = np.concatenate([wrist[None, :3, 3], tips]), wrist[:3, :3]
        if self._then_ns is None:
            self._points, self._rotation = points, rotation
            self._speeds = np.zeros((6, 3)), np.zeros(3)
        else:
            self._advance(max((stamp_ns - self._then_ns) / SECOND, SHORTEST), points, rotation)
        self._then_ns, self._last = stamp_ns, (points, rotation)
        return pose(self._rotation, self._points[0]), self._points[1:].copy()

    def reset(self) -> None:
        """Begin anew with the next sample."""
        self._then_ns = None

    def _advance(self, dt: float, points: Array, rotation: Array) -> None:
        s = self._settings
        share = _share(SPEED_CUTOFF, dt)
        speed, turning = self._speeds
        speed = speed + share * ((points - self._last[0]) / dt - speed)
        turning = turning + share * (rotation_vector_from_matrix(rotation @ self._last[1].T) / dt - turning)
        self._speeds = speed, turning
        cutoffs = s.min_cutoff + s.beta * np.linalg.norm(speed, axis=1)
        shares = np.array([_share(cutoff, dt) for cutoff in cutoffs.tolist()])
        self._points = self._points + shares[:, None] * (points - self._points)
        turn = rotation_vector_from_matrix(rotation @ self._rotation.T)
        cutoff = s.min_cutoff + s.beta_turn * float(np.linalg.norm(turning))
        self._rotation = matrix_from_rotation_vector(_share(cutoff, dt) * turn) @ self._rotation


def _share(cutoff: float, dt: float) -> float:
    """Of the way to a new value that a low-pass filter goes in one step."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * dt))
