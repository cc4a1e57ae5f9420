"""The bytes on the robot's wire: against published checksums, and against what DDS itself makes of the same message."""

import numpy as np
import pytest

from firsthand.errors import WireError
from firsthand.robot.unitree import wire
from firsthand.robot.unitree.crc import crc32_of_words


def bit_by_bit(data):
    """CRC-32/MPEG-2 over 32-bit words, as its definition reads."""
    crc = 0xFFFFFFFF
    for word in np.frombuffer(data, "<u4").tolist():
        for bit in range(31, -1, -1):
            top = (crc >> 31) ^ (word >> bit & 1)
            crc = (crc << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if top else 0)
    return crc


def low_cmd():
    """The second of the two published messages."""
    message = wire.blank(wire.LOW_CMD)
    message["mode_machine"] = 6
    for index in range(27):
        message["motor_cmd"][index] = (1, 0.1 * index, 0, 0, 140, 3, 0)
    return message


def numbered(layout, start=1):
    """A message in which every field has another value."""
    count = iter(range(start, 100000))

    def fill(record):
        for name in record.dtype.names:
            field = record[name]
            if record.dtype[name].names or (record.dtype[name].subdtype and record.dtype[name].subdtype[0].names):
                for one in np.atleast_1d(field) if np.ndim(field) else [field]:
                    fill(one)
            elif np.ndim(field):
                for index in range(len(field)):
                    field[index] = next(count) % 120
            else:
                record[name] = next(count) % 120

    message = wire.blank(layout)
    fill(message)
    return message


def test_checksums_are_the_published_ones():
    assert wire.checksum(wire.blank(wire.LOW_CMD)) == 0xFE172F9F
    assert wire.checksum(low_cmd()) == 0xA73A87B3


@pytest.mark.parametrize("words", [1, 2, 250, 522])
def test_checksums_follow_their_definition(words):
    data = np.random.default_rng(words).bytes(4 * words)
    assert crc32_of_words(data) == bit_by_bit(data)


def test_a_message_is_packed_as_the_sdk_packs_it():
    import struct

    message = low_cmd()
    motors = [value for motor in message["motor_cmd"] for value in motor.tolist()]
    packed = struct.pack("<2B2x" + "B3x5fI" * 35 + "5I", 0, 6, *motors, 0, 0, 0, 0, 0)
    assert message.tobytes() == packed


@pytest.mark.parametrize("layout", [wire.LOW_CMD, wire.LOW_STATE])
def test_messages_come_back_as_they_went(layout):
    message = wire.seal(numbered(layout))
    back = wire.decode(wire.encode(message), layout)
    assert back.tobytes() == message.tobytes()
    assert wire.checksum(back) == back["crc"]


def test_every_bit_counts_for_the_checksum():
    message = wire.seal(numbered(wire.LOW_STATE))
    payload = bytearray(wire.encode(message))
    for position in (6, 20, 74, 500, 2000):
        payload[position] ^= 1
        changed = wire.decode(bytes(payload), wire.LOW_STATE)
        assert wire.checksum(changed) != changed["crc"], position
        payload[position] ^= 1


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "begins with nothing"),
        (b"\0\0\0\0" + bytes(2000), "begins with 00000000"),
        (wire.encode(wire.blank(wire.LOW_CMD)), "1000 bytes where 2088"),
    ],
)
def test_other_bytes_are_refused(payload, why):
    with pytest.raises(WireError, match=why):
        wire.decode(payload, wire.LOW_STATE)


def test_sequences_come_back_as_they_went():
    states = np.zeros(12, wire.HAND_MOTOR_STATE)
    states["q"] = np.linspace(0, 1, 12)
    back = wire.decode_sequence(wire.encode_sequence(states), wire.HAND_MOTOR_STATE, 12)
    np.testing.assert_array_equal(back, states)
    with pytest.raises(WireError, match="12 motors where 6"):
        wire.decode_sequence(wire.encode_sequence(states), wire.HAND_MOTOR_STATE, 6)
    with pytest.raises(WireError, match="does not fit"):
        wire.decode_sequence(wire.encode_sequence(states)[:-40], wire.HAND_MOTOR_STATE, 12)


