import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firsthand.errors import ShapeError
from firsthand.robot.joints import ARMS_SLICE
from firsthand.robot.limits import Governor, JointLimits
from firsthand.robot.model import RobotModel

DT = 0.004
LIMITS = JointLimits(
    lower=np.array([-1.0, -0.4, 0.0]),
    upper=np.array([1.0, 0.5, 1.7]),
    velocity=np.array([2.0, 6.0, 3.0]),
    acceleration=np.array([40.0, 100.0, 60.0]),
)
ROUNDING = 1e-9


def follow(governor, targets):
    """Commands (steps + 1, n), the state before the first step included."""
    return np.array([governor.positions, *(governor.step(target) for target in targets)])


def assert_within_limits(commands, first_velocity=0.0, limits=LIMITS):
    velocities = np.diff(commands, axis=0) / DT
    accelerations = np.diff(np.vstack([np.broadcast_to(first_velocity, velocities[:1].shape), velocities]), axis=0) / DT
    assert np.all(commands >= limits.lower)
    assert np.all(commands <= limits.upper)
    assert np.all(np.abs(velocities) <= limits.velocity * (1 + ROUNDING))
    assert np.all(np.abs(accelerations) <= limits.acceleration * (1 + 1e-6))


def random_targets(rng, steps):
    """A hostile stream: steps, slides, noise, far outside the limits, NaN and infinities."""
    pieces = []
    while sum(map(len, pieces)) < steps:
        length = int(rng.integers(1, 60))
        end = rng.uniform(-3, 3, 3) * rng.choice([0.1, 1.0, 1e6])
        slide = np.linspace(rng.uniform(-1, 1, 3), end, length)
        pieces.append(slide if rng.random() < 0.5 else np.tile(end, (length, 1)))
    targets = np.concatenate(pieces)[:steps] + rng.normal(0, rng.choice([0, 0.001, 0.1]), (steps, 3))
    targets[rng.random((steps, 3)) < 0.05] = rng.choice([np.nan, np.inf, -np.inf])
    return targets


@given(seed=st.integers(0, 2**32 - 1), lag=st.sampled_from([DT, 0.01, 0.02, 0.05]))
@settings(max_examples=60, deadline=None)
def test_no_stream_and_no_start_breaks_a_limit(seed, lag):
    rng = np.random.default_rng(seed)
    governor = Governor(LIMITS, DT, lag)
    governor.reset(rng.uniform(LIMITS.lower, LIMITS.upper), rng.uniform(-8, 8, 3))
    start_velocity = governor.velocities
    assert_within_limits(follow(governor, random_targets(rng, 250)), start_velocity)


@pytest.mark.parametrize("end", ["lower", "upper"])
def test_beside_a_limit_a_velocity_towards_it_is_cut_to_what_can_be_braked(end):
    sign = 1.0 if end == "upper" else -1.0
    governor = Governor(LIMITS, DT)
    governor.reset(getattr(LIMITS, end) - sign * 0.001, sign * LIMITS.velocity)
    start_velocity = governor.velocities
    assert np.all(sign * start_velocity > 0)
    assert np.all(np.abs(start_velocity) < LIMITS.velocity)
    commands = follow(governor, np.tile(sign * 10.0, (50, 3)))
    assert_within_limits(commands, start_velocity)
    np.testing.assert_allclose(commands[-1], getattr(LIMITS, end), atol=1e-9)


def test_a_step_is_reached_without_overshoot_in_almost_the_shortest_time():
    governor = Governor(LIMITS, DT, lag=DT)
    governor.reset(np.array([-0.9, -0.35, 0.1]))
    target = np.array([0.9, 0.45, 1.6])
    distance = target - governor.positions
    commands = follow(governor, np.tile(target, (500, 1)))
    assert np.all(commands <= target + 1e-12)
    np.testing.assert_allclose(commands[-1], target, atol=1e-9)
    peak = np.minimum(LIMITS.velocity, np.sqrt(LIMITS.acceleration * distance))
    shortest = distance / peak + peak / LIMITS.acceleration  # trapezoid of velocity, by hand
    arrival = np.argmax(np.abs(commands - target) < 1e-4, axis=0) * DT
    assert np.all(arrival <= shortest + 4 * DT)


@pytest.mark.parametrize("lag", [0.01, 0.02])
def test_a_steady_target_is_trailed_by_the_lag(lag):
    governor = Governor(LIMITS, DT, lag)
    governor.reset(np.array([-0.5, -0.2, 0.5]))
    speed = np.full(3, 0.4)
    times = DT * np.arange(1, 200)
    targets = governor.positions + speed * times[:, None]
    trail = targets - follow(governor, targets)[1:]
    # The target moves on during the tick in which the command reaches where it was.
    np.testing.assert_allclose(trail[-1], speed * (lag - DT), atol=1e-9)


