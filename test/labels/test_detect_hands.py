"""Hands are searched when they should be, followed in between, and counted frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from firsthand.errors import LabelError, ModelError
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.video import VideoWriter
from firsthand_training.labels.detect_hands import DetectSettings, detect_hands, sight_hands
from firsthand_training.labels.draw_hands import contact_sheet, draw_hands
from firsthand_training.labels.hand_networks.finder import Find
from firsthand_training.labels.hand_networks.landmarks import Hand
from firsthand_training.labels.hand_networks.prepare import landmark_graph, palm_graph
from firsthand_training.labels.hand_networks.regions import Picture
from firsthand_training.labels.hand_networks.yolo import YoloDetector, letterbox, split_yolo
from firsthand_training.labels.stage_files import Hands, load_stage
from firsthand_training.labels.two_hands import two_hands

SHAPE = np.random.default_rng(0).uniform(-30, 30, (21, 2))


@dataclass
class Stage:
    """A made-up world: which hands are in which frame, and whether a search would find them."""

    there: dict[str, Sequence[int]]  # by name, when they can be followed
    findable: dict[str, Sequence[int]]
    missed: set[int] = field(default_factory=set)  # frames in which the right hand is lost, the first time
    searches: list[int] = field(default_factory=list)

    def hand(self, name: str) -> Find:
        place = np.array([100 + 200 * list(self.there).index(name), 240])
        return Find(Hand(SHAPE + place, 0.9, 0.5))

    def search(self, picture: Picture, known: list[Find]) -> list[Find]:
        frame = int(picture.image[0, 0, 0])
        self.searches.append(frame)
        taken = [find.box[0] for find in known]
        new = [self.hand(name) for name, when in self.findable.items() if frame in when]
        return [find for find in new if find.box[0] not in taken]

    def follow(self, picture: Picture, known: list[Find]) -> list[Find | None]:
        frame = int(picture.image[0, 0, 0])
        alive = [self.hand(name).box[0] for name, when in self.there.items() if frame in when]
        if frame in self.missed:
            self.missed.remove(frame)
            alive.pop()
        return [find if find.box[0] in alive else None for find in known]


def pictures(count):
    return [np.full((4, 4, 3), frame, np.uint8) for frame in range(count)]


def seen(stage, count, **settings):
    sightings = sight_hands(pictures(count), stage, DetectSettings(detectors="palms", **settings))
    return [sum(each.frame == frame for each in sightings) for frame in range(count)], sightings


def test_while_two_hands_are_followed_searches_are_rare():
    always = {"left": range(100), "right": range(100)}
    stage = Stage(always, always)
    counts, sightings = seen(stage, 70, search_every=30)
    assert counts == [2] * 70
    assert stage.searches == [0, 30, 60]
    assert {each.track for each in sightings} == {0, 1}


def test_a_hand_that_is_found_late_is_followed_back():
    stage = Stage({"left": range(100), "right": range(22, 100)}, {"left": range(100), "right": range(25, 100)})
    counts, sightings = seen(stage, 40, retry_every=5)
    assert stage.searches[:6] == [0, 5, 10, 15, 20, 25]
    assert counts == [1] * 22 + [2] * 18
    assert [each.frame for each in sightings if each.track == 1] == list(range(22, 40))


def test_a_loss_is_searched_for_at_once_and_then_every_so_often():
    stage = Stage({"left": range(100), "right": range(12)}, {"left": range(100), "right": range(12)})
    counts, _ = seen(stage, 30, retry_every=5)
    assert counts == [2] * 12 + [1] * 18
    assert stage.searches == [0, 12, 17, 22, 27]


def test_a_hand_that_meets_itself_looking_back_keeps_its_track():
    stage = Stage({"left": range(60), "right": range(60)}, {"left": range(60), "right": [0, 26]}, missed={21})
    counts, sightings = seen(stage, 40, retry_every=5)
    assert stage.searches == [0, 21, 26]
    assert counts == [2] * 40
    assert {each.track for each in sightings} == {0, 1}


def test_no_more_hands_than_asked_for_are_kept():
    always = {name: range(50) for name in ("a", "b", "c", "d")}
    assert seen(Stage(always, always), 3, most=3)[0] == [3] * 3


@pytest.mark.parametrize(
    "wrong",
    [{"detectors": "magic"}, {"detectors": "yolo"}, {"weights": "x.onnx"}, {"presence": 1.5}, {"retry_every": 0}],
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(LabelError):
        DetectSettings(**wrong)


def yolo_file(path: Path, output: np.ndarray, size: int = 64) -> Path:
    """A graph that says the same about every picture."""
    node = helper.make_node("Identity", ["said"], ["output0"])
    graph = helper.make_graph(
        [helper.make_node("Shape", ["images"], ["shape"]), node],
        "yolo",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, output.shape)],
        [numpy_helper.from_array(output.astype(np.float32), "said")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def yolo_rows(count=400):
    """A left hand twice, a right one, and noise; in the 64 px of a letterboxed 128 x 64 picture."""
    rows = np.zeros((count, 6))
    rows[:, :4] = [5, 20, 4, 4]
    rows[7] = [16, 24, 8, 8, 0.9, 0.1]
    rows[8] = [16.5, 24, 8, 8, 0.8, 0.1]
    rows[200] = [48, 40, 8, 16, 0.05, 0.7]
    return rows


@pytest.mark.parametrize("layout", ["v8", "v5"])
def test_both_layouts_of_yolo_give_boxes_in_the_picture(tmp_path, layout):
    rows = yolo_rows()
    if layout == "v8":
        output = rows.T[None]
    else:
        output = np.concatenate([rows[:, :4], np.full((400, 1), 0.9), rows[:, 4:] / 0.9], axis=1)[None]
    detector = YoloDetector.load(yolo_file(tmp_path / "yolo.onnx", output), 0.5, 0.3)
    found = detector.detect(Picture(np.zeros((64, 128, 3), np.uint8)))
    assert [(each.side, round(each.score, 3)) for each in found] == [(0, 0.9), (1, 0.7)]
    np.testing.assert_allclose(found[0].box, [23.5, 7.5, 39.5, 23.5], atol=1e-4)  # twice as large, less 16 px above
    np.testing.assert_allclose(found[1].box, [87.5, 31.5, 103.5, 63.5], atol=1e-4)


def test_letterbox_keeps_the_shape_and_fills_with_grey():
    pixels, scale, margin = letterbox(np.full((50, 100, 3), 255, np.uint8), (64, 64))
    assert (scale, *margin) == (0.64, 0, 16)
    assert pixels.shape == (3, 64, 64)
    assert pixels[0, 32, 32] == 1
    assert pixels[0, 0, 0] == pytest.approx(114 / 255)


@pytest.mark.parametrize("shape", [(1, 300, 6), (1, 3, 80, 80, 85), (4, 100), (2, 6, 400)])
def test_other_layouts_of_yolo_are_refused(shape):
    with pytest.raises(LabelError, match="detection head"):
        split_yolo(np.zeros(shape))


def test_scores_before_the_sigmoid_are_refused():
    with pytest.raises(LabelError, match="after the sigmoid"):
        split_yolo(np.full((1, 6, 400), 7.0))


def test_classes_of_unknown_meaning_are_refused(tmp_path):
    detector = YoloDetector.load(yolo_file(tmp_path / "yolo.onnx", np.zeros((1, 84, 400))), 0.5, 0.3)
    with pytest.raises(LabelError, match="80 classes"):
        detector.detect(Picture(np.zeros((64, 64, 3), np.uint8)))


def test_a_yolo_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "weights.onnx").write_bytes(b"weights")
    with pytest.raises(LabelError, match="does not open"):
        YoloDetector.load(tmp_path / "weights.onnx", 0.5, 0.3)
    with pytest.raises(LabelError, match="no weights"):
        YoloDetector.load(tmp_path / "none.onnx", 0.5, 0.3)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A rendered picture of two hands that drifts 4 px a frame to the right."""
    try:
        palm_graph(), landmark_graph()
    except ModelError as error:
        pytest.skip(str(error))
    image = cv2.cvtColor(cv2.imread(str(Path(__file__).parent / "data" / "two_hands.jpg")), cv2.COLOR_BGR2RGB)
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with VideoWriter(path, EpisodeSettings(fps=30, width=640, height=480)) as writer:
        for frame in range(8):
            writer.add(np.roll(image, 4 * frame, axis=1))
    return path


