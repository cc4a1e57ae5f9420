import numpy as np
import pytest

from firsthand.errors import SimulationError
from firsthand.simulation.disturbance import Disturbance, DisturbanceSettings
from firsthand.space.hand_state import FINGERTIPS, HEAD_ROTATION, WRIST_POSITIONS, HandState, orthonormalize

TARGET = orthonormalize(np.random.default_rng(0).normal(size=54))


def offsets(seed, steps, settings=None):
    disturbance = Disturbance(seed, settings)
    return np.array([disturbance.apply(TARGET)[WRIST_POSITIONS] - TARGET[WRIST_POSITIONS] for _ in range(steps)])


def test_spread_is_what_was_asked_for():
    settings = DisturbanceSettings(position_spread=0.01, time_constant=0.2)
    assert offsets(0, 20_000, settings)[200:].std() == pytest.approx(0.01, rel=0.05)


def test_noise_starts_at_rest_and_is_smooth():
    moved = offsets(1, 500)
    assert np.abs(moved[0]).max() < 0.003
    assert np.abs(np.diff(moved, axis=0)).max() < 0.006


def test_same_seed_same_noise_and_reset_starts_over():
    np.testing.assert_array_equal(offsets(2, 20), offsets(2, 20))
    assert np.any(offsets(2, 20) != offsets(3, 20))
    disturbance = Disturbance(2)
    first = disturbance.apply(TARGET)
    disturbance.apply(TARGET)
    disturbance.reset()
    np.testing.assert_array_equal(disturbance.apply(TARGET), first)


def test_only_the_wrists_are_moved_and_rotations_stay_rotations():
    disturbance = Disturbance(4)
    for _ in range(30):
        disturbed = disturbance.apply(TARGET)
    np.testing.assert_array_equal(disturbed[HEAD_ROTATION], TARGET[HEAD_ROTATION])
    np.testing.assert_array_equal(disturbed[FINGERTIPS], TARGET[FINGERTIPS])
    rotations = HandState.from_vector(disturbed).wrist_rotations
    np.testing.assert_allclose(
        rotations @ np.swapaxes(rotations, -1, -2), np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(orthonormalize(disturbed), disturbed, atol=1e-12)


def test_no_time_constant_is_refused():
    with pytest.raises(SimulationError, match="positive time constant"):
        Disturbance(0, DisturbanceSettings(time_constant=0.0))
