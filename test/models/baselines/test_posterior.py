import numpy as np
import torch

from firsthand_training.models.baselines.posterior import ActionPosterior, Gaussian


def test_divergence_by_hand():
    """Of N(1, 1) from N(0, 1) 1/2; of N(0, e) (e - 2) / 2; summed over numbers, averaged over samples."""
    mean, log_variance = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(Gaussian(mean, log_variance).divergence(), (0.5 + (np.e - 2) / 2) / 2, rtol=1e-6)


def test_draws_have_the_mean_and_the_spread():
    torch.manual_seed(0)
    draws = Gaussian(torch.full((20_000, 1), 3.0), torch.full((20_000, 1), 2 * np.log(0.5))).sample()
    np.testing.assert_allclose(draws.mean(), 3.0, atol=0.02)
    np.testing.assert_allclose(draws.std(), 0.5, atol=0.02)


def test_the_style_depends_on_actions_inside_the_episode_only():
    torch.manual_seed(0)
    posterior = ActionPosterior(horizon=4, latent=3, width=16, heads=2, hidden=24, layers=2, dropout=0.0)
    state, actions = torch.randn(2, 54), torch.randn(2, 4, 54)
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    changed = actions.clone()
    changed[:, 2:] += 1.0
    before, after = posterior(state, actions, mask), posterior(state, changed, mask)
    assert before.mean.shape == before.log_variance.shape == (2, 3)
    assert not torch.allclose(before.mean[0], after.mean[0], atol=1e-4)
    torch.testing.assert_close(before.mean[1], after.mean[1])
