from dataclasses import replace

import numpy as np
import pytest

from firsthand.errors import SimulationError
from firsthand.simulation.tasks import TASKS, check_variant, find_task
from firsthand.simulation.tasks.interface import ObjectState
from firsthand.simulation.tasks.objects import FAMILIAR, UNFAMILIAR
from firsthand.simulation.tasks.push import GOAL_CENTER, GOAL_HALF_SIZE, in_goal
from firsthand.simulation.tasks.starting import START, START_RING
from firsthand.space.rotations import matrix_from_rpy

PUSH = TASKS["push"]
SEEDS = range(100)


def draw(variant, seed):
    return PUSH.draw(variant, np.random.default_rng(seed))


def state(x, y, z=0.95, roll=0.0, speed=0.0):
    return ObjectState(np.array([x, y, z]), matrix_from_rpy(roll, 0, 1.0), np.array([0, speed, 0.0]), np.zeros(3))


def inside(position, ranges):
    return all(low <= value <= high for value, (low, high) in zip(position, ranges, strict=True))


def test_in_distribution_objects_start_inside_the_start_area():
    assert all(inside(draw("id", seed).objects[0].position, START) for seed in SEEDS)


def test_out_of_distribution_objects_start_in_the_ring_around_it():
    places = [draw("ood", seed).objects[0].position for seed in SEEDS]
    assert all(inside(place, START_RING) and not inside(place, START) for place in places)


def test_variants_share_no_shape_and_no_texture():
    seen = {variant: [draw(variant, seed) for seed in SEEDS] for variant in ("id", "ood")}
    kinds = {variant: {setup.objects[0].kind for setup in setups} for variant, setups in seen.items()}
    assert kinds == {"id": set(FAMILIAR), "ood": set(UNFAMILIAR)}
    for surface in ("table", "wall", "floor"):
        patterns = [
            {round(getattr(setup.surroundings, surface).dark[0], 9) for setup in setups} for setups in seen.values()
        ]
        assert not patterns[0] & patterns[1]


def test_no_trial_is_done_before_it_starts():
    for variant in ("id", "ood"):
        assert not any(in_goal(np.array(draw(variant, seed).objects[0].position)) for seed in SEEDS)


def test_equal_seeds_draw_equal_setups():
    first, again = draw("id", 7), draw("id", 7)
    for field in ("arm_posture", "arm_posture_spread"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    without_arrays = {"arm_posture": None, "arm_posture_spread": None}
    assert replace(first, **without_arrays) == replace(again, **without_arrays)


@pytest.mark.parametrize(
    ("where", "reached"),
    [
        (state(*GOAL_CENTER), True),
        (state(GOAL_CENTER[0], GOAL_CENTER[1] - GOAL_HALF_SIZE[1] - 0.001), False),
        (state(GOAL_CENTER[0] + GOAL_HALF_SIZE[0] + 0.001, GOAL_CENTER[1]), False),
        (state(*GOAL_CENTER, roll=np.deg2rad(14)), True),
        (state(*GOAL_CENTER, roll=np.deg2rad(16)), False),
        (state(*GOAL_CENTER, z=0.93), False),
        (state(*GOAL_CENTER, speed=0.05), False),
    ],
)
def test_reached_means_upright_at_rest_on_the_table_in_the_zone(where, reached):
    assert PUSH.reached(draw("id", 0), {"object": where}) is reached


def test_progress_grows_from_start_to_zone():
    setup = draw("id", 0)
    x, y = setup.objects[0].position
    edge = GOAL_CENTER[1] - GOAL_HALF_SIZE[1]
    assert PUSH.progress(setup, {"object": state(x, y)}) == pytest.approx(0)
    assert PUSH.progress(setup, {"object": state(x, (y + edge) / 2)}) == pytest.approx(0.5)
    assert PUSH.progress(setup, {"object": state(x, edge)}) == 1
    assert PUSH.progress(setup, {"object": state(x, y - 0.1)}) == 0
    assert PUSH.progress(setup, {"object": state(x, edge, roll=1.5)}) == 0


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(SimulationError, match="no task 'pull'; there are push"):
        find_task("pull")
    with pytest.raises(SimulationError, match="no variant 'easy'; tasks come in id, ood"):
        check_variant("easy")
