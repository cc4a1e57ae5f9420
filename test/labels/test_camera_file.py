"""What is known of a camera is read beside its video, or refused in words."""

import json

import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand_training.labels.camera_file import read_camera

INTRINSICS = [[512.0, 0, 319.5], [0, 512.0, 239.5], [0, 0, 1]]


def write(tmp_path, text):
    (tmp_path / "kitchen.camera.json").write_text(text)
    return tmp_path / "kitchen.mp4"


def test_a_camera_is_read_beside_its_video(tmp_path):
    camera = read_camera(write(tmp_path, json.dumps({"intrinsics": INTRINSICS, "gravity": [0, 1, 0]})))
    np.testing.assert_array_equal(camera.intrinsics, INTRINSICS)
    np.testing.assert_array_equal(camera.gravity, [0, 1, 0])


def test_without_a_file_nothing_is_known(tmp_path):
    assert read_camera(tmp_path / "kitchen.mp4").intrinsics is None


@pytest.mark.parametrize("text", ["{", "[]", "{}", "7", '{"focal": 512}', '{"gravity": [0, 0, 0]}'])
@pytest.mark.parametrize(
    "intrinsics", ['"512"', "[[1, 2], [3]]", "[512, 319, 239]", "[[0, 0, 1], [0, 0, 1], [0, 0, 1]]"]
)
def test_another_file_is_refused(tmp_path, text, intrinsics):
    for each in (text, f'{{"intrinsics": {intrinsics}}}'):
        with pytest.raises(LabelError):
            read_camera(write(tmp_path, each))
