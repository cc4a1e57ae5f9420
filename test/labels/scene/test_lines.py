"""Straight edges, off hands, and counted once."""

import cv2
import numpy as np

from firsthand_training.labels.scene.camera import intrinsic_matrix
from firsthand_training.labels.scene.lines import find_edges, lines_in_world

SIZE = (320, 240)


def test_edges_are_found_where_no_hand_is():
    picture = np.full(SIZE[::-1], 200, np.uint8)
    cv2.rectangle(picture, (40, 60), (140, 180), 40, -1)
    cv2.rectangle(picture, (200, 60), (280, 180), 40, -1)
    hidden = np.zeros(SIZE[::-1], bool)
    everywhere = find_edges(picture, hidden, 0.1)
    hidden[:, 180:] = True
    left = find_edges(picture, hidden, 0.1)
    assert len(everywhere) == 8
    assert len(left) == 4
    assert left[..., 0].max() < 150


def test_a_picture_without_edges_has_none():
    assert find_edges(np.full(SIZE[::-1], 90, np.uint8), np.zeros(SIZE[::-1], bool), 0.1).shape == (0, 2, 2)


def test_pieces_of_a_line_and_the_same_line_seen_again_count_once():
    pieces = np.array([[[20.0, 50.0], [80.0, 50.0]], [[120.0, 50.0], [300.0, 50.2]], [[50.0, 20.0], [50.0, 200.0]]])
    lines = lines_in_world([pieces, pieces], np.stack([np.eye(3)] * 2), intrinsic_matrix(250.0, SIZE), 10)
    np.testing.assert_allclose(lines.lengths, [180.0, 180.0], atol=0.1)
    np.testing.assert_allclose(np.linalg.norm(lines.normals, axis=1), 1.0)
    np.testing.assert_allclose((lines.normals * lines.middles).sum(axis=1), 0.0, atol=1e-9)


def test_no_more_lines_than_asked_for_and_the_longest_first():
    ends = np.array([[[20.0, 20.0 * row], [20.0 + 30 * row, 20.0 * row]] for row in range(1, 8)])
    lines = lines_in_world([ends], np.eye(3)[None], intrinsic_matrix(250.0, SIZE), 3)
    np.testing.assert_allclose(lines.lengths, [210.0, 180.0, 150.0])


def test_no_edges_are_no_lines():
    assert len(lines_in_world([np.zeros((0, 2, 2))], np.eye(3)[None], intrinsic_matrix(250.0, SIZE), 3)) == 0
