import numpy as np
import pytest

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Float32, String
from trajectory_msgs.msg import MultiDOFJointTrajectory
from visualization_msgs.msg import MarkerArray

from firsthand.errors import CheckpointError
from firsthand.nodes.image_messages import read_compressed_image, write_compressed_image, write_features
from firsthand.nodes.messages import SECOND, read_chunk, write_hand_state
from firsthand.nodes.policy import PolicyNode
from firsthand.nodes.qos import EVERY, LATCHED, PUBLISH
from firsthand.policy.checkpoint import EncoderSpec, load_manifest
from firsthand.policy.surprise import Usual, write_usual
from firsthand.space.hand_state import LEFT_FINGERTIPS, RIGHT_WRIST_POSITION, SIZE, HandState

pytestmark = pytest.mark.ros

FINGERS = LEFT_FINGERTIPS.start
FEATURES = np.zeros((2, 8, 14, 384), np.float32)
MILLISECOND = 1_000_000


def hand_state(height):
    wrists = np.tile(np.eye(4), (2, 1, 1))
    wrists[:, :3, 3] = [[0.3, 0.2, height], [0.3, -0.2, height]]
    return HandState.from_poses(np.eye(3), wrists, np.full((2, 5, 3), 0.1)).to_vector()


class Rig:
    """A policy node between features and hand states that the test sends, and a listener."""

    def __init__(self, ros, checkpoint, **parameters):
        self.ros, self.node, self.chunks, self.markers, self.health = ros, ros.node(), [], [], {}
        self.policy = ros.make(PolicyNode, checkpoint=str(checkpoint), **parameters)
        self.states = self.node.create_publisher(MultiDOFJointTrajectory, "hand_state", PUBLISH)
        self.features = self.node.create_publisher(Image, "features", PUBLISH)
        subscribe = self.node.create_subscription
        subscribe(MultiDOFJointTrajectory, "action_chunk", lambda m: self.chunks.append(read_chunk(m)), EVERY)
        subscribe(MarkerArray, "/policy/markers", self.markers.append, EVERY)
        subscribe(DiagnosticArray, "/diagnostics", self.on_health, EVERY)
        ros.spin_until(self.states.get_subscription_count)
        ros.spin_until(self.features.get_subscription_count)
        ros.spin_until(lambda: self.node.count_publishers("action_chunk"))
        ros.spin_until(self.policy._markers.get_subscription_count)

    @property
    def now_ns(self):
        return self.node.get_clock().now().nanoseconds

    def on_health(self, message):
        self.health |= {status.name: status for status in message.status}

    def measure(self, vector, stamp_ns):
        """Let the node have a hand state."""
        taken = self.policy._states.taken
        self.states.publish(write_hand_state(vector, stamp_ns))
        self.ros.spin_until(lambda: self.policy._states.taken > taken, what="the hand state to be read")

    def see(self, stamp_ns, features=FEATURES):
        self.features.publish(write_features(features, stamp_ns))

    def refusal(self, number=1):
        """Why the node refused features."""
        self.ros.spin_until(lambda: self.policy._features.refused == number, what="a refusal")
        return self.policy._features.last_error


def test_a_chunk_comes_from_the_nearest_hand_state_and_carries_the_observations_stamp(ros, write_checkpoint):
    rig = Rig(ros, write_checkpoint())
    stamp_ns = rig.now_ns
    for offset, height in [(-8, -0.1), (1, -0.2), (9, -0.3)]:
        rig.measure(hand_state(height), stamp_ns + offset * MILLISECOND)
    rig.see(stamp_ns)
    ros.spin_until(lambda: rig.chunks and rig.markers, what="a chunk and its markers")
    chunk = rig.chunks[0]
    assert chunk.stamp_ns == stamp_ns
    assert (chunk.actions.shape, chunk.rate) == ((28, SIZE), 25.0)
    expected = np.tile(hand_state(-0.2), (28, 1))
    expected[:, RIGHT_WRIST_POSITION.start + 1] += 0.002 * np.arange(1, 29)
    np.testing.assert_allclose(chunk.actions, expected, atol=1e-6)


def test_without_a_hand_state_near_the_features_nothing_is_sent(ros, write_checkpoint):
    rig = Rig(ros, write_checkpoint(), max_state_gap=0.02)
    stamp_ns = rig.now_ns
    rig.see(stamp_ns)
    assert "no hand_state yet" in rig.refusal(1)
    rig.measure(hand_state(0.0), stamp_ns - 50 * MILLISECOND)
    rig.see(stamp_ns + 1)
    assert "0.050 s from the features" in rig.refusal(2)
    assert not rig.chunks


def test_stale_features_are_reported_and_not_used(ros, write_checkpoint):
    rig = Rig(ros, write_checkpoint(), max_features_age=0.2)
    stamp_ns = rig.now_ns - SECOND
    rig.measure(hand_state(0.0), stamp_ns)
    rig.see(stamp_ns)
    assert "older than the limit of 0.2 s" in rig.refusal()
    ros.spin_until(lambda: "policy: features" in rig.health, what="diagnostics")
    assert b"".join([rig.health["policy: features"].level]) != b"\x00"
    assert not rig.chunks


