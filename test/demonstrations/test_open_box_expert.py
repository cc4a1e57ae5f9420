import numpy as np
import pytest

from firsthand.simulation.disturbance import Disturbance
from firsthand.space.hand_state import WRIST_POSITIONS, orthonormalize


@pytest.fixture(scope="module")
def undisturbed(perform):
    return perform("open_box", "id", 0)


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


def test_an_unfamiliar_box_is_opened_in_spite_of_noise_on_the_wrists(perform):
    _, _, body = perform("open_box", "ood", 0, Disturbance(seed=0))
    assert body.success()


def test_a_flap_that_falls_back_is_gone_after(perform):
    fallen = []

    def drop(body, expert):
        angles = body.objects()["object"].hinges
        if not fallen and expert.phase in ("withdraw", "rest") and min(angles.values()) > 2.0:
            body.set_scene_state(body.scene_state() | {"object/left_flap": 0.9})
            fallen.append(True)

    _, phases, body = perform("open_box", "id", 2, interfere=drop)
    assert fallen
    assert body.success()
    assert phases.index("over", phases.index("withdraw")) > 0
