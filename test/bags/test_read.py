import shutil

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg

from firsthand.bags.read import open_bag
from firsthand.errors import BagError


def test_messages_come_decoded_in_time_order(bag):
    with open_bag(bag) as opened:
        messages = list(opened.messages())
        assert len(messages) == opened.message_count == 601
    stamps = [message.stamp_ns for message in messages]
    assert stamps == sorted(stamps)
    joints = [message.message for message in messages if message.topic == "/joint_states"]
    np.testing.assert_array_equal(joints[3].position, np.full(26, 3.0))
    assert joints[0].name[:2] == ["joint_0", "joint_1"]


def test_topics_and_times_are_selected(bag, make):
    with open_bag(bag) as opened:
        middle = make.start + 1_000_000_000
        early = list(opened.raw_messages(["/joint_states"], end_ns=middle))
        late = list(opened.raw_messages(["/joint_states"], start_ns=middle))
    assert len(early) + len(late) == 500
    assert max(raw.stamp_ns for raw in early) < middle <= min(raw.stamp_ns for raw in late)


def test_capture_stamps_are_read_without_decoding(bag):
    with open_bag(bag) as opened:
        for raw in opened.raw_messages(["/joint_states"]):
            assert opened.header_stamp_ns(raw) == raw.stamp_ns - 3_000_000
        (text,) = opened.raw_messages(["/robot_description"])
        assert opened.header_stamp_ns(text) is None


def test_what_the_bag_holds(bag, make):
    with open_bag(bag) as opened:
        info = opened.topics["/robot_description"]
        assert (info.type, info.count, info.latched) == ("std_msgs/msg/String", 1, True)
        assert not opened.topics["/joint_states"].latched
        assert opened.start_ns == make.start
        assert opened.end_ns == make.start + 499 * 4_000_000 + 3_000_000


def test_topics_are_found_with_and_without_slash_or_namespace(tmp_path, make):
    from firsthand.bags.write import BagWriter, Topic

    names = ["/h1/joint_states", "/h1/clock", "/h2/clock"]
    with BagWriter(tmp_path / "run", [Topic(name, "sensor_msgs/msg/JointState") for name in names]):
        pass
    with open_bag(tmp_path / "run") as opened:
        assert opened.find_topic("joint_states") == "/h1/joint_states"
        assert opened.find_topic("/h2/clock") == "/h2/clock"
        with pytest.raises(BagError, match="has 2 topics 'clock'"):
            opened.find_topic("clock")
        with pytest.raises(BagError, match="has no topic 'states'; it has /h1/clock, "):
            opened.find_topic("states")
        assert (opened.message_count, opened.start_ns, list(opened.messages())) == (0, 0, [])


@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_foreign_bags_with_their_own_messages(tmp_path, make, plugin):
    make.store.register(get_types_from_msg("float64 force\nstring finger", "tactile_msgs/msg/Touch"))
    touch = make.store.types["tactile_msgs/msg/Touch"](force=2.5, finger="index")
    with Writer(tmp_path / "foreign", version=8, storage_plugin=plugin) as writer:
        connection = writer.add_connection("/touch", "tactile_msgs/msg/Touch", typestore=make.store)
        writer.write(connection, 42, make.store.serialize_cdr(touch, touch.__msgtype__))
    with open_bag(tmp_path / "foreign") as opened:
        (message,) = opened.messages()
    assert (message.stamp_ns, message.message.force, message.message.finger) == (42, 2.5, "index")


def test_a_bare_mcap_file_opens(bag):
    with open_bag(bag / "run_0.mcap") as opened:
        assert opened.message_count == 601


def test_no_bag_is_said(tmp_path):
    with pytest.raises(BagError, match="no bag at"):
        open_bag(tmp_path / "nothing")
    with pytest.raises(BagError, match="neither metadata"):
        open_bag(tmp_path)


def test_a_cut_bag_names_the_cure(bag):
    (bag / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=r"cut off while recording.*firsthand recover"):
        open_bag(bag)


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("bare", [False, True])
def test_truncated_files_never_show_a_foreign_error(bag, keep, bare):
    path = bag / "run_0.mcap"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(BagError, match="firsthand recover"), open_bag(path if bare else bag) as opened:
        list(opened.messages())


@pytest.mark.parametrize(
    "text", ["", "{", "rosbag2_bagfile_information: 3", "rosbag2_bagfile_information: {version: 99}"]
)
def test_garbage_in_metadata_is_named(bag, text):
    (bag / "metadata.yaml").write_text(text)
    with pytest.raises(BagError, match="cannot be read"):
        open_bag(bag)


def test_bytes_of_another_type_are_named(tmp_path, make):
    from firsthand.bags.write import BagWriter

    with BagWriter(tmp_path / "run", make.topics) as writer:
        writer.write("/joint_states", make.start, make.joint_state(make.start, [1.0])[:20])
    with open_bag(tmp_path / "run") as opened, pytest.raises(BagError, match="20 bytes on /joint_states are no sensor"):
        list(opened.messages())


def test_a_missing_storage_file_is_named(bag):
    shutil.move(bag / "run_0.mcap", bag / "elsewhere")
    with pytest.raises(BagError, match="missing"):
        open_bag(bag)
