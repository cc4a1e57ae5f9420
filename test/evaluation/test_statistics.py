import math

import pytest

from firsthand_training.evaluation.statistics import Proportion, percentiles, proportion


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(6, 10, 0.3127, 0.8318), (0, 50, 0.0, 0.0713), (50, 50, 0.9287, 1.0), (31, 40, 0.6250, 0.8768)],
)
def test_wilson_intervals_from_the_literature(successes, trials, low, high):
    assert Proportion(successes, trials).interval == pytest.approx((low, high), abs=1e-4)


def test_outcomes_are_counted_and_shown():
    assert str(proportion([True, True, False, True])) == "0.75 (3/4, 95% CI 0.30-0.95)"


def test_no_trials_is_an_error_not_a_rate():
    with pytest.raises(ValueError, match="at least one trial"):
        proportion([])


def test_percentiles():
    assert percentiles(range(101)) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert all(math.isnan(value) for value in percentiles([]).values())
