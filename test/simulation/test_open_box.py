import numpy as np
import pytest

from firsthand.robot.bodies.interface import MotorCommand
from firsthand.simulation.gl import mujoco
from firsthand.simulation.scene import build_scene
from firsthand.simulation.simulated_body import SimulatedBody
from firsthand.simulation.tasks import TASKS
from firsthand.simulation.tasks.boxes import FAMILIAR, FLAPS, UNFAMILIAR, flap_size
from firsthand.simulation.tasks.interface import ObjectState
from firsthand.simulation.tasks.open_box import MOVED, OPEN, START, START_RING, TABLE_HEIGHT
from firsthand.space.rotations import matrix_from_rpy

OPEN_BOX = TASKS["open_box"]
SEEDS = range(60)


def draw(variant, seed):
    return OPEN_BOX.draw(variant, np.random.default_rng(seed))


def place(box):
    return (*box.position, box.yaw)


def inside(values, ranges):
    return all(low <= value <= high for value, (low, high) in zip(values, ranges, strict=True))


@pytest.fixture(scope="module")
def scene():
    return build_scene("open_box", "id", 0)


def test_boxes_stand_inside_the_start_area_or_in_the_ring_around_it():
    assert all(inside(place(draw("id", seed).objects[0]), START) for seed in SEEDS)
    rings = [place(draw("ood", seed).objects[0]) for seed in SEEDS]
    assert all(inside(values, START_RING) and not inside(values, START) for values in rings)


def test_variants_share_no_kind_and_no_print():
    boxes = {variant: [draw(variant, seed).objects[0] for seed in SEEDS] for variant in ("id", "ood")}
    kinds = {variant: {box.kind for box in drawn} for variant, drawn in boxes.items()}
    assert kinds == {"id": set(FAMILIAR), "ood": set(UNFAMILIAR)}
    surfaces = [
        {(box.parts[0].surface.pattern, box.parts[0].surface.dark) for box in drawn} for drawn in boxes.values()
    ]
    assert not surfaces[0] & surfaces[1]


@pytest.mark.parametrize("variant", ["id", "ood"])
def test_flaps_stand_ajar_and_never_overlap(variant):
    for seed in SEEDS:
        box = draw(variant, seed).objects[0]
        assert all(0.3 < hinge.start < OPEN for hinge in box.hinges)
        width = box.hinges[0].position[1] - box.hinges[1].position[1]
        assert sum(flap_size(hinge)[0] for hinge in box.hinges) < width
        assert sum(flap_size(hinge)[0] for hinge in box.hinges) > width / 2


@pytest.mark.parametrize(
    ("changes", "reached"),
    [
        ({}, True),
        ({"left": OPEN - 0.01}, False),
        ({"right": OPEN - 0.01}, False),
        ({"shift": MOVED - 0.01}, True),
        ({"shift": MOVED + 0.01}, False),
        ({"roll": 0.3}, False),
        ({"z": TABLE_HEIGHT - 0.05}, False),
    ],
)
def test_reached_means_both_flaps_open_on_a_box_that_stands_where_it_stood(changes, reached):
    setup = draw("id", 0)
    changed = {"left": OPEN + 0.01, "right": OPEN + 0.01, "shift": 0.0, "roll": 0.0, "z": TABLE_HEIGHT} | changes
    x, y = setup.objects[0].position
    state = ObjectState(
        position=np.array([x + changed["shift"], y, changed["z"]]),
        rotation=matrix_from_rpy(changed["roll"], 0, 0.1),
        linear_velocity=np.zeros(3),
        angular_velocity=np.zeros(3),
        hinges=dict(zip(FLAPS, (changed["left"], changed["right"]), strict=True)),
    )
    assert OPEN_BOX.reached(setup, {"object": state}) is reached


def test_progress_is_the_share_of_the_way_of_both_flaps(scene):
    scene.reset()
    left, right = scene.setup.objects[0].hinges
    state = scene.state()

    def progress(**changes):
        scene.set_state(state | {f"object/{name}": value for name, value in changes.items()})
        return OPEN_BOX.progress(scene.setup, scene.objects())

    assert progress() == pytest.approx(0)
    assert progress(left_flap=OPEN + 0.5) == pytest.approx(0.5)
    assert progress(left_flap=(left.start + OPEN) / 2, right_flap=(right.start + OPEN) / 2) == pytest.approx(0.5)
    assert progress(left_flap=OPEN, right_flap=OPEN) == 1
    assert progress(left_flap=OPEN, right_flap=OPEN, x=state["object/x"] + MOVED + 0.01) == 0


def test_a_hinge_is_part_of_the_state_and_turns_what_is_rendered(scene):
    scene.reset()
    for hinge in scene.setup.objects[0].hinges:
        assert scene.state()[f"object/{hinge.name}"] == pytest.approx(hinge.start)
    scene.set_state(scene.state() | {"object/left_flap": np.pi / 2, "object/right_flap": 0.0})
    assert scene.objects()["object"].hinges == {"left_flap": np.pi / 2, "right_flap": 0.0}
    world_from_box = scene.data.body("object").xmat.reshape(3, 3)
    upright, shut = (world_from_box.T @ scene.data.body(f"object/{name}").xmat.reshape(3, 3) for name in FLAPS)
    np.testing.assert_allclose(upright @ [0, -1, 0], [0, 0, 1], atol=1e-9)  # from the left hinge to the free edge: up
    np.testing.assert_allclose(shut, np.eye(3), atol=1e-9)


def test_flaps_stay_where_they_are_put(scene):
    scene.reset()
    before = scene.objects()["object"]
    mujoco.mj_step(scene.model, scene.data, 500)  # 1 s
    after = scene.objects()["object"]
    np.testing.assert_allclose(after.position, before.position, atol=1e-3)
    assert all(abs(after.hinges[name] - before.hinges[name]) < 0.01 for name in FLAPS)


def test_open_flaps_count_once_they_have_stayed_open():
    body = SimulatedBody("open_box", "ood", 1)
    command = body.state().positions
    body.set_scene_state(body.scene_state() | {f"object/{name}": OPEN + 0.2 for name in FLAPS})
    seen = [body.step(MotorCommand(command, 1.0)) and body.success() for _ in range(100)]
    assert not seen[60]
    assert seen[-1]