def test_features_of_another_shape_or_not_finite_are_refused_and_the_node_goes_on(ros, write_checkpoint):
    rig = Rig(ros, write_checkpoint())
    stamp_ns = rig.now_ns
    rig.measure(hand_state(0.0), stamp_ns)
    rig.see(stamp_ns, np.zeros((2, 7, 14, 384), np.float32))
    assert "expected features of shape (2, 8, 14, 384), got (2, 7, 14, 384)" in rig.refusal(1)
    rig.see(stamp_ns, np.full_like(FEATURES, np.nan))
    assert "NaN" in rig.refusal(2)
    rig.see(stamp_ns)
    ros.spin_until(lambda: rig.chunks, what="a chunk after bad features")


def test_a_period_thins_the_chunks_out(ros, write_checkpoint):
    rig = Rig(ros, write_checkpoint(), period=0.1)
    start_ns = rig.now_ns - 200 * MILLISECOND
    for k in range(6):
        stamp_ns = start_ns + k * 40 * MILLISECOND
        rig.measure(hand_state(0.0), stamp_ns)
        offered = rig.policy._worker.skipped
        rig.see(stamp_ns)
        ros.spin_until(lambda n=k: rig.policy._latency.count + rig.policy._thinned > n, what="the features")
        assert rig.policy._worker.skipped == offered
    ros.spin_until(lambda: len(rig.chunks) == 2, what="chunks")
    assert [chunk.stamp_ns - start_ns for chunk in rig.chunks] == [0, 120 * MILLISECOND]


def surprising_checkpoint(write_checkpoint):
    """The small checkpoint, which predicts that all stays as it is for 28 steps, and for which this is usual."""
    directory = write_checkpoint(stride=28)
    shape = (1, 2, 8, 14)
    write_usual(directory, load_manifest(directory), Usual(np.full(shape, -3.0), np.ones(shape), 2.0, 2.0, 100, 10))
    return directory


def test_a_robot_that_is_surprised_stays_where_it_is_until_the_world_is_as_predicted_again(ros, write_checkpoint):
    directory = surprising_checkpoint(write_checkpoint)
    times = {"max_features_age": 10.0, "surprise_persistence": 0.1, "surprise_release": 0.4}
    rig, scores = Rig(ros, directory, hold_on_surprise=True, **times), []
    rig.node.create_subscription(Float32, "/policy/surprise", lambda m: scores.append(m.data), EVERY)
    ros.spin_until(rig.policy._surprise._publisher.get_subscription_count)
    start_ns, holding = rig.now_ns - 8 * SECOND, []
    for k in range(38):
        stamp_ns = start_ns + k * 200 * MILLISECOND
        rig.measure(hand_state(-0.01 * k), stamp_ns)
        count = len(rig.chunks)
        rig.see(stamp_ns, np.full_like(FEATURES, 5.0 if k >= 12 else 0.0))
        ros.spin_until(lambda n=count: len(rig.chunks) > n, what="a chunk")
        holding.append(np.ptp(rig.chunks[-1].actions, axis=0).max() < 1e-9)
        if holding[-1]:
            held, seen = rig.chunks[-1].actions[0], np.full_like(FEATURES, 5.0)
            np.testing.assert_allclose(held[:FINGERS], hand_state(-0.13)[:FINGERS], atol=1e-6)
            commanded = rig.policy._policy.act(seen, hand_state(-0.13)).actions[0]
            np.testing.assert_allclose(held[FINGERS:], commanded[FINGERS:], atol=1e-6)  # a grip stays as tight
    first, last = holding.index(True), len(holding) - 1 - holding[::-1].index(True)
    assert first == 13  # one picture is no surprise yet
    assert all(holding[first : last + 1])
    assert 18 <= last <= 24  # the world is as predicted a horizon after it changed, and calm for 0.4 s more
    assert max(scores) > 1 > scores[-1]


def test_a_surprise_is_reported_and_by_default_changes_nothing(ros, write_checkpoint):
    rig = Rig(ros, surprising_checkpoint(write_checkpoint), max_features_age=10.0)
    start_ns = rig.now_ns - 5 * SECOND
    for k in range(14):
        stamp_ns = start_ns + k * 200 * MILLISECOND
        rig.measure(hand_state(0.0), stamp_ns)
        rig.see(stamp_ns, np.full_like(FEATURES, 5.0 if k >= 10 else 0.0))
        ros.spin_until(lambda n=k: len(rig.chunks) > n, what="a chunk")
    assert np.ptp(rig.chunks[-1].actions, axis=0).max() > 0.01
    name = "policy: surprise"
    ros.spin_until(lambda: name in rig.health and "not what was predicted" in rig.health[name].message)
    assert b"".join([rig.health[name].level]) == b"\x01"