def test_a_smooth_stream_comes_out_smooth_and_close():
    governor = Governor(LIMITS, DT)
    governor.reset(np.array([0.0, 0.0, 0.8]))
    times = DT * np.arange(1, 1000)
    targets = governor.positions + 0.3 * np.sin(2 * np.pi * 0.5 * times)[:, None]
    commands = follow(governor, targets)
    assert np.abs(commands[1:] - targets).max() < 0.3 * 2 * np.pi * 0.5 * 0.025


def test_a_target_that_is_not_finite_is_held_and_named_while_the_others_move():
    governor = Governor(LIMITS, DT)
    governor.reset(np.array([0.0, 0.0, 0.8]))
    target = np.array([0.8, 0.3, 1.2])
    follow(governor, np.tile(target, (40, 1)))
    assert not governor.held.any()
    commands = follow(governor, np.tile([np.nan, 0.3, np.inf], (250, 1)))
    np.testing.assert_array_equal(governor.held, [True, False, True])
    assert_within_limits(commands, (commands[1] - commands[0]) / DT)
    np.testing.assert_array_equal(commands[-1], commands[-2])
    assert commands[-1][1] == pytest.approx(0.3, abs=1e-6)


def test_braking_comes_to_rest_in_the_time_that_the_acceleration_allows():
    governor = Governor(LIMITS, DT)
    governor.reset(np.array([-0.5, -0.3, 0.2]), np.array([1.6, 2.0, 1.2]))
    start = governor.positions
    velocities = governor.velocities
    commands = np.array([start, *(governor.brake() for _ in range(30))])
    assert_within_limits(commands, velocities)
    ticks = int(np.ceil(np.max(velocities / LIMITS.acceleration) / DT))
    np.testing.assert_array_equal(commands[ticks], commands[-1])
    assert np.all(commands[-1] <= start + velocities**2 / (2 * LIMITS.acceleration))


def test_the_braking_path_is_the_one_that_braking_takes():
    governor = Governor(LIMITS, DT)
    governor.reset(np.array([-0.5, 0.2, 0.9]), np.array([1.6, -2.0, 0.01]))
    foretold = governor.braking_path(5)
    taken = np.array([governor.brake() for _ in range(30)])
    np.testing.assert_allclose(foretold[-1], taken[-1], atol=1e-12)
    for positions in foretold:
        assert np.abs(taken - positions).max(axis=1).min() < 1e-12


def test_a_step_that_could_not_be_braked_acceptably_is_not_taken():
    def acceptable(path):
        return bool(path[:, 0].max() <= 0.2)

    governor = Governor(LIMITS, DT)
    governor.reset(np.array([-0.5, 0.0, 0.5]))
    commands = [governor.positions]
    for _ in range(300):
        commands.append(governor.step(np.array([0.8, 0.4, 1.5]), acceptable))
    assert_within_limits(np.array(commands))
    assert 0.15 < commands[-1][0] <= 0.2
    away = [governor.step(np.array([-0.8, 0.4, 1.5]), acceptable) for _ in range(300)]
    np.testing.assert_allclose(away[-1], [-0.8, 0.4, 1.5], atol=1e-6)


def test_the_velocity_that_stops_within_a_distance_does():
    governor = Governor(LIMITS, DT)
    distance = np.array([0.03, 0.0007, 0.2])
    velocity = governor._fastest_that_stops_within(distance)
    travelled = np.zeros(3)
    while np.any(velocity > 0):
        travelled += velocity * DT
        velocity = np.maximum(0.0, velocity - LIMITS.acceleration * DT)
    np.testing.assert_allclose(travelled, distance, rtol=1e-9)


def test_a_start_outside_the_limits_moves_to_them():
    governor = Governor(LIMITS, DT)
    governor.reset(np.array([-1.2, 0.9, 0.5]))
    np.testing.assert_array_equal(governor.positions, [-1.0, 0.5, 0.5])


def test_wrong_input_is_named():
    governor = Governor(LIMITS, DT)
    with pytest.raises(ShapeError, match=r"expected 3 joint targets, got shape \(4,\)"):
        governor.step(np.zeros(4))
    with pytest.raises(ValueError, match=r"not finite: joints \[1\]"):
        governor.reset(np.array([0.0, np.nan, 0.0]))
    with pytest.raises(ValueError, match="0 < dt <= lag"):
        Governor(LIMITS, DT, lag=0.001)
    with pytest.raises(ValueError, match="lower limits must lie below"):
        JointLimits(LIMITS.upper, LIMITS.lower, LIMITS.velocity, LIMITS.acceleration)
    with pytest.raises(ValueError, match="must be positive"):
        JointLimits(LIMITS.lower, LIMITS.upper, 0 * LIMITS.velocity, LIMITS.acceleration)


def test_the_robots_limits_are_inside_the_descriptions():
    model = RobotModel.load()
    limits = JointLimits.from_model(model)
    np.testing.assert_array_equal(limits.lower, model.lower)
    np.testing.assert_array_equal(limits.upper, model.upper)
    assert np.all(limits.velocity <= model.velocity_limits)
    assert limits.velocity[ARMS_SLICE].max() == 6.0
    assert limits.acceleration.shape == (26,)
