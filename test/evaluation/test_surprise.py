import numpy as np
import pytest

from firsthand.errors import CheckpointError
from firsthand.policy.session import Policy
from firsthand.policy.surprise import pool_features
from firsthand_training.evaluation.gaze import Following
from firsthand_training.evaluation.surprise import CalibrationSettings, Witness, calibrate_checkpoint

STEP = 40_000_000


def test_a_witness_acts_as_the_policy_and_compares_what_it_predicted():
    policy = Policy.load("push")
    witness, random = Witness(policy, period_ns=4 * STEP), np.random.default_rng(0)
    state = np.array(policy.manifest.state_normalization.mean)
    seen = random.normal(size=(2, *policy.feature_shape)).astype(np.float32)
    first, second = (witness.act(features, state) for features in seen)
    np.testing.assert_array_equal(second.actions, policy.act(seen[1], state).actions)
    none, one = witness.residuals
    assert (none.leads, one.leads) == (0, 1)
    error = (first.future_features[0] - pool_features(seen[1], 4, 7)) ** 2
    np.testing.assert_allclose(one.predicted[0], error.mean(-1), rtol=1e-5)


def test_a_checkpoint_that_is_not_there_is_not_calibrated():
    with pytest.raises(CheckpointError, match="no checkpoint at 'nowhere'"):
        calibrate_checkpoint(CalibrationSettings(policy="nowhere"))


def test_following_reads_on_to_a_time_and_ends():
    following = Following(iter([(stamp, np.array(stamp)) for stamp in (1, 3, 5)]))
    assert [following.at(stamp)[0] for stamp in (0, 1, 2, 3, 5)] == [1, 1, 3, 3, 5]
    assert following.at(6) is None