def test_a_hand_that_claims_a_million_fingers_is_refused():
    payload = wire.HEADER + np.array([1 << 20], "<u4").tobytes() + bytes(100)
    with pytest.raises(WireError, match="does not fit"):
        wire.decode_touch_hand(payload, wire.TOUCH_HAND_STATE)
    seven = wire.encode_touch_hand({"pos_set": np.arange(7)}, wire.TOUCH_HAND_CMD, mode=1)
    with pytest.raises(WireError, match="7 elements"):
        wire.decode_touch_hand(seven, wire.TOUCH_HAND_CMD)


@pytest.mark.parametrize("mode", [1, 15, -1])
def test_touch_hands_come_back_as_they_went(mode):
    fields = {"angle_set": np.array([0, 200, 400, 600, 800, 1000]), "speed_set": np.full(6, -1)}
    back, found = wire.decode_touch_hand(wire.encode_touch_hand(fields, wire.TOUCH_HAND_CMD, mode), wire.TOUCH_HAND_CMD)
    assert found == mode
    assert back["pos_set"].size == 0
    for name, values in fields.items():
        np.testing.assert_array_equal(back[name], values)


# What CycloneDDS makes of the same message


@pytest.fixture(scope="module")
def idl(cyclonedds):
    from firsthand.robot.unitree import idl

    return idl


def as_object(types, record, cls):
    """A record as the object that the DDS binding serialises."""
    values = []
    for name, hint in cls.__annotations__.items():
        value = record[name]
        element = getattr(hint, "__metadata__", (None,))[0]
        nested = getattr(element, "subtype", hint)
        if isinstance(nested, type) and hasattr(nested, "__idl__"):
            many = np.ndim(value) > 0
            value = [as_object(types, one, nested) for one in value] if many else as_object(types, value, nested)
        else:
            value = value.tolist()
        values.append(value)
    return cls(*values)


@pytest.mark.parametrize(("layout", "name"), [(wire.LOW_CMD, "LowCmd"), (wire.LOW_STATE, "LowState")])
def test_fixed_messages_are_byte_for_byte_what_dds_makes(idl, layout, name):
    message = wire.seal(numbered(layout))
    assert wire.encode(message) == as_object(idl, message, getattr(idl, name)).serialize()


@pytest.mark.parametrize(
    ("layout", "element", "whole"),
    [(wire.HAND_MOTOR_CMD, "GoMotorCmd", "MotorCmds"), (wire.HAND_MOTOR_STATE, "GoMotorState", "MotorStates")],
)
def test_sequences_are_byte_for_byte_what_dds_makes(idl, layout, element, whole):
    elements = np.array([numbered(layout, 1 + index) for index in range(12)], dtype=layout)
    objects = [as_object(idl, one, getattr(idl, element)) for one in elements]
    assert wire.encode_sequence(elements) == getattr(idl, whole)(objects).serialize()


def test_touch_hands_are_byte_for_byte_what_dds_makes(idl):
    fields = {"angle_set": np.arange(6), "force_set": np.array([7])}
    ours = wire.encode_touch_hand(fields, wire.TOUCH_HAND_CMD, mode=1)
    theirs = idl.TouchHandCtrl([], list(range(6)), [7], [], 1).serialize()
    assert ours == theirs + bytes(-len(theirs) % 4)
    state = {"angle_act": np.arange(6), "err": np.arange(3), "temperature": np.array([30])}
    theirs = idl.TouchHandState([], list(range(6)), [], [], [0, 1, 2], [], [30]).serialize()
    assert wire.encode_touch_hand(state, wire.TOUCH_HAND_STATE, None) == theirs + bytes(-len(theirs) % 4)
