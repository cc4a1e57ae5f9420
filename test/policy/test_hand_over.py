import numpy as np
import pytest

from firsthand.errors import ShapeError
from firsthand.policy.hand_over import SECOND, ChunkTimeline
from firsthand.space.hand_state import LEFT_WRIST_POSITION, SIZE, orthonormalize

RATE = 25.0
STEP = SECOND // 25


def chunk(start, slope, length=28):
    """Both hands upright, the left wrist moving along x: action i is start + slope * (i + 1)."""
    actions = np.zeros((length, SIZE))
    actions[:, [0, 4, 6, 10, 12, 16]] = 1.0
    actions[:, 18] = start + slope * (np.arange(length) + 1)
    return actions


def left_x(target):
    return target.vector[LEFT_WRIST_POSITION][0]


def test_action_i_is_for_i_plus_one_steps_after_the_stamp():
    timeline = ChunkTimeline(RATE)
    assert timeline.add(0, chunk(0.0, 0.01), now_ns=0)
    assert left_x(timeline.target(STEP)) == pytest.approx(0.01)
    assert left_x(timeline.target(3 * STEP)) == pytest.approx(0.03)
    assert left_x(timeline.target(3 * STEP + STEP // 2)) == pytest.approx(0.035)


def test_a_late_chunk_starts_in_its_middle():
    timeline = ChunkTimeline(RATE)
    timeline.add(0, chunk(0.0, 0.01), now_ns=5 * STEP)
    assert left_x(timeline.target(5 * STEP)) == pytest.approx(0.05)
    assert timeline.target(5 * STEP).age_ns == 5 * STEP


def test_nothing_before_the_first_chunk_and_nothing_after_the_last_action():
    timeline = ChunkTimeline(RATE)
    assert timeline.target(0) is None
    timeline.add(0, chunk(0.0, 0.01), now_ns=0)
    assert timeline.target(28 * STEP) is not None
    assert timeline.target(28 * STEP + 1) is None
    timeline.clear()
    assert timeline.target(STEP) is None


@pytest.mark.parametrize("period", [2, 5, 11])
def test_the_target_never_steps_however_often_chunks_disagree(period):
    timeline = ChunkTimeline(RATE, fade=0.12)
    rng = np.random.default_rng(0)
    tick = SECOND // 250
    previous, steps = None, []
    for i in range(1000):
        now = i * tick
        if i % (period * 10) == 0:
            timeline.add(now, chunk(rng.uniform(-0.05, 0.05), 0.001), now)
        position = left_x(timeline.target(now))
        if previous is not None:
            steps.append(abs(position - previous))
        previous = position
    # The largest disagreement (two starts and the way gone meanwhile) over 30 ticks of a fade of slope <= 1.5.
    assert max(steps) < (0.1 + 0.001 * period) / 30 * 1.5 + 0.0002


def test_after_the_fade_the_new_chunk_rules_alone():
    timeline = ChunkTimeline(RATE, fade=0.12)
    timeline.add(0, chunk(0.0, 0.01), now_ns=0)
    timeline.add(4 * STEP, chunk(1.0, 0.01), now_ns=4 * STEP)
    assert left_x(timeline.target(4 * STEP)) == pytest.approx(0.04)
    assert left_x(timeline.target(8 * STEP)) == pytest.approx(1.04)


def test_older_and_finished_chunks_are_not_taken():
    timeline = ChunkTimeline(RATE)
    assert timeline.add(10 * STEP, chunk(0.0, 0.01), now_ns=10 * STEP)
    assert not timeline.add(9 * STEP, chunk(5.0, 0.01), now_ns=11 * STEP)
    assert not timeline.add(11 * STEP, chunk(5.0, 0.01), now_ns=50 * STEP)
    assert left_x(timeline.target(11 * STEP)) == pytest.approx(0.01)


def test_targets_stay_rotations_while_fading():
    timeline = ChunkTimeline(RATE, fade=0.12)
    rng = np.random.default_rng(1)
    timeline.add(0, orthonormalize(rng.normal(size=(28, SIZE))), now_ns=0)
    timeline.add(STEP, orthonormalize(rng.normal(size=(28, SIZE))), now_ns=STEP)
    vector = timeline.target(2 * STEP + 7).vector
    np.testing.assert_allclose(orthonormalize(vector), vector, atol=1e-12)


@pytest.mark.parametrize("bad", [np.zeros((28, 53)), np.zeros(SIZE), np.full((4, SIZE), np.nan), np.zeros((0, SIZE))])
def test_bad_chunks_are_refused_and_change_nothing(bad):
    timeline = ChunkTimeline(RATE)
    timeline.add(0, chunk(0.0, 0.01), now_ns=0)
    with pytest.raises(ShapeError, match="chunk of finite actions"):
        timeline.add(STEP, bad, now_ns=STEP)
    assert left_x(timeline.target(STEP)) == pytest.approx(0.01)
