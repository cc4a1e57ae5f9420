"""The headset: can it be reached, does its app answer, do hands come, and at which rate."""

import errno
import socket
import time
from collections.abc import Iterator

from firsthand.doctor.finding import Finding, fail, ok, skip, warn
from firsthand.errors import HeadsetError
from firsthand.headset.hands_sample import HandsSample
from firsthand.headset.tracking_streamer import TrackingStreamer
from firsthand.headset.tracking_streamer_messages import PORT

TIMEOUT = 2.0  # [s]
GOOD_RATE = 30.0  # [Hz]
SILENCE = 0.5  # [s]


def check_headset(address: str, seconds: float) -> Iterator[Finding]:
    """Everything about the headset at an address."""
    if not address:
        yield skip("headset", "none named", "give the address that Tracking Streamer shows: --headset 192.168.1.20")
        return
    reached = check_reached(address)
    yield reached
    if reached.level == "ok":
        yield from check_hands(address, seconds)


def check_reached(address: str, timeout: float = TIMEOUT) -> Finding:
    """Whether something listens at the headset's port."""
    host, _, port = address.partition(":")
    what = f"headset {host}:{port or PORT}"
    if port and not (port.isdecimal() and 0 < int(port) < 65536):
        return fail(what, f"{port!r} is no port", "write it as 192.168.1.20 or 192.168.1.20:12345")
    try:
        socket.create_connection((host, int(port or PORT)), timeout).close()
    except UnicodeError:
        return fail(what, "is no address", "Tracking Streamer shows the right one")
    except ConnectionRefusedError:
        return fail(what, "is on, but nothing listens", "open Tracking Streamer on the headset and press Start")
    except socket.gaierror:
        return fail(what, "is no address", "Tracking Streamer shows the right one")
    except TimeoutError:
        return fail(
            what,
            f"did not answer in {timeout} s",
            "is it awake, and in this network? A guest Wi-Fi keeps devices apart",
        )
    except OSError as error:
        no_way = error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)
        return fail(what, error.strerror or str(error), "join the headset's network" if no_way else "see `ip route`")
    return ok(what, "listens")


def check_hands(address: str, seconds: float) -> Iterator[Finding]:
    """Whether head and both hands come, and how often."""
    samples: list[HandsSample] = []
    arrivals: list[float] = []

    def take(sample: HandsSample) -> None:
        arrivals.append(time.monotonic())
        samples.append(sample)

    try:
        reader = TrackingStreamer(address, take)
    except HeadsetError as error:
        yield fail("hands", str(error), "pip install 'firsthand[headset]'")
        return
    reader.start()
    time.sleep(seconds)
    silence = time.monotonic() - max(arrivals, default=0.0)
    reader.stop()
    if not reader.messages:
        yield fail(
            "hands",
            f"connected, but not one message in {seconds:g} s",
            "press Start in Tracking Streamer, and wear the headset",
        )
        return
    if not samples:
        why = reader.watch.last_error or "every message says the same"
        yield fail(
            "hands",
            f"{reader.messages} messages, none of use: {why}",
            "start Tracking Streamer again, and wear the headset",
        )
        return
    took = arrivals[-1] - arrivals[0]
    if silence > SILENCE:
        yield fail(
            "hands", f"nothing new for {silence:.1f} s", "is the headset worn, the app in front, the Wi-Fi steady?"
        )
        return
    rate = (len(samples) - 1) / took if took > 0 else 0.0  # from the first on: connecting takes a while
    if rate < GOOD_RATE:
        yield warn(
            "hands", f"{rate:.0f} new samples a second", "use 5 GHz Wi-Fi without other load, or the developer strap"
        )
    else:
        yield ok("hands", f"{rate:.0f} new samples a second")
    for side, name in enumerate(("left", "right")):
        yield _seen(name, [sample.tracked[side] for sample in samples], dict(reader.watch.untracked[side]))


def _seen(name: str, tracked: list[bool], faults: dict[str, int]) -> Finding:
    part = sum(tracked) / len(tracked)
    if part > 0.9:
        return ok(f"{name} hand", f"tracked in {part:.0%} of the samples")
    why = ", ".join(f"{fault} {count} times" for fault, count in faults.items())
    advice = "hold it in view of the headset"
    if "backwards" in faults:
        advice = "left and right seem to be swapped; hold both hands in view, palms down"
    return warn(f"{name} hand", f"tracked in {part:.0%} of the samples: {why}", advice)
