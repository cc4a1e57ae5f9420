"""A fake headset on loopback and a reader of it; and a wearer whose truth is known."""

import time

import pytest

from firsthand.headset.fake_tracking_streamer import FakeTrackingStreamer
from firsthand.headset.hand_motion import GeneratedMotion

TIMEOUT = 20.0  # [s], generous: it only passes when a test fails


def wait_for(condition, what="the condition"):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"waited {TIMEOUT} s in vain for {what}"
        time.sleep(0.005)


@pytest.fixture
def wait():
    """Waits for facts."""
    return wait_for


@pytest.fixture
def serve():
    """Makes fake headsets on free ports of loopback."""
    pytest.importorskip("grpc")
    servers = []

    def make(motion=None, **options):
        server = FakeTrackingStreamer(motion or GeneratedMotion("reach"), **{"port": 0, **options})
        servers.append(server)
        server.start()
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def listen():
    """Makes readers; each keeps what it heard in `.samples`."""
    pytest.importorskip("grpc")
    from firsthand.headset.tracking_streamer import TrackingStreamer

    readers = []

    def make(server, **options):
        samples = []
        reader = TrackingStreamer(f"127.0.0.1:{server.port}", samples.append, **options)
        reader.samples = samples
        readers.append(reader)
        reader.start()
        return reader

    yield make
    for reader in readers:
        reader.stop()
