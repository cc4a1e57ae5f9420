"""What a landmark network usually gets wrong is learnt, taken away, and left alone where it is not known."""

import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand_training.labels.hand_rig import REST, keypoints_in_wrist
from firsthand_training.labels.landmark_bias import FILE, SAID, HandFrame, LandmarkBias, Said, learn, mediapipe_bias

HAND = keypoints_in_wrist(REST[None], np.array([1]), np.zeros((1, 21))).points[0]


def seen(angles, side=1, place=(300.0, 200.0), size=700.0):
    """Hands turned about their length, as seen from above: what a network that is always right says."""
    sine, cosine = np.sin(angles)[:, None], np.cos(angles)[:, None]
    across = cosine * HAND[:, 1] - sine * HAND[:, 2]
    deep = -(sine * HAND[:, 1] + cosine * HAND[:, 2])
    pixels = np.stack([-across, np.broadcast_to(-HAND[:, 0], across.shape)], axis=-1) * size
    if side == 0:
        pixels = pixels * [-1, 1]
    count = len(angles)
    depths = size * (deep - deep[:, :1])
    return Said(pixels + place, depths, np.full(count, 3.0), np.full(count, 0.9), np.full(count, side))


def test_hands_are_described_alike_wherever_they_are_and_whichever_they_are():
    angles = np.array([0.2, 0.9])
    right, left = seen(angles), seen(angles, side=0, place=(100.0, 50.0), size=1400.0)
    one, other = HandFrame.of(right).describe(right), HandFrame.of(left).describe(left)
    assert one.shape == (2, SAID)
    np.testing.assert_allclose(one[:, :63], other[:, :63], atol=1e-9)
    frame = HandFrame.of(left)
    np.testing.assert_allclose(frame.to_picture(frame.from_picture(left.keypoints)), left.keypoints, atol=1e-9)


@pytest.fixture(scope="module")
def learnt():
    """Of a network that is off by what depends on how a hand is turned."""
    rng = np.random.default_rng(0)
    angles = rng.uniform(-1, 1, 150)
    hands = seen(angles)
    said = HandFrame.of(hands).describe(hands)
    off = 0.2 * np.sin(2 * angles)[:, None] * np.linspace(-1, 1, 63) + 0.002 * rng.standard_normal((150, 63))
    return learn(said, off, np.arange(150) % 5)


def test_what_depends_on_the_pose_is_taken_away(learnt):
    hands = seen(np.linspace(-0.9, 0.9, 20))
    added, strange = learnt.predict(HandFrame.of(hands).describe(hands))
    right = 0.2 * np.sin(2 * np.linspace(-0.9, 0.9, 20))[:, None] * np.linspace(-1, 1, 63)
    assert np.abs(added - right).max() < 0.04
    assert (strange < 0.2).all()
    corrected = learnt.correct(hands)
    moved = np.linalg.norm(corrected.keypoints - hands.keypoints, axis=-1)
    assert moved.max() > 10  # [px]
    assert (corrected.sigma > 0).all()


def test_hands_whose_looks_agree_are_left_nearly_as_they_are():
    """Half of the hands are off, and looks at those differ; the other half look much alike, and are right."""
    rng = np.random.default_rng(0)
    hands = seen(rng.uniform(-1, 1, 200))
    off = 0.1 * np.sin(2 * hands.keypoints[:, 8, 0])[:, None] + np.linspace(0.1, 0.3, 63)
    right = np.arange(200) % 2 == 0
    hands.spread[right], off[right] = 0.3, 0.0
    model = learn(HandFrame.of(hands).describe(hands), off, np.arange(200) % 5)
    sure, unsure = seen(np.array([0.4])), seen(np.array([0.4]))
    sure.spread[:] = 0.3
    moved = [np.abs(model.predict(HandFrame.of(each).describe(each))[0]).mean() for each in (sure, unsure)]
    assert moved[0] < 0.02
    assert moved[1] > 0.1


def test_a_hand_unlike_all_known_ones_is_left_as_it_is(learnt):
    strange = seen(np.array([0.3]))
    strange.keypoints[0, 1:5] += 400.0
    added, far = learnt.predict(HandFrame.of(strange).describe(strange))
    assert np.abs(added).max() < 1e-3
    assert far > 0.99


def test_only_hands_of_which_everything_is_known_can_be_put_right():
    hands = seen(np.zeros(3))
    hands.depths[0] = np.nan
    hands.keypoints[1, 4] = np.nan
    assert hands.whole.tolist() == [False, False, True]


def test_a_calibration_survives_its_file_and_a_damaged_one_is_refused(learnt, tmp_path):
    path = learnt.save(tmp_path / "bias.npz")
    hands = seen(np.array([0.1, 0.6]))
    np.testing.assert_allclose(
        LandmarkBias.load(path).correct(hands).keypoints, learnt.correct(hands).keypoints, atol=2.0
    )
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(LabelError, match="no calibration"):
        LandmarkBias.load(path)
    np.savez(path, said=np.zeros((4, 3)), off=np.zeros((4, 63)), variance=np.zeros((4, 63)))
    with pytest.raises(LabelError, match="expected"):
        LandmarkBias.load(path)


def test_few_clips_calibrate_nothing():
    with pytest.raises(LabelError, match="three clips"):
        learn(np.zeros((4, SAID)), np.zeros((4, 63)), np.array([0, 0, 1, 1]))


def test_the_calibration_that_is_shipped_is_there():
    assert FILE.stat().st_size < 200_000
    hands = seen(np.array([0.0, 1.0]))
    corrected = mediapipe_bias().correct(hands)
    assert np.isfinite(corrected.keypoints).all()
    assert (corrected.depth_sigma > 0).all()
