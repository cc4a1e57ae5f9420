import numpy as np
import pytest

from firsthand.simulation.disturbance import Disturbance
from firsthand.simulation.lockstep import LockStep
from firsthand.simulation.simulated_body import SimulatedBody
from firsthand.space.hand_state import WRIST_POSITIONS, orthonormalize
from firsthand_training.demonstrations.push_expert import PushExpert
from firsthand_training.demonstrations.robot_actor import RobotActor


@pytest.fixture(scope="module")
def undisturbed(perform):
    return perform("push", "id", 0)


def test_the_object_is_pushed_into_the_zone(undisturbed):
    _, phases, body = undisturbed
    assert body.success()
    assert phases[:3] == ["wait", "approach", "push"]


def test_targets_are_hand_states_that_move_smoothly(undisturbed):
    targets, _, _ = undisturbed
    np.testing.assert_allclose(orthonormalize(targets), targets, atol=1e-9)
    speed = np.diff(targets[:, WRIST_POSITIONS], axis=0) / 0.04
    assert np.abs(speed).max() < 0.6
    assert np.abs(np.diff(speed, axis=0)).max() / 0.04 < 6.0


def test_the_seed_decides_the_manner(model):
    body = SimulatedBody("push", "id", 0)

    def first_targets(seed):
        lockstep = LockStep(body, model)
        expert = PushExpert(RobotActor(body, model), seed)
        return np.array([lockstep.step(expert.act()).hand_state for _ in range(15)])

    np.testing.assert_array_equal(first_targets(1), first_targets(1))
    assert np.any(first_targets(1) != first_targets(2))


def test_noise_on_the_wrists_is_corrected(perform):
    _, _, body = perform("push", "id", 1, Disturbance(seed=1))
    assert body.success()


def test_unfamiliar_objects_are_pushed_too(perform):
    _, _, body = perform("push", "ood", 0)
    assert body.success()


def test_an_object_that_is_put_elsewhere_is_gone_after(perform):
    moved = []

    def put_back(body, expert):
        if expert.phase == "push" and not moved and body.objects()["object"].position[1] > 0.0:
            state = body.scene_state()
            body.set_scene_state(state | {"object/y": state["object/y"] - 0.02, "object/x": state["object/x"] + 0.075})
            moved.append(True)

    _, phases, body = perform("push", "id", 0, interfere=put_back)
    assert moved
    assert phases.count("approach") >= 2
    assert body.progress() > 0
