"""One action chunk hands over to the next: aligned by time, without a step, never extrapolated.

A chunk carries the stamp of the observation it was computed from. Its action i is the target for
`stamp + (i + 1) / rate`, so a chunk that arrives late simply starts in its middle: what its computation took is
skipped, not played late. Whatever step is left between the target so far and the new chunk is taken over as an
offset and faded out over a short time, so the target stays continuous however often chunks arrive.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ShapeError
from firsthand.space.hand_state import SIZE, orthonormalize

Array = NDArray[np.floating]

SECOND = 1_000_000_000  # [ns]


@dataclass(frozen=True)
class Target:
    """What to reach for now."""

    vector: Array  # (54,), robot frame
    chunk_stamp_ns: int  # observation that the chunk came from
    age_ns: int  # now minus that stamp


@dataclass(frozen=True)
class _Chunk:
    stamp_ns: int
    actions: Array  # (H, 54)
    taken_ns: int  # when it took over
    offset: Array  # (54,) step between the target before and the chunk at `taken_ns`, to be faded out

    def at(self, now_ns: int, rate: float) -> Array | None:
        """The chunk's own target at a time, its rotations not orthonormal yet; None after its last action.

        Between the observation and the first action the chunk's first stretch is continued backwards.
        """
        index = (now_ns - self.stamp_ns) * rate / SECOND - 1  # action i is for (i + 1) / rate
        last = len(self.actions) - 1
        if index > last:
            return None
        lower = min(max(int(index), 0), max(last - 1, 0))
        fraction = max(index, -1.0) - lower
        return (1.0 - fraction) * self.actions[lower] + fraction * self.actions[min(lower + 1, last)]


class ChunkTimeline:
    """The sequence of chunks seen as one continuous target.

    Args:
        rate: Of the actions in a chunk, [Hz].
        fade: How long the step to a new chunk takes to fade out, [s].
    """

    def __init__(self, rate: float, fade: float = 0.12) -> None:
        self.rate = rate
        self.fade_ns = int(fade * SECOND)
        self._chunk: _Chunk | None = None

    def add(self, stamp_ns: int, actions: Array, now_ns: int) -> bool:
        """Take a chunk over, unless a newer observation has already been heard or the chunk is over by now.

        Args:
            stamp_ns: Of the observation that the chunk came from.
            actions: (H, 54).
            now_ns: When it takes over; the fade starts here.

        Returns:
            Whether the chunk was taken.

        Raises:
            ShapeError: Not finite (H, 54).
        """
        actions = np.asarray(actions, dtype=float)
        if actions.ndim != 2 or actions.shape[0] == 0 or actions.shape[1] != SIZE or not np.isfinite(actions).all():
            raise ShapeError(f"expected a chunk of finite actions of {SIZE} numbers, got shape {actions.shape}")
        if self._chunk is not None and stamp_ns <= self._chunk.stamp_ns:
            return False
        before = self.target(now_ns)
        chunk = _Chunk(stamp_ns, actions, now_ns, np.zeros(SIZE))
        own = chunk.at(now_ns, self.rate)
        if own is None:
            return False
        if before is not None:
            chunk = replace(chunk, offset=before.vector - own)
        self._chunk = chunk
        return True

    def target(self, now_ns: int) -> Target | None:
        """The target at a time, or None when no chunk covers it: nothing old is passed off as new."""
        chunk = self._chunk
        own = chunk.at(now_ns, self.rate) if chunk else None
        if chunk is None or own is None:
            return None
        vector = orthonormalize(own + (1 - self._faded(now_ns - chunk.taken_ns)) * chunk.offset)
        return Target(vector, chunk.stamp_ns, now_ns - chunk.stamp_ns)

    def clear(self) -> None:
        """Forget the chunk (after a reset, an e-stop, or a change of source)."""
        self._chunk = None

    def _faded(self, since_ns: int) -> float:
        if self.fade_ns <= 0:
            return 1.0
        linear = min(max(since_ns / self.fade_ns, 0.0), 1.0)
        return linear * linear * (3 - 2 * linear)
