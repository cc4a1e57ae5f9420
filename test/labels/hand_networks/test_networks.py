"""The rebuilt networks say what the original files say, and find the hands of a rendered picture.

The numbers come from ai-edge-litert 2.3.0, which runs the original files.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest

from firsthand.errors import ModelError
from firsthand.inference import open_session
from firsthand_training.labels.hand_networks import packages
from firsthand_training.labels.hand_networks.landmarks import LandmarkNetwork
from firsthand_training.labels.hand_networks.palms import PalmDetector, views
from firsthand_training.labels.hand_networks.prepare import find_ssd_graph, landmark_graph, palm_graph
from firsthand_training.labels.hand_networks.regions import Picture, Region
from firsthand_training.labels.hand_networks.ssd import SsdDetector

TIPS = {  # of the left and the right hand, wrist first, where the renderer put them, [px]
    0: [[131, 469], [210, 386], [196, 349], [195, 351], [192, 363], [181, 381]],
    1: [[461, 413], [374, 376], [375, 333], [388, 326], [404, 329], [424, 336]],
}
POINTS = (0, 4, 8, 12, 16, 20)


@pytest.fixture(scope="module", autouse=True)
def networks():
    try:
        return palm_graph(), landmark_graph()
    except ModelError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def picture():
    image = cv2.imread(str(Path(__file__).parents[1] / "data" / "two_hands.jpg"))
    return Picture(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def pattern(size):
    rows, columns, channels = np.meshgrid(np.arange(size), np.arange(size), np.arange(3), indexing="ij")
    return ((rows * 7 + columns * 3 + channels * 50 + rows * columns // 16) % 256).astype(np.uint8)[None]


def test_the_palm_detector_is_the_original_one():
    boxes, scores = open_session(palm_graph()).run(["boxes", "scores"], {"pictures": pattern(192)})
    np.testing.assert_allclose(boxes[0, 0, :4], [-0.94962, -0.24911, 17.41952, 17.41871], atol=2e-4)
    np.testing.assert_allclose(scores[0, :3, 0], [-6.85274, -8.37233, -6.59751], atol=2e-4)
    assert boxes.sum(dtype=np.float64) == pytest.approx(191993.78, abs=0.2)
    assert scores.sum(dtype=np.float64) == pytest.approx(-18985.237, abs=0.02)


def test_the_landmark_network_is_the_original_one():
    outputs = open_session(landmark_graph()).run(["keypoints", "presence", "handedness"], {"pictures": pattern(224)})
    keypoints, presence, handedness = outputs
    np.testing.assert_allclose(keypoints[0, :2], [106.80443, 174.78784], atol=1e-3)
    assert keypoints.sum(dtype=np.float64) == pytest.approx(4414.4176, abs=0.01)
    assert presence.item() == pytest.approx(0.0087767, abs=1e-5)
    assert handedness.item() == pytest.approx(0.739948, abs=1e-4)


def off_by(hand, side):
    """[px], median over wrist and tips."""
    return float(np.median(np.linalg.norm(hand.keypoints[list(POINTS)] - TIPS[side], axis=1)))


def test_palms_lead_to_both_hands_and_their_keypoints(picture):
    network, detector = LandmarkNetwork.load(), PalmDetector.load(0.5, 0.3)
    hands = [network.look_closer(picture, candidate.region) for candidate in detector.detect(picture)]
    hands = sorted((hand for hand in hands if hand.presence > 0.9), key=lambda hand: hand.keypoints[0, 0])
    assert len(hands) == 2
    for side, hand in enumerate(hands):
        assert off_by(hand, side) < 12
        assert (hand.right > 0.5) == bool(side)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("quarters", [0, 1, 2])
def test_a_box_leads_to_the_hand_whichever_way_the_picture_is_turned(picture, side, quarters):
    points, image = np.array(TIPS[side], float), picture.image
    for _ in range(quarters):
        points = np.stack([points[:, 1], image.shape[1] - 1 - points[:, 0]], axis=1)
        image = np.ascontiguousarray(np.rot90(image))
    box = np.concatenate([points.min(axis=0) - 20, points.max(axis=0) + 20])
    hand = LandmarkNetwork.load().search(Picture(image), box, 0.95)
    assert hand.presence > 0.9
    assert np.median(np.linalg.norm(hand.keypoints[list(POINTS)] - points, axis=1)) < 14


def test_a_look_in_a_mirror_is_answered_for_the_picture_as_it_is(picture):
    network, (x, y) = LandmarkNetwork.load(), np.mean(TIPS[1], axis=0)
    flipped = Picture(np.ascontiguousarray(picture.image[:, ::-1]))
    plain = network.look(picture, Region(x, y, 240.0, 0.3))
    mirrored = network.look(flipped, Region(picture.width - 1 - x, y, 240.0, -0.3), mirrored=True)
    np.testing.assert_allclose(mirrored.keypoints, [picture.width - 1, 0] + plain.keypoints * [-1, 1], atol=0.5)
    np.testing.assert_allclose(mirrored.depths, plain.depths, atol=1.0)
    assert mirrored.right == pytest.approx(1 - plain.right, abs=0.02)
    assert off_by(network.look(picture, Region(x, y, 240.0, 0.3), mirrored=True), 1) < 14


def test_the_ssd_finds_both_hands(picture):
    graph = find_ssd_graph()
    if graph is None:
        pytest.skip("the SSD comes from npm: python -m firsthand_training.labels.hand_networks.prepare")
    boxes = np.array([candidate.box for candidate in SsdDetector.load(graph, 0.3, 0.3).detect(picture)])
    for points in TIPS.values():
        inside = (np.array(points)[:, None] > boxes[:, :2] - 10) & (np.array(points)[:, None] < boxes[:, 2:] + 10)
        assert inside.all(axis=2).sum(axis=0).max() >= 5


def test_other_weights_are_refused(tmp_path, monkeypatch):
    folder = tmp_path / "mediapipe"
    (folder / "modules" / "palm_detection").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "modules" / "palm_detection" / "palm_detection_full.tflite").write_bytes(b"of unknown origin")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=r"sha256 .* expected 1b14e942"):
        packages.read_mediapipe("palm_detection_full")
    with pytest.raises(ModelError, match=r"has no hand_landmark_full\.tflite"):
        packages.read_mediapipe("hand_landmark_full")


def test_without_npm_the_ssd_is_missed_in_words(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ModelError, match="no npm here"):
        packages.fetch_handtrack()


@pytest.mark.parametrize(("height", "width", "count"), [(480, 640, 4), (1920, 1080, 4), (100, 100, 2), (500, 600, 2)])
def test_palms_are_looked_for_everywhere_in_a_picture(height, width, count):
    squares = views(Picture(np.zeros((height, width, 3), np.uint8)))
    assert len(squares) == count
    for x, y in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        assert all(max(abs(x - each.x), abs(y - each.y)) <= each.side / 2 for each in squares[:2])
        assert any(max(abs(x - each.x), abs(y - each.y)) <= each.side / 2 for each in squares[2:]) == (count == 4)


def test_hands_that_are_small_in_a_tall_picture_are_found(picture):
    tall = np.full((1120, 640, 3), 90, np.uint8)
    tall[600:1080] = picture.image
    network, detector = LandmarkNetwork.load(), PalmDetector.load(0.3, 0.3)
    candidates = detector.detect(Picture(tall))
    hands = [network.look_closer(Picture(tall), each.region) for each in candidates]
    assert {hand.keypoints[0, 0] > 320 for hand in hands if hand.presence > 0.9} == {False, True}
