"""Drawings of chunks show the positions that the chunk has, in the robot frame."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from rclpy.serialization import serialize_message
from visualization_msgs.msg import Marker

from firsthand.nodes.markers import write_chunk_markers
from firsthand.space.hand_state import HandState, orthonormalize


def by_name(message):
    return {(marker.ns, marker.id): marker for marker in message.markers}


def points(marker):
    return np.array([[p.x, p.y, p.z] for p in marker.points])


def test_lines_follow_wrists_and_fingertips():
    actions = orthonormalize(np.random.default_rng(0).normal(size=(28, 54)))
    states = HandState.from_vector(actions)
    markers = by_name(write_chunk_markers(actions, 5))
    assert len(markers) == 14
    np.testing.assert_allclose(points(markers["right/wrist", 0]), states.wrist_positions[:, 1])
    np.testing.assert_allclose(points(markers["left/fingertips", 4]), states.fingertips_in_robot[:, 0, 4])
    hand = points(markers["left/hand", 0])
    np.testing.assert_allclose(hand[::2], np.tile(states.wrist_positions[-1, 0], (5, 1)))
    np.testing.assert_allclose(hand[1::2], states.fingertips_in_robot[-1, 0])


def test_markers_are_what_viewers_draw():
    for marker in write_chunk_markers(np.zeros((3, 54)), 5).markers:
        assert marker.header.frame_id == "eyes_gravity"
        assert marker.pose.orientation.w == 1.0
        assert marker.scale.x > 0
        assert marker.type in (Marker.LINE_STRIP, Marker.LINE_LIST)
        assert marker.colors == [] or len(marker.colors) == len(marker.points)
        assert serialize_message(marker)
