"""The messages of Tracking Streamer, the app on a Vision Pro that serves head and hands over gRPC (port 12345).

    Matrix4x4    m00 .. m33, floats, fields 1 .. 16, row by row     Skeleton     repeated Matrix4x4 jointMatrices = 1
    Hand         Matrix4x4 wristMatrix = 1, Skeleton skeleton = 2   HandUpdate   Hand left_hand = 1, right_hand = 2,
                                                                                 Matrix4x4 Head = 3

The app answers a HandUpdate with a stream of them. Wrists and head are in ARKit's world, joints in their wrist's frame.
There is no time in them, no number and no word on whether a hand is tracked. The request carries in its head who asks:
m00 = 888, the address in m01 m02 m03 m10, and in m30 the version of the library, without which newer apps send zeros.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from numpy.typing import NDArray

from firsthand.errors import HeadsetError
from firsthand.headset.hands_sample import JOINTS

Array = NDArray[np.floating]

PORT = 12345
SERVICE, METHOD = "handtracking.HandTrackingService", "StreamHandUpdates"
LARGEST = 64 * 1024  # [bytes] of a message; a true one has 5000
LIBRARY_VERSION = 25000.0  # of avp_stream 2.50, as an app of that time wants to hear it
DISCOVERY = 888.0
MATRIX = tuple(f"m{row}{column}" for row in range(4) for column in range(4))


@dataclass(frozen=True)
class HandUpdate:
    """One message, as arrays."""

    head: Array  # (4, 4), headset_from_head
    wrists: Array  # (2, 4, 4), headset_from_wrist, left then right
    joints: Array  # (2, 25, 4, 4), wrist_from_joint


def _build() -> DescriptorPool:
    """Descriptors in a pool of our own: another library's copy of the same names does not meet it."""
    file = FileDescriptorProto(name="handtracking.proto", package="handtracking", syntax="proto3")
    numbers, message, one, many = (
        FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_MESSAGE,
        FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED,
    )  # fmt: skip
    matrix = file.message_type.add(name="Matrix4x4")
    for number, name in enumerate(MATRIX, start=1):
        matrix.field.add(name=name, number=number, type=numbers, label=one)
    for name, fields in (
        ("Skeleton", [("jointMatrices", "Matrix4x4", many)]),
        ("Hand", [("wristMatrix", "Matrix4x4", one), ("skeleton", "Skeleton", one)]),
        ("HandUpdate", [("left_hand", "Hand", one), ("right_hand", "Hand", one), ("Head", "Matrix4x4", one)]),
    ):
        proto = file.message_type.add(name=name)
        for number, (field, kind, label) in enumerate(fields, start=1):
            proto.field.add(name=field, number=number, type=message, label=label, type_name=f".handtracking.{kind}")
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


_HAND_UPDATE = GetMessageClass(_build().FindMessageTypeByName("handtracking.HandUpdate"))
_NUMBERS = operator.attrgetter(*MATRIX)
_NOTHING = (math.nan,) * len(MATRIX)


def write_request(address: str = "127.0.0.1") -> bytes:
    """What asks the app for hands.

    Args:
        address: IPv4 address of this computer, as the headset sees it.
    """
    request = _HAND_UPDATE()
    parts = [float(part) for part in address.split(".")]
    head = [DISCOVERY, *parts[:3], parts[3], 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, LIBRARY_VERSION, 0.0, 0.0, 0.0]
    _fill(request.Head, head)
    return request.SerializeToString()


def write_update(update: HandUpdate) -> bytes:
    """A message as the app sends it; a hand whose joints are NaN goes without them."""
    message = _HAND_UPDATE()
    _fill(message.Head, update.head.ravel().tolist())
    for side, hand in enumerate((message.left_hand, message.right_hand)):
        _fill(hand.wristMatrix, update.wrists[side].ravel().tolist())
        joints = update.joints[side].reshape(-1, 16)
        for joint in joints.tolist() if np.isfinite(joints).all() else ():
            _fill(hand.skeleton.jointMatrices.add(), joint)
    return message.SerializeToString()


def read_update(data: bytes) -> HandUpdate:
    """Read a message. What the numbers are worth is not looked at here; a hand of fewer than 25 joints is all NaN.

    Raises:
        HeadsetError: No such message.
    """
    if len(data) > LARGEST:
        raise HeadsetError(f"expected a message of about 5000 bytes from the headset, got one of {len(data)}")
    message = _HAND_UPDATE()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise HeadsetError(f"expected a HandUpdate, got {len(data)} bytes that are none: {error}") from error
    hands = (message.left_hand, message.right_hand)
    rows: list[Any] = [_NUMBERS(message.Head), *(_NUMBERS(hand.wristMatrix) for hand in hands)]
    for hand in hands:
        joints: Sequence[Message] = hand.skeleton.jointMatrices[: len(JOINTS)]  # beyond are forearm, markers, stylus
        rows += map(_NUMBERS, joints) if len(joints) == len(JOINTS) else [_NOTHING] * len(JOINTS)
    matrices = np.array(rows).reshape(-1, 4, 4)
    return HandUpdate(matrices[0], matrices[1:3], matrices[3:].reshape(2, len(JOINTS), 4, 4))


def _fill(matrix: Any, numbers: Sequence[float]) -> None:
    for name, number in zip(MATRIX, numbers, strict=True):
        setattr(matrix, name, number)
