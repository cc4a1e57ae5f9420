import numpy as np

from firsthand.space.hand_state import SIZE
from firsthand.space.normalization import Normalization, physical_floor


def test_there_and_back():
    samples = np.random.default_rng(0).normal(size=(7, 5, SIZE))
    normalization = Normalization.fit(samples)
    np.testing.assert_allclose(normalization.denormalize(normalization.normalize(samples)), samples, atol=1e-12)


def test_samples_become_unit():
    samples = 3 + 2 * np.random.default_rng(0).normal(size=(10_000, SIZE))
    normalized = Normalization.fit(samples).normalize(samples)
    np.testing.assert_allclose(normalized.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(normalized.std(axis=0), 1, atol=1e-9)


def test_a_resting_hand_is_not_blown_up():
    normalization = Normalization.fit(np.ones((10, SIZE)))
    np.testing.assert_array_equal(normalization.std, physical_floor())
    one_millimetre = np.ones(SIZE)
    one_millimetre[18] += 0.001
    assert normalization.normalize(one_millimetre)[18] < 0.21
