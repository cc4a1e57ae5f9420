"""Episodes one after the other: nothing is overwritten or deleted, and a disk that fails is said and survived."""

from pathlib import Path

import pytest

from firsthand.bags.card import CARD, EpisodeCard, read_card, write_card
from firsthand.bags.find import find_bags
from firsthand.bags.read import open_bag
from firsthand.bags.session import RecordingSession
from firsthand.bags.write import Topic
from firsthand.errors import BagError

TOPICS = [Topic("/joint_states", "sensor_msgs/msg/JointState")]


@pytest.fixture
def session(tmp_path):
    return RecordingSession(TOPICS, tmp_path)


def record(session, make, count=3):
    path = session.start()
    for i in range(count):
        session.write("/joint_states", make.start + i, make.joint_state(make.start + i, [0.0]))
    return path


def count(path):
    with open_bag(path) as bag:
        return bag.message_count


def test_each_episode_is_a_bag_of_its_own(session, make):
    first, second = record(session, make), (session.stop(), record(session, make, 5))[1]
    session.stop()
    assert first != second
    assert [count(path) for path in find_bags([first.parent])] == [3, 5]


def test_the_state_follows(session, make):
    assert session.state.word == "ready"
    session.set_task("push the box")
    path = record(session, make)
    assert str(session.state) == f"recording: {path} (push the box)"
    session.stop()
    assert str(session.state).startswith(f"ready: {path} (push the box): 3 messages")
    assert session.judge(path, "good")
    assert session.state.text.endswith("; good")
    assert not session.judge(path.with_name("another"), "good")


def test_the_card_is_there_from_the_first_moment_and_follows(session, make):
    session.set_task("push the box")
    path = record(session, make)
    assert read_card(path) == EpisodeCard(task="push the box")
    session.set_task("push it back")
    assert session.set_label("success") == path
    session.stop()
    session.set_label(" failure\t")
    assert read_card(path) == EpisodeCard("push it back", "failure")


@pytest.mark.parametrize("text", ["\x1b[2J", "line\nbreak", "x" * 501, "\x00"])
def test_words_that_are_none_are_refused(session, make, text):
    path = record(session, make)
    with pytest.raises(BagError, match="printable characters"):
        session.set_label(f"a{text}a")
    with pytest.raises(BagError, match="printable characters"):
        session.set_task(f"a{text}a")
    session.stop()
    assert read_card(path) == EpisodeCard()


@pytest.mark.parametrize("content", ["", "[]", '{"task": 3}', '{"tusk": ""}', "{", '{"label": "\\u0007"}'])
def test_a_damaged_card_is_said(session, make, content):
    path = record(session, make)
    session.stop()
    (path / CARD).write_text(content)
    with pytest.raises(BagError):
        read_card(path)


def test_discarding_moves_the_episode_in_progress_or_the_last_one(session, make):
    path = record(session, make)
    kept = session.discard()
    assert kept == path.parent / "discarded" / path.name
    assert count(kept) == 3
    record(session, make)
    session.stop()
    session.discard()
    with pytest.raises(BagError, match="no bags"):
        find_bags([path.parent])
    with pytest.raises(BagError, match="no episode to discard"):
        session.discard()
    with pytest.raises(BagError, match="no episode to label"):
        session.set_label("success")


def test_an_episode_that_cannot_be_moved_is_still_the_last_one(session, make):
    path = record(session, make)
    blocker = path.parent / "discarded"
    blocker.write_text("a file where the folder should be")
    with pytest.raises(BagError, match="cannot be moved"):
        session.discard()
    assert session.last == path
    blocker.unlink()
    assert count(session.discard()) == 3


def test_a_disk_that_goes_away_ends_the_recording_and_is_said(tmp_path, make):
    gone = []

    def free(path):
        if gone:
            raise OSError(19, "No such device")
        return 1000

    session = RecordingSession(TOPICS, tmp_path, free=free)
    record(session, make)
    gone.append(True)
    assert session.watch()
    assert str(session.state).startswith("failed: the disk has gone: No such device")
    gone.clear()
    record(session, make)


def test_a_named_bag_goes_on_with_the_next_name_that_is_free(tmp_path, make):
    (tmp_path / "bag_2").mkdir()
    session = RecordingSession(TOPICS, tmp_path, tmp_path / "bag")
    names = []
    for _ in range(3):
        names.append(record(session, make).name)
        session.stop()
    assert names == ["bag", "bag_3", "bag_4"]


def test_two_discarded_ones_of_one_name_both_stay(tmp_path, make):
    for messages in (1, 2):
        session = RecordingSession(TOPICS, tmp_path, tmp_path / "bag")
        record(session, make, messages)
        session.discard()
    assert [count(tmp_path / "discarded" / name) for name in ("bag", "bag_2")] == [1, 2]


def test_a_disk_without_room_is_refused_before_the_start(tmp_path):
    session = RecordingSession(TOPICS, tmp_path, reserve=200, free=lambda path: 100)
    with pytest.raises(BagError, match="only 0 MB are left"):
        session.start()
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_ends_the_recording_in_good_order(tmp_path, make):
    free = [1000]
    session = RecordingSession(TOPICS, tmp_path, reserve=200, free=lambda path: free[0])
    path = record(session, make)
    assert not session.watch()
    free[0] = 100
    assert session.watch()
    assert session.state.word == "failed"
    assert "were left on the disk: finished" in session.state.text
    assert count(path) == 3
    assert "left on the disk" in read_card(path).problem
    free[0] = 1000
    record(session, make)
    assert session.state.word == "recording"


def test_a_disk_that_fails_is_noticed_and_counted(session, make, monkeypatch):
    path = record(session, make, 0)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session._writer._file._writer, "flush", fail)
    for i in range(10):
        session.write("/joint_states", make.start + i, make.joint_state(make.start + i, [0.0]))
    session._writer._thread.join()
    session.write("/joint_states", make.start + 10, make.joint_state(make.start, [0.0]))
    assert session.watch()
    assert session.state.word == "failed"
    assert "No space left on device" in session.state.text
    assert session.state.text.endswith("11 messages are lost")
    assert read_card(path).problem
    assert session.stop() is None


def test_a_card_is_replaced_at_once(tmp_path):
    write_card(tmp_path, EpisodeCard("a"))
    write_card(tmp_path, EpisodeCard("b"))
    assert read_card(tmp_path) == EpisodeCard("b")
    assert [path.name for path in tmp_path.iterdir()] == [CARD]
    assert read_card(Path("/nowhere/bag")) is None


def test_bags_are_found_at_any_depth_and_a_recovered_one_counts_once(tmp_path, make):
    for name in ("a/run", "b/c/run", "b/c/run_recovered"):
        session = RecordingSession(TOPICS, tmp_path, tmp_path / name)
        record(session, make)
        session.stop()
    assert find_bags([tmp_path]) == [tmp_path / "a/run", tmp_path / "b/c/run_recovered"]
    assert find_bags([tmp_path / "a/run", tmp_path / "a"]) == [tmp_path / "a/run"]
    with pytest.raises(BagError, match="no bag at"):
        find_bags([tmp_path / "nowhere"])
