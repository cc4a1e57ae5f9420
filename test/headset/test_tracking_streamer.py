import subprocess
import sys

import numpy as np
import pytest

from firsthand.errors import HeadsetError
from firsthand.headset.fake_tracking_streamer import Fault
from firsthand.headset.hand_frames import hand_state
from firsthand.headset.hand_motion import GeneratedMotion, RecordedMotion
from firsthand.headset.hands_sample import HandsSample
from firsthand.headset.recording import load_recording, save_recording
from firsthand.headset.tracking_streamer import TrackingStreamer, _with_port

LONG = 1e6  # [s]


def now(server, name, duration=LONG):
    """A fault from this moment on."""
    server.faults = (Fault(name, server.time, duration),)


def test_samples_come_stamped_in_order_and_are_what_the_wearer_did(serve, listen, wait):
    server = serve(GeneratedMotion("still"), rate=200)
    reader = listen(server)
    wait(lambda: len(reader.samples) > 30, "samples")
    stamps = [sample.stamp_ns for sample in reader.samples]
    assert stamps == sorted(stamps)
    assert reader.samples[-1].tracked == (True, True)
    expected = hand_state(reader.samples[0], np.eye(4)).wrist_positions
    true = GeneratedMotion("still").at(0.0).wrists[:, :3, 3]
    np.testing.assert_allclose(expected, true, atol=0.05)


def test_repeated_messages_are_dropped_and_counted(serve, listen, wait):
    reader = listen(serve(repeats=3, rate=60))
    wait(lambda: len(reader.samples) > 20, "samples")
    assert reader.watch.duplicates >= 1.5 * len(reader.samples)
    heads = [sample.world_from_head.tobytes() for sample in reader.samples]
    assert len(set(heads)) == len(heads)


def test_a_frozen_headset_is_silent(serve, listen, wait):
    server = serve()
    reader = listen(server)
    wait(lambda: reader.samples, "samples")
    now(server, "freeze")
    wait(lambda: reader.watch.duplicates > 5, "duplicates")
    count, messages = len(reader.samples), reader.messages
    wait(lambda: reader.messages > messages + 20, "more messages")
    assert len(reader.samples) == count


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_wrist_that_stands_still_to_the_last_bit_is_not_tracked(serve, listen, wait, side):
    server = serve()
    reader = listen(server)
    wait(lambda: reader.samples, "samples")
    now(server, f"lose_{side}", 2.0)
    expected = (side != "left", side != "right")
    wait(lambda: reader.samples[-1].tracked == expected, "a lost hand")
    assert np.isnan(reader.samples[-1].world_from_joints[("left", "right").index(side)]).all()
    wait(lambda: reader.samples[-1].tracked == (True, True), "the hand again")


@pytest.mark.parametrize(("fault", "reason"), [("absent_left", "absent"), ("jump_left", "jumped")])
def test_a_hand_that_cannot_be_is_not_tracked(serve, listen, wait, fault, reason):
    server = serve()
    reader = listen(server)
    wait(lambda: reader.samples, "samples")
    now(server, fault)
    wait(lambda: reader.watch.untracked[0][reason], reason)
    assert not reader.watch.untracked[1]


def test_swapped_hands_are_not_tracked(serve, listen, wait):
    server = serve(faults=(Fault("swap", 0.0, LONG),))
    reader = listen(server)
    wait(lambda: len(reader.samples) > 10, "samples")
    assert not any(any(sample.tracked) for sample in reader.samples)
    assert reader.watch.untracked[0]["backwards"] == reader.watch.untracked[1]["backwards"] == len(reader.samples)


