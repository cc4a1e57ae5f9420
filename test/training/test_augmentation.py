import pytest
import torch

from firsthand_training.training.augmentation import AugmentationSettings, augment
from firsthand_training.training.windows import Statistics, Windows

NONE = {"feature_noise": 0.0, "channel_noise": 0.0, "patch_dropout": 0.0, "state_noise": 0.0}


@pytest.fixture
def batch(episodes, window):
    return Windows(episodes, Statistics.fit(episodes), window).batch(range(0, 140, 2))


def test_no_noise_changes_nothing(batch):
    same = augment(batch, AugmentationSettings(**NONE))
    torch.testing.assert_close(same.features, batch.features)
    torch.testing.assert_close(same.state, batch.state)


@pytest.mark.parametrize(("kind", "part"), [("feature_noise", "features"), ("state_noise", "state")])
def test_noise_has_the_size_asked_for(batch, kind, part):
    noise = getattr(augment(batch, AugmentationSettings(**{**NONE, kind: 0.3})), part) - getattr(batch, part)
    assert noise.std().item() == pytest.approx(0.3, rel=0.1)


def test_a_channel_shifts_alike_in_both_views_and_all_patches(batch):
    shift = augment(batch, AugmentationSettings(**{**NONE, "channel_noise": 0.5})).features - batch.features
    torch.testing.assert_close(shift, shift[:, :1, :1, :1].expand_as(shift), rtol=1e-3, atol=1e-5)
    assert shift[:, 0, 0, 0].std().item() == pytest.approx(0.5, rel=0.2)


def test_whole_patches_drop_out(batch):
    features = augment(batch, AugmentationSettings(**{**NONE, "patch_dropout": 0.4})).features
    gone = (features == 0).all(dim=-1)
    assert gone.float().mean().item() == pytest.approx(0.4, abs=0.05)
    torch.testing.assert_close(features[~gone], batch.features[~gone])


def test_what_is_to_be_predicted_is_never_touched(batch):
    noisy = augment(batch, AugmentationSettings())
    for name in ("future", "actions", "action_mask", "future_mask"):
        assert getattr(noisy, name) is getattr(batch, name)
