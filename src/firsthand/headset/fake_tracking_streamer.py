"""A headset that is none: serves Tracking Streamer's messages over gRPC, with the faults that a real one has.

    freeze        everything stands still to the last bit, and is sent on
    silence       nothing is sent, the connection stays open
    end           the stream ends in order, and the next one is accepted
    die           connections break and are refused
    lose_left     the left wrist stands still to the last bit while its fingers play on; lose_right
    absent_left   the left hand is sent without a skeleton; absent_right
    jump_left     the left wrist is half a metre away; jump_right
    swap          left and right change places
    nan, zeros, garbage
                  numbers that are none; a head of zeros, as an app sends them to a library that it finds too old; bytes

A fault lasts from its time on for as long as is said, counted from the start of the server.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import HeadsetError
from firsthand.headset.hand_frames import WORLD_FROM_HEADSET
from firsthand.headset.hand_motion import Motion, Person
from firsthand.headset.tracking_streamer import require_grpc
from firsthand.headset.tracking_streamer_messages import METHOD, PORT, SERVICE, HandUpdate, write_update

Array = NDArray[np.floating]

FAULTS = ("freeze", "silence", "end", "die", "lose_left", "lose_right", "absent_left", "absent_right", "jump_left",
          "jump_right", "swap", "nan", "zeros", "garbage")  # fmt: skip
DEFAULT_DURATION = 1.0  # [s]
LISTENERS = 8

# How the device's wrist axes lie in our wrist frame, left and right: x along the fingers and y out of the back on the
# left, both turned round on the right. Readers must not depend on it.
WRIST_FROM_DEVICE: Array = np.array(
    [
        [[1.0, 0, 0, 0], [0, 0, -1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]],
        [[-1.0, 0, 0, 0], [0, 0, -1.0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1.0]],
    ]
)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, when."""

    name: str
    start: float  # [s] since the server started
    duration: float = DEFAULT_DURATION  # [s]

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise HeadsetError(f"expected a fault of {', '.join(FAULTS)}, got {self.name!r}")


def read_fault(text: str) -> Fault:
    """A fault out of "name@start" or "name@start:duration".

    Raises:
        HeadsetError: It is none.
    """
    name, _, when = text.partition("@")
    start, _, duration = when.partition(":")
    try:
        return Fault(name, float(start), float(duration) if duration else DEFAULT_DURATION)
    except ValueError as error:
        raise HeadsetError(f"expected NAME@TIME[:DURATION] with a name of {', '.join(FAULTS)}, got {text!r}") from error


def device_update(person: Person) -> HandUpdate:
    """A wearer in the device's own axes."""
    from_world = WORLD_FROM_HEADSET.T
    wrists = from_world @ person.wrists @ WRIST_FROM_DEVICE
    to_device = np.swapaxes(WRIST_FROM_DEVICE, 1, 2)
    joints = to_device[:, None] @ person.joints @ WRIST_FROM_DEVICE[:, None]
    return HandUpdate(from_world @ person.head @ WORLD_FROM_HEADSET, wrists, joints)


class FakeTrackingStreamer:
    """The server.

    Attributes:
        port: That it listens on.
        faults: What goes wrong; may be changed while it runs.
        sent: Messages, over all listeners.
    """

    def __init__(
        self,
        motion: Motion,
        *,
        host: str = "127.0.0.1",
        port: int = PORT,
        rate: float = 90.0,
        repeats: int = 1,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        """Prepare; `start` serves.

        Args:
            motion: What the wearer does.
            host: Address to listen on; 0.0.0.0 for everyone.
            port: 0 takes a free one.
            rate: New samples a second, [Hz].
            repeats: How often each is sent: the app sends every 5 ms whatever it has.
            faults: What goes wrong.

        Raises:
            HeadsetError: grpcio is not installed.
        """
        self._grpc = require_grpc()
        self.faults = faults
        self.sent = 0
        self.port = port
        self._motion, self._host, self._period, self._repeats = motion, host, 1 / (rate * repeats), repeats
        self._stopped = threading.Event()
        self._started_at = 0.0
        self._lock = threading.Lock()
        self._held: dict[str, Any] = {}  # what stands still since its fault began
        self._rng = np.random.default_rng(1)

    def start(self) -> None:
        """Serve.

        Raises:
            HeadsetError: The port is taken.
        """
        grpc = self._grpc
        self._server = grpc.server(ThreadPoolExecutor(LISTENERS), options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_stream_rpc_method_handler(self._stream)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        try:
            port = self._server.add_insecure_port(f"{self._host}:{self.port}")
        except RuntimeError as error:
            raise HeadsetError(
                f"cannot listen on {self._host}:{self.port}; is another headset served there?"
            ) from error
        self.port = port
        self._started_at = time.monotonic()
        self._server.start()

    def stop(self) -> None:
        """Hang up on everyone."""
        self._stopped.set()
        self._server.stop(grace=0.2).wait()

    @property
    def time(self) -> float:
        """[s] since the start."""
        return time.monotonic() - self._started_at

    def message(self, now: float) -> bytes | None:
        """What is sent at a time, [s]; None in silence."""
        names = self._names(now)
        with self._lock:
            for name in set(self._held) - names:
                del self._held[name]
            if "silence" in names:
                return None
            if "garbage" in names:
                return self._rng.bytes(200)
            if "freeze" in names:
                return self._hold("freeze", write_update(self._update(now, names)))
            return write_update(self._update(now, names))

    def _update(self, now: float, names: set[str]) -> HandUpdate:
        update = device_update(self._motion.at(now))
        wrists, joints = np.array(update.wrists), np.array(update.joints)
        for side, name in enumerate(("left", "right")):
            if f"lose_{name}" in names:
                wrists[side] = self._hold(f"lose_{name}", wrists[side].copy())
            if f"jump_{name}" in names:
                wrists[side, :3, 3] += [0.3, 0.2, -0.35]
        order = [1, 0] if "swap" in names else [0, 1]
        head = np.zeros((4, 4)) if "zeros" in names else np.array(update.head)
        if "nan" in names:
            head[0, 0] = wrists[0, 1, 1] = np.nan
        for side, name in enumerate(("left", "right")):
            if f"absent_{name}" in names:
                joints[side] = np.nan
        return HandUpdate(head, wrists[order], joints[order])

    def _hold(self, name: str, value: Any) -> Any:
        return self._held.setdefault(name, value)

    def _names(self, now: float) -> set[str]:
        return {fault.name for fault in self.faults if fault.start <= now < fault.start + fault.duration}

    def _stream(self, _request: bytes, context: Any) -> Iterator[bytes]:
        """Messages for one listener, at absolute times."""
        due = time.monotonic()
        number, data = 0, None
        while not self._stopped.wait(max(due - time.monotonic(), 0.0)) and context.is_active():
            names = self._names(self.time)
            if "die" in names:
                context.abort(self._grpc.StatusCode.UNAVAILABLE, "the headset is gone")
            if "end" in names:
                return
            if number % self._repeats == 0:
                data = self.message(self.time)
            if data is not None:
                yield data
                self.sent += 1
            number += 1
            due = max(due + self._period, time.monotonic() - 5 * self._period)
