"""Sides follow what the network says where it can tell, and where hands are where it cannot."""

import numpy as np
import pytest

from firsthand_training.labels.sides import Sighting, choose_sides, most_probable_sides, side_odds

WIDTH = 640


def sighting(frame=0, track=0, x=320.0, right=0.5, score=0.99, lean=0.0, told=False):
    """A hand at a column, that points up and `lean` to the right."""
    keypoints = np.tile([x, 240.0], (21, 1))
    keypoints[9] += [50 * np.sin(lean), -50 * np.cos(lean)]
    return Sighting(frame, track, score, np.array([x - 40, 200, x + 40, 280]), keypoints, right, told)


def test_a_hand_that_is_plain_to_see_is_what_the_network_says():
    for right in (0.01, 0.99):
        (side,) = choose_sides([sighting(right=right)], WIDTH, first_person=True)
        assert side == (right > 0.5)


def test_where_the_network_guesses_the_place_and_direction_of_a_hand_decide():
    at_the_right = sighting(x=560, right=0.02, score=0.6, lean=-0.5)
    assert choose_sides([at_the_right], WIDTH, first_person=True) == [1]
    assert side_odds(at_the_right, WIDTH, first_person=False) == pytest.approx(0)


def test_a_few_wrong_frames_do_not_change_a_hand_that_is_followed():
    rights = [0.99] * 20 + [0.01] * 4 + [0.99] * 20
    sightings = [sighting(frame=frame, right=right) for frame, right in enumerate(rights)]
    assert choose_sides(sightings, WIDTH, first_person=True).tolist() == [1] * 44


def test_a_hand_that_is_followed_becomes_another_one_if_it_long_says_so():
    sides = most_probable_sides(np.array([3.0] * 60 + [-3.0] * 60))
    assert sides.tolist() == [1] * 60 + [0] * 60


@pytest.mark.parametrize(("left_x", "right_x"), [(200, 400), (100, 300), (400, 600)])
def test_two_hands_of_one_person_are_one_of_each_in_their_order(left_x, right_x):
    sightings = [
        sighting(frame=frame, track=track, x=x, right=0.05, score=0.9)
        for frame in range(5)
        for track, x in enumerate((right_x, left_x))
    ]
    assert choose_sides(sightings, WIDTH, first_person=True).tolist() == [1, 0] * 5


def test_two_left_hands_of_two_people_stay_left():
    sightings = [sighting(track=track, x=x, right=0.001) for track, x in enumerate((200, 420))]
    assert choose_sides(sightings, WIDTH, first_person=False).tolist() == [0, 0]


def test_a_detector_that_knows_sides_is_believed():
    assert choose_sides([sighting(x=600, right=0.0, lean=-1.0, told=True)], WIDTH, first_person=True) == [0]


def test_no_hands_have_no_sides():
    assert choose_sides([], WIDTH, first_person=True).shape == (0,)
