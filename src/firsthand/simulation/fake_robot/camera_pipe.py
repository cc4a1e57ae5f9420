"""What the fake robot and the process that renders its camera say to each other.

    robot to camera   records: one byte for what it is, four for how long it is, and the contents
                      S   the name of the scene that stands before the robot from now on
                      Q   number of the request (8 bytes), when (8, [us] on the monotonic clock), every joint (8 each)
    camera to robot   lines: ready ADDRESS FILE | failed WHY | want NUMBER SENT SECONDS | idle

The camera asks for a state when it has sent a picture, so there is never more than one on its way: the robot never
waits for the pipe.
"""

import os
import select
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

SCENE, STATE = b"S", b"Q"
HEADER, STATE_HEADER = struct.Struct("<cI"), struct.Struct("<qq")
LARGEST = 1 << 20  # bytes of contents


def scene_record(name: str) -> bytes:
    """A record that names a scene."""
    contents = name.encode()
    return HEADER.pack(SCENE, len(contents)) + contents


def state_record(number: int, stamp_us: int, qpos: Array) -> bytes:
    """A record of how the scene stands."""
    contents = STATE_HEADER.pack(number, stamp_us) + np.asarray(qpos, dtype="<f8").tobytes()
    return HEADER.pack(STATE, len(contents)) + contents


def read_state(contents: bytes) -> tuple[int, int, Array]:
    """Number of the request, stamp [us] and joints of a `STATE` record."""
    number, stamp_us = STATE_HEADER.unpack_from(contents)
    return number, stamp_us, np.frombuffer(contents, dtype="<f8", offset=STATE_HEADER.size)


class RecordReader:
    """The camera's end of the pipe.

    Attributes:
        ended: Whether the robot has closed its end.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.ended = False

    def next(self, timeout: float) -> tuple[bytes, bytes] | None:
        """The next record (what it is, contents), or None if there is none after `timeout`, [s], or ever again."""
        readable, _, _ = select.select([self._stream], [], [], timeout)
        if not readable:
            return None
        header = self._read(HEADER.size)
        kind, size = HEADER.unpack(header) if header else (b"", 0)
        contents = self._read(size) if size <= LARGEST else b""
        return None if self.ended else (kind, contents)

    def _read(self, size: int) -> bytes:
        """So many bytes, or none at the end."""
        data = b""
        while len(data) < size:
            part = os.read(self._stream.fileno(), size - len(data))
            if not part:
                self.ended = True
                return b""
            data += part
        return data


class LineReader:
    """The robot's end: lines that have come, without waiting.

    Attributes:
        ended: Whether the camera has closed its end.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._descriptor, self._rest = stream.fileno(), b""
        self.ended = False
        os.set_blocking(self._descriptor, False)

    def lines(self) -> Iterator[list[str]]:
        """The words of every line since the last call."""
        try:
            data = os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return
        self.ended = not data
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").split(" ")

    def wait(self, timeout: float) -> None:
        """Until something comes, or for so long, [s]."""
        select.select([self._descriptor], [], [], timeout)
