import struct

import numpy as np
import pytest

from firsthand.errors import HeadsetError
from firsthand.headset.tracking_streamer_messages import HandUpdate, read_update, write_request, write_update

RANDOM = np.random.default_rng(0)


def some_update():
    return HandUpdate(RANDOM.normal(size=(4, 4)), RANDOM.normal(size=(2, 4, 4)), RANDOM.normal(size=(2, 25, 4, 4)))


def matrix_by_hand(matrix):
    """A Matrix4x4 as the wire has it: field 1 to 16, each a little-endian float."""
    fields = enumerate(np.float32(matrix).ravel().tolist(), start=1)
    return b"".join(tag(number, 5) + struct.pack("<f", value) for number, value in fields)


def tag(number, kind):
    key = number << 3 | kind
    return bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])


def piece(number, content):
    size = len(content)
    return tag(number, 2) + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + content


def test_what_is_written_is_read():
    update = some_update()
    again = read_update(write_update(update))
    for name in ("head", "wrists", "joints"):
        np.testing.assert_array_equal(getattr(again, name), np.float32(getattr(update, name)))


def test_bytes_are_those_of_the_field_numbers():
    update = some_update()
    hands = [
        piece(1, matrix_by_hand(update.wrists[side]))
        + piece(2, b"".join(piece(1, matrix_by_hand(joint)) for joint in update.joints[side]))
        for side in (0, 1)
    ]
    by_hand = piece(1, hands[0]) + piece(2, hands[1]) + piece(3, matrix_by_hand(update.head))
    assert write_update(update) == by_hand
    np.testing.assert_array_equal(read_update(by_hand).wrists[0], np.float32(update.wrists[0]))  # field 1 is the left


def test_joints_beyond_the_25th_are_left_aside():
    update = some_update()
    extra = piece(1, matrix_by_hand(np.full((4, 4), 666.0)))
    skeleton = b"".join(piece(1, matrix_by_hand(joint)) for joint in update.joints[1]) + 3 * extra
    hand = piece(1, matrix_by_hand(update.wrists[1])) + piece(2, skeleton)
    again = read_update(write_update(update) + piece(2, piece(2, 3 * extra)))  # a later part appends
    np.testing.assert_array_equal(again.joints[1], np.float32(update.joints[1]))
    assert np.isnan(read_update(piece(2, hand)).joints[0]).all()


def test_a_hand_without_a_skeleton_has_no_numbers():
    update = some_update()
    update.joints[0] = np.nan
    again = read_update(write_update(update))
    assert np.isnan(again.joints[0]).all()
    assert np.isfinite(again.joints[1]).all()


@pytest.mark.parametrize("data", [b"\xff\xff", b"\x0a\x05abc", b"\0" * 70_000])
def test_bytes_that_are_no_message_are_refused(data):
    with pytest.raises(HeadsetError, match="expected a"):
        read_update(data)


def test_the_request_says_who_asks_and_which_version():
    head = read_update(write_request("192.168.1.30")).head
    np.testing.assert_array_equal(head.ravel()[[0, 1, 2, 3, 4, 12]], [888, 192, 168, 1, 30, 25000])