@pytest.mark.parametrize(
    ("fault", "why"), [("nan", "not finite"), ("zeros", "another library version"), ("garbage", "none")]
)
def test_hostile_messages_are_refused_and_counted_and_the_good_ones_go_on(serve, listen, wait, fault, why):
    server = serve()
    reader = listen(server)
    wait(lambda: reader.samples, "samples")
    now(server, fault, 0.5)
    wait(lambda: sum(reader.watch.refused.values()) > 5, "refusals")
    assert why in reader.watch.last_error
    count = len(reader.samples)
    wait(lambda: len(reader.samples) > count + 10, "good samples again")
    assert all(np.isfinite(sample.world_from_head).all() for sample in reader.samples)


@pytest.mark.parametrize("fault", ["end", "die", "silence"])
def test_a_stream_that_breaks_is_taken_up_again(serve, listen, wait, fault):
    server = serve()
    reader = listen(server)
    wait(lambda: reader.samples, "samples")
    now(server, fault, 1.2)
    wait(lambda: server.time > server.faults[0].start + 0.2, "the fault")
    count = len(reader.samples)
    wait(lambda: len(reader.samples) > count + 10, "samples again")
    assert reader.connections >= 2


def test_a_headset_that_comes_back_after_its_death_is_found(serve, listen, wait):
    server = serve()
    reader = listen(server)
    wait(lambda: reader.samples, "samples")
    server.stop()
    wait(lambda: "connecting" in reader.state, "a reader that knows")
    count = len(reader.samples)
    serve(port=server.port)
    wait(lambda: len(reader.samples) > count + 10, "samples of the new one")


def test_who_is_not_there_is_waited_for_and_stopping_does_not_take_long(serve, wait):
    reader = TrackingStreamer("127.0.0.1:9", lambda sample: None)
    reader.start()
    wait(lambda: "unavailable" in reader.state, "a refused connection")
    reader.stop()
    assert not reader._reader.is_alive()


def test_an_error_of_whoever_takes_samples_is_told_and_ends_the_reader(serve, wait):
    errors = []
    server = serve()
    reader = TrackingStreamer(f"127.0.0.1:{server.port}", lambda sample: 1 / 0, on_error=errors.append)
    reader.start()
    wait(lambda: errors, "the error")
    assert isinstance(errors[0], ZeroDivisionError)
    reader.stop()


@pytest.mark.parametrize("address", ["", "host:", ":12345", "host:port", "host:0", "host:70000"])
def test_addresses_that_are_none_are_refused(address):
    with pytest.raises(HeadsetError, match=r"192\.168"):
        _with_port(address)


def test_a_recording_is_played_again(serve, listen, wait, tmp_path):
    first = listen(serve(GeneratedMotion("pinch"), rate=200))
    wait(lambda: len(first.samples) > 40, "samples")
    samples = first.samples[:40]
    path = save_recording(samples, tmp_path / "a.npz")
    again = listen(serve(RecordedMotion(load_recording(path))))
    wait(lambda: len(again.samples) > 5, "samples of the recording")
    known = np.array([sample.world_from_joints[..., :3, 3] for sample in samples])  # the axes are the device's own
    for sample in again.samples[:5]:
        assert np.abs(known - sample.world_from_joints[..., :3, 3]).max(axis=(1, 2, 3)).min() < 1e-5


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04broken"])
def test_a_damaged_recording_is_refused(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(HeadsetError, match="recording"):
        load_recording(path)


def test_a_recording_is_refused_before_it_begins_where_it_cannot_be_kept(tmp_path):
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "firsthand.command", "headset", "127.0.0.1:1", "--record"]
    command.append(str(tmp_path / "file" / "session.npz"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_disk_that_is_full_leaves_no_half_recording(tmp_path, monkeypatch):
    samples = [HandsSample(k, np.eye(4), np.tile(np.eye(4), (2, 25, 1, 1)), (True, True)) for k in range(2)]

    def full(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(HeadsetError, match="No space left"):
        save_recording(samples, tmp_path / "session.npz")
    assert not list(tmp_path.iterdir())


def test_a_second_server_on_one_port_is_refused(serve):
    port = serve().port
    with pytest.raises(HeadsetError, match="another headset"):
        serve(port=port)
