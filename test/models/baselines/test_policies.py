"""HAT and ACT as wholes: what they see, and when the style of the true actions comes in."""

import numpy as np
import pytest
import torch

from firsthand.space.hand_state import HEAD_ROTATION
from firsthand_training.models.baselines.act import ActPolicy, ActSettings
from firsthand_training.models.baselines.chunking import TransformerSettings
from firsthand_training.models.baselines.detr import image_positions
from firsthand_training.models.baselines.hat import HatPolicy, HatSettings

SMALL = TransformerSettings(width=16, heads=2, feed_forward=24, encoder_layers=2, decoder_layers=3, latent=4)
HAT = HatSettings(horizon=6, rows=4, columns=6, channels=8, transformer=SMALL)
ACT = ActSettings(horizon=6, rows=40, columns=70, transformer=SMALL, backbone_width=4, backbone_norm="group")


def inputs(settings, batch=3):
    features = torch.randn(batch, settings.views, settings.rows, settings.columns, settings.channels)
    mask = torch.ones(batch, settings.horizon, dtype=torch.bool)
    return features, torch.randn(batch, 54), torch.randn(batch, settings.horizon, 54), mask


@pytest.fixture(params=[(HatPolicy, HAT), (ActPolicy, ACT)], ids=["hat", "act"])
def policy(request):
    torch.manual_seed(0)
    kind, settings = request.param
    return kind(settings)


def test_a_chunk_comes_out(policy):
    features, state, actions, mask = inputs(policy.settings)
    trained = policy(features, state, actions, mask)
    assert trained.actions.shape == (3, 6, 54)
    assert trained.style.mean.shape == (3, 4)
    assert policy(features, state).actions.shape == (3, 6, 54)


def test_the_style_is_drawn_in_training_and_zero_at_run_time(policy):
    policy.eval()  # without dropout
    features, state, actions, mask = inputs(policy.settings)
    one, other = policy(features, state, actions, mask), policy(features, state, actions, mask)
    torch.testing.assert_close(one.style.mean, other.style.mean)
    assert not torch.allclose(one.actions, other.actions, atol=1e-4)
    still, again = policy(features, state), policy(features, state)
    assert still.style is None
    torch.testing.assert_close(still.actions, again.actions)
    with torch.no_grad():
        policy.chunking.embed_style.weight.add_(1.0)  # meets a style of zero
    torch.testing.assert_close(policy(features, state).actions, still.actions)


def test_every_view_and_the_state_count(policy):
    policy.eval()
    features, state, *_ = inputs(policy.settings)
    before = policy(features, state).actions
    for view in range(2):
        changed = features.clone()
        changed[:, view] += torch.randn_like(changed[:, view])
        assert not torch.allclose(policy(changed, state).actions, before, atol=1e-5)
    assert not torch.allclose(policy(features, state + 1).actions, before, atol=1e-5)


def test_hat_tells_its_views_apart_and_act_does_not():
    """ACT gives both views the same positions; HAT halves them and adds the number of the view."""
    for kind, settings, told in ((HatPolicy, HAT, True), (ActPolicy, ACT, False)):
        torch.manual_seed(0)
        policy = kind(settings).eval()
        features, state, *_ = inputs(settings)
        same = torch.allclose(policy(features, state).actions, policy(features.flip(1), state).actions, atol=1e-5)
        assert same != told
    place = image_positions(4, 6, 16)
    grid = HatPolicy(HAT).positions.reshape(4, 12, 16)
    torch.testing.assert_close(grid[:, :6], place / 2 - 0.5)
    torch.testing.assert_close(grid[:, 6:], place / 2 + 0.5)


def test_hat_does_not_see_the_head_and_sometimes_no_state():
    policy = HatPolicy(HatSettings(horizon=6, rows=4, columns=6, channels=8, transformer=SMALL, state_dropout=0.5))
    features, state, *_ = inputs(HAT)
    turned = state.clone()
    turned[:, HEAD_ROTATION] += 1.0
    policy.eval()
    torch.testing.assert_close(policy(features, turned).actions, policy(features, state).actions)
    torch.manual_seed(0)
    hidden = policy.train()._hide(torch.ones(1000, 54))
    assert set(hidden[:, 6:].flatten().tolist()) == {0.0, 1.0}
    np.testing.assert_allclose(hidden[:, 10].mean(), 0.5, atol=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HatSettings(horizon=0), "horizon of at least 1, got 0"),
        (lambda: HatSettings(state_dropout=1.0), "state_dropout"),
        (lambda: ActSettings(channels=384), "pictures of 3 channels"),
        (lambda: ActSettings(backbone_norm="batch"), "frozen_batch or group, got 'batch'"),
        (lambda: TransformerSettings(width=510), "multiple of 4 and of heads = 8, got 510"),
        (lambda: TransformerSettings(latent=0), "latent of at least 1"),
        (lambda: TransformerSettings(dropout=1.0), "dropout"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
