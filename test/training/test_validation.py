import numpy as np
import pytest

from firsthand.space.hand_state import LEFT_WRIST_POSITION, LEFT_WRIST_ROTATION, RIGHT_FINGERTIPS
from firsthand.space.rotations import matrix_from_rpy, rotation_6d_from_matrix
from firsthand_training.training.validation import action_errors, validate
from firsthand_training.training.windows import Statistics, TrainingEpisode, Windows

STILL = np.concatenate([np.tile([1.0, 0, 0, 0, 1, 0], 3), np.zeros(36)])


def test_a_state_has_no_distance_to_itself():
    assert all(value == pytest.approx(0, abs=1e-6) for value in action_errors(STILL, STILL).values())


def test_errors_are_in_millimetres_and_degrees():
    moved = STILL.copy()
    moved[LEFT_WRIST_POSITION] = [0.003, 0, 0.004]
    moved[LEFT_WRIST_ROTATION] = rotation_6d_from_matrix(matrix_from_rpy(0, 0, np.radians(30)))
    moved[RIGHT_FINGERTIPS][:3] = [0.01, 0, 0]
    errors = action_errors(moved, STILL)
    assert errors["wrist_mm"] == pytest.approx(2.5)  # 5 mm on one of two wrists
    assert errors["wrist_deg"] == pytest.approx(15)
    assert errors["fingertip_mm"] == pytest.approx(1)  # 10 mm on one of ten tips
    assert errors["head_deg"] == pytest.approx(0, abs=1e-6)


def test_an_untrained_network_is_as_good_as_holding_and_copying(episodes, method):
    statistics = Statistics.fit(episodes)
    model = method.build()
    quality = validate(model, Windows(episodes, statistics, method.window), count=20, size=8)
    assert quality["action/wrist_mm"] == pytest.approx(quality["hold/wrist_mm"], rel=1e-4)
    assert quality["without_images/wrist_mm"] == pytest.approx(quality["hold/wrist_mm"], rel=1e-4)
    assert quality["without_state/wrist_mm"] == pytest.approx(quality["mean/wrist_mm"], rel=1e-4)
    assert quality["mean/wrist_mm"] > quality["hold/wrist_mm"] > 1
    for name in ("skill", "skill/moving", "skill/2", "skill/4", "skill/6"):
        assert quality[name] == pytest.approx(0, abs=1e-6)


def test_what_no_window_shows_has_no_skill(episodes, method):
    """Every frame ahead, 2 to 6, lies beyond the end of an episode of two frames."""
    short = TrainingEpisode(episodes[0].features[:2], episodes[0].state[:2], episodes[0].action[:2])
    quality = validate(method.build(), Windows([short], Statistics.fit(episodes), method.window))
    assert not [name for name in quality if "skill" in name]
    assert all(np.isfinite(value) for value in quality.values())
