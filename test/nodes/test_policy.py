import numpy as np
import pytest

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image
from trajectory_msgs.msg import MultiDOFJointTrajectory
from visualization_msgs.msg import MarkerArray

from firsthand.errors import CheckpointError
from firsthand.nodes.image_messages import write_features
from firsthand.nodes.messages import SECOND, read_chunk, write_hand_state
from firsthand.nodes.policy import PolicyNode
from firsthand.nodes.qos import EVERY, PUBLISH
from firsthand.policy.checkpoint import EncoderSpec
from firsthand.space.hand_state import RIGHT_WRIST_POSITION, SIZE, HandState

pytestmark = pytest.mark.ros

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
