import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import Writer
from rosbags.rosbag2 import Reader

from firsthand.bags.read import open_bag
from firsthand.bags.recover import recover_bag
from firsthand.bags.storage import BagSettings
from firsthand.bags.write import BagWriter
from firsthand.errors import BagError

RECORDER = """
    import sys, time
    sys.path.insert(0, {folder!r})
    from conftest import TOPICS, BagWriter, joint_state, picture
    writer = BagWriter({path!r}, TOPICS)
    start = time.monotonic_ns()
    for tick in range(10**9):
        time.sleep(max(0.0, tick * 0.004 - (time.monotonic_ns() - start) / 1e9))
        now = time.monotonic_ns()
        if tick % 10 == 0:
            writer.write(TOPICS[0].name, now, picture(now))
            writer.write(TOPICS[1].name, now, picture(now))
        writer.write("/joint_states", now, joint_state(now, [float(tick)] * 26))
        print(now, flush=True)
"""


def test_a_killed_recorder_loses_less_than_a_second(tmp_path):
    path = tmp_path / "run"
    script = textwrap.dedent(RECORDER.format(folder=str(Path(__file__).parent), path=str(path)))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as recorder:
        for _, line in zip(range(600), recorder.stdout, strict=False):  # 2.4 s
            last = int(line)
        os.kill(recorder.pid, signal.SIGKILL)
        last = max([last, *(int(line) for line in recorder.stdout if line.endswith("\n"))])
    with pytest.raises(BagError, match="firsthand recover"):
        open_bag(path)
    recovery = recover_bag(path)
    with open_bag(recovery.path) as bag:
        joints = [message.message for message in bag.messages(["/joint_states"])]
        lost = (last - bag.end_ns) / 1e9
    print(f"lost {lost:.3f} s, {len(joints)} joint states kept")
    assert lost < 1.0
    assert not recovery.was_whole
    np.testing.assert_array_equal([joint.position[0] for joint in joints], np.arange(len(joints)))
    assert len(joints) > 300


def test_a_channel_without_a_schema_does_not_keep_the_others_from_being_saved(tmp_path, make):
    path = tmp_path / "foreign.v2" / "foreign.v2_0.mcap"
    path.parent.mkdir()
    with open(path, "wb") as stream:
        writer = Writer(stream)
        writer.start()
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data")
        channels = [writer.register_channel(topic, "cdr", id) for topic, id in (("/a", schema), ("/b", 0))]
        for channel in channels:
            writer.add_message(channel, log_time=1, data=b"\x00\x01\x00\x00\x02\x00\x00\x00x\x00", publish_time=1)
        writer.finish()
    recovery = recover_bag(path.parent)
    assert recovery.counts == {"/a": 1}
    assert recovery.path.name == "foreign.v2_recovered"
    assert str(recovery).splitlines()[-1] == str(recovery.path)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9, 0.9999])
def test_every_whole_chunk_is_kept(bag, tmp_path, keep, make):
    path = tmp_path / "small"
    with BagWriter(path, make.topics, BagSettings(chunk_bytes=50_000)) as writer:
        make.fill(writer)
    file = path / "small_0.mcap"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * keep)])
    (path / "metadata.yaml").unlink()
    recovery = recover_bag(path, tmp_path / "saved")
    with open_bag(tmp_path / "saved") as saved, open_bag(bag) as full:
        kept, original = list(saved.raw_messages()), set(full.raw_messages())
    assert set(kept) <= original
    assert len(set(kept)) == len(kept) == sum(recovery.counts.values())
    assert len(kept) >= 601 * keep - 30
    assert recovery.lost_bytes < 60_000


def test_the_saved_bag_is_like_any_other(bag, tmp_path):
    file = bag / "run_0.mcap"
    file.write_bytes(file.read_bytes()[:-1000])
    recovery = recover_bag(file, tmp_path / "saved")
    with open(tmp_path / "saved/saved_0.mcap", "rb") as stream:
        assert make_reader(stream, validate_crcs=True).get_summary().statistics.message_count == 601
    with Reader(tmp_path / "saved") as reader:
        assert reader.message_count == sum(recovery.counts.values()) == 601
        latched = [c for c in reader.connections if c.topic == "/robot_description"]
        assert latched[0].ext.offered_qos_profiles[0].durability.name == "TRANSIENT_LOCAL"
    assert "601 messages over 2.00 s kept" in str(recovery)


def test_a_damaged_chunk_costs_itself_only(tmp_path, make):
    with BagWriter(tmp_path / "run", make.topics, BagSettings(chunk_bytes=50_000)) as writer:
        make.fill(writer)
    file = tmp_path / "run/run_0.mcap"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    recovery = recover_bag(tmp_path / "run")
    assert recovery.damaged_chunks == 1
    assert 560 < sum(recovery.counts.values()) < 601


def test_drops_survive_as_holes_in_the_sequence(tmp_path, make, monkeypatch):
    writer = BagWriter(tmp_path / "run", make.topics)
    for i in range(10):
        writer._settings = BagSettings(queue_bytes=0 if i in (3, 4, 7) else 1 << 20)
        writer.write("/joint_states", make.start + i, make.joint_state(make.start + i, [0.0]))
    writer.close()
    (tmp_path / "run/metadata.yaml").unlink()
    recover_bag(tmp_path / "run")
    with open_bag(tmp_path / "run_recovered") as bag:
        assert bag.topics["/joint_states"].dropped == 3
        assert bag.topics["/joint_states"].count == 7


def test_a_whole_bag_says_so(bag):
    recovery = recover_bag(bag)
    assert recovery.was_whole
    assert recovery.path == bag.with_name("run_recovered")
    assert "nothing was missing" in str(recovery)
    with pytest.raises(BagError, match="exists already"):
        recover_bag(bag)


@pytest.mark.parametrize("content", [b"", b"no mcap at all, but long enough to be one" * 10])
def test_nothing_to_save_is_said(tmp_path, content):
    (tmp_path / "x.mcap").write_bytes(content)
    with pytest.raises(BagError, match="nothing to recover"):
        recover_bag(tmp_path / "x.mcap")
    with pytest.raises(BagError, match="no bag at"):
        recover_bag(tmp_path / "y.mcap")
    (tmp_path / "z.db3").write_bytes(content)
    with pytest.raises(BagError, match="only MCAP bags survive"):
        recover_bag(tmp_path / "z.db3")
