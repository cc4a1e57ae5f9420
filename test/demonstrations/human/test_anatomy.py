import numpy as np
import pytest

from firsthand_training.demonstrations.human.anatomy import LOWER, UPPER, Hand
from firsthand_training.demonstrations.human.shapes import SHAPES, angles_of, fingertips_of, tool_of

HAND = Hand(0.186)


def test_a_flat_right_hand_points_forward_with_its_thumb_to_the_left():
    tips = HAND.fingertips(np.zeros((5, 3)))
    assert (tips[1:, 0] > 0.14).all()
    assert (np.abs(tips[1:, 2]) < 0.02).all()
    assert (np.diff(tips[:, 1]) < 0).all()  # thumb leftmost, little finger rightmost
    assert tips[2, 0] == pytest.approx(HAND.length, rel=0.03)


def test_bending_brings_every_fingertip_below_the_palm():
    bent = np.zeros((5, 3))
    bent[:, 1:] = 0.6
    assert (HAND.fingertips(bent)[1:, 2] < HAND.fingertips(np.zeros((5, 3)))[1:, 2] - 0.04).all()


def test_the_opposed_thumb_lies_under_the_palm():
    opposed = np.zeros((5, 3))
    opposed[0, 0] = 1.4
    assert HAND.fingertips(opposed)[0, 2] < -0.07


def test_angles_are_found_again_from_the_fingertips():
    rng = np.random.default_rng(0)
    angles = rng.uniform(LOWER + 0.1, UPPER - 0.1, (20, 5, 3))
    tips = HAND.fingertips(angles)
    found = HAND.solve(tips, angles + rng.uniform(-0.2, 0.2, angles.shape), iterations=10)
    assert np.linalg.norm(HAND.fingertips(found) - tips, axis=-1).max() < 1e-3


def test_what_is_out_of_reach_leaves_the_angles_within_their_limits():
    far = np.tile([0.4, 0.0, 0.0], (5, 1))
    angles = HAND.solve(far, np.zeros((5, 3)), iterations=30)
    assert (angles >= LOWER).all()
    assert (angles <= UPPER).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_named_shapes_are_possible_and_mirrored(shape):
    assert (angles_of(shape) >= LOWER).all()
    assert (angles_of(shape) <= UPPER).all()
    mirror = [1.0, -1.0, 1.0]
    np.testing.assert_array_equal(fingertips_of(HAND, "left", shape), fingertips_of(HAND, "right", shape) * mirror)
    np.testing.assert_array_equal(tool_of(HAND, "left", shape), tool_of(HAND, "right", shape) * mirror)


def test_lengths_grow_with_the_hand():
    assert Hand(0.205).fingertips(np.zeros((5, 3)))[2, 0] > 1.2 * Hand(0.165).fingertips(np.zeros((5, 3)))[2, 0]
