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


def expecting(limit=0.3):
    one = Pacing(limit)
    one.expect(chunks=True, pictures=False)
    return one


def test_time_passes_where_there_is_no_policy_or_nobody_shall_wait():
    alone = Pacing(0.3)
    alone.hear_chunk(0)
    assert alone.may_pass(10**12)
    impatient = expecting(limit=0.0)
    impatient.hear_chunk(0)
    assert impatient.may_pass(10**12)


def test_time_stands_still_while_the_newest_observation_is_too_old(clock):
    one = expecting()
    one.hear_chunk(1000 * MILLISECOND)
    assert one.may_pass(1300 * MILLISECOND)
    assert not one.may_pass(1304 * MILLISECOND)
    clock[0] += 2.0
    assert not one.may_pass(1304 * MILLISECOND)
    one.hear_chunk(1200 * MILLISECOND)
    assert one.may_pass(1304 * MILLISECOND)
    assert one.waited == pytest.approx(2.0)


def test_the_first_chunk_is_waited_for_too(clock):
    one = expecting()
    assert one.may_pass(5000 * MILLISECOND)
    assert one.may_pass(5300 * MILLISECOND)
    assert not one.may_pass(5304 * MILLISECOND)
    one.hear_chunk(5280 * MILLISECOND)
    assert one.may_pass(5304 * MILLISECOND)


def test_what_stays_away_is_not_waited_for_again_until_it_is_heard(clock):
    one = expecting()
    one.hear_chunk(0)
    assert not one.may_pass(400 * MILLISECOND)
    clock[0] += pacing.LONGEST_WAIT
    assert one.may_pass(400 * MILLISECOND)
    assert one.may_pass(5000 * MILLISECOND)
    one.forget()
    assert one.may_pass(9000 * MILLISECOND)
    one.hear_chunk(9000 * MILLISECOND)
    assert one.may_pass(9300 * MILLISECOND)
    assert not one.may_pass(9304 * MILLISECOND)


def test_a_policy_that_is_gone_is_not_waited_for(clock):
    one = expecting()
    one.hear_chunk(0)
    assert not one.may_pass(400 * MILLISECOND)
    one.expect(chunks=False, pictures=True)
    assert one.may_pass(400 * MILLISECOND)


def test_commands_that_have_been_coming_are_waited_for(clock):
    one = expecting()
    one.hear_chunk(0)
    assert one.may_pass(100 * MILLISECOND)  # nobody has commanded yet
    one.hear_command(100 * MILLISECOND)
    assert one.may_pass(120 * MILLISECOND)
    assert not one.may_pass(124 * MILLISECOND)
    one.hear_command(120 * MILLISECOND)
    assert one.may_pass(124 * MILLISECOND)
    one.forget()
    assert one.may_pass(1000 * MILLISECOND)


def test_commands_that_stay_away_are_not_waited_for_twice(clock):
    one = expecting()
    one.hear_chunk(0)
    one.hear_command(0)
    assert not one.may_pass(24 * MILLISECOND)
    clock[0] += pacing.LONGEST_WAIT
    assert one.may_pass(24 * MILLISECOND)
    assert one.may_pass(300 * MILLISECOND)
    assert not one.may_pass(304 * MILLISECOND)  # the policy is still there


def test_no_picture_is_lost_to_a_slow_camera_not_even_the_first():
    one = Pacing(0.3, picture_period=0.04)
    one.expect(chunks=True, pictures=True)
    assert one.may_pass(1000 * MILLISECOND)
    assert one.may_pass(1100 * MILLISECOND)
    assert not one.may_pass(1104 * MILLISECOND)
    one.hear_picture(1040 * MILLISECOND)
    assert one.may_pass(1140 * MILLISECOND)
    assert not one.may_pass(1144 * MILLISECOND)
    one.forget()
    assert one.may_pass(1144 * MILLISECOND)
    assert not one.may_pass(1248 * MILLISECOND)