def test_hands_of_a_film_are_followed_and_have_their_sides(film, tmp_path):
    path = detect_hands(film, tmp_path / "hands.npz", DetectSettings(detectors="palms"))
    found = load_stage(path, Hands)
    kept, left_out = two_hands(found)
    assert kept.all(), left_out
    middles = np.array([found.keypoints[found.side == side].mean(axis=1) for side in (0, 1)])
    np.testing.assert_allclose(middles[:, 0], [[180, 385], [410, 360]], atol=30)
    np.testing.assert_allclose(middles[:, -1] - middles[:, 0], [[28, 0]] * 2, atol=5)
    drawn = draw_hands(np.zeros((480, 640, 3), np.uint8), found, 0)
    assert drawn[:, :320].any()
    assert drawn[:, 320:].any()
    assert contact_sheet([drawn, drawn], columns=2, width=100).shape == (75, 200, 3)


def test_the_same_video_gives_the_same_file_and_a_finished_one_is_left_alone(film, tmp_path):
    settings = DetectSettings(detectors="palms")
    first, second = (detect_hands(film, tmp_path / name, settings) for name in ("a.npz", "b.npz"))
    for name in ("frame", "side", "score", "box", "keypoints"):
        np.testing.assert_array_equal(getattr(load_stage(first, Hands), name), getattr(load_stage(second, Hands), name))
    first.write_bytes(b"finished")
    assert detect_hands(film, first, settings).read_bytes() == b"finished"


