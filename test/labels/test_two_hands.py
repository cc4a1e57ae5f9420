"""Which frames show one left and one right hand, and why the others do not."""

import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand_training.labels.stage_files import Hands
from firsthand_training.labels.two_hands import two_hands


def hands(present: list[tuple[int, int]], frames: int) -> Hands:
    """(frame, side) of each hand."""
    count = len(present)
    frame, side = np.array(present, np.int64).reshape(-1, 2).T
    unknown = np.full((count, 21, 2), np.nan)
    return Hands(frame, side, np.ones(count), np.zeros((count, 4)), unknown, np.array([frames]))


def test_frames_with_one_of_each_are_kept_and_the_others_are_counted():
    kept, left_out = two_hands(hands([(0, 0), (0, 1), (1, 0), (3, 1), (3, 1), (4, 0), (4, 1), (4, 1)], 6))
    assert kept.tolist() == [True, False, False, False, False, False]
    assert left_out == {"one hand": 1, "no hand": 2, "two hands of one side": 1, "more than two hands": 1}


def test_a_video_without_hands_has_no_such_frame():
    kept, left_out = two_hands(hands([], 3))
    assert not kept.any()
    assert left_out == {"no hand": 3}


@pytest.mark.parametrize("frame", [-1, 3])
def test_hands_of_another_video_are_refused(frame):
    with pytest.raises(LabelError, match=f"frame {frame} of a video of 3 frames"):
        two_hands(hands([(0, 0), (frame, 1)], 3))
