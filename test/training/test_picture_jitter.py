import numpy as np
import pytest

from firsthand_training.training.picture_jitter import Jitter, JitterSettings, draw_jitter, jitter_pictures


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(60, 190, (2, 8, 10, 3)).astype(np.uint8)


def test_no_change_leaves_pictures_as_they_are(pictures):
    np.testing.assert_array_equal(jitter_pictures(pictures, Jitter()), pictures)
    np.testing.assert_array_equal(jitter_pictures(pictures, draw_jitter(JitterSettings(0, 0, 0), 1)), pictures)


def test_brightness_is_a_factor(pictures):
    np.testing.assert_allclose(
        jitter_pictures(pictures, Jitter(brightness=1.2)), 1.2 * pictures.astype(float), atol=0.6
    )


def test_contrast_stretches_around_the_grey_of_both_views(pictures):
    """One mean for both: with a mean each, the views would come to differ where they were alike."""
    pictures[1] //= 2
    pictures[:, 0, 0] = 100
    changed = jitter_pictures(pictures, Jitter(contrast=0.5))
    np.testing.assert_array_equal(changed[0, 0, 0], changed[1, 0, 0])
    assert changed.astype(float).std() == pytest.approx(pictures.astype(float).std() / 2, rel=0.05)


def test_without_saturation_pictures_are_grey(pictures):
    assert np.ptp(jitter_pictures(pictures, Jitter(saturation=0.0)).astype(int), axis=-1).max() <= 1


def test_a_third_of_the_colour_circle_turns_red_green():
    red = np.zeros((1, 2, 2, 3), np.uint8)
    red[..., 0] = 200
    np.testing.assert_array_equal(jitter_pictures(red, Jitter(hue=1 / 3))[0, 0, 0], [0, 200, 0])


def test_lights_follow_from_their_seed_and_stay_in_range():
    settings = JitterSettings(0.4, 0.2, 0.1, 0.05)
    drawn = [draw_jitter(settings, 3, variant) for variant in range(200)]
    assert draw_jitter(settings, 3, 7) == drawn[7]
    assert len(set(drawn)) == 200
    brightness = [each.brightness for each in drawn]
    assert 0.6 <= min(brightness) < 0.65 < 1.35 < max(brightness) <= 1.4
    assert max(abs(each.hue) for each in drawn) <= 0.05


def test_changes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="hue in"):
        JitterSettings(hue=0.7)