def test_when_the_gate_shuts_what_was_predicted_is_forgotten(ros, write_checkpoint):
    rig = Rig(ros, surprising_checkpoint(write_checkpoint), max_features_age=10.0)
    gate = rig.node.create_publisher(String, "gate_state", LATCHED)
    start_ns = rig.now_ns - 5 * SECOND
    for k in range(14):
        if k == 10:  # another trial begins, while pictures of the one before are still on their way
            for state in ("disengaged", "engaging", "active"):
                gate.publish(String(data=state))
            ros.spin_until(lambda: rig.policy._surprise._changed_ns and rig.policy._surprise._gate == "active")
        stamp_ns = start_ns + k * 200 * MILLISECOND
        rig.measure(hand_state(0.0), stamp_ns)
        rig.see(stamp_ns, np.full_like(FEATURES, 5.0 if k >= 10 else 0.0))
        ros.spin_until(lambda n=k: len(rig.chunks) > n, what="a chunk")
    assert rig.policy._surprise._alarms == 0


def test_a_gate_that_holds_for_a_moment_ends_no_hold(ros, write_checkpoint):
    directory = surprising_checkpoint(write_checkpoint)
    rig = Rig(ros, directory, hold_on_surprise=True, max_features_age=10.0)
    gate = rig.node.create_publisher(String, "gate_state", LATCHED)

    def see(k):
        rig.measure(hand_state(0.0), stamp_ns := start_ns + k * 200 * MILLISECOND)
        count = len(rig.chunks)
        rig.see(stamp_ns, np.full_like(FEATURES, 5.0 if k >= 10 else 0.0))
        ros.spin_until(lambda: len(rig.chunks) > count, what="a chunk")
        return np.ptp(rig.chunks[-1].actions, axis=0).max() < 1e-9

    start_ns = rig.now_ns - 5 * SECOND
    assert [see(k) for k in range(13)][-1]
    for k, state, holds in ((13, "holding", True), (14, "active", True), (15, "disengaged", False)):
        gate.publish(String(data=state))
        ros.spin_until(lambda s=state: rig.policy._surprise._gate == s, what="the gate")
        assert see(k) == holds


def test_holding_on_surprise_takes_frames_that_can_be_compared(ros, write_checkpoint):
    with pytest.raises(CheckpointError, match=r"predicts every 1\.12 s, so a period of 2 s leaves too few"):
        ros.make(PolicyNode, checkpoint=str(surprising_checkpoint(write_checkpoint)), hold_on_surprise=True, period=2.0)


def test_holding_on_surprise_takes_a_checkpoint_that_knows_what_is_usual(ros, write_checkpoint):
    with pytest.raises(CheckpointError, match=r"hold_on_surprise: nobody has measured.*firsthand-lab calibrate"):
        ros.make(PolicyNode, checkpoint=str(write_checkpoint()), hold_on_surprise=True)


def test_what_the_policy_looks_at_is_drawn_for_those_who_look(ros):
    rig, drawn = Rig(ros, "push"), []
    cameras = {
        side: rig.node.create_publisher(CompressedImage, f"{side}/color/rect/image/compressed", PUBLISH)
        for side in ("left", "right")
    }
    ros.spin_until(lambda: rig.node.count_publishers("/policy/attention"))
    assert not any(camera.get_subscription_count() for camera in cameras.values())  # nobody looks, nothing is read
    rig.node.create_subscription(CompressedImage, "/policy/attention", drawn.append, EVERY)
    ros.spin_until(lambda: all(camera.get_subscription_count() for camera in cameras.values()), what="the view to look")
    stamp_ns = rig.now_ns
    for camera in cameras.values():
        camera.publish(write_compressed_image(np.full((112, 196, 3), 200, np.uint8), stamp_ns, "eye"))
    ros.spin_until(lambda: all(rig.policy._attention._pictures.values()), what="the pictures")
    rig.measure(hand_state(0.0), stamp_ns)
    rig.see(stamp_ns)
    ros.spin_until(lambda: drawn, what="a picture")
    assert drawn[0].header.stamp == write_compressed_image(np.zeros((8, 8, 3), np.uint8), stamp_ns, "").header.stamp
    picture = read_compressed_image(drawn[0])
    assert picture.shape[0] > 112
    assert picture.shape[1] > 2 * 196


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_convention": "camera"}, "frame_convention 'camera'; this firsthand uses 'eyes_gravity'"),
        ({"rotation_convention": "rows"}, "rotation_convention 'rows'"),
        (
            {"encoder": EncoderSpec("resnet18", "ab" * 32, (112, 196), (2, 8, 14, 384))},
            r"trained on features of resnet18 \(abababababab\)",
        ),
    ],
)
def test_a_checkpoint_of_another_convention_is_refused_at_the_start(ros, write_checkpoint, changes, message):
    with pytest.raises(CheckpointError, match=message):
        ros.make(PolicyNode, checkpoint=str(write_checkpoint(**changes)))


def test_a_checkpoint_that_is_not_there_names_those_that_are(ros):
    with pytest.raises(CheckpointError, match=r"no checkpoint at 'nowhere'.*shipped ones:"):
        ros.make(PolicyNode, checkpoint="nowhere")
