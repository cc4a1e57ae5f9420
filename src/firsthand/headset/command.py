"""The commands `firsthand headset` and `firsthand fake-headset`."""

import argparse
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from firsthand.errors import HeadsetError
from firsthand.headset.fake_tracking_streamer import FAULTS, FakeTrackingStreamer, read_fault
from firsthand.headset.hand_motion import GESTURES, MOTIONS, read_gesture
from firsthand.headset.hands_sample import HandsSample
from firsthand.headset.recording import check_writable, make_motion, save_recording
from firsthand.headset.tracking_streamer import TrackingStreamer
from firsthand.headset.tracking_streamer_messages import PORT

T = TypeVar("T")

FAKE = """Serve hands as a Vision Pro with Tracking Streamer does, without one.

The same gRPC messages at the same rate, so whatever reads the app reads this: `firsthand launch teleop`, or avp_stream.

  firsthand fake-headset                                  both hands reach about at 90 Hz, on this computer only
  firsthand fake-headset --motion pinch --do clutch@2     pinches; takes the clutch after 2 s, so that a robot follows
  firsthand fake-headset --motion session.npz             a recording made with `firsthand headset --record`
  firsthand fake-headset --fault freeze@10 --fault lose_left@20:3     what headsets do on bad days"""

SHOW = """Look at a headset: is it there, how fast is it, which hands does it see?

Start Tracking Streamer on the Vision Pro; it shows the address to give here. A line a second says what came; with
--record the samples go to a file that `firsthand fake-headset --motion FILE` plays. Ctrl-C ends it."""


def add_fake_headset_command(parser: argparse.ArgumentParser) -> None:
    """Arguments of `firsthand fake-headset`."""
    parser.description, parser.formatter_class = FAKE, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--motion", default="reach", help=f"{', '.join(MOTIONS)}, or a recording's file; default reach")
    parser.add_argument(
        "--do", type=_argument(read_gesture), action="append", default=[], metavar="GESTURE@TIME",
        help=f"a gesture ({', '.join(GESTURES)}) at a time, [s]; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--fault", type=_argument(read_fault), action="append", default=[], metavar="NAME@TIME[:DURATION]",
        help=f"one of {', '.join(FAULTS)}, at a time for so long, [s]; may be given several times",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets other computers in")
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}, the app's")
    parser.add_argument("--rate", type=float, default=90.0, help="new samples a second, [Hz]; default 90")
    parser.add_argument("--repeats", type=int, default=1, help="how often each is sent; the app repeats itself: 2")
    parser.set_defaults(run=run_fake_headset)


def add_headset_command(parser: argparse.ArgumentParser) -> None:
    """Arguments of `firsthand headset`."""
    parser.description, parser.formatter_class = SHOW, argparse.RawDescriptionHelpFormatter
    parser.add_argument("address", help=f"of the headset, such as 192.168.1.20 or 127.0.0.1:{PORT}")
    parser.add_argument("--seconds", type=float, default=0.0, help="end after so long; 0: at Ctrl-C")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the samples here, .npz")
    parser.set_defaults(run=run_headset)


def run_fake_headset(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    if not 1 <= options.rate <= 1000 or not 1 <= options.repeats <= 10:
        raise HeadsetError(
            f"expected a rate of 1 to 1000 Hz and 1 to 10 repeats, got {options.rate}, {options.repeats}"
        )
    server = FakeTrackingStreamer(
        make_motion(options.motion, tuple(options.do)), host=options.host, port=options.port, rate=options.rate,
        repeats=options.repeats, faults=tuple(options.fault),
    )  # fmt: skip
    server.start()
    print(f"serves hands on {options.host}:{server.port} at {options.rate:g} Hz; Ctrl-C ends it", flush=True)
    _until_stopped(0.0)
    server.stop()
    print(f"sent {server.sent} messages")
    return 0


def run_headset(options: argparse.Namespace) -> int:
    """Print a line a second, and write what came."""
    if options.record is not None:
        check_writable(options.record)
    samples: list[HandsSample] = []
    last: list[HandsSample] = []

    def take(sample: HandsSample) -> None:
        last[:] = [sample]
        samples.append(sample)

    reader = TrackingStreamer(options.address, take)
    reader.start()
    taken = 0

    def report() -> None:
        nonlocal taken
        print(_line(reader, len(samples) - taken, last), flush=True)
        taken = len(samples)
        if options.record is None:
            samples.clear()
            taken = 0

    try:
        _until_stopped(options.seconds, report)
    finally:
        reader.stop()
    if options.record is None:
        return 0 if last else 1
    if not samples:
        raise HeadsetError(f"nothing to record: {reader.address} sent no sample that could be used")
    print(save_recording(samples, options.record))
    return 0


def _line(reader: TrackingStreamer, fresh: int, last: list[HandsSample]) -> str:
    if not fresh:
        return f"nothing new: {reader.watch.last_error or reader.state}"
    hands = [name if last[0].tracked[side] else f"no {name}" for side, name in enumerate(("left", "right"))]
    watch = reader.watch
    counts = f"repeated {watch.duplicates}, refused {sum(watch.refused.values())}"
    return f"{fresh:4d} Hz   {hands[0]:>8} {hands[1]:<9} {counts}"


def _until_stopped(seconds: float, every_second: object = None) -> None:
    """Wait for SIGINT or SIGTERM, or so long."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    end = time.monotonic() + seconds if seconds > 0 else float("inf")
    while not stop.wait(min(1.0, max(end - time.monotonic(), 0.0))):
        if callable(every_second):
            every_second()
        if time.monotonic() >= end:
            return


def _argument(read: Callable[[str], T]) -> Callable[[str], T]:
    """For argparse, which shows the text of its own errors only."""

    def convert(text: str) -> T:
        try:
            return read(text)
        except HeadsetError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert
