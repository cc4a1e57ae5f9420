import numpy as np
import pytest

from firsthand.simulation.tasks import TASKS
from firsthand.simulation.tasks.interface import ObjectState
from firsthand.simulation.tasks.passing import ZONE_CENTER, ZONE_HALF_SIZE
from firsthand.simulation.tasks.starting import START_RING
from firsthand.space.rotations import matrix_from_rpy

PASSING = TASKS["passing"]
NEAR_EDGE = ZONE_CENTER[1] - ZONE_HALF_SIZE[1]


def draw(variant, seed):
    return PASSING.draw(variant, np.random.default_rng(seed))


def state(x, y, z=0.95, roll=0.0, speed=0.0):
    return ObjectState(np.array([x, y, z]), matrix_from_rpy(roll, 0, 1.0), np.array([0, speed, 0.0]), np.zeros(3))


@pytest.mark.parametrize("variant", ["id", "ood"])
def test_the_object_starts_on_the_right(variant):
    for seed in range(40):
        x, y = draw(variant, seed).objects[0].position
        assert START_RING[0][0] <= x <= START_RING[0][1]
        assert y <= START_RING[1][1] < 0


@pytest.mark.parametrize(
    ("where", "reached"),
    [
        (state(*ZONE_CENTER), True),
        (state(ZONE_CENTER[0], NEAR_EDGE + 0.001), True),
        (state(ZONE_CENTER[0], NEAR_EDGE - 0.001), False),
        (state(*ZONE_CENTER, roll=np.deg2rad(16)), False),
        (state(*ZONE_CENTER, z=0.98), False),  # in the hand
        (state(*ZONE_CENTER, speed=0.05), False),
    ],
)
def test_reached_means_standing_at_rest_in_the_zone(where, reached):
    assert PASSING.reached(draw("id", 0), {"object": where}) is reached


def test_progress_grows_while_the_object_is_carried_and_is_lost_when_it_falls():
    setup = draw("id", 0)
    x, y = setup.objects[0].position
    shares = [PASSING.progress(setup, {"object": state(x, at, z=1.0)}) for at in (y, 0.0, 0.2, NEAR_EDGE)]
    assert shares[0] == pytest.approx(0)
    assert shares == sorted(set(shares))
    assert PASSING.progress(setup, {"object": state(*ZONE_CENTER, roll=1.5)}) == 0
