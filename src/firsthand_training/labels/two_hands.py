"""The frames that show exactly two hands, a left and a right one (paper, Appendix II-A)."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand_training.labels.stage_files import Hands

REASONS = {0: "no hand", 1: "one hand", 2: "two hands of one side"}
"""Why a frame is left out, by the number of its hands."""


def two_hands(hands: Hands) -> tuple[NDArray[np.bool_], Counter[str]]:
    """Flag the frames with exactly one left and one right hand.

    Args:
        hands: Of a video of N frames.

    Returns:
        (N,) flags; and how many of the other frames there are, by reason.

    Raises:
        LabelError: A hand is in a frame that the video does not have.
    """
    total = int(hands.frames[0])
    beyond = hands.frame[(hands.frame < 0) | (hands.frame >= total)]
    if len(beyond):
        raise LabelError(f"a hand is in frame {beyond[0]} of a video of {total} frames; detect hands again")
    sides = np.zeros((total, 2), np.int64)
    np.add.at(sides, (hands.frame, hands.side), 1)
    both = (sides == 1).all(axis=1)
    return both, Counter(REASONS.get(count, "more than two hands") for count in sides[~both].sum(axis=1).tolist())
