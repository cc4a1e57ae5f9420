import numpy as np
import pytest

from firsthand.errors import ShapeError
from firsthand.robot.joints import HANDS_SLICE
from firsthand.robot.model import RobotModel
from firsthand.robot.retargeting import Retargeting
from firsthand.space.hand_state import LEFT_WRIST_POSITION, RIGHT_FINGERTIPS, WRIST_POSITIONS

TICK = 0.004


@pytest.fixture(scope="module")
def model():
    return RobotModel.load()


def reach(retargeting, target, q, ticks=500):
    for _ in range(ticks):
        result = retargeting.solve(target, q, TICK)
        q = result.q
    return result


def test_a_reachable_hand_state_is_met(model):
    rng = np.random.default_rng(0)
    goal = np.clip(model.neutral + rng.uniform(-0.25, 0.25, 26), model.lower, model.upper)
    target = model.hand_state(goal).to_vector()
    result = reach(Retargeting(model), target, model.neutral.copy())
    met = model.hand_state(result.q).to_vector()
    assert np.abs(met[WRIST_POSITIONS] - target[WRIST_POSITIONS]).max() < 1e-3
    assert result.hands.error.max() < 1e-3
    assert result.arms.status == "ok"


def test_the_answer_stays_within_the_limits_wherever_the_target_is(model):
    target = model.hand_state(model.neutral).to_vector()
    target[WRIST_POSITIONS] = [3.0, 2.0, 1.0, -2.0, -3.0, -1.0]
    target[RIGHT_FINGERTIPS] = 1.0
    result = reach(Retargeting(model), target, model.neutral.copy())
    assert (result.q >= model.lower).all()
    assert (result.q <= model.upper).all()
    assert result.arms.status != "ok"
    assert result.hands.error[1].min() > 0.1


def test_a_missing_wrist_stays_and_says_so(model):
    target = model.hand_state(model.neutral).to_vector()
    target[LEFT_WRIST_POSITION] = np.nan
    result = Retargeting(model).solve(target, model.neutral, TICK)
    np.testing.assert_array_equal(result.q[:7], model.neutral[:7])
    assert result.arms.arm_status[0].startswith("rejected")
    assert np.isfinite(result.q[HANDS_SLICE]).all()


def test_other_shapes_are_refused(model):
    with pytest.raises(ShapeError, match="26 joints"):
        Retargeting(model).solve(np.zeros(54), np.zeros(27), TICK)
