from types import SimpleNamespace

import numpy as np
import pytest

from firsthand.policy.session import Prediction
from firsthand.space.hand_state import ROTATIONS, SIZE, WRIST_POSITIONS
from firsthand_training.evaluation.open_loop import Recording, evaluate_open_loop

FRAMES, HORIZON, STRIDE, RATE = 20, 4, 2, 25.0
HEAD = np.cumsum(np.full((FRAMES + 1, 3), [0.01, -0.004, 0.002]), axis=0)  # where F_R is in the room
RESTING = np.array([0.5, 0.2, -0.4, 0.5, -0.2, -0.4])  # wrists that lie on a table, in the room


def seen(frame, of=None):
    """The hand state (54,) at a frame, from F_R at another one."""
    vector = np.zeros(SIZE)
    vector[ROTATIONS] = np.tile([1.0, 0, 0, 0, 1, 0], 3)
    vector[WRIST_POSITIONS] = RESTING - np.tile(HEAD[frame if of is None else of], 2)
    return vector


def recording():
    """Somebody who moves the head and rests the hands; a person's action is where the hands are a frame later."""
    states = np.stack([seen(frame) for frame in range(FRAMES)])
    actions = np.stack([seen(frame + 1, of=frame) for frame in range(FRAMES)])
    images = (np.full((2, 4, 4, 3), frame, np.uint8) for frame in range(FRAMES))
    return Recording(RATE, states, actions, images, origin=HEAD[:FRAMES])


class Eyes:
    """Features of one view with 2 x 2 patches of two channels: the number of the frame, in two units."""

    def encode(self, images):
        return np.broadcast_to(images[:, 0, 0, 0].reshape(2, 1, 1, 1) * np.array([1.0, 100.0]), (2, 2, 2, 2))


class HandsAtRest:
    """Answers that the hands stay where they are, as they do; of the future, it knows the first channel only."""

    manifest = SimpleNamespace(rate=RATE, horizon=HORIZON, stride=STRIDE, predicted_frames=HORIZON // STRIDE)

    def act(self, features, state):
        ahead = np.arange(1, 3).reshape(2, 1, 1, 1, 1) * STRIDE * np.array([1.0, 0.0])
        return Prediction(np.tile(state, (HORIZON, 1)), features[None, :1] + ahead, None)


def test_targets_are_compared_in_the_frame_that_the_policy_saw():
    report = evaluate_open_loop(HandsAtRest(), Eyes(), [recording()], every=3)
    assert report.windows == 6
    np.testing.assert_allclose(report.policy.wrist_mm, 0, atol=1e-9)
    np.testing.assert_allclose(report.hold_last.wrist_mm, 0, atol=1e-9)  # held in the room, not under the head


def test_where_the_head_stays_the_rows_are_taken_as_they_are():
    moving = recording()
    still = Recording(RATE, moving.states, moving.actions, moving.images)
    report = evaluate_open_loop(HandsAtRest(), Eyes(), [still], every=3)
    step = 1e3 * np.linalg.norm(HEAD[1] - HEAD[0])
    np.testing.assert_allclose(report.policy.wrist_mm, step * np.arange(HORIZON))


def test_features_are_compared_in_standard_deviations_of_their_channel():
    report = evaluate_open_loop(HandsAtRest(), Eyes(), [recording()], spread=np.array([1.0, 100.0]))
    assert report.feature_skill.ahead == (pytest.approx(0.5), pytest.approx(0.5))  # one channel of two
    assert report.to_json()["feature_skill"]["overall"] == pytest.approx(0.5)
    assert "feature skill over copying 0.50" in str(report)
