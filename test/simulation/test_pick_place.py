import numpy as np
import pytest

from firsthand.simulation.scene import build_scene
from firsthand.simulation.tasks import TASKS
from firsthand.simulation.tasks.graspable import FAMILIAR, UNFAMILIAR
from firsthand.simulation.tasks.interface import ObjectState
from firsthand.simulation.tasks.pick_place import BOX, inner_half_size
from firsthand.simulation.tasks.starting import START
from firsthand.space.rotations import matrix_from_rpy

PICK_PLACE = TASKS["pick_place"]
SEEDS = range(60)


def draw(variant, seed):
    return PICK_PLACE.draw(variant, np.random.default_rng(seed))


def state(x, y, z=0.95, roll=0.0, yaw=0.0, speed=0.0):
    return ObjectState(np.array([x, y, z]), matrix_from_rpy(roll, 0, yaw), np.array([0, speed, 0.0]), np.zeros(3))


def at_box(setup, x=0.0, y=0.0, **how):
    """The object at a place in the frame of the box, which is as drawn."""
    box = setup.objects[1]
    cosine, sine = np.cos(box.yaw), np.sin(box.yaw)
    place = box.position[0] + cosine * x - sine * y, box.position[1] + sine * x + cosine * y
    return {"object": state(*place, **how), BOX: state(*box.position, yaw=box.yaw)}


def test_objects_start_on_the_right_and_boxes_stand_clear_of_them():
    for seed in SEEDS:
        for variant in ("id", "ood"):
            thing, box = draw(variant, seed).objects
            between = np.hypot(*np.subtract(thing.position, box.position))
            assert between > thing.radius + inner_half_size(box).max()
        x, y = draw("id", seed).objects[0].position
        assert START[0][0] <= x <= START[0][1]
        assert START[1][0] <= y <= START[1][1]


def test_the_variants_share_no_shape_and_no_colour():
    kinds = {variant: {draw(variant, seed).objects[0].kind for seed in SEEDS} for variant in ("id", "ood")}
    assert kinds == {"id": set(FAMILIAR), "ood": set(UNFAMILIAR)}
    boxes = {v: {draw(v, seed).objects[1].parts[1].surface for seed in SEEDS} for v in ("id", "ood")}
    assert not boxes["id"] & boxes["ood"]


def test_every_object_is_slim_enough_to_close_around():
    for variant in ("id", "ood"):
        for seed in SEEDS:
            thing = draw(variant, seed).objects[0]
            width = thing.parts[0].size[0]
            assert 0.02 < width < 0.035
            assert 0.105 < thing.height < 0.16


@pytest.mark.parametrize(
    ("how", "reached"),
    [
        ({"z": 0.956}, True),
        ({"z": 0.98, "roll": np.pi / 2, "y": 0.04}, True),  # lying
        ({"z": 1.0}, False),  # held over the walls
        ({"z": 0.956, "x": 0.11}, False),
        ({"z": 0.956, "y": -0.10}, False),
        ({"z": 0.956, "speed": 0.05}, False),
    ],
)
def test_reached_means_at_rest_inside_the_box(how, reached):
    for seed in range(5):
        setup = draw("ood", seed)
        assert PICK_PLACE.reached(setup, at_box(setup, **how)) is reached


def test_a_box_that_was_turned_over_holds_nothing():
    setup = draw("id", 0)
    objects = at_box(setup, z=0.956)
    over = objects | {BOX: state(*setup.objects[1].position, roll=np.pi)}
    assert PICK_PLACE.reached(setup, objects)
    assert not PICK_PLACE.reached(setup, over)
    assert PICK_PLACE.progress(setup, over) == 0


def test_progress_grows_on_the_way_into_the_box():
    setup = draw("id", 1)
    thing, box = setup.objects
    start = {"object": state(*thing.position), BOX: state(*box.position, yaw=box.yaw)}
    over = at_box(setup, z=1.05)
    assert PICK_PLACE.progress(setup, start) == pytest.approx(0, abs=1e-9)
    assert 0 < PICK_PLACE.progress(setup, over) < 1
    assert PICK_PLACE.progress(setup, at_box(setup, z=0.956)) == 1


def test_the_box_can_be_pushed_and_is_part_of_the_state():
    scene = build_scene("pick_place", "id", 0)
    assert set(scene.objects()) == {"object", BOX}
    assert f"{BOX}/x" in scene.state()
