import pytest

pytest.importorskip("rclpy")
from firsthand.nodes import pacing
from firsthand.nodes.pacing import Pacing

MILLISECOND = 1_000_000


@pytest.fixture
def clock(monkeypatch):
    """Real time, set by hand, [s]."""
    now = [100.0]
    monkeypatch.setattr(pacing.time, "monotonic", lambda: now[0])
    return now


def test_time_passes_where_nobody_sends_chunks_or_nobody_shall_wait():
    assert Pacing(0.3).may_pass(10**12)
    impatient = Pacing(0.0)
    impatient.hear(0)
    assert impatient.may_pass(10**12)


def test_time_stands_still_while_the_newest_observation_is_too_old(clock):
    one = Pacing(0.3)
    one.hear(1000 * MILLISECOND)
    assert one.may_pass(1300 * MILLISECOND)
    assert not one.may_pass(1304 * MILLISECOND)
    clock[0] += 2.0
    assert not one.may_pass(1304 * MILLISECOND)
    one.hear(1200 * MILLISECOND)
    assert one.may_pass(1304 * MILLISECOND)
    assert one.waited == pytest.approx(2.0)


def test_whoever_is_silent_for_too_long_is_not_waited_for_until_heard_again(clock):
    one = Pacing(0.3)
    one.hear(0)
    assert not one.may_pass(400 * MILLISECOND)
    clock[0] += pacing.LONGEST_WAIT
    assert one.may_pass(400 * MILLISECOND)
    assert one.may_pass(10_000 * MILLISECOND)
    one.hear(10_000 * MILLISECOND)
    assert not one.may_pass(10_400 * MILLISECOND)
