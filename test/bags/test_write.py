import shutil
import threading

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader

from firsthand.bags.storage import BagSettings
from firsthand.bags.write import BagWriter, Topic
from firsthand.errors import BagError


def test_rosbags_reads_it_back(bag, make):
    with AnyReader([bag]) as reader:
        counts = {topic: info.msgcount for topic, info in reader.topics.items()}
        assert counts == {
            "/left/color/rect/image/compressed": 50,
            "/right/color/rect/image/compressed": 50,
            "/joint_states": 500,
            "/robot_description": 1,
        }
        joints = [c for c in reader.connections if c.topic == "/joint_states"]
        for tick, (connection, stamp, raw) in enumerate(reader.messages(joints)):
            message = reader.deserialize(raw, connection.msgtype)
            np.testing.assert_array_equal(message.position, np.full(26, float(tick)))
            assert stamp == make.start + tick * 4_000_000 + 3_000_000


def test_mcap_tools_read_it_back(bag):
    with open(bag / "run_0.mcap", "rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()], validate_crcs=True)
        summary = reader.get_summary()
        assert summary.statistics.message_count == 601
        assert {schema.encoding for schema in summary.schemas.values()} == {"ros2msg"}
        assert reader.get_header().profile == "ros2"
        decoded = list(reader.iter_decoded_messages(topics=["/joint_states"]))
    assert [message.sequence for _, _, message, _ in decoded] == list(range(500))
    assert decoded[7][3].position[0] == 7.0


def test_latched_topics_offer_transient_local(bag):
    with Reader(bag) as reader:
        durability = {c.topic: c.ext.offered_qos_profiles[0].durability.name for c in reader.connections}
    assert durability.pop("/robot_description") == "TRANSIENT_LOCAL"
    assert set(durability.values()) == {"VOLATILE"}


@pytest.mark.parametrize(("version", "kind"), [(9, list), (8, str)])
def test_metadata_speaks_the_distribution_asked_for(tmp_path, make, version, kind):
    with BagWriter(tmp_path / "run", make.topics, BagSettings(version=version)) as writer:
        make.fill(writer, seconds=0.1)
    information = yaml.safe_load((tmp_path / "run/metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert information["version"] == version
    assert information["message_count"] == 32
    assert information["duration"]["nanoseconds"] == 24 * 4_000_000 + 3_000_000
    topic = information["topics_with_message_count"][2]["topic_metadata"]
    assert isinstance(topic["offered_qos_profiles"], kind)
    assert topic["type_description_hash"].startswith("RIHS01_a13ee3a3")
    with Reader(tmp_path / "run") as reader:
        assert sum(1 for _ in reader.messages()) == 32


def test_a_full_queue_drops_and_counts(tmp_path, make, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr("firsthand.bags.storage.BagFile.tick", lambda self: gate.wait(30) and 0.01)
    writer = BagWriter(tmp_path / "run", make.topics, BagSettings(queue_bytes=100_000))
    taken = [writer.write(make.topics[0].name, make.start + i, make.picture(make.start + i)) for i in range(10)]
    gate.set()
    summary = writer.close()
    assert taken == [True] * 4 + [False] * 6
    assert summary.dropped[make.topics[0].name] == 6
    assert summary.written[make.topics[0].name] == 4
    text = (tmp_path / "run/metadata.yaml").read_text()
    assert yaml.safe_load(text)["rosbag2_bagfile_information"]["custom_data"] == {
        "firsthand.dropped:/left/color/rect/image/compressed": "6"
    }


def test_a_failing_disk_reaches_the_caller(tmp_path, make, monkeypatch):
    def full(self, *arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("firsthand.bags.storage.BagFile.add", full)
    writer = BagWriter(tmp_path / "run", make.topics)
    writer.write("/robot_description", make.start, make.text("x"))
    with pytest.raises(BagError, match=r"No space left.*firsthand recover"):
        writer.close()
    with pytest.raises(BagError, match="No space left"):
        writer.write("/robot_description", make.start, make.text("x"))


def test_a_folder_that_goes_away_is_reported_when_the_bag_is_closed(tmp_path, make):
    writer = BagWriter(tmp_path / "run", make.topics)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(BagError, match=r"writing .*run failed.*firsthand recover"):
        writer.close()
    with pytest.raises(BagError, match="no bag can be made at /proc/nowhere/run"):
        BagWriter("/proc/nowhere/run", make.topics)


def test_bytes_on_disk_are_the_bytes_handed_over(tmp_path, make):
    data = make.joint_state(make.start, np.arange(26))
    with BagWriter(tmp_path / "run", make.topics) as writer:
        writer.write("/joint_states", make.start, data)
    with Reader(tmp_path / "run") as reader:
        assert [raw for _, _, raw in reader.messages()] == [data]


def test_misuse_is_explained(tmp_path, make):
    with pytest.raises(BagError, match="no message type 'sensor_msgs/Joints'"):
        BagWriter(tmp_path / "a", [Topic("/joints", "sensor_msgs/Joints")])
    assert not (tmp_path / "a").exists()
    with pytest.raises(BagError, match="each named once"):
        BagWriter(tmp_path / "a", [make.topics[0], make.topics[0]])
    with BagWriter(tmp_path / "a", make.topics) as writer:
        with pytest.raises(BagError, match="'/odom' was not announced; this bag records /left"):
            writer.write("/odom", 0, b"")
        with pytest.raises(BagError, match="exists already"):
            BagWriter(tmp_path / "a", make.topics)
    with pytest.raises(BagError, match="is closed"):
        writer.write("/joint_states", 0, b"")
