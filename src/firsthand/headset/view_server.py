"""Shows the robot's two eyes to whoever opens a page, and hears hands from the one who opens it in a headset.

One port serves the page and, under /stream, a WebSocket. A viewer is sent the newest pair of pictures, says when it has
shown it, and is sent the newest then: nothing ever queues, on whatever network, and the time from sending to "shown" is
measured without comparing clocks (it contains the way back). Needs the [headset] extra: websockets.

Hands come as the page packs them, see `web_hands.py`, from one viewer at a time: the first who sends any. Another one
is heard only after that one has said nothing for `HANDS_REST`: longer than a robot waits for the hands that lead it, so
that nobody is given a robot that somebody else has taken.
"""

import json
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from firsthand.errors import HeadsetError

HEAD = struct.Struct("<qI")  # stamp [ns], length of the left picture
PATIENCE = 2.0  # [s] that a viewer may take to show a pair; then the next one is sent anyway
VIEWERS = 4
HANDS_REST = 3.0  # [s]
LARGEST = 8192  # [bytes] that a viewer may say at once; hands have 3264
WINDOW = 1000


class ViewServer:
    """The server.

    Attributes:
        port: That it listens on.
        viewers: How many look on.
        shown: Pairs that viewers have shown.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8012,
        certificate: str = "",
        key: str = "",
        on_hands: Callable[[bytes], None] | None = None,
    ) -> None:
        """Listen.

        Args:
            host: Address; 0.0.0.0 lets other computers in.
            port: 0 takes a free one.
            certificate: PEM file; browsers show both eyes only over https, except on the computer itself.
            key: PEM file of its private key.
            on_hands: Gets what a viewer in a headset says of hands, on that viewer's thread.

        Raises:
            HeadsetError: No such certificate, a taken port, or websockets is not installed.
        """
        try:
            from websockets.sync.server import serve
        except ImportError as error:
            raise HeadsetError(
                "pictures go to the headset over WebSockets: pip install 'firsthand[headset]'"
            ) from error
        self.viewers = self.shown = 0
        self._page = resources.files("firsthand.headset").joinpath("page.html").read_text(encoding="utf-8")
        self._changed = threading.Condition()
        self._pair: tuple[int, bytes] = (0, b"")
        self._told: dict[str, object] = {"status": "no pictures yet"}
        self._stopped = False
        self._on_hands = on_hands
        self._hands_of: _Viewer | None = None
        self._hands_at = float("-inf")  # when that one said anything last, on the monotonic clock
        self._delays: deque[float] = deque(maxlen=WINDOW)
        try:
            options = {"process_request": self._answer, "max_size": LARGEST, "compression": None}
            self._server = serve(self._serve_viewer, host, port, ssl=_tls(certificate, key), **options)
        except OSError as error:
            raise HeadsetError(f"cannot listen on {host}:{port}: {error}") from error
        self.port = int(self._server.socket.getsockname()[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="view_server", daemon=True)
        self._thread.start()

    def show(self, stamp_ns: int, left: bytes, right: bytes) -> None:
        """Offer a pair.

        Args:
            stamp_ns: When it was taken.
            left: JPEG.
            right: JPEG.
        """
        with self._changed:
            self._pair = stamp_ns, HEAD.pack(stamp_ns, len(left)) + left + right
            self._changed.notify_all()

    def tell(self, **news: object) -> None:
        """Tell viewers something: `status`, a line; `fovY` [rad] and `aspect` of the pictures."""
        with self._changed:
            self._told = {**self._told, **news}
            self._changed.notify_all()

    def delays(self) -> dict[str, float]:
        """From being offered to being shown, the way back included: p50, p95, p99, [s]; empty before the first."""
        if not self._delays:
            return {}
        percentiles = np.percentile(tuple(self._delays), [50, 95, 99]).tolist()
        return dict(zip(("p50", "p95", "p99"), percentiles, strict=True))

    def stop(self) -> None:
        """Send everyone away."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join(timeout=3.0)

    def _answer(self, connection: Any, request: Any) -> Any:
        """The page for browsers; nothing for who asks for the stream, which goes on as a WebSocket."""
        if request.path == "/stream":
            crowded = self.viewers >= VIEWERS
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many viewers\n") if crowded else None
        if request.path != "/":
            return connection.respond(HTTPStatus.NOT_FOUND, "there is only / here\n")
        response = connection.respond(HTTPStatus.OK, self._page)
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "text/html; charset=utf-8"
        return response

    def _serve_viewer(self, connection: Any) -> None:
        """Listens to a viewer; another thread sends."""
        from websockets.exceptions import ConnectionClosed

        viewer = _Viewer(connection)
        with self._changed:
            self.viewers += 1
        sender = threading.Thread(target=self._send_what_is_new, args=(viewer,), name="view_sender", daemon=True)
        sender.start()
        try:
            for said in connection:
                self._hear(viewer, said)
        except ConnectionClosed:
            pass  # without a word; viewers come and go
        finally:
            with self._changed:
                self.viewers -= 1
                viewer.gone = True
                self._changed.notify_all()
            sender.join(timeout=PATIENCE)

    def _hear(self, viewer: "_Viewer", said: str | bytes) -> None:
        if isinstance(said, bytes):
            if self._leads(viewer) and self._on_hands is not None:
                self._on_hands(said)
            return
        with self._changed:
            if said == str(viewer.stamp) and viewer.waits:
                viewer.waits = False
                self.shown += 1
                self._delays.append(time.monotonic() - viewer.sent_at)
                self._changed.notify_all()

    def _leads(self, viewer: "_Viewer") -> bool:
        """Whether it is this viewer's hands that count."""
        with self._changed:
            now = time.monotonic()
            if self._hands_of is not viewer and now - self._hands_at < HANDS_REST:
                return False
            self._hands_of, self._hands_at = viewer, now
            return True

    def _send_what_is_new(self, viewer: "_Viewer") -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._stopped or viewer.gone or self._has_news(viewer), timeout=0.5)
                    if self._stopped or viewer.gone:
                        break
                    told, pair = self._told, self._pair
                    has_news = told is not viewer.told
                    shows_next = self._may_show(viewer)
                    viewer.told = told
                    if shows_next:
                        viewer.stamp, viewer.waits, viewer.sent_at = pair[0], True, time.monotonic()
                if has_news:
                    viewer.connection.send(json.dumps(told))
                if shows_next:
                    viewer.connection.send(pair[1])
        except ConnectionClosed:
            pass
        viewer.connection.close()

    def _has_news(self, viewer: "_Viewer") -> bool:
        return self._told is not viewer.told or self._may_show(viewer)

    def _may_show(self, viewer: "_Viewer") -> bool:
        impatient = time.monotonic() - viewer.sent_at > PATIENCE
        return bool(self._pair[1]) and self._pair[0] != viewer.stamp and (impatient or not viewer.waits)


@dataclass
class _Viewer:
    """One who looks on."""

    connection: Any
    told: object = None
    stamp: int = -1  # of the pair sent last
    waits: bool = False  # for it to be shown
    sent_at: float = float("-inf")  # on the monotonic clock
    gone: bool = False


def _tls(certificate: str, key: str) -> ssl.SSLContext | None:
    if not certificate and not key:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(Path(certificate).expanduser(), Path(key).expanduser() if key else None)
    except (OSError, ssl.SSLError) as error:
        raise HeadsetError(
            f"expected a certificate and its key in PEM files, got {certificate!r}, {key!r}: {error}"
        ) from error
    return context
