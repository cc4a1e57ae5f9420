from dataclasses import replace

import numpy as np
import pytest
import torch

from firsthand.space.hand_state import LEFT_WRIST_POSITION
from firsthand_training.metrics import feature_errors
from firsthand_training.models.layers import pool_grid
from firsthand_training.training.validation import validate
from firsthand_training.training.windows import Statistics, TrainingEpisode, Windows


def test_an_untrained_network_is_as_good_as_holding_and_copying(episodes, method):
    statistics = Statistics.fit(episodes)
    model = method.build()
    quality = validate(model, Windows(episodes, statistics, method.window), count=20, size=8)
    assert quality["action/wrist_mm"] == pytest.approx(quality["hold/wrist_mm"], rel=1e-4)
    assert quality["without_images/wrist_mm"] == pytest.approx(quality["hold/wrist_mm"], rel=1e-4)
    assert quality["without_state/wrist_mm"] == pytest.approx(quality["mean/wrist_mm"], rel=1e-4)
    assert quality["mean/wrist_mm"] > quality["hold/wrist_mm"] > 1
    for name in ("", "/moving", "/2", "/4", "/6", "/moving/2", "/moving/4", "/moving/6"):
        assert quality[f"feature_skill{name}"] == pytest.approx(0, abs=1e-6)


def test_feature_skill_is_of_the_loss_that_training_minimises(episodes, method):
    """From the physical features and their spread, as `firsthand-lab evaluate --recording` measures it."""
    torch.manual_seed(0)
    model, statistics = disturbed(method.build()), Statistics.fit(episodes)
    windows = Windows(episodes, statistics, method.window)
    batch = windows.batch(range(0, 40, 2))
    with torch.no_grad():
        future = model(batch.features, batch.state).future_features.transpose(1, 2).flatten(3, 4)  # (B, V, T, P, C)
    now = pool_grid(batch.features, method.window.pool).flatten(2, 3)[:, :, None].expand_as(future)
    raw = [physical(each, statistics) for each in (future, now, batch.future)]
    error, copied = (feature_errors(each, raw[2], statistics.feature_std) for each in raw[:2])
    shown = batch.future_mask.numpy()[:, None, :, None]
    expected = 1 - (error * shown).sum() / (copied * shown).sum()
    assert abs(expected) > 0.01
    subset = Windows(episodes, statistics, method.window)
    subset.index = [windows.index[number] for number in range(0, 40, 2)]
    assert validate(model, subset)["feature_skill"] == pytest.approx(expected, rel=1e-4)


def test_labels_that_teach_nothing_are_not_validated_against(episodes, method):
    """Frames of quality 0 hold no label, only what bridges the gap to the next one."""
    good, statistics = episodes[0], Statistics.fit(episodes)
    action, quality = good.action.copy(), np.ones(len(good.state))
    quality[11:] = 0
    action[10:, LEFT_WRIST_POSITION] += 5.0  # row i is the target for frame i + 1
    spoiled = replace(good, action=action, quality=quality)
    model = method.build()
    first, second = (
        validate(model, Windows([each], statistics, method.window))["hold/wrist_mm"]
        for each in (spoiled, replace(good, quality=quality))
    )
    assert first == pytest.approx(second)
    assert first < 500


def test_without_any_label_there_is_no_error(episodes, method):
    blind = replace(episodes[0], quality=np.zeros(len(episodes[0].state)))
    quality = validate(method.build(), Windows([blind], Statistics.fit(episodes), method.window))
    assert quality
    assert all(name.startswith("feature_skill") for name in quality)


def disturbed(model):
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model.eval()


def physical(features, statistics):
    return features.numpy() * statistics.feature_std + statistics.feature_mean


def test_what_no_window_shows_has_no_skill(episodes, method):
    """Every frame ahead, 2 to 6, lies beyond the end of an episode of two frames."""
    short = TrainingEpisode(episodes[0].features[:2], episodes[0].state[:2], episodes[0].action[:2])
    quality = validate(method.build(), Windows([short], Statistics.fit(episodes), method.window))
    assert not [name for name in quality if "skill" in name]
    assert all(np.isfinite(value) for value in quality.values())
