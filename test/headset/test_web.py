import base64
import json
import shutil
import ssl
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("websockets")
from urllib.request import urlopen

from websockets.sync.client import connect

from firsthand.errors import HeadsetError
from firsthand.headset import view_server
from firsthand.headset.fake_tracking_streamer import device_update
from firsthand.headset.hand_frames import hand_state
from firsthand.headset.hand_motion import GeneratedMotion
from firsthand.headset.view_server import HEAD, ViewServer
from firsthand.headset.web_hands import SIZE, WebHands
from firsthand.teleoperation.settings import TeleoperationSettings

PAGE = Path(__file__).parents[2] / "src" / "firsthand" / "headset" / "page.html"
NODE = shutil.which("node")


def matrices(time=1.0, missing=()):
    """What WebXR says of a wearer, (51, 4, 4), in its own axes."""
    update = device_update(GeneratedMotion("reach").at(time))
    joints = update.wrists[:, None] @ update.joints
    for side in missing:
        joints[side] = np.nan
    return np.concatenate([update.head[None], joints.reshape(50, 4, 4)])


def packed(values):
    return np.ascontiguousarray(np.swapaxes(values, 1, 2)).astype("<f4").tobytes()


@pytest.fixture
def server():
    heard = []
    one = ViewServer(port=0, on_hands=heard.append)
    one.heard = heard
    yield one
    one.stop()


def open_stream(server):
    return connect(f"ws://127.0.0.1:{server.port}/stream", compression=None)


def test_the_page_is_served_and_nothing_else(server):
    with urlopen(f"http://127.0.0.1:{server.port}/") as answer:
        assert answer.headers["Content-Type"].startswith("text/html")
        assert b"through the robot" in answer.read()
    with pytest.raises(OSError, match="404"):
        urlopen(f"http://127.0.0.1:{server.port}/etc/passwd")


def test_a_viewer_is_told_and_shown_the_newest_pair(server):
    server.tell(status="ready")
    server.show(5, b"left picture", b"right one")
    with open_stream(server) as viewer:
        assert json.loads(viewer.recv(timeout=20)) == {"status": "ready"}
        pair = viewer.recv(timeout=20)
        stamp, length = HEAD.unpack_from(pair)
        assert (stamp, pair[12 : 12 + length], pair[12 + length :]) == (5, b"left picture", b"right one")


def test_nothing_queues_for_a_slow_viewer(server, wait):
    with open_stream(server) as viewer:
        viewer.recv(timeout=20)
        server.show(1, b"a", b"b")
        assert HEAD.unpack_from(viewer.recv(timeout=20))[0] == 1
        for stamp in range(2, 50):
            server.show(stamp, b"a", b"b")
        with pytest.raises(TimeoutError):
            viewer.recv(timeout=0.2)
        viewer.send("1")
        assert HEAD.unpack_from(viewer.recv(timeout=20))[0] == 49
        wait(lambda: server.shown == 1, "the word that it was shown")
        assert 0.2 < server.delays()["p50"] < 20


def test_hands_come_from_the_first_who_sends_any(server, wait):
    with open_stream(server) as first, open_stream(server) as second:
        first.send(b"first")
        wait(lambda: server.heard == [b"first"], "hands")
        second.send(b"second")
        first.send(b"again")
        wait(lambda: server.heard == [b"first", b"again"], "hands")
    wait(lambda: server.viewers == 0, "nobody")


def test_hands_of_another_one_are_not_taken_for_those_of_who_has_just_gone(server, wait, monkeypatch):
    """The robot still follows for a moment: whoever else wears a headset must not be given it."""
    with open_stream(server) as first, open_stream(server) as second:
        first.send(b"first")
        wait(lambda: server.heard == [b"first"], "hands")
        first.close()
        wait(lambda: server.viewers == 1, "the end of the first")
        second.recv(timeout=20)
        server.show(1, b"a", b"b")
        assert HEAD.unpack_from(second.recv(timeout=20))[0] == 1
        second.send(b"second")
        second.send("1")
        wait(lambda: server.shown == 1, "the word after the hands")
        assert server.heard == [b"first"]
        server._hands_at -= view_server.HANDS_REST
        second.send(b"later")
        wait(lambda: server.heard == [b"first", b"later"], "hands of the next one")


def test_who_hangs_without_leaving_does_not_keep_others_from_the_robot(server, wait):
    with open_stream(server) as hanging, open_stream(server) as again:
        hanging.send(b"first")
        wait(lambda: server.heard == [b"first"], "hands")
        server._hands_at -= view_server.HANDS_REST
        again.send(b"again")
        wait(lambda: server.heard == [b"first", b"again"], "hands over the new connection")


