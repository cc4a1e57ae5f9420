"""Reads a Vision Pro's Tracking Streamer: one thread that connects, listens, and connects again, whatever happens.

`avp_stream`, the library that comes with the app, takes over the process's signals, keeps every sample for ever and
never reconnects; this reader is our own (needs the [headset] extra: grpcio). It sends no keep-alive pings: the app's
server answers them with GOAWAY.
"""

import socket
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from firsthand.errors import HeadsetError
from firsthand.headset.hand_frames import head_from_headset, joints_from_headset
from firsthand.headset.hands_sample import HandsSample
from firsthand.headset.one_instant import OneInstant
from firsthand.headset.tracking_streamer_messages import (
    LARGEST,
    METHOD,
    PORT,
    SERVICE,
    read_update,
    write_request,
)
from firsthand.headset.tracking_watch import TrackingWatch, WatchSettings

STALL = 0.5  # [s] without a message after which the connection is made anew
FIRST_MESSAGE = 5.0  # [s]; the app may be waiting for its wearer to press Start
PAUSES = (0.05, 0.1, 0.25, 0.5, 1.0)  # [s] between attempts; the last one is repeated
STOP_TIMEOUT = 3.0  # [s]


def require_grpc() -> ModuleType:
    """The module grpc.

    Raises:
        HeadsetError: It is not installed.
    """
    try:
        import grpc
    except ImportError as error:
        raise HeadsetError("a Vision Pro is read over gRPC: pip install 'firsthand[headset]'") from error
    return grpc


class TrackingStreamer:
    """Hands every believed sample to a function, on a thread of its own.

    Attributes:
        watch: What was refused and which hands were not tracked, counted.
        connections: How often a stream began.
        messages: How many came in all.
        state: What the reader is doing, in words.
    """

    def __init__(
        self,
        address: str,
        on_sample: Callable[[HandsSample], None],
        *,
        lead: float = 0.0,
        now_ns: Callable[[], int] = time.time_ns,
        settings: WatchSettings | None = None,
        on_error: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Prepare; `start` connects.

        Args:
            address: Of the headset, "192.168.1.20" or "192.168.1.20:12345".
            on_sample: Called for each sample, on the reader's thread.
            lead: How far the app predicts the hands ahead of the head, [s].
            now_ns: The clock that stamps what arrives.
            settings: Of the checks.
            on_error: Gets what `on_sample` raised, after which the reader has ended.

        Raises:
            HeadsetError: No such address, or grpcio is not installed.
        """
        self._grpc = require_grpc()
        self.address = _with_port(address)
        self.watch = TrackingWatch(settings)
        self.connections = self.messages = 0
        self.state = "not started"
        self._on_sample, self._now_ns, self._on_error = on_sample, now_ns, on_error
        self._instant = OneInstant(lead)
        self._stopped = threading.Event()
        self._heard_at = 0.0  # on the monotonic clock
        self._call: Any = None
        self._reader = threading.Thread(target=self._run, name="tracking_streamer", daemon=True)
        self._guard = threading.Thread(target=self._end_stalls, name="tracking_streamer_guard", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._reader.start()
        self._guard.start()

    def stop(self) -> None:
        """Hang up; safe to call twice."""
        self._stopped.set()
        self._hang_up()
        for thread in (self._reader, self._guard):
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(STOP_TIMEOUT)
        self.state = "stopped"

    def _run(self) -> None:
        try:
            attempt = 0
            while not self._stopped.is_set():
                messages = self.messages
                self._listen()
                attempt = 0 if self.messages > messages else attempt + 1
                self._stopped.wait(PAUSES[min(attempt, len(PAUSES) - 1)])
        except BaseException as error:  # nothing may end this thread unnoticed
            self.state = f"ended: {error}"
            if self._on_error is None:
                raise
            self._on_error(error)

    def _listen(self) -> None:
        """One connection, from its beginning to its end."""
        self.state = f"connecting to {self.address}"
        options = [
            ("grpc.max_receive_message_length", LARGEST),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),  # a new connection each time, not one that failed a moment ago
        ]
        with self._grpc.insecure_channel(self.address, options=options) as channel:
            ask = channel.unary_stream(f"/{SERVICE}/{METHOD}", request_serializer=None, response_deserializer=None)
            self._heard_at = time.monotonic() + FIRST_MESSAGE - STALL
            self._call = call = ask(write_request(_own_address(self.address)))
            try:
                if self._stopped.is_set():
                    return
                for number, message in enumerate(call):
                    self._heard_at = time.monotonic()
                    self.connections += number == 0
                    self.messages += 1
                    self.state = "listening"
                    self.take(message)
                self.state = "the headset ended the stream; connecting again"
            except self._grpc.RpcError as error:
                self.state = f"{error.code().name.lower()}: {error.details()}; connecting again"
            finally:
                self._call = None
                call.cancel()

    def take(self, message: bytes) -> None:
        """What is done with a message; the thread calls it, and whoever has messages from elsewhere may."""
        stamp_ns = self._now_ns()
        try:
            update = read_update(message)
        except HeadsetError as error:
            self.watch.refuse("no message", str(error))
            return
        with np.errstate(all="ignore"):  # numbers of any size may come; the watch looks at what they give
            head, wrists = head_from_headset(update.head), joints_from_headset(update.wrists)
            joints = wrists[:, None] @ update.joints
        try:
            sample = self.watch.look(stamp_ns, head, wrists, joints)
        except HeadsetError:
            return  # counted by the watch
        if sample is not None:
            self._on_sample(self._instant.align(sample))

    def _end_stalls(self) -> None:
        """A connection may go silent and stay open: hang up, so that the reader connects anew."""
        while not self._stopped.wait(STALL / 5):
            if self._call is not None and time.monotonic() - self._heard_at > STALL:
                self._hang_up()

    def _hang_up(self) -> None:
        call = self._call
        if call is not None:
            call.cancel()


def _with_port(address: str) -> str:
    host, colon, port = address.strip().rpartition(":")
    if not colon:
        host, port = port, str(PORT)
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise HeadsetError(f"expected the headset's address such as 192.168.1.20 or 127.0.0.1:{PORT}, got {address!r}")
    return f"{host}:{port}"


def _own_address(peer: str) -> str:
    """The address by which the headset can reach this computer; no packet is sent."""
    host, _, port = peer.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, int(port)))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
