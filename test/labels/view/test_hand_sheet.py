"""A sheet shows what is found in pictures and videos, and leaves out what cannot be read."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from firsthand.errors import LabelError, ModelError
from firsthand_training.labels.detect_hands import DetectSettings
from firsthand_training.labels.hand_networks.prepare import landmark_graph, palm_graph
from firsthand_training.labels.view.hand_sheet import SheetSettings, _choose, make_sheet

PICTURE = Path(__file__).parents[1] / "data" / "two_hands.jpg"
PALMS = DetectSettings(detectors="palms")


def test_a_picture_with_its_hands_and_a_table(tmp_path, capsys):
    try:
        palm_graph(), landmark_graph()
    except ModelError as error:
        pytest.skip(str(error))
    (tmp_path / "notes.mp4").write_text("no film")
    settings = SheetSettings((PICTURE, tmp_path / "notes.mp4"), tmp_path / "sheet.png", width=640, detect=PALMS)
    path, looks = make_sheet(settings)
    assert [str(look) for look in looks] == ["| two_hands.jpg | 1 | 1 |  |"]
    difference = cv2.absdiff(cv2.imread(str(path)), cv2.imread(str(PICTURE))).max(axis=2) > 60
    for left, right in ((100, 300), (330, 520)):  # both hands, drawn over
        assert difference[280:460, left:right].sum() > 500
    assert "left out:" in "".join(capsys.readouterr())


def test_half_of_the_frames_of_a_video_have_hands_if_there_are_any():
    handed = np.zeros(100, bool)
    handed[40:60] = True
    chosen = sorted(_choose(handed, 4))
    assert [handed[number] for number in chosen].count(True) == 2
    assert len(_choose(~np.zeros(100, bool), 4)) == len(_choose(np.zeros(100, bool), 4)) == 4
    assert _choose(np.zeros(1, bool), 4) == {0}


def test_nothing_to_look_at_is_refused(tmp_path):
    (tmp_path / "notes.mp4").write_text("no film")
    with pytest.raises(LabelError, match="at least one picture"):
        make_sheet(SheetSettings((tmp_path / "notes.mp4",), tmp_path / "sheet.png", detect=PALMS))
    with pytest.raises(LabelError, match=r"\.png or \.jpg"):
        SheetSettings((PICTURE,), tmp_path / "sheet.gif")