def test_a_robot_is_given_up_before_another_ones_hands_are_heard():
    settings = TeleoperationSettings()
    assert settings.sample_timeout + settings.resume_time < view_server.HANDS_REST


def test_a_viewer_who_says_too_much_is_sent_away_and_the_others_stay(server, wait):
    with open_stream(server) as rude, open_stream(server) as other:
        rude.send(b"x" * 100_000)
        wait(lambda: server.viewers == 1, "one viewer")
        other.recv(timeout=20)
        server.show(7, b"a", b"b")
        assert HEAD.unpack_from(other.recv(timeout=20))[0] == 7
    assert not server.heard


def test_a_taken_port_and_a_missing_certificate_are_told(server, tmp_path):
    with pytest.raises(HeadsetError, match="cannot listen"):
        ViewServer(port=server.port)
    with pytest.raises(HeadsetError, match="PEM"):
        ViewServer(port=0, certificate=str(tmp_path / "none.pem"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_with_a_certificate_the_page_comes_over_https(tmp_path):
    names = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *subject]
    subprocess.run(command, check=True, capture_output=True)
    server = ViewServer(port=0, certificate=names[3], key=names[1])
    try:
        context = ssl.create_default_context(cafile=names[3])
        with urlopen(f"https://localhost:{server.port}/", context=context) as answer:
            assert answer.status == 200
    finally:
        server.stop()


def test_hands_of_the_page_are_those_of_the_wearer():
    samples = []
    source = WebHands(samples.append)
    source.take(packed(matrices()))
    person = GeneratedMotion("reach").at(1.0)
    np.testing.assert_allclose(samples[0].world_from_head, person.head, atol=1e-3)
    state = hand_state(samples[0], np.eye(4))
    np.testing.assert_allclose(state.wrist_positions, person.wrists[:, :3, 3], atol=1e-3)
    assert samples[0].tracked == (True, True)


@pytest.mark.parametrize("side", [0, 1])
def test_a_hand_that_the_page_does_not_see_is_not_tracked(side):
    samples = []
    WebHands(samples.append).take(packed(matrices(missing=[side])))
    assert samples[0].tracked == (side != 0, side != 1)


def test_hostile_hands_are_refused_and_counted():
    samples = []
    source = WebHands(samples.append)
    for message in (
        b"",
        b"x" * (SIZE - 1),
        b"\xff" * SIZE,
        packed(1e30 * matrices()),
        np.zeros(SIZE // 4, "<f4").tobytes(),
    ):
        source.take(message)
    assert not samples
    assert sum(source.watch.refused.values()) == 5


def test_swapped_hands_are_not_believed():
    samples = []
    source = WebHands(samples.append)
    for k in range(5):
        values = matrices(time=1.0 + k / 90)
        source.take(packed(np.concatenate([values[:1], values[26:], values[1:26]])))
    assert not any(any(sample.tracked) for sample in samples)


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_the_pages_own_code_packs_hands_and_reads_pairs(tmp_path):
    script = PAGE.read_text().split("<script>")[1].split("</script>")[0]
    (tmp_path / "page.js").write_text(script)
    values = [
        np.swapaxes(values, 1, 2).ravel().tolist() for values in (matrices()[:1], matrices()[1:26], matrices()[26:])
    ]
    pair = base64.b64encode(HEAD.pack(1_795_000_000_123_456_789, 3) + b"abcdefgh").decode()
    program = f"""
      const page = require({json.dumps(str(tmp_path / "page.js"))});
      const [head, left, right] = {json.dumps(values)};
      const hand = (numbers) => ({{ size: 25, values: () => numbers }});
      const frame = {{ fillPoses: (joints, space, out) => {{ out.set(joints); return true; }} }};
      const sources = [{{ handedness: "right", hand: hand(right) }}, {{ handedness: "left", hand: hand(left) }}, {{}}];
      const packed = page.packHands(head, page.seenHands(frame, null, sources));
      const bytes = Buffer.from({json.dumps(pair)}, "base64");
      const pair = page.readPair(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
      const lines = page.twoLines("ready: " + "a".repeat(60) + "; not recording");
      console.log(JSON.stringify({{ lines: [...lines, ...page.twoLines("short; one")],
        hands: Buffer.from(packed.buffer).toString("base64"), stamp: pair.stamp.toString(),
        left: Buffer.from(pair.left).toString(), right: Buffer.from(pair.right).toString() }}));
    """
    result = subprocess.run([NODE, "-e", program], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert base64.b64decode(said["hands"]) == packed(matrices())
    assert said["lines"] == [f"ready: {'a' * 60};", "not recording", "short; one"]
    assert (said["stamp"], said["left"], said["right"]) == ("1795000000123456789", "abc", "defgh")
