"""What training exports is what everything behind it reads: one small checkpoint goes through all of its readers."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from firsthand.bags.read import open_bag
from firsthand.bags.write import BagWriter, Topic
from firsthand.policy.attention import Blocks, draw_attention
from firsthand.policy.checkpoint import load_manifest
from firsthand.policy.session import Policy
from firsthand.policy.surprise import SurpriseMonitor, Usual, load_usual, write_usual
from firsthand.vision.dinov2_graph import SOURCE_SHA256
from firsthand.vision.encoder import NAME
from firsthand_training.evaluation.gaze import RIGHT_TOPIC, STATE_TOPIC, Gaze
from firsthand_training.models.world_model import WorldModelSettings
from firsthand_training.training.export import export
from firsthand_training.training.methods.registry import rebuild_method
from firsthand_training.training.methods.world_model import WorldModelMethod
from firsthand_training.training.stages import read_start, take_over
from firsthand_training.training.train import TrainSettings, fit
from firsthand_training.training.windows import TrainingEpisode

NETWORK = WorldModelSettings(
    horizon=6, stride=2, rows=4, columns=6, latent_width=8, dynamics_width=8, width=8, heads=2, ratio=2, selected=2
)
CACHE = {"encoder": NAME, "source_sha256": SOURCE_SHA256, "image_size": [56, 84], "every": 1, "fps": 25}
STEP = 40_000_000  # [ns]
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "policy_stages.py"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, make_episode):
    reach = make_episode(0, frames=12)
    features = np.random.default_rng(0).normal(size=(12, 2, 4, 6, NETWORK.channels)).astype(np.float16)
    settings = TrainSettings(method=WorldModelMethod(NETWORK), steps=1, batch=2, held_out=0.0, device="cpu", threads=1)
    episode = TrainingEpisode(features, reach.state, reach.action)
    state = fit([episode], tmp_path_factory.mktemp("run"), settings, {"cache": CACHE}, progress=False)
    return export(state, tmp_path_factory.mktemp("checkpoint"), task="reach")


@pytest.fixture
def observation(checkpoint):
    """Features and a hand state."""
    manifest = load_manifest(checkpoint)
    features = np.random.default_rng(1).normal(size=manifest.encoder.feature_shape).astype(np.float32)
    return features, np.array(manifest.state_normalization.mean)


def test_what_it_selects_is_drawn(checkpoint, observation):
    policy = Policy.load(checkpoint)
    blocks = Blocks.of(policy.manifest)
    layout = rebuild_method(policy.manifest.network).build().layout
    np.testing.assert_array_equal(blocks.views, layout.views)
    np.testing.assert_allclose((blocks.boxes[:, :2] + blocks.boxes[:, 2:]) / 2, layout.centres, atol=1e-6)
    selected = policy.act(*observation).selected
    images = np.full((2, 112, 168, 3), 200, np.uint8)
    assert (draw_attention(images, selected, blocks) == 200).all(-1).any()


def test_surprise_is_watched(checkpoint, observation):
    policy = Policy.load(checkpoint)
    shape = policy.act(*observation).future_features.shape[:-1]
    write_usual(checkpoint, policy.manifest, Usual(np.full(shape, -3.0), np.ones(shape), 2.0, 2.0, 100, 10))
    monitor = SurpriseMonitor(policy.manifest, load_usual(checkpoint, policy.manifest))
    features, state = observation
    seen = [monitor.observe(i * 2 * STEP, features, policy.act(features, state).future_features) for i in range(4)]
    assert seen[0] is None
    assert seen[-1].score > 0


def test_it_can_be_trained_on(checkpoint):
    start = read_start(checkpoint)
    assert not take_over(WorldModelMethod(NETWORK).build(), start.weights).fresh
    assert set(start.statistics) == {"robot"}


def test_a_bag_shows_what_it_looked_at(checkpoint, observation, tmp_path):
    write_bag(tmp_path / "bag", observation[1])
    with open_bag(tmp_path / "bag") as bag:
        drawn = Gaze(bag, str(checkpoint)).at(STEP, np.full((112, 168, 3), 128, np.uint8))
    assert drawn.shape[1] > 2 * 168


def test_the_benchmark_rebuilds_its_network(checkpoint, tmp_path):
    specification = importlib.util.spec_from_file_location("policy_stages", BENCHMARK)
    benchmark = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(benchmark)
    manifest = load_manifest(checkpoint)
    graphs = benchmark.attention_graphs(manifest, tmp_path)
    assert sorted(graphs) == [2, len(Blocks.of(manifest).frames)]
    assert all(path.is_file() for path in graphs.values())


def write_bag(path, vector):
    """One picture of the right eye and one hand state, of the same time."""
    pytest.importorskip("rclpy")
    from firsthand.nodes.messages import write_hand_state

    store = get_typestore(Stores.ROS2_JAZZY)
    picture, state = "sensor_msgs/msg/CompressedImage", "trajectory_msgs/msg/MultiDOFJointTrajectory"
    stamp = store.types["builtin_interfaces/msg/Time"](sec=0, nanosec=STEP)
    header = store.types["std_msgs/msg/Header"](stamp=stamp, frame_id="right_eye_optical")
    jpeg = cv2.imencode(".jpg", np.full((112, 168, 3), 128, np.uint8))[1].ravel()
    message = store.types[picture](header=header, format="jpeg", data=jpeg)
    with BagWriter(path, [Topic("/" + RIGHT_TOPIC, picture), Topic("/" + STATE_TOPIC, state)]) as writer:
        writer.write("/" + RIGHT_TOPIC, STEP, bytes(store.serialize_cdr(message, picture)))
        writer.write("/" + STATE_TOPIC, STEP, write_hand_state(vector, STEP))
