"""The experts that pick things up: one whole trial of each task, and what they do when something goes wrong."""

import numpy as np

from firsthand.simulation.disturbance import Disturbance
from firsthand.simulation.simulated_body import SimulatedBody
from firsthand.space.hand_state import orthonormalize
from firsthand_training.demonstrations.actor import LEFT, RIGHT
from firsthand_training.demonstrations.robot_actor import SHAPES, RobotActor


def test_the_object_is_put_into_the_box_in_spite_of_noise_on_the_wrists(perform):
    targets, phases, body = perform("pick_place", "ood", 1, Disturbance(seed=1))
    assert body.success()
    assert phases[:8] == ["wait", "approach", "reach", "close", "lift", "carry", "lower", "open"]
    np.testing.assert_allclose(orthonormalize(targets), targets, atol=1e-9)


def test_an_object_that_is_taken_away_before_the_grasp_is_gone_after(perform):
    moved = []

    def take_away(body, expert):
        if expert.phase == "close" and not moved:
            state = body.scene_state()
            body.set_scene_state(state | {"object/x": state["object/x"] + 0.09, "object/y": state["object/y"] + 0.02})
            moved.append(True)

    _, phases, body = perform("pick_place", "id", 0, interfere=take_away)
    assert phases.count("approach") == 2
    assert body.success()


def test_the_object_goes_from_the_right_hand_to_the_left_one(perform):
    _, phases, body = perform("passing", "id", 0)
    assert body.success()
    assert phases.index("right open") < phases.index("left approach") < phases.index("left lift")


def test_the_hands_mirror_each_other(model):
    actor = RobotActor(SimulatedBody("passing", "id", 0), model)
    for shape in SHAPES:
        np.testing.assert_allclose(actor.tool(LEFT, shape), actor.tool(RIGHT, shape) * [1, -1, 1])
        left, right = (actor.fingertips(side, shape) for side in (LEFT, RIGHT))
        np.testing.assert_allclose(left, right * [1, -1, 1], atol=0.015)  # the two thumbs differ by a centimetre
