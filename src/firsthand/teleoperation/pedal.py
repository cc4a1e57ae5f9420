"""A USB foot pedal, read as the kernel tells it: such a pedal is a keyboard with one to three keys.

The device in /dev/input sends `struct input_event` (linux/input.h): time, type, code, value. Whatever is uncertain is a
released pedal: a device that is unplugged, events that the kernel dropped, a key that was down before anybody looked.
"""

import fcntl
import os
import select
import struct
import threading
from collections.abc import Callable

from firsthand.errors import LaunchError

EVENT = struct.Struct("llHHi")  # seconds, microseconds, type, code, value
SYNC, KEY = 0x00, 0x01  # types
DROPPED = 3  # the code of a SYNC after which the kernel has left events out
UP, DOWN = 0, 1  # values of a KEY; 2 is a repetition
GRAB = 0x40044590  # EVIOCGRAB: nobody else gets what the pedal types
AT_ONCE = 64 * EVENT.size  # [bytes]
POLL, RETRY = 0.1, 0.5  # [s]
STOP_TIMEOUT = 2.0  # [s]


class Pedal:
    """Knows whether the pedal is down; finds a pedal that was unplugged again.

    Attributes:
        state: What the reader is doing, in words.
    """

    def __init__(
        self,
        path: str,
        on_change: Callable[[bool], None],
        *,
        on_error: Callable[[BaseException], None],
        grab: bool = True,
    ) -> None:
        """Prepare; `start` reads.

        Args:
            path: Of the device, such as /dev/input/by-id/usb-...-event-kbd.
            on_change: Is told whether the pedal is down, on the reader's thread.
            on_error: Gets what ended that thread.
            grab: Whether to keep what the pedal types from the window that has the keyboard.
        """
        self.state = "not started"
        self._path, self._on_change, self._on_error, self._grab = path, on_change, on_error, grab
        self._down: set[int] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pedal", daemon=True)

    @property
    def pressed(self) -> bool:
        """Whether any of its keys is down."""
        return bool(self._down) and self._thread.is_alive()

    def start(self) -> None:
        """Begin to read.

        Raises:
            LaunchError: There is no such device, this user may not read it, or it is no input device.
        """
        self._device = self._open()
        self._thread.start()

    def stop(self) -> None:
        """Let go of the device; safe to call twice."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT)

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._listen(self._device)
                self._release()
                while not self._stopped.wait(RETRY):
                    try:
                        self._device = self._open()
                        break
                    except LaunchError as error:
                        self.state = str(error)
        except BaseException as error:  # nothing may end this thread unnoticed
            self._on_error(error)

    def _listen(self, device: int) -> None:
        """Until the device goes away, or the end."""
        self.state = "listening"
        try:
            while not self._stopped.is_set():
                if not select.select([device], [], [], POLL)[0]:
                    continue
                data = os.read(device, AT_ONCE)
                if not data or len(data) % EVENT.size:
                    break
                self._hear(data)
        except OSError as error:
            self.state = f"{self._path}: {error.strerror}"
        finally:
            os.close(device)

    def _hear(self, data: bytes) -> None:
        was_down = bool(self._down)
        for _, _, kind, code, value in EVENT.iter_unpack(data):
            if kind == KEY and value == DOWN:
                self._down.add(code)
            elif kind == KEY and value == UP:
                self._down.discard(code)
            elif kind == SYNC and code == DROPPED:
                self._down.clear()
        if bool(self._down) != was_down:
            self._on_change(bool(self._down))

    def _release(self) -> None:
        if self._down:
            self._down.clear()
            self._on_change(False)

    def _open(self) -> int:
        try:
            device = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        except PermissionError as error:
            raise LaunchError(f"{self._path} may not be read; put this user into the group `input`") from error
        except OSError as error:
            raise LaunchError(
                f"no pedal at {self._path!r}: {error.strerror}; `ls /dev/input/by-id` names what there is"
            ) from error
        try:
            if self._grab:
                fcntl.ioctl(device, GRAB, 1)
        except OSError as error:
            os.close(device)
            why = "somebody else has taken it" if isinstance(error, BlockingIOError) else error.strerror
            raise LaunchError(f"{self._path} is no input device of ours: {why}") from error
        return device
