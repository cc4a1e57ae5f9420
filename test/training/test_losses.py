import pytest
import torch

from firsthand.space.hand_state import LEFT_FINGERTIPS, WRIST_POSITIONS
from firsthand_training.models.temporal_scales import Level
from firsthand_training.training.losses import LossSettings, action_loss, dynamics_loss, world_model_loss
from firsthand_training.training.windows import Statistics, Windows

ALL = torch.ones(2, 3, dtype=torch.bool)


def test_action_loss_is_the_mean_absolute_error():
    assert action_loss(torch.full((2, 3, 54), 0.5), torch.zeros(2, 3, 54), ALL).item() == pytest.approx(0.5)


def test_steps_beyond_the_episode_do_not_count():
    predicted, mask = torch.zeros(2, 3, 54), ALL.clone()
    predicted[:, 2] = 100
    mask[:, 2] = False
    assert action_loss(predicted, torch.zeros(2, 3, 54), mask).item() == 0
    assert action_loss(predicted, predicted, ~ALL).item() == 0  # nothing counts: no nan


def test_wrists_weigh_more():
    wrist, finger = torch.zeros(2, 3, 54), torch.zeros(2, 3, 54)
    wrist[..., WRIST_POSITIONS.start] = 1
    finger[..., LEFT_FINGERTIPS.start] = 1
    target = torch.zeros(2, 3, 54)
    ratio = action_loss(wrist, target, ALL, wrist=3.0) / action_loss(finger, target, ALL, wrist=3.0)
    assert ratio.item() == pytest.approx(3.0)


def test_dynamics_loss_by_hand():
    future = torch.zeros(1, 1, 2, 1, 1)
    future[0, 0, 1] = 0.4  # the frame at index 2
    levels = (Level((2,), torch.zeros(1, 1, 1, 1, 1)), Level((1, 2), torch.zeros(1, 1, 2, 1, 1)))
    mask = torch.ones(1, 2, dtype=torch.bool)
    smooth = 0.5 * 0.4**2
    assert dynamics_loss(levels, future, mask).item() == pytest.approx((smooth + smooth / 2) / 2)
    mask[0, 1] = False
    assert dynamics_loss(levels, future, mask).item() == 0


def test_the_total_is_the_weighted_sum(episodes, method):
    torch.manual_seed(0)
    model, windows = method.build(), Windows(episodes, Statistics.fit(episodes), method.window)
    batch = windows.batch([0, 30, 22])
    settings = LossSettings(dynamics=0.5, concentration=0.1, overlap=0.2, repulsion=0.3)
    losses = world_model_loss(model(batch.features, batch.state), batch, model.layout, settings)
    weights = {"action": 1.0, "dynamics": 0.5, "concentration": 0.1, "overlap": 0.2, "repulsion": 0.3}
    assert set(losses.terms) == set(weights)
    torch.testing.assert_close(losses.total, sum(weights[name] * value for name, value in losses.terms.items()))
    assert losses.terms["action"] > 0 < losses.terms["dynamics"]
    assert all(0 <= losses.terms[name].item() <= 1 + 1e-6 for name in ("concentration", "overlap", "repulsion"))


def test_copying_does_not_satisfy_the_dynamics(episodes, method):
    """Free-running: an untrained network, which copies the current frame at every scale, has a loss to learn from."""
    model, windows = method.build(), Windows(episodes, Statistics.fit(episodes), method.window)
    batch = windows.batch([2, 50])
    assert dynamics_loss(model(batch.features, batch.state).levels, batch.future, batch.future_mask).item() > 1e-3