def test_boxes_of_yolo_are_kept_even_where_the_landmark_network_sees_no_hand(film, tmp_path):
    rows = np.zeros((400, 6))
    rows[0] = [17, 49, 9, 13, 0.9, 0.1]  # around the left hand
    rows[1] = [32, 14, 6, 6, 0.1, 0.8]  # on the table
    weights = yolo_file(tmp_path / "yolo.onnx", rows.T[None])
    settings = DetectSettings(detectors="yolo", weights=str(weights), search_every=1)
    found = load_stage(detect_hands(film, tmp_path / "hands.npz", settings), Hands)
    first = found.frame == 0
    assert found.side[first].tolist() == [0, 1]
    assert np.isnan(found.keypoints[first]).any(axis=(1, 2)).tolist() == [False, True]


def test_a_video_without_hands_has_none(tmp_path, film):
    with VideoWriter(tmp_path / "grey.mp4", EpisodeSettings(fps=30, width=320, height=240)) as writer:
        for level in range(6):
            writer.add(np.full((240, 320, 3), 100 + level, np.uint8))
    found = load_stage(
        detect_hands(tmp_path / "grey.mp4", tmp_path / "h.npz", DetectSettings(detectors="palms")), Hands
    )
    assert found.keypoints.shape == (0, 21, 2)
    assert two_hands(found)[1] == {"no hand": 6}


def test_a_video_that_is_none_leaves_no_file(tmp_path):
    (tmp_path / "film.mp4").write_text("not a film\n" * 100)
    with pytest.raises(LabelError, match="no video"):
        detect_hands(tmp_path / "film.mp4", tmp_path / "hands.npz")
    assert not (tmp_path / "hands.npz").exists()
