"""The bytes of every message between computer and robot, as numpy sees them.

Fixed messages (`LOW_CMD`, `LOW_STATE`) are one record each, laid out as C lays out a struct: that is what the checksum
is computed over. In DDS a message is four bytes that say how it is encoded and then its fields in order, each aligned
to its own size; a struct inside has no alignment of its own. So the `mode` of the first motor slips into the gap
before it, and all else stays where C has it. Messages of the hands carry sequences, each its length and then its
elements.

Records are written and read at once: a LowState with its 35 motors takes microseconds instead of hundreds of them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import WireError
from firsthand.robot.unitree.crc import crc32_of_words

Record = NDArray[Any]
"""One message: a structured array without axes."""

MOTOR_SLOTS = 35
LITTLE_ENDIAN_ENCODINGS = (0x01, 0x07)  # plain CDR, and its second edition: the same for fields of up to four bytes
HEADER = bytes((0, LITTLE_ENDIAN_ENCODINGS[0], 0, 0))
FINGERS = 6

MOTOR_CMD = np.dtype(
    [("mode", "u1"), ("q", "<f4"), ("dq", "<f4"), ("tau", "<f4"), ("kp", "<f4"), ("kd", "<f4"), ("reserve", "<u4")],
    align=True,
)
"""unitree_hg MotorCmd_: mode 1 enables, 0 is limp; torque = tau + kp (q - measured) + kd (dq - measured velocity)."""

LOW_CMD = np.dtype(
    [
        ("mode_pr", "u1"),
        ("mode_machine", "u1"),
        ("motor_cmd", MOTOR_CMD, MOTOR_SLOTS),
        ("reserve", "<u4", 4),
        ("crc", "<u4"),
    ],
    align=True,
)
"""unitree_hg LowCmd_, on rt/lowcmd and rt/arm_sdk."""

IMU_STATE = np.dtype(
    [
        ("quaternion", "<f4", 4),  # wxyz
        ("gyroscope", "<f4", 3),
        ("accelerometer", "<f4", 3),
        ("rpy", "<f4", 3),
        ("temperature", "<i2"),
    ],
    align=True,
)

MOTOR_STATE = np.dtype(
    [
        ("mode", "u1"),
        ("q", "<f4"),
        ("dq", "<f4"),
        ("ddq", "<f4"),
        ("tau_est", "<f4"),
        ("temperature", "<i2", 2),
        ("vol", "<f4"),
        ("sensor", "<u4", 2),
        ("motorstate", "<u4"),
        ("reserve", "<u4", 4),
    ],
    align=True,
)

LOW_STATE = np.dtype(
    [
        ("version", "<u4", 2),
        ("mode_pr", "u1"),
        ("mode_machine", "u1"),
        ("tick", "<u4"),
        ("imu_state", IMU_STATE),
        ("motor_state", MOTOR_STATE, MOTOR_SLOTS),
        ("wireless_remote", "u1", 40),
        ("reserve", "<u4", 4),
        ("crc", "<u4"),
    ],
    align=True,
)
"""unitree_hg LowState_, on rt/lowstate."""

HAND_MOTOR_CMD = np.dtype(
    [("mode", "u1"), ("q", "<f4"), ("dq", "<f4"), ("tau", "<f4"), ("kp", "<f4"), ("kd", "<f4"), ("reserve", "<u4", 3)],
    align=True,
)
"""unitree_go MotorCmd_, in sequences: MotorCmds_ on rt/inspire/cmd."""

HAND_MOTOR_STATE = np.dtype(
    [
        ("mode", "u1"),
        ("q", "<f4"),
        ("dq", "<f4"),
        ("ddq", "<f4"),
        ("tau_est", "<f4"),
        ("q_raw", "<f4"),
        ("dq_raw", "<f4"),
        ("ddq_raw", "<f4"),
        ("temperature", "u1"),
        ("lost", "<u4"),
        ("reserve", "<u4", 2),
    ],
    align=True,
)
"""unitree_go MotorState_, in sequences: MotorStates_ on rt/inspire/state."""

SHORTS, BYTES = np.dtype("<i2"), np.dtype("u1")
TOUCH_HAND_CMD: dict[str, np.dtype[Any]] = {
    "pos_set": SHORTS,
    "angle_set": SHORTS,
    "force_set": SHORTS,
    "speed_set": SHORTS,
}
"""The sequences of inspire_hand_ctrl; one byte `mode` follows them: 1 angle, 2 position, 4 force, 8 speed."""
TOUCH_HAND_STATE: dict[str, np.dtype[Any]] = {
    "pos_act": SHORTS, "angle_act": SHORTS, "force_act": SHORTS, "current": SHORTS,
    "err": BYTES, "status": BYTES, "temperature": BYTES,
}  # fmt: skip
"""The sequences of inspire_hand_state."""


_GAPS = {LOW_CMD: 2, LOW_STATE: 70}
"""Where the bytes that C leaves out before the first motor begin; two of them here, three more behind its mode."""


# Fixed messages


def blank(layout: np.dtype[Any]) -> Record:
    """A message with every byte zero, padding included."""
    return np.zeros((), dtype=layout)


def seal(message: Record) -> Record:
    """Put the checksum of everything else into a message's `crc`."""
    message["crc"] = checksum(message)
    return message


