import numpy as np
import pytest

from firsthand.robot.model import RobotModel
from firsthand.simulation.disturbance import Disturbance
from firsthand.simulation.lockstep import LockStep
from firsthand.simulation.simulated_body import SimulatedBody
from firsthand.space.hand_state import WRIST_POSITIONS, orthonormalize
from firsthand_training.demonstrations.open_box_expert import OpenBoxExpert
from firsthand_training.demonstrations.robot_actor import RobotActor


@pytest.fixture(scope="module")
def model():
    return RobotModel.load()


def perform(model, variant, seed, disturbance=None, interfere=None):
    """One trial: the targets, the phases of the slower hand in order, and the body as it ended."""
    body = SimulatedBody("open_box", variant, seed)
    lockstep = LockStep(body, model, disturbance)
    expert = OpenBoxExpert(RobotActor(body, model), seed)
    targets, phases = [], []
    while not body.success() and not body.timed_out():
        if interfere is not None:
            interfere(body, expert)
        targets.append(expert.act())
        lockstep.step(targets[-1])
        if phases[-1:] != [expert.phase]:
            phases.append(expert.phase)
    return np.array(targets), phases, body


@pytest.fixture(scope="module")
def undisturbed(model):
    return perform(model, "id", 0)


def test_both_flaps_are_opened_by_both_hands(undisturbed):
    targets, phases, body = undisturbed
    assert body.success()
    assert phases[:4] == ["wait", "over", "insert", "unfold"]
    travel = np.abs(np.diff(targets[:, WRIST_POSITIONS], axis=0)).sum(axis=0).reshape(2, 3).sum(axis=1)
    assert np.all(travel > 0.5)


def test_targets_are_hand_states_that_move_smoothly(undisturbed):
    targets, _, _ = undisturbed
    np.testing.assert_allclose(orthonormalize(targets), targets, atol=1e-9)
    speed = np.diff(targets[:, WRIST_POSITIONS], axis=0) / 0.04
    assert np.abs(speed).max() < 0.8
    assert np.abs(np.diff(speed, axis=0)).max() / 0.04 < 8.0


def test_an_unfamiliar_box_is_opened_in_spite_of_noise_on_the_wrists(model):
    _, _, body = perform(model, "ood", 0, Disturbance(seed=0))
    assert body.success()


def test_a_flap_that_falls_back_is_gone_after(model):
    fallen = []

    def drop(body, expert):
        angles = body.objects()["object"].hinges
        if not fallen and expert.phase in ("withdraw", "rest") and min(angles.values()) > 2.0:
            body.set_scene_state(body.scene_state() | {"object/left_flap": 0.9})
            fallen.append(True)

    _, phases, body = perform(model, "id", 2, interfere=drop)
    assert fallen
    assert body.success()
    assert phases.index("over", phases.index("withdraw")) > 0
