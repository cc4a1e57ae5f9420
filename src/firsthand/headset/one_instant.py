"""Head and hands of one instant.

Tracking Streamer asks ARKit where the hands *will* be a moment later, against the latency of its own display, and where
the head *is*: what comes in one message is of two times. The head is carried forward by what it did last.
"""

from collections import deque
from dataclasses import replace

import numpy as np

from firsthand.headset.hands_sample import HandsSample
from firsthand.headset.tracking_watch import SECOND
from firsthand.space.rotations import matrix_from_rotation_vector, rotation_vector_from_matrix

WINDOW_NS = 50_000_000  # over which the head's velocity is measured
LONGEST_GAP_NS = 200_000_000


class OneInstant:
    """Carries the head forward to the time of the hands.

    Args:
        lead: How far ahead of the head the hands are, [s]; 0 leaves samples as they are.
    """

    def __init__(self, lead: float) -> None:
        self.lead = lead
        self._heads: deque[HandsSample] = deque()

    def align(self, sample: HandsSample) -> HandsSample:
        """The sample with its head where it will be when the hands are where they are said to be."""
        heads = self._heads
        if heads and not 0 < sample.stamp_ns - heads[-1].stamp_ns < LONGEST_GAP_NS:
            heads.clear()
        heads.append(sample)
        while len(heads) > 2 and sample.stamp_ns - heads[0].stamp_ns > WINDOW_NS:
            heads.popleft()
        if self.lead == 0 or len(heads) < 2:
            return sample
        before, now = heads[0].world_from_head, sample.world_from_head
        share = self.lead * SECOND / (sample.stamp_ns - heads[0].stamp_ns)
        turn = rotation_vector_from_matrix(now[:3, :3] @ before[:3, :3].T) * share
        head = np.array(now)
        head[:3, :3] = matrix_from_rotation_vector(turn) @ now[:3, :3]
        head[:3, 3] += (now[:3, 3] - before[:3, 3]) * share
        return replace(sample, world_from_head=head)