def checksum(message: Record) -> int:
    """What a message's `crc` should be; it is the last field."""
    return crc32_of_words(message.tobytes()[:-4])


def encode(message: Record) -> bytes:
    """A fixed message as DDS carries it."""
    data, gap = message.tobytes(), _GAPS[message.dtype]
    return b"".join((HEADER, data[:gap], data[gap + 2 : gap + 3], b"\0", data[gap + 6 :]))


def decode(payload: bytes, layout: np.dtype[Any]) -> Record:
    """A fixed message out of what DDS carried.

    Raises:
        WireError: It is of another length or in another encoding.
    """
    body, gap = _body(payload), _GAPS[layout]
    if len(body) < layout.itemsize - 4:
        raise WireError(f"a message of {len(body)} bytes where {layout.itemsize - 4} were expected")
    data = b"".join((body[:gap], b"\0\0", body[gap : gap + 1], b"\0\0\0", body[gap + 2 :]))
    return np.frombuffer(data, dtype=layout, count=1)[0]


# Messages with sequences


def encode_sequence(elements: Record) -> bytes:
    """A message that is one sequence of records, (n,): MotorCmds_, MotorStates_."""
    return HEADER + np.uint32(len(elements)).tobytes() + elements.tobytes()


def decode_sequence(payload: bytes, layout: np.dtype[Any], count: int) -> Record:
    """The records, (count,), of a message that is one sequence.

    Raises:
        WireError: It is cut off, in another encoding, or has another number of records.
    """
    body = _body(payload)
    found, _ = _sequence(body, 0, layout)
    if len(found) != count:
        raise WireError(f"a sequence of {len(found)} motors where {count} were expected")
    return found


def encode_touch_hand(
    fields: Mapping[str, NDArray[np.integer]], layout: dict[str, np.dtype[Any]], mode: int | None
) -> bytes:
    """A message of the FTP hand: its sequences in order, and `mode` where the message has one."""
    body = bytearray()
    for name, element in layout.items():
        values = np.asarray(fields.get(name, ()), dtype=element)
        body += bytes(-len(body) % 4) + np.uint32(len(values)).tobytes() + values.tobytes()
    if mode is not None:
        body += np.int8(mode).tobytes()
    return HEADER + bytes(body) + bytes(-len(body) % 4)


def decode_touch_hand(payload: bytes, layout: dict[str, np.dtype[Any]]) -> tuple[dict[str, NDArray[Any]], int]:
    """The sequences of a message of the FTP hand, and the byte behind them (0 if there is none).

    Raises:
        WireError: It is cut off, in another encoding, or a sequence has more elements than a hand has fingers.
    """
    body, at = _body(payload), 0
    fields = {}
    for name, element in layout.items():
        fields[name], at = _sequence(body, at, element)
        if len(fields[name]) > FINGERS:
            raise WireError(f"{name} has {len(fields[name])} elements; a hand has {FINGERS} motors")
    return fields, int.from_bytes(body[at : at + 1], "little", signed=True)


def _sequence(body: bytes, start: int, layout: np.dtype[Any]) -> tuple[Record, int]:
    """The elements of the sequence that begins at or behind `start`, and where it ends."""
    start += -start % 4
    if len(body) < start + 4:
        raise WireError(f"a message of {len(body)} bytes ends before its sequence at {start}")
    count = int.from_bytes(body[start : start + 4], "little")
    end = start + 4 + count * layout.itemsize
    if len(body) < end:
        raise WireError(f"a sequence of {count} elements does not fit into a message of {len(body)} bytes")
    return np.frombuffer(body, dtype=layout, count=count, offset=start + 4), end


def _body(payload: bytes) -> bytes:
    if len(payload) < 4 or payload[0] != 0 or payload[1] not in LITTLE_ENDIAN_ENCODINGS:
        raise WireError(f"a message in an encoding that no H1-2 uses: it begins with {payload[:4].hex() or 'nothing'}")
    return payload[4:]
