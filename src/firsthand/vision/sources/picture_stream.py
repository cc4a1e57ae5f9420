"""Stereo pictures as a camera sends them over USB, through a connection on this machine: what fake cameras speak.

YUYV 4:2:2 with both views side by side and a monotonic stamp for each frame, in NUT over TCP: `vision/sources/uvc.py`
reads it like a device, from FFmpeg's demuxer on.
"""

import contextlib
import select
import socket
from fractions import Fraction
from types import TracebackType

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import CameraError

Picture = NDArray[np.uint8]

HOST = "127.0.0.1"  # never the network: what is sent is nobody else's
SEND_TIMEOUT = 1.0  # [s]; a reader that takes nothing for so long is gone
MICROSECOND = Fraction(1, 1_000_000)  # [s]


class PictureServer:
    """Waits for readers and serves one at a time.

    Args:
        port: On this machine; 0 takes a free one.
        width: Of one view, [px].
        height: Of one view, [px].
        rate: That is announced, [Hz].

    Raises:
        CameraError: The port is taken.
    """

    def __init__(self, port: int, width: int, height: int, rate: float) -> None:
        self._size, self._rate = (width, height), rate
        try:
            self._server = socket.create_server((HOST, port))
        except OSError as error:
            raise CameraError(f"cannot serve pictures on port {port}: {error}") from error

    @property
    def address(self) -> str:
        """What a reader opens."""
        return f"tcp://{HOST}:{self._server.getsockname()[1]}"

    def accept(self, timeout: float) -> "PictureStream | None":
        """The next reader, or None if none has come after `timeout`, [s]."""
        self._server.settimeout(timeout)
        try:
            connection, _ = self._server.accept()
        except TimeoutError:
            return None
        try:
            return PictureStream(connection, *self._size, self._rate)
        except (OSError, av.FFmpegError):  # it has gone already
            connection.close()
            return None

    def close(self) -> None:
        """Take no more readers."""
        self._server.close()


class PictureStream:
    """One reader: NUT into its socket; every packet carries its stamp. Use it in `with`: a reader that goes ends it."""

    def __init__(self, connection: socket.socket, width: int, height: int, rate: float) -> None:
        connection.settimeout(SEND_TIMEOUT)
        self._connection = connection
        self._container = av.open(self, "w", format="nut", options={"write_index": "0", "fflags": "flush_packets"})
        self._stream = self._container.add_stream("rawvideo", rate=Fraction(rate).limit_denominator(1000))
        self._stream.width, self._stream.height, self._stream.pix_fmt = 2 * width, height, "yuyv422"
        self._stream.codec_context.time_base = self._stream.time_base = MICROSECOND
        self._container.start_encoding()  # the reader learns what will come before the first picture does

    def __enter__(self) -> "PictureStream":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        """Close the connection; that the reader has gone is no error."""
        with contextlib.suppress(OSError, av.FFmpegError):  # the trailer does not reach a reader that is gone
            self._container.close()
        self._connection.close()
        return isinstance(error, (OSError, av.FFmpegError))

    @property
    def closed(self) -> bool:
        """Whether the reader has gone; it never sends anything."""
        readable, _, _ = select.select([self._connection], [], [], 0)
        return bool(readable)

    def write(self, data: bytes) -> int:
        """What PyAV calls."""
        self._connection.sendall(data)
        return len(data)

    def send(self, picture: Picture, stamp: int) -> None:
        """Send a picture.

        Args:
            picture: (H, 2 W, 2) YUYV.
            stamp: When it was taken, on the monotonic clock, [us].

        Raises:
            OSError, av.FFmpegError: The reader is gone.
        """
        packet = av.Packet(picture)
        packet.stream, packet.time_base, packet.is_keyframe = self._stream, MICROSECOND, True
        packet.pts = packet.dts = stamp
        self._container.mux(packet)


def as_yuyv(left: Picture, right: Picture) -> Picture:
    """(H, 2 W, 2) YUYV of two views (H, W, 3) RGB; W is even."""
    return cv2.cvtColor(np.hstack([left, right]), cv2.COLOR_RGB2YUV_YUYV)
