import numpy as np
import pytest

from firsthand.errors import ShapeError
from firsthand.robot.hand_retargeting import HandRetargeting, TipCalibration
from firsthand.robot.joints import HANDS_SLICE
from firsthand.robot.model import RobotModel

STEP = 0.3 + 1e-9  # [rad], the longest that one solve may take


@pytest.fixture(scope="module")
def model():
    return RobotModel.load()


@pytest.fixture(scope="module")
def start(model):
    return model.neutral[HANDS_SLICE]


def tips_at(model, q_hands):
    q = model.zero
    q[HANDS_SLICE] = q_hands
    return model.hand_state(q).fingertips_in_wrist


def follow(retargeting, tips, q, solves=40):
    for _ in range(solves):
        result = retargeting.solve(tips, q)
        q = result.q
    return result


def test_the_robots_own_fingertips_are_met(robot):
    """And so are its joints: a hand state determines them."""
    rng = np.random.default_rng(0)
    lower, upper = robot.lower[HANDS_SLICE], robot.upper[HANDS_SLICE]
    retargeting = HandRetargeting(robot)
    q = robot.neutral[HANDS_SLICE]
    for _ in range(5):
        goal = q + 0.4 * (rng.uniform(lower, upper) - q)
        for fraction in (0.25, 0.5, 0.75, 1.0):
            between = q + fraction * (goal - q)
            result = follow(retargeting, tips_at(robot, between), between + rng.normal(scale=0.05, size=12), 4)
            assert result.error.max() < 1e-5
        q = result.q
        np.testing.assert_allclose(q, goal, atol=2e-3)


def test_the_reported_error_is_the_distance_that_is_left(model, start):
    tips = tips_at(model, start) + 0.01
    result = HandRetargeting(model).solve(tips, start)
    expected = np.linalg.norm(tips_at(model, result.q) - tips, axis=-1)
    np.testing.assert_allclose(result.error, expected, atol=1e-6)


def test_limits_hold_exactly_for_any_target(model, start):
    rng = np.random.default_rng(1)
    retargeting = HandRetargeting(model)
    q = start
    for _ in range(300):
        result = retargeting.solve(rng.normal(scale=0.12, size=(2, 5, 3)), q)
        assert (result.q >= model.lower[HANDS_SLICE]).all()
        assert (result.q <= model.upper[HANDS_SLICE]).all()
        assert np.abs(result.q - q).max() <= STEP
        q = result.q


def test_out_of_reach_targets_are_approached_and_said_to_be_out_of_reach(model, start):
    straight = tips_at(model, np.zeros(12))
    target = straight + np.array([0.05, 0.0, 0.0])
    target[:, 0] = tips_at(model, start)[:, 0]
    result = follow(HandRetargeting(model), target, start)
    np.testing.assert_allclose(result.error[:, 1:], 0.05, atol=0.004)
    assert result.q[2:6].max() < 0.12


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3.0])
def test_a_lost_or_absurd_fingertip_leaves_its_finger_still_and_the_others_free(model, start, bad):
    goal = start + 0.1
    tips = tips_at(model, goal)
    tips[0, 1], tips[1, 4] = bad, bad
    result = follow(HandRetargeting(model), tips, start)
    index, little = 2, 11
    others = [motor for motor in range(12) if motor not in (index, little)]
    np.testing.assert_allclose(result.q[others], goal[others], atol=1e-3)
    np.testing.assert_allclose(result.q[[index, little]], start[[index, little]], atol=1e-12)
    assert result.error[0, 1] > 1.0
    assert not np.isnan(result.error).any()


def test_absurd_fingertips_are_no_pinch(model, start):
    tips = tips_at(model, start)
    tips[0, :2] = [[3.0, 0.0, 0.0], [3.01, 0.0, 0.0]]
    np.testing.assert_allclose(follow(HandRetargeting(model), tips, start).q, start, atol=1e-6)


def test_hands_that_are_lost_altogether_stay(model, start):
    result = HandRetargeting(model).solve(np.full((2, 5, 3), np.nan), start)
    np.testing.assert_array_equal(result.q, start)
    assert np.isinf(result.error).all()


def test_a_start_outside_the_limits_comes_back_inside(model, start):
    result = HandRetargeting(model).solve(tips_at(model, start), start + 3.0)
    assert (result.q <= model.upper[HANDS_SLICE]).all()


def person_open(model):
    """A person's open hands: 0.85 times the robot's, shifted."""
    return 0.85 * tips_at(model, np.zeros(12)) + [0.004, 0.0, -0.003]


def test_an_open_hand_stays_open_after_calibration(model, start):
    hand = person_open(model)
    calibrated = HandRetargeting(model, TipCalibration.from_open_hands(model, hand))
    result = follow(calibrated, hand, start)
    np.testing.assert_allclose(result.q, 0.0, atol=1e-3)
    assert result.error.max() < 1e-4
    assert follow(HandRetargeting(model), hand, start).error.mean() > 0.01  # raw tips are off


def test_calibration_scales_each_finger_about_the_open_hand(model):
    hand = person_open(model)
    scale = np.linspace(0.8, 1.2, 10).reshape(2, 5)
    calibration = TipCalibration.from_open_hands(model, hand, scale=scale)
    moved = calibration.targets(hand + np.array([0.0, 0.0, -0.02]))
    np.testing.assert_allclose(moved - calibration.robot_open, scale[..., None] * [0.0, 0.0, -0.02], atol=1e-12)


def test_a_pinch_stays_a_pinch(model, start):
    """After calibration the targets of a person's touching fingers lie apart; the robot's fingers meet all the same."""
    hand = person_open(model)
    pinched = hand.copy()
    pinched[1, 0] = pinched[1, 1] = [0.100, 0.022, -0.075]
    pinched[1, 0, 2] -= 0.012
    calibration = TipCalibration.from_open_hands(model, hand, touch=0.012)
    targets = calibration.targets(pinched)
    assert np.linalg.norm(targets[1, 0] - targets[1, 1]) > 0.015

    def gap(calibrated, tips):
        met = tips_at(model, follow(HandRetargeting(model, calibrated), tips, start).q)
        return np.linalg.norm(met[1, 0] - met[1, 1])

    assert gap(calibration, pinched) < 0.004
    assert gap(None, targets) > 0.010  # the same targets without knowing that they are a pinch


@pytest.mark.parametrize(
    ("tips", "q", "message"),
    [
        (np.zeros((5, 3)), np.zeros(12), r"expected fingertips of shape \(2, 5, 3\).* got \(5, 3\)"),
        (np.zeros((2, 5, 3)), np.zeros(26), r"expected 12 hand joints.* got shape \(26,\)"),
        (np.zeros((2, 5, 3)), np.full(12, np.nan), "expected 12 finite hand joints"),
    ],
)
def test_wrong_shapes_are_refused(model, tips, q, message):
    with pytest.raises(ShapeError, match=message):
        HandRetargeting(model).solve(tips, q)
