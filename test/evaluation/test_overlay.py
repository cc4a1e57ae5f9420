import numpy as np

from firsthand.space.frames import inverse
from firsthand.space.hand_state import LEFT_WRIST_POSITION, SIZE, WRIST_POSITIONS
from firsthand.vision.intrinsics import Intrinsics
from firsthand_training.evaluation.overlay import COLORS, Eye, draw_chunk

# An eye at the origin that looks along +x of the robot frame: optical z forward, x right, y down.
ROBOT_FROM_CAMERA = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
EYE = Eye(Intrinsics(320, 180, 160.0, 160.0, 159.5, 89.5, 0.06), inverse(ROBOT_FROM_CAMERA))


def chunk(left_y):
    actions = np.zeros((5, SIZE))
    actions[:, [0, 4, 6, 10, 12, 16]] = 1.0
    actions[:, WRIST_POSITIONS] = [1.0, 0.0, 0.0, 1.0, -0.3, 0.0]
    actions[:, LEFT_WRIST_POSITION] = np.stack([np.full(5, 1.0), left_y, np.zeros(5)], axis=1)
    return actions


def test_a_point_to_the_left_is_drawn_to_the_left():
    np.testing.assert_allclose(EYE.project(np.array([2.0, 0.5, 0.25])), [159.5 - 40, 89.5 - 20])


def test_the_left_hand_is_drawn_in_its_colour_where_it_goes():
    black = np.zeros((180, 320, 3), np.uint8)
    drawn = draw_chunk(black, EYE, chunk(np.linspace(0.1, 0.4, 5)))
    end = EYE.project(np.array([1.08, 0.4, 0.0])).round().astype(int)  # 8 cm along the fingers, at the last action
    red, _, blue = drawn[end[1], end[0]]
    assert blue > red, COLORS
    assert black.max() == 0  # the input is left alone
    assert drawn[:, 200:220].max() > 0  # the right hand, at y = -0.3


def test_hands_behind_the_eye_draw_nothing():
    actions = chunk(np.zeros(5))
    actions[:, [18, 21]] = -1.0
    assert draw_chunk(np.zeros((180, 320, 3), np.uint8), EYE, actions).max() == 0


def test_a_chunk_at_its_end_leaves_the_picture_alone():
    image = np.full((180, 320, 3), 7, np.uint8)
    np.testing.assert_array_equal(draw_chunk(image, EYE, chunk(np.zeros(5))[:1]), image)
