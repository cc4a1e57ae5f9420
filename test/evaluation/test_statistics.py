import math

import numpy as np
import pytest

from firsthand_training.evaluation.statistics import (
    PairedDifference,
    Proportion,
    bootstrap_interval,
    paired_difference,
    percentiles,
    proportion,
)


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


def test_only_disagreements_tell_methods_apart():
    ours = {1: True, 2: True, 3: False, 4: True, 9: True}
    theirs = {1: True, 2: False, 3: False, 4: False, 5: True}
    assert paired_difference(ours, theirs) == PairedDifference(better=2, worse=0, trials=4)


def test_methods_without_common_trials_are_not_compared():
    with pytest.raises(ValueError, match="none in common"):
        paired_difference({1: True}, {2: True})


# P values of the exact test are binomial tails: 2 * (1 + 8) / 2^8, and 2 / 2^6.
@pytest.mark.parametrize(("better", "worse", "p"), [(7, 1, 2 * 9 / 256), (6, 0, 2 / 64), (3, 3, 1.0), (0, 0, 1.0)])
def test_mcnemar_counts_coin_tosses(better, worse, p):
    assert PairedDifference(better, worse, 50).p_value == pytest.approx(p)


def test_the_interval_of_a_difference_by_hand():
    low, high = PairedDifference(better=14, worse=4, trials=48).interval
    assert (low, high) == pytest.approx((0.2 - 1.95996 * 0.084853, 0.2 + 1.95996 * 0.084853), abs=1e-4)


def test_swapping_the_methods_mirrors_the_interval():
    low, high = PairedDifference(5, 2, 20).interval
    assert PairedDifference(2, 5, 20).interval == pytest.approx((-high, -low))


def test_percentiles():
    assert percentiles(range(101)) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert all(math.isnan(value) for value in percentiles([]).values())


def test_the_bootstrap_draws_whole_groups():
    rng = np.random.default_rng(0)
    means = rng.normal(5.0, 1.0, 40)
    groups = [mean + 0.01 * rng.standard_normal(500) for mean in means]
    low, high = bootstrap_interval(groups, np.mean)
    half = 1.96 * means.std() / np.sqrt(40)  # that of 40 groups, not of 20000 numbers
    assert low == pytest.approx(means.mean() - half, abs=0.08)
    assert high == pytest.approx(means.mean() + half, abs=0.08)
    with pytest.raises(ValueError, match="at least one group"):
        bootstrap_interval([], np.mean)
